//! Frames that come to a server.

use bytes::Bytes;
use s_core_proto::wire::FrameError;
use s_core_proto::{Input, Message};

use super::describe;
use super::invariants::Seen;
use super::sometimes::Sometimes;
use super::world::World;

impl World {
    pub(super) fn frame(
        &mut self,
        from: usize,
        to: usize,
        frame: &Bytes,
        sent: &Message,
        damaged: bool,
    ) {
        let source = self.hosts[from].id;
        let Some(running) = &mut self.hosts[to].running else {
            return;
        };
        let opened = running.door.open(source, frame);
        self.trace.mix(to as u64);
        self.trace.mix(last_word(frame));
        match &opened {
            Err(FrameError::Replayed { .. }) => self.marks.hit(Sometimes::ReplayRefused),
            Err(_) => self.marks.hit(Sometimes::DamageRefused),
            Ok(_) => {}
        }
        self.observe(&Seen::Opened {
            to,
            sent,
            damaged,
            opened: &opened,
        });
        match opened {
            Ok(opened) => {
                self.line(to, || format!("{source} → {}", describe::message(sent)));
                let (sender, message) = (opened.sender, opened.message);
                self.handle(to, Input::Received { sender, message });
            }
            Err(error) => self.line(to, || format!("refuses a frame of {source}: {error}")),
        }
    }
}

/// The end of the tag, which stands for the whole frame.
fn last_word(frame: &[u8]) -> u64 {
    let end = frame.last_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(end)
}
