//! Every malformed frame has its own error, and none panics.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails shall fail its test"
)]

use bytes::BytesMut;
use proptest::prelude::*;
use s_core_model::{Level, VmId};
use s_core_token::wire::HEADER_LEN;
use s_core_token::{Limits, Mark, PolicyKind, Statistic, Token, TokenError, TokenView};

const LIMITS: Limits = Limits { max_slots: 5 };

/// Three VMs, 1, 5 and 9; the second holds the token.
fn frame(kind: PolicyKind) -> BytesMut {
    let policy = kind.build();
    let ids = [1, 5, 9].map(VmId::new);
    let mut token = Token::new(&ids, policy.as_ref(), Mark::default(), LIMITS).unwrap();
    token.set_own_statistic(Statistic::from_f64(2.0));
    token.pass(policy.as_ref(), false);
    token.encode()
}

fn check(kind: PolicyKind, what: &str, spoil: impl FnOnce(&mut BytesMut), expected: TokenError) {
    let mut frame = frame(kind);
    spoil(&mut frame);
    assert_eq!(
        TokenView::new_checked(&frame, LIMITS).unwrap_err(),
        expected,
        "{what}"
    );
}

#[test]
fn every_fault_of_the_header_has_its_error() {
    let basic = |what: &str, spoil: fn(&mut BytesMut), expected| {
        check(PolicyKind::Distributed, what, spoil, expected);
    };
    basic(
        "empty",
        |f| f.clear(),
        TokenError::Truncated {
            needed: 54,
            found: 0,
        },
    );
    basic(
        "header cut",
        |f| f.truncate(53),
        TokenError::Truncated {
            needed: 54,
            found: 53,
        },
    );
    basic(
        "magic",
        |f| f[3] = b'k',
        TokenError::BadMagic { found: *b"SCTk" },
    );
    basic("version", |f| f[4] = 2, TokenError::UnknownVersion(2));
    basic("slot kind", |f| f[5] = 2, TokenError::UnknownSlotKind(2));
    basic("flags", |f| f[7] |= 0x84, TokenError::ReservedFlags(0x85));
    basic(
        "token number",
        |f| f[11] = 1,
        TokenError::UnknownTokenNumber(1),
    );
    basic("no slot", |f| f[45] = 0, TokenError::Empty);
    basic(
        "above the limit",
        |f| f[45] = 6,
        TokenError::TooManySlots { count: 6, limit: 5 },
    );
    basic(
        "far above the limit",
        |f| f[42..46].fill(0xff),
        TokenError::TooManySlots {
            count: u32::MAX,
            limit: 5,
        },
    );
    basic(
        "holder position",
        |f| f[49] = 3,
        TokenError::HolderOutOfRange {
            position: 3,
            count: 3,
        },
    );
    basic(
        "holder id",
        |f| f[53] = 9,
        TokenError::HolderMismatch {
            position: 1,
            header: VmId::new(9),
            slot: VmId::new(5),
        },
    );
}

#[test]
fn every_wrong_length_has_its_error() {
    let basic = |what: &str, spoil: fn(&mut BytesMut), expected| {
        check(PolicyKind::Distributed, what, spoil, expected);
    };
    basic(
        "slot cut",
        |f| f.truncate(68),
        TokenError::Truncated {
            needed: 69,
            found: 68,
        },
    );
    basic(
        "a byte too many",
        |f| f.extend([0]),
        TokenError::OverLong {
            needed: 69,
            found: 70,
        },
    );
    basic(
        "count too low",
        |f| f[45] = 2,
        TokenError::WrongCount { count: 2, found: 3 },
    );
    basic(
        "count too high",
        |f| f[45] = 5,
        TokenError::WrongCount { count: 5, found: 3 },
    );
    basic(
        "a slot too few",
        |f| f.truncate(64),
        TokenError::WrongCount { count: 3, found: 2 },
    );
    basic(
        "a slot too many",
        |f| f.extend([1; 5]),
        TokenError::WrongCount { count: 3, found: 4 },
    );
    basic(
        "other kind",
        |f| f[5] = 1,
        TokenError::Truncated {
            needed: 81,
            found: 69,
        },
    );
}

#[test]
fn every_fault_of_the_slots_has_its_error() {
    let second_id = HEADER_LEN + 5 + 3;
    let third_id = HEADER_LEN + 10 + 3;
    let basic = |what: &str, spoil: &dyn Fn(&mut BytesMut), expected| {
        check(PolicyKind::Distributed, what, spoil, expected);
    };
    let unordered = |f: &mut BytesMut| f[7] &= !1;
    let duplicate = |id| TokenError::DuplicateId { id: VmId::new(id) };
    let descent = TokenError::NotAscending {
        position: 2,
        id: VmId::new(2),
        previous: VmId::new(5),
    };
    basic("twice in ascending ids", &|f| f[third_id] = 5, duplicate(5));
    basic("descending", &|f| f[third_id] = 2, descent);
    basic(
        "twice, apart, no order promised",
        &|f| {
            unordered(f);
            f[third_id] = 1;
        },
        duplicate(1),
    );
    basic(
        "twice, side by side, no order promised",
        &|f| {
            unordered(f);
            f[third_id] = 5;
        },
        duplicate(5),
    );
    // The holder's slot and the header agree, and the order is broken before them.
    basic(
        "descending to the holder",
        &|f| {
            f[second_id] = 0;
            f[53] = 0;
        },
        TokenError::NotAscending {
            position: 1,
            id: VmId::new(0),
            previous: VmId::new(1),
        },
    );
    for bits in [0x7f80_0000u32, 0x7fc0_0001, 0x8000_0000, 0xc000_0000] {
        let at = HEADER_LEN + 9 + 5;
        check(
            PolicyKind::LoadAware,
            "statistic",
            |f| f[at..at + 4].copy_from_slice(&bits.to_be_bytes()),
            TokenError::BadStatistic { position: 1, bits },
        );
    }
}

#[test]
fn ids_need_not_ascend_unless_promised() {
    let mut frame = frame(PolicyKind::Distributed);
    frame[7] = 0;
    frame[HEADER_LEN + 10 + 3] = 2;
    let view = TokenView::new_checked(frame, LIMITS).unwrap();
    let token = Token::decode(&view);
    assert_eq!(
        [1, 5, 2].map(|id| token.position_of(VmId::new(id))),
        [Some(0), Some(1), Some(2)]
    );
    assert_eq!(token.position_of(VmId::new(9)), None);
}

#[test]
fn the_policy_is_not_the_views_to_judge() {
    for code in 0..=255 {
        let mut frame = frame(PolicyKind::RoundRobin);
        frame[6] = code;
        let view = TokenView::new_checked(frame, LIMITS).unwrap();
        assert_eq!(Token::decode(&view).policy_code(), code);
    }
}

#[test]
fn no_prefix_of_a_frame_is_a_frame() {
    for kind in PolicyKind::ALL {
        let frame = frame(kind);
        for len in 0..frame.len() {
            let error = TokenView::new_checked(&frame[..len], LIMITS).unwrap_err();
            assert!(
                matches!(
                    error,
                    TokenError::Truncated { .. } | TokenError::WrongCount { .. }
                ),
                "{kind} cut to {len}: {error}"
            );
        }
    }
}

/// Uses everything that a view offers.
fn exercise(mut view: TokenView<Vec<u8>>) {
    let mut token = Token::decode(&view);
    let again = TokenView::new_checked(token.encode(), LIMITS).unwrap();
    assert_eq!(Token::decode(&again), token);
    let count = view.len();
    view.set_holder(count - 1).unwrap();
    view.raise_level(0, Level::new(9)).unwrap();
    view.set_statistic(count - 1, Statistic::MAX).unwrap();
    let kind = PolicyKind::from_code(view.policy_code()).unwrap_or(PolicyKind::LoadAware);
    for _ in 0..3 {
        token.pass(kind.build().as_ref(), false);
    }
    assert!(TokenView::new_checked(view.into_inner(), LIMITS).is_ok());
}

#[test]
fn no_single_byte_corruption_panics() {
    for kind in PolicyKind::ALL {
        let frame = frame(kind);
        for (at, value) in (0..frame.len()).flat_map(|at| (0..=255).map(move |value| (at, value))) {
            let mut corrupt = frame.to_vec();
            corrupt[at] = value;
            if let Ok(view) = TokenView::new_checked(corrupt, LIMITS) {
                exercise(view);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), start in 0..12usize) {
        let start = start.min(bytes.len());
        bytes[..start].copy_from_slice(&frame(PolicyKind::LoadAware)[..start]);
        if let Ok(view) = TokenView::new_checked(bytes, LIMITS) {
            exercise(view);
        }
    }

    #[test]
    fn no_few_changed_bytes_panic(
        kind in 0..4usize,
        changes in proptest::collection::vec((0..81usize, any::<u8>()), 0..6),
        len in 0..100usize,
    ) {
        let mut bytes = frame(PolicyKind::ALL[kind]).to_vec();
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        if len > 81 {
            bytes.resize(len, 0);
        }
        if let Ok(view) = TokenView::new_checked(bytes, LIMITS) {
            exercise(view);
        }
    }
}
