//! Frames and messages on the wire: golden bytes and every error.

#[path = "common/messages.rs"]
mod messages;

use bytes::Bytes;
use messages::all_messages;
use proptest::prelude::*;
use s_core_model::ServerId;
use s_core_proto::Message;
use s_core_proto::wire::{
    BodyError, Cluster, Codec, FrameError, HEADER_LEN, Key, KeyId, Keyring, TAG_LEN, frame_len,
};

const LIMIT: usize = 1 << 16;

fn keyring() -> Keyring {
    Keyring::new(Key::new(KeyId(1), [7; 32]), []).expect("one key")
}

fn codec(server: u32) -> Codec {
    Codec::new(
        Cluster(0x0102_0304),
        ServerId::new(server),
        keyring(),
        LIMIT,
    )
}

#[test]
fn golden_bytes() {
    let frame = codec(0x0a00_0001)
        .with_counter(0xff)
        .seal(Some(ServerId::new(0x0a00_0002)), &all_messages()[1]);
    let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    let header = concat!(
        "53434f52",
        "01",
        "01",
        "01",
        "00",
        "0000000001020304",
        "0a000001",
        "0a000002",
        "0000000000000100",
        "0000001c"
    );
    let body = concat!(
        "01",
        "00000008",
        "0000000000000005",
        "02",
        "00000004",
        "0a000109",
        "08",
        "00000001",
        "01"
    );
    // Computed with the BLAKE3 project's own Python binding, not with this crate.
    let tag = "c003a10849a0f9e13730ee4762304f40d312334d681f3d12e5aa40b4b974442a";
    assert_eq!(hex, format!("{header}{body}{tag}"));
}

/// The processor's field, which agents that do not know it skip.
#[test]
fn golden_bytes_of_a_processor() {
    let request = &all_messages()[6];
    assert!(matches!(
        request,
        Message::CapacityRequest { cpu: Some(_), .. }
    ));
    let frame = codec(0x0a00_0001).seal(None, request);
    let hex: String = frame[HEADER_LEN..frame.len() - TAG_LEN]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let body = concat!(
        "01",
        "00000008",
        "0000000000000005",
        "04",
        "00000014",
        "0000000000000003",
        "0a000001",
        "0000000000000008",
        "05",
        "00000008",
        "00000001",
        "00000050",
        // Optional: its type is 128. Vendor, kinds of VM, layout, eight words of features.
        "80",
        "0000002e",
        "47656e75696e65496e74656c",
        "03",
        "01",
        "0fcbf3fd",
        "c2f8220b",
        "0000000300000004000000050000000600000007",
        "00000008"
    );
    assert_eq!(hex, body);
}

/// Nobody can use a server to send somebody else more than he sends himself.
#[test]
fn no_answer_is_longer_than_its_request() {
    let check = |is_request: fn(&Message) -> bool, is_answer: fn(&Message) -> bool| {
        let lengths = |wanted: fn(&Message) -> bool| {
            let chosen = all_messages().into_iter().filter(wanted);
            let sealed = chosen.map(|message| codec(1).seal(None, &message).len());
            sealed.collect::<Vec<_>>()
        };
        let (requests, answers) = (lengths(is_request), lengths(is_answer));
        assert!(
            requests.iter().min() >= answers.iter().max(),
            "{requests:?} {answers:?}"
        );
        assert!(!answers.is_empty());
    };
    let is_ack = |message: &Message| matches!(message, Message::TokenAck { .. });
    let is_yield = |message: &Message| matches!(message, Message::Yield { .. });
    check(
        |message| matches!(message, Message::LocationRequest { .. }),
        |message| matches!(message, Message::LocationResponse { .. }),
    );
    check(
        |message| matches!(message, Message::CapacityRequest { cpu: None, .. }),
        |message| matches!(message, Message::CapacityResponse { cpu: None, .. }),
    );
    // A server tells of its processor only to whoever has told of his.
    check(
        |message| matches!(message, Message::CapacityRequest { cpu: Some(_), .. }),
        |message| matches!(message, Message::CapacityResponse { cpu: Some(_), .. }),
    );
    check(
        |message| matches!(message, Message::CustodyRequest { .. }),
        |message| matches!(message, Message::KeepAlive { .. }),
    );
    check(
        |message| matches!(message, Message::CustodyRequest { .. }),
        is_ack,
    );
    check(
        |message| matches!(message, Message::KeepAlive { .. }),
        is_yield,
    );
    check(
        |message| matches!(message, Message::Beacon { .. }),
        is_yield,
    );
    check(
        |message| matches!(message, Message::Beacon { .. }),
        |message| matches!(message, Message::Join { .. }),
    );
    check(
        |message| matches!(message, Message::Claim { .. }),
        |message| {
            matches!(
                message,
                Message::Beacon { .. } | Message::Claim { .. } | Message::Yield { .. }
            )
        },
    );
    check(
        |message| matches!(message, Message::OutcomeRequest { .. }),
        |message| matches!(message, Message::OutcomeResponse { .. }),
    );
}

#[test]
fn every_message_comes_back() {
    for message in all_messages() {
        let opened = codec(2)
            .open(&codec(1).seal(None, &message))
            .expect("sealed by a peer");
        assert_eq!((opened.sender, opened.counter), (ServerId::new(1), 1));
        assert_eq!(opened.message, message);
    }
}

#[test]
fn a_cut_or_stretched_frame_is_noticed() {
    let frame = codec(1).seal(None, &all_messages()[4]);
    for length in 0..frame.len() {
        assert!(
            codec(2).open(&frame.slice(..length)).is_err(),
            "{length} bytes"
        );
    }
    let mut longer = frame.to_vec();
    longer.push(0);
    assert_eq!(
        codec(2).open(&longer.into()),
        Err(FrameError::WrongLength {
            length: frame.len() + 1,
            wanted: frame.len()
        })
    );
}

#[test]
fn strangers_are_refused_by_name() {
    let message = &all_messages()[0];
    let sealed = |key_id, secret, cluster| {
        let keyring = Keyring::new(Key::new(KeyId(key_id), secret), []).expect("one key");
        Codec::new(Cluster(cluster), ServerId::new(1), keyring, LIMIT).seal(None, message)
    };
    let check = |frame: Bytes, wanted| assert_eq!(codec(2).open(&frame).unwrap_err(), wanted);
    check(sealed(1, [8; 32], 0x0102_0304), FrameError::WrongTag);
    check(
        sealed(2, [7; 32], 0x0102_0304),
        FrameError::UnknownKey(KeyId(2)),
    );
    check(sealed(1, [7; 32], 9), FrameError::OtherCluster(Cluster(9)));
    let to_three = codec(1).seal(Some(ServerId::new(3)), message);
    check(to_three, FrameError::OtherReceiver(ServerId::new(3)));
    check(codec(2).seal(None, message), FrameError::OwnFrame);
    assert!(
        codec(2)
            .open(&codec(1).seal(Some(ServerId::new(2)), message))
            .is_ok()
    );
    check(Bytes::from_static(&[0; 99]), FrameError::NotAFrame);
    check(Bytes::from_static(b"SCOR"), FrameError::Truncated(4));
}

#[test]
fn a_second_key_is_accepted_while_keys_change() {
    let (old, new) = (Key::new(KeyId(1), [1; 32]), Key::new(KeyId(2), [2; 32]));
    let codec = |active: &Key, other: &Key| {
        let keyring = Keyring::new(active.clone(), [other.clone()]).expect("two ids");
        Codec::new(
            Cluster(0),
            ServerId::new(active.id().0.into()),
            keyring,
            LIMIT,
        )
    };
    let message = &all_messages()[0];
    assert!(
        codec(&old, &new)
            .open(&codec(&new, &old).seal(None, message))
            .is_ok()
    );
    assert!(
        codec(&new, &old)
            .open(&codec(&old, &new).seal(None, message))
            .is_ok()
    );
    assert!(Keyring::new(old.clone(), [old]).is_err());
}

/// A frame's length is bounded before its tag can be known.
#[test]
fn announced_lengths_are_bounded() {
    let frame = codec(1).seal(None, &all_messages()[10]);
    assert_eq!(frame_len(&frame[..HEADER_LEN], LIMIT), Ok(frame.len()));
    assert!(frame_len(&frame[..HEADER_LEN], frame.len() - 1).is_err());
    let mut huge = frame.to_vec();
    huge[32..36].copy_from_slice(&[0xff; 4]);
    assert!(matches!(
        frame_len(&huge, LIMIT),
        Err(FrameError::TooLong { .. })
    ));
    huge[4] = 2;
    assert_eq!(frame_len(&huge, LIMIT), Err(FrameError::UnknownVersion(2)));
}

/// Seals any body under any kind, as a peer with the key but of another mind would.
fn sealed(kind: u8, body: &[u8]) -> Bytes {
    let mut frame = codec(1).seal(None, &Message::Token(Bytes::new())).to_vec();
    frame.truncate(HEADER_LEN);
    frame[5] = kind;
    frame[32..36].copy_from_slice(&u32::try_from(body.len()).expect("short").to_be_bytes());
    frame.extend_from_slice(body);
    let tag = blake3::keyed_hash(&[7; 32], &frame);
    frame.extend_from_slice(tag.as_bytes());
    frame.into()
}

#[test]
fn bodies_that_make_no_sense_are_named() {
    let field = |code: u8, value: &[u8]| {
        let length = u32::try_from(value.len()).expect("short").to_be_bytes();
        [&[code], &length[..], value].concat()
    };
    let (query, vm) = (field(1, &[0; 8]), field(2, &[0; 4]));
    let (mark, directed) = (field(4, &[0; 20]), field(8, &[0]));
    let check = |kind: u8, body: &[&[u8]], wanted: Result<(), BodyError>| {
        let opened = codec(2).open(&sealed(kind, &body.concat()));
        assert_eq!(
            opened.map(drop),
            wanted.map_err(FrameError::Body),
            "{kind} {body:?}"
        );
    };
    check(1, &[&query, &vm, &directed], Ok(()));
    check(1, &[&directed, &vm, &query], Ok(()));
    check(1, &[&query, &field(200, b"new"), &vm, &directed], Ok(()));
    check(99, &[], Err(BodyError::UnknownKind(99)));
    check(
        1,
        &[&query, &field(99, b"new"), &vm],
        Err(BodyError::UnknownField(99)),
    );
    check(1, &[&query, &vm], Err(BodyError::MissingField(8)));
    check(1, &[&query, &query], Err(BodyError::RepeatedField(1)));
    check(
        1,
        &[&query, &vm, &directed, &mark],
        Err(BodyError::UnexpectedField(4)),
    );
    check(
        1,
        &[&query, &vm, &field(8, &[2])],
        Err(BodyError::UnknownAnswer(2)),
    );
    check(1, &[&query[..9]], Err(BodyError::TruncatedField));
    check(1, &[&query[..3]], Err(BodyError::TruncatedField));
    let wrong = BodyError::WrongFieldLength {
        field: 2,
        length: 3,
        wanted: 4,
    };
    check(1, &[&query, &field(2, &[0; 3])], Err(wrong));
    check(3, &[&query, &mark], Err(BodyError::MissingField(5)));
    let demands = field(5, &[0; 8]).repeat(65);
    check(
        3,
        &[&query, &mark, &demands],
        Err(BodyError::TooManyDemands),
    );
    let demand = field(5, &[0; 8]);
    check(3, &[&query, &mark, &demand, &field(128, &[0; 46])], Ok(()));
    let short = BodyError::WrongFieldLength {
        field: 128,
        length: 45,
        wanted: 46,
    };
    check(
        3,
        &[&query, &mark, &demand, &field(128, &[0; 45])],
        Err(short),
    );
    check(
        1,
        &[&query, &vm, &directed, &field(128, &[0; 46])],
        Err(BodyError::UnexpectedField(128)),
    );
    check(
        4,
        &[&query, &field(7, &[9])],
        Err(BodyError::UnknownAnswer(9)),
    );
    check(
        4,
        &[&query, &field(7, &[1])],
        Err(BodyError::MissingField(6)),
    );
    check(
        7,
        &[&mark, &field(7, &[1])],
        Err(BodyError::MissingField(4)),
    );
    check(7, &[&mark, &mark, &mark], Err(BodyError::RepeatedField(4)));
    check(
        6,
        &[&field(9, b""), &field(9, b"")],
        Err(BodyError::RepeatedField(9)),
    );
}

proptest! {
    #[test]
    fn any_sealed_body_is_read_or_refused(
        kind in 0u8..10,
        fields in prop::collection::vec(
            (0u8..12, prop::sample::select(vec![0usize, 1, 4, 8, 12, 20, 21]), any::<u8>()),
            0..5,
        ),
        cut in 0usize..4,
    ) {
        let mut body = Vec::new();
        for (code, length, fill) in fields {
            body.push(code);
            body.extend(u32::try_from(length).expect("short").to_be_bytes());
            body.extend(std::iter::repeat_n(fill % 4, length));
        }
        body.truncate(body.len().saturating_sub(cut.saturating_sub(2)));
        // It must not panic, and what it reads says the same again.
        if let Ok(opened) = codec(2).open(&sealed(kind, &body)) {
            let again = codec(2).open(&codec(1).seal(None, &opened.message)).expect("a message");
            prop_assert_eq!(again.message, opened.message);
        }
    }

    /// The start of a proper header, so that more than the magic number is looked at.
    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), known in 0usize..40) {
        let mut frame = codec(1).seal(None, &Message::Token(Bytes::new())).to_vec();
        frame.truncate(known);
        frame.extend(bytes);
        prop_assert!(codec(2).open(&frame.into()).is_err());
    }
}

#[test]
fn a_frame_is_its_body_header_and_tag() {
    let frame = codec(1).seal(None, &Message::Token(Bytes::from(vec![0; 1000])));
    assert_eq!(frame.len(), HEADER_LEN + 5 + 1000 + TAG_LEN);
}
