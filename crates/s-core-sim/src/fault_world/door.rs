//! All that a frame has to pass before a node hears of it.

use bytes::Bytes;
use s_core_model::ServerId;
use s_core_proto::wire::{Codec, FrameError, Opened, Opener};
use s_core_topology::LocationTable;

#[cfg(feature = "mutations")]
use super::defect::Defect;

/// Opens the frames that come to one process.
#[derive(Debug)]
pub(super) struct Door {
    opener: Opener<LocationTable>,
    /// Opens a frame any number of times. Half of the worlds go without a replay window: a server that starts again
    /// has an empty one, so the node's rules have to hold without it.
    codec: Codec,
    window: bool,
    #[cfg(feature = "mutations")]
    defect: Option<Defect>,
}

impl Door {
    pub(super) fn new(codec: Codec, servers: LocationTable, window: bool) -> Self {
        Self {
            opener: Opener::new(codec.clone(), servers),
            codec,
            window,
            #[cfg(feature = "mutations")]
            defect: None,
        }
    }

    #[cfg(feature = "mutations")]
    pub(super) fn with_defect(self, defect: Option<Defect>) -> Self {
        Self { defect, ..self }
    }

    pub(super) fn open(&mut self, from: ServerId, frame: &Bytes) -> Result<Opened, FrameError> {
        #[cfg(feature = "mutations")]
        if let Some(opened) = self.open_with_defect(from, frame) {
            return opened;
        }
        if self.window {
            self.opener.open(from.addr(), frame)
        } else {
            self.codec.open(frame)
        }
    }

    /// What comes of the frame if the defect shows.
    #[cfg(feature = "mutations")]
    fn open_with_defect(
        &mut self,
        from: ServerId,
        frame: &Bytes,
    ) -> Option<Result<Opened, FrameError>> {
        match self.defect? {
            Defect::TagAfterParsing => {
                let opened = self.codec.open(&with_right_tag(frame));
                opened
                    .err()
                    .filter(|error| matches!(error, FrameError::Body(_)))
                    .map(Err)
            }
            Defect::ReplayWindowOffByOne if self.window => {
                match self.opener.open(from.addr(), frame) {
                    Err(FrameError::Replayed {
                        counter, highest, ..
                    }) if counter == highest => Some(self.codec.open(frame)),
                    opened => Some(opened),
                }
            }
            _ => None,
        }
    }
}

/// What the frame would be if nobody looked at its tag.
#[cfg(feature = "mutations")]
fn with_right_tag(frame: &Bytes) -> Bytes {
    use s_core_proto::wire::TAG_LEN;

    let Some((signed, _)) = frame.split_last_chunk::<TAG_LEN>() else {
        return frame.clone();
    };
    let tag = blake3::keyed_hash(&super::host::SECRET, signed);
    [signed, tag.as_bytes()].concat().into()
}
