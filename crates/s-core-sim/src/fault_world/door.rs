//! All that a frame has to pass before a node hears of it.

use bytes::Bytes;
use s_core_proto::wire::{Codec, FrameError, Opened};

#[cfg(feature = "mutations")]
use super::defect::Defect;

/// Opens the frames that come to one process.
#[derive(Debug)]
pub(super) struct Door {
    codec: Codec,
    #[cfg(feature = "mutations")]
    defect: Option<Defect>,
}

impl Door {
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            codec,
            #[cfg(feature = "mutations")]
            defect: None,
        }
    }

    #[cfg(feature = "mutations")]
    pub(super) fn with_defect(self, defect: Option<Defect>) -> Self {
        Self { defect, ..self }
    }

    pub(super) fn open(&mut self, frame: &Bytes) -> Result<Opened, FrameError> {
        #[cfg(feature = "mutations")]
        if self.defect == Some(Defect::TagAfterParsing)
            && let Err(error @ FrameError::Body(_)) = self.codec.open(&with_right_tag(frame))
        {
            return Err(error);
        }
        self.codec.open(frame)
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
