//! The answer to one request, over as many pieces as it takes.

use std::io;

use super::NetlinkError;
use super::wire::{DUMP_INTERRUPTED, MULTI, Messages};

const ERROR: u16 = 2;
const DONE: u16 = 3;
const OVERRUN: u16 = 4;
/// Message types from here on are families'.
const FAMILIES: u16 = 16;

/// How far an answer was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// It ends here.
    pub(super) ended: bool,
    /// Not all that it lists was there at one time. It is read to its end all the same: until then the kernel takes no
    /// other request for a list.
    pub(super) interrupted: bool,
}

impl Progress {
    /// Whether what was listed is of use.
    pub(super) fn whole(self) -> Result<(), NetlinkError> {
        match self {
            Self { ended: false, .. } => Err(NetlinkError::Unfinished),
            Self {
                interrupted: true, ..
            } => Err(NetlinkError::Interrupted),
            _ => Ok(()),
        }
    }
}

/// Reads one piece of the answer to request `sequence`: tells `each` what every message holds behind its header.
pub(super) fn read_piece(
    piece: &[u8],
    sequence: u32,
    mut each: impl FnMut(&[u8]) -> Result<(), NetlinkError>,
) -> Result<Progress, NetlinkError> {
    let mut progress = Progress::default();
    for message in Messages(piece) {
        let message = message?;
        if message.sequence != sequence {
            return Err(NetlinkError::Stray {
                found: message.sequence,
                wanted: sequence,
            });
        }
        progress.interrupted |= message.flags & DUMP_INTERRUPTED != 0;
        match message.kind {
            // At the end of a list its own result stands, where there is one.
            ERROR | DONE => {
                result(message.payload)?;
                progress.ended = true;
            }
            FAMILIES.. => {
                each(message.payload)?;
                progress.ended = message.flags & MULTI == 0;
            }
            OVERRUN => progress.interrupted = true,
            _ => {}
        }
        if progress.ended {
            break;
        }
    }
    Ok(progress)
}

/// The number of an error, negative; 0 is none.
fn result(payload: &[u8]) -> Result<(), NetlinkError> {
    let number = payload.first_chunk().map(|raw| i32::from_ne_bytes(*raw));
    match number.unwrap_or(0) {
        0 => Ok(()),
        number => {
            let error = io::Error::from_raw_os_error(number.saturating_neg());
            Err(NetlinkError::Refused(error))
        }
    }
}
