//! The thesis's own messages (4.2.3, 4.2.5): short lines of text, and a token of bare slots.
//!
//! They carry neither a mark nor proof of who sent them, so they are for a closed lab and for
//! comparing with the thesis; agents speak authenticated frames.
//!
//! ```
//! use s_core_proto::wire::thesis_text::TextMessage;
//!
//! let answer = TextMessage::CapacityResponse { vm_slots: 3, memory_mib: 1024 };
//! assert_eq!(answer.to_string(), "hypervisor_capacity_response 3 1024");
//! assert_eq!("hypervisor_capacity_response 3 1024".parse(), Ok(answer));
//! ```

use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;
use core::str::FromStr;

use s_core_model::{Level, ServerId, VmId};

/// Longest text that is looked at: the longest message with room for a line end.
pub const MAX_TEXT_LEN: usize = 64;

/// One of the four text messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextMessage {
    /// `hypervisor_id_request`: the location request of 4.2.5.
    IdRequest,
    /// `hypervisor_id_response <ip>`: the location response, dom0's static address.
    IdResponse(ServerId),
    /// `hypervisor_capacity_request`.
    CapacityRequest,
    /// `hypervisor_capacity_response <avail_doms> <avail_mem>`.
    CapacityResponse {
        /// How many more VMs the server can host.
        vm_slots: u32,
        /// The memory available, in MiB.
        memory_mib: u64,
    },
}

const ID_REQUEST: &str = "hypervisor_id_request";
const ID_RESPONSE: &str = "hypervisor_id_response";
const CAPACITY_REQUEST: &str = "hypervisor_capacity_request";
const CAPACITY_RESPONSE: &str = "hypervisor_capacity_response";

impl fmt::Display for TextMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IdRequest => f.write_str(ID_REQUEST),
            Self::IdResponse(server) => write!(f, "{ID_RESPONSE} {server}"),
            Self::CapacityRequest => f.write_str(CAPACITY_REQUEST),
            Self::CapacityResponse {
                vm_slots,
                memory_mib,
            } => write!(f, "{CAPACITY_RESPONSE} {vm_slots} {memory_mib}"),
        }
    }
}

impl FromStr for TextMessage {
    type Err = TextError;

    /// Parses one message; a line end after it is allowed, anything else is not.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_TEXT_LEN {
            return Err(TextError::TooLong(text.len()));
        }
        let mut words = text.trim_end_matches(['\r', '\n']).split(' ');
        let message = match words.next() {
            Some(ID_REQUEST) => Self::IdRequest,
            Some(ID_RESPONSE) => {
                let addr: Ipv4Addr = argument(words.next(), "server address")?;
                Self::IdResponse(ServerId::from(addr))
            }
            Some(CAPACITY_REQUEST) => Self::CapacityRequest,
            Some(CAPACITY_RESPONSE) => Self::CapacityResponse {
                vm_slots: argument(words.next(), "avail_doms")?,
                memory_mib: argument(words.next(), "avail_mem")?,
            },
            _ => return Err(TextError::UnknownMessage),
        };
        match words.next() {
            None => Ok(message),
            Some(_) => Err(TextError::TrailingText),
        }
    }
}

fn argument<T: FromStr>(word: Option<&str>, name: &'static str) -> Result<T, TextError> {
    let word = word.ok_or(TextError::MissingArgument(name))?;
    // `u32::from_str` would take a leading '+', which no sender of these messages writes.
    if word.starts_with('+') {
        return Err(TextError::BadArgument(name));
    }
    word.parse().map_err(|_| TextError::BadArgument(name))
}

/// Text that is not one of the four messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Longer than any message.
    #[error("a text of {0} bytes is longer than any message ({MAX_TEXT_LEN})")]
    TooLong(usize),
    /// The first word names no message.
    #[error(
        "unknown message; known are hypervisor_id_request, hypervisor_id_response, hypervisor_capacity_request and hypervisor_capacity_response"
    )]
    UnknownMessage,
    /// An argument is not there.
    #[error("{0} is missing")]
    MissingArgument(&'static str),
    /// An argument is not of its type.
    #[error("{0} is not valid")]
    BadArgument(&'static str),
    /// More words than the message has.
    #[error("there is text after the end of the message")]
    TrailingText,
}

/// Length of a basic slot (Fig. 4.1).
pub const SLOT_LEN: usize = 5;

/// The thesis's token: slots of a 32-bit id in network byte order and an 8-bit level, and nothing else.
pub fn encode_token(slots: impl IntoIterator<Item = (VmId, Level)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (vm, level) in slots {
        bytes.extend_from_slice(&vm.get().to_be_bytes());
        bytes.push(level.get());
    }
    bytes
}

/// The slots of a thesis token, in their order.
///
/// # Errors
///
/// [`SlotsError`] if the length is not a multiple of five; a token of bare slots has no other redundancy.
pub fn decode_token(
    bytes: &[u8],
) -> Result<impl ExactSizeIterator<Item = (VmId, Level)> + '_, SlotsError> {
    let (slots, rest) = bytes.as_chunks::<SLOT_LEN>();
    if !rest.is_empty() {
        return Err(SlotsError(bytes.len()));
    }
    Ok(slots.iter().map(|[a, b, c, d, level]| {
        (
            VmId::new(u32::from_be_bytes([*a, *b, *c, *d])),
            Level::new(*level),
        )
    }))
}

/// A token of bare slots whose length is not a whole number of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are not a whole number of 5-byte slots")]
pub struct SlotsError(pub usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_thesis() {
        let check = |text: &str, message: TextMessage| {
            assert_eq!(alloc::format!("{message}"), text);
            assert_eq!(text.parse(), Ok(message));
            assert_eq!(alloc::format!("{text}\n").parse(), Ok(message));
        };
        check("hypervisor_id_request", TextMessage::IdRequest);
        check(
            "hypervisor_id_response 192.168.0.17",
            TextMessage::IdResponse(ServerId::new(0xc0a8_0011)),
        );
        check("hypervisor_capacity_request", TextMessage::CapacityRequest);
        check(
            "hypervisor_capacity_response 2 1024",
            TextMessage::CapacityResponse {
                vm_slots: 2,
                memory_mib: 1024,
            },
        );
    }

    #[test]
    fn other_text_is_refused() {
        let check = |text: &str, error| assert_eq!(text.parse::<TextMessage>(), Err(error));
        check("", TextError::UnknownMessage);
        check("hypervisor_id", TextError::UnknownMessage);
        check("hypervisor_id_request please", TextError::TrailingText);
        check(
            "hypervisor_id_response",
            TextError::MissingArgument("server address"),
        );
        check(
            "hypervisor_id_response ::1",
            TextError::BadArgument("server address"),
        );
        check(
            "hypervisor_capacity_response 2",
            TextError::MissingArgument("avail_mem"),
        );
        check(
            "hypervisor_capacity_response -1 5",
            TextError::BadArgument("avail_doms"),
        );
        check(
            "hypervisor_capacity_response +1 5",
            TextError::BadArgument("avail_doms"),
        );
        check(
            "hypervisor_capacity_response 4294967296 5",
            TextError::BadArgument("avail_doms"),
        );
        check(
            "hypervisor_capacity_response 1  5",
            TextError::BadArgument("avail_mem"),
        );
        check(&"x".repeat(65), TextError::TooLong(65));
    }

    #[test]
    fn slots_are_bit_for_bit_those_of_figure_4_1() {
        let slots = [
            (VmId::new(0x0a00_010b), Level::new(3)),
            (VmId::new(0xc0a8_00ff), Level::ZERO),
        ];
        let bytes = encode_token(slots);
        assert_eq!(bytes, [0x0a, 0, 1, 0x0b, 3, 0xc0, 0xa8, 0, 0xff, 0]);
        assert!(decode_token(&bytes).expect("two slots").eq(slots));
        assert_eq!(decode_token(&bytes[..9]).err(), Some(SlotsError(9)));
        assert_eq!(decode_token(&[]).map(|slots| slots.len()), Ok(0));
    }
}
