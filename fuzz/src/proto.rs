//! Frames, the messages in them, and the thesis's own text.

use std::fmt::Write as _;

use bytes::Bytes;
use s_core_model::ServerId;
use s_core_proto::Message;
use s_core_proto::wire::thesis_text::{TextMessage, decode_token, encode_token};
use s_core_proto::wire::{Cluster, Codec, HEADER_LEN, Key, KeyId, Keyring, frame_len};

use crate::memory::bounded;
use crate::token::token;

const SECRET: [u8; 32] = [7; 32];
const MAX_FRAME: usize = 1 << 20;
/// Where a frame's header has the message kind, and the body's length.
const KIND: usize = 5;
const LENGTH: std::ops::Range<usize> = 32..36;

fn codec(server: u32) -> Codec {
    let keyring = Keyring::new(Key::new(KeyId(1), SECRET), []).expect("one key");
    Codec::new(Cluster(0), ServerId::new(server), keyring, MAX_FRAME)
}

/// Opens arbitrary bytes as a frame.
pub fn frame(data: &[u8]) {
    let announced = frame_len(data, MAX_FRAME);
    let frame = Bytes::copy_from_slice(data);
    let opened = bounded(data.len(), || codec(2).open(&frame));
    if let Ok(opened) = opened {
        assert_eq!(announced, Ok(data.len()), "an opened frame is whole");
        comes_back(&opened.message);
    }
}

/// Decodes a body behind a right tag: the first byte is the message kind, the rest the body.
pub fn message(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else {
        return;
    };
    let frame = sealed(*kind, body);
    let Ok(opened) = bounded(data.len(), || codec(2).open(&frame)) else {
        return;
    };
    comes_back(&opened.message);
    if let Message::Token(frame) = &opened.message {
        token(frame);
    }
}

/// Seals any body under any kind, as a server with the key but of another mind would.
fn sealed(kind: u8, body: &[u8]) -> Bytes {
    let mut frame = codec(1).seal(None, &Message::Token(Bytes::new())).to_vec();
    frame.truncate(HEADER_LEN);
    frame[KIND] = kind;
    let length = u32::try_from(body.len()).expect("inputs are below 4 GiB");
    frame[LENGTH].copy_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(body);
    let tag = blake3::keyed_hash(&SECRET, &frame);
    frame.extend_from_slice(tag.as_bytes());
    frame.into()
}

fn comes_back(message: &Message) {
    let frame = codec(1).seal(None, message);
    let again = codec(2).open(&frame).expect("a sealed message opens");
    assert_eq!(again.message, *message, "decode(encode(x)) = x");
}

/// Reads the thesis's text messages and its token of bare slots.
pub fn thesis_text(data: &[u8]) {
    match decode_token(data) {
        Ok(slots) => assert_eq!(encode_token(slots), data, "encode(decode(x)) = x"),
        Err(error) => assert_eq!(error.0, data.len()),
    }
    let parsed = crate::text(data).map(|text| bounded(data.len(), || text.parse()));
    if let Some(Ok(message)) = parsed {
        let message: TextMessage = message;
        let mut text = String::new();
        write!(text, "{message}").expect("a String takes any text");
        assert_eq!(text.parse(), Ok(message), "{text:?} says the same again");
    }
}
