//! All that a frame has to pass before a node hears of it.

use bytes::Bytes;
use s_core_proto::wire::{Codec, FrameError, Opened};

/// Opens the frames that come to one process.
#[derive(Debug)]
pub(super) struct Door {
    codec: Codec,
}

impl Door {
    pub(super) fn new(codec: Codec) -> Self {
        Self { codec }
    }

    pub(super) fn open(&mut self, frame: &Bytes) -> Result<Opened, FrameError> {
        self.codec.open(frame)
    }
}
