//! S7: decode(encode(x)) = x, for every message and every token that is sent.

use s_core_proto::Message;
use s_core_token::{Token, TokenView};

use super::{Invariant, Seen};
use crate::fault_world::world::World;

#[derive(Debug)]
pub(super) struct RoundTrip;

impl Invariant for RoundTrip {
    fn name(&self) -> &'static str {
        "S7"
    }

    fn check(&mut self, _: &World, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Opened {
            sent,
            damaged: false,
            opened: Ok(opened),
            ..
        } = seen
        else {
            return Ok(());
        };
        if opened.message != **sent {
            return Err(format!("{:?} was sent as {sent:?}", opened.message));
        }
        if let Message::Token(bytes) = sent {
            let view = TokenView::new_checked(&bytes[..], Default::default())
                .map_err(|error| format!("a token is none: {error}"))?;
            if Token::decode(&view).encode() != bytes[..] {
                return Err(format!("token {} changes when decoded", view.mark()));
            }
        }
        Ok(())
    }
}
