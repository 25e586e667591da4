//! Messages on the wire: authenticated frames around type-length-value fields.
//!
//! docs/protocol.md shows every message byte by byte. The thesis's own text messages are in
//! [`thesis_text`].

mod body;
mod frame;
mod opener;
mod replay;
pub mod thesis_text;
mod tlv;

pub use body::{BodyError, MAX_DEMANDS};
pub use frame::{
    Cluster, Codec, FRAME_OVERHEAD, FrameError, HEADER_LEN, Key, KeyId, Keyring, KeyringError,
    Opened, TAG_LEN, frame_len,
};
pub use opener::Opener;
pub use replay::{REPLAY_WINDOW, ReplayWindow};
