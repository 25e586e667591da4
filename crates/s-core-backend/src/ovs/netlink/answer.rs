//! The answer to one request, over as many pieces as it takes.

use std::io;

use super::NetlinkError;
use super::wire::{DUMP_INTERRUPTED, MULTI, Messages};

const ERROR: u16 = 2;
const DONE: u16 = 3;
const OVERRUN: u16 = 4;
/// Message types from here on are families'.
const FAMILIES: u16 = 16;

/// Reads one piece of the answer to request `sequence`: tells `each` what every message holds behind its header, and
/// returns whether the answer ends here.
pub(super) fn read_piece(
    piece: &[u8],
    sequence: u32,
    mut each: impl FnMut(&[u8]) -> Result<(), NetlinkError>,
) -> Result<bool, NetlinkError> {
    for message in Messages(piece) {
        let message = message?;
        if message.sequence != sequence {
            return Err(NetlinkError::Stray {
                found: message.sequence,
                wanted: sequence,
            });
        }
        if message.flags & DUMP_INTERRUPTED != 0 || message.kind == OVERRUN {
            return Err(NetlinkError::Interrupted);
        }
        match message.kind {
            // At the end of a list its own result stands, where there is one.
            ERROR | DONE => return result(message.payload).map(|()| true),
            FAMILIES.. => {
                each(message.payload)?;
                if message.flags & MULTI == 0 {
                    return Ok(true);
                }
            }
            _ => {}
        }
    }
    Ok(false)
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
