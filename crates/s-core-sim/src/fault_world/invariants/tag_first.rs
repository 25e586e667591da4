//! The tag comes before all else: a damaged frame is refused by its tag or its header, its body is never looked at; and
//! a whole frame is not refused.

use s_core_proto::wire::FrameError;

use super::{Invariant, Seen};
use crate::fault_world::world::World;

#[derive(Debug)]
pub(super) struct TagFirst;

impl Invariant for TagFirst {
    fn name(&self) -> &'static str {
        "tag first"
    }

    fn check(&mut self, _: &World, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Opened {
            sent,
            damaged,
            opened,
            ..
        } = seen
        else {
            return Ok(());
        };
        match (damaged, opened) {
            (true, Ok(_)) => Err(format!("a damaged frame of {sent:?} is accepted")),
            (true, Err(FrameError::Body(error))) => {
                Err(format!("the body of a damaged frame was read: {error}"))
            }
            (_, Err(FrameError::Replayed { .. })) | (false, Ok(_)) => Ok(()),
            (false, Err(error)) => Err(format!("a whole frame of {sent:?} is refused: {error}")),
            (true, Err(_)) => Ok(()),
        }
    }
}
