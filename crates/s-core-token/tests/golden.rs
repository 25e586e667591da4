//! The frame byte by byte, and tokens that come back from it.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails shall fail its test"
)]

use proptest::prelude::*;
use s_core_model::{Level, ServerId, VmId};
use s_core_token::{Epoch, Limits, Mark, PolicyKind, SlotKind, Statistic, Token, TokenView};

const MARK: Mark = Mark {
    epoch: Epoch {
        counter: 0x0102_0304_0506_0708,
        origin: ServerId::new(0xc0a8_0001),
    },
    seq: 0x1112_1314_1516_1718,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(frame: &[u8], fields: &[(&str, &str)]) {
    let mut rest = hex(frame);
    for (field, expected) in fields {
        let expected = expected.replace(' ', "");
        let found: String = rest.drain(..expected.len().min(rest.len())).collect();
        assert_eq!(found, expected, "{field}");
    }
    assert_eq!(rest, "", "bytes after the last field");
}

#[test]
fn basic_frame() {
    let policy = PolicyKind::Distributed.build();
    let ids = [0x0a00_010b, 0x0a00_010a, 0xc0a8_0a01].map(VmId::new);
    let mut token = Token::new(&ids, policy.as_ref(), MARK, Limits::default()).unwrap();
    token.set_own_level(Level::new(2));
    token.raise_level(2, Level::new(3));
    token.pass(policy.as_ref(), true);
    check(
        &token.encode(),
        &[
            ("magic", "53 43 54 4b"),
            ("version", "01"),
            ("slot kind", "00"),
            ("policy", "02"),
            ("flags: ascending, unsettled", "03"),
            ("token number", "00000000"),
            ("epoch counter", "01 02 03 04 05 06 07 08"),
            ("epoch origin", "c0 a8 00 01"),
            ("sequence", "11 12 13 14 15 16 17 18"),
            ("round", "00000000"),
            ("quiet rounds", "0000"),
            ("migrations", "00000001"),
            ("slot count", "00000003"),
            ("holder position", "00000001"),
            ("holder id", "0a 00 01 0b"),
            ("slot 0", "0a 00 01 0a  02"),
            ("slot 1", "0a 00 01 0b  00"),
            ("slot 2", "c0 a8 0a 01  03"),
        ],
    );
}

#[test]
fn extended_frame() {
    let policy = PolicyKind::Global.build();
    let ids = [7, 3].map(VmId::new);
    let mut token = Token::new(&ids, policy.as_ref(), MARK, Limits::default()).unwrap();
    token.pass(policy.as_ref(), false);
    token.set_own_level(Level::new(1));
    token.set_own_statistic(Statistic::from_f64(1.5));
    token.pass(policy.as_ref(), false);
    check(
        &token.encode(),
        &[
            ("magic", "53 43 54 4b"),
            ("version, slot kind, policy", "01 01 01"),
            ("flags: none, 7 now stands before 3", "00"),
            ("token number", "00000000"),
            ("mark", "0102030405060708 c0a80001 1112131415161718"),
            ("round", "00000001"),
            ("quiet rounds", "0001"),
            ("migrations", "00000000"),
            ("slot count", "00000002"),
            ("holder position", "00000000"),
            ("holder id", "00000007"),
            ("slot 0", "00000007 01 3fc00000"),
            ("slot 1", "00000003 00 00000000"),
        ],
    );
}

#[test]
fn frames_are_appended() {
    let policy = PolicyKind::RoundRobin.build();
    let token = Token::new(&[VmId::new(9)], policy.as_ref(), MARK, Limits::default()).unwrap();
    let mut out = bytes::BytesMut::from(&b"before"[..]);
    token.encode_into(&mut out);
    assert_eq!(&out[..6], b"before");
    assert_eq!(out[6..], token.encode()[..]);
    assert_eq!(token.encoded_len(), 59);
}

/// A token that has been through some visits and has just been passed on.
fn passed_token() -> impl Strategy<Value = Token> {
    let ids = proptest::collection::btree_set((0..200u32).prop_map(VmId::new), 1..40)
        .prop_map(Vec::from_iter)
        .prop_shuffle();
    let visits = proptest::collection::vec(
        (any::<u8>(), any::<u32>(), any::<u8>(), any::<bool>()),
        1..30,
    );
    (0..4usize, ids, visits, any::<[u8; 20]>()).prop_map(|(policy, ids, visits, mark)| {
        let policy = PolicyKind::ALL[policy].build();
        let mark = Mark::from_bytes(mark);
        let mut token = Token::new(&ids, policy.as_ref(), mark, Limits::default()).unwrap();
        for (own, statistic, other, migrated) in visits {
            token.set_own_level(Level::new(own));
            token.set_own_statistic(Statistic::from_f64(f64::from(statistic)));
            token.raise_level(usize::from(other) % token.len(), Level::new(other));
            token.pass(policy.as_ref(), migrated);
        }
        token
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn decode_undoes_encode(token in passed_token()) {
        let frame = token.encode();
        prop_assert_eq!(frame.len(), token.encoded_len());
        let view = TokenView::new_checked(frame.freeze(), Limits::default()).unwrap();
        let decoded = Token::decode(&view);
        prop_assert_eq!(&decoded, &token);
        prop_assert_eq!(decoded.encode(), view.into_inner());
    }

    #[test]
    fn the_view_reads_what_the_token_holds(token in passed_token()) {
        let view = TokenView::new_checked(token.encode(), Limits::default()).unwrap();
        prop_assert_eq!(view.slot_kind(), token.slot_kind());
        prop_assert_eq!(view.policy_code(), token.policy_code());
        prop_assert_eq!(view.is_ascending(), token.is_ascending());
        prop_assert_eq!(view.is_unsettled(), token.is_unsettled());
        prop_assert_eq!(view.mark(), token.mark());
        prop_assert_eq!(view.round(), token.round());
        prop_assert_eq!(view.quiet_rounds(), token.quiet_rounds());
        prop_assert_eq!(view.migrations(), token.migrations());
        prop_assert_eq!(view.holder_position(), token.holder());
        prop_assert_eq!(view.holder_id(), token.holder_id());
        prop_assert_eq!(view.slots().len(), token.len());
        prop_assert_eq!(view.slot(token.len()), None);
        prop_assert_eq!(view.slot(usize::MAX), None);
        for (position, slot) in view.slots().enumerate() {
            prop_assert_eq!(view.slot(position), Some(slot));
            prop_assert_eq!(slot.id, token.id(position));
            prop_assert_eq!(slot.level, token.level(position));
            prop_assert_eq!(slot.statistic, token.statistic(position));
            prop_assert_eq!(token.position_of(slot.id), Some(position));
        }
    }

    /// What the holder does to the owned token, done to the frame instead, makes the same frame.
    #[test]
    fn patching_equals_decoding_changing_and_encoding(
        token in passed_token(), own in any::<u8>(), other in any::<(u8, u8)>(), load in any::<f32>(),
        migrated in any::<bool>(),
    ) {
        let policy = PolicyKind::from_code(token.policy_code()).unwrap().build();
        let mut view = TokenView::new_checked(token.encode(), Limits::default()).unwrap();
        let mut changed = Token::decode(&view);
        let load = Statistic::from_f64(f64::from(load));
        let position = usize::from(other.0) % token.len();

        changed.set_own_level(Level::new(own));
        changed.set_own_statistic(load);
        let rose = changed.raise_level(position, Level::new(other.1));
        let here = view.holder_position();
        view.set_level(here, Level::new(own)).unwrap();
        view.set_statistic(here, load).unwrap();
        prop_assert_eq!(view.raise_level(position, Level::new(other.1)).unwrap(), rose);

        prop_assert_eq!(view.is_unsettled(), changed.is_unsettled());

        let order = changed.ids().to_vec();
        changed.pass(policy.as_ref(), migrated);
        let mark = token.mark().next().unwrap_or_default();
        changed.set_mark(mark);
        // Only the global policy moves slots, which is no patch.
        prop_assume!(changed.ids() == order);
        view.set_mark(mark);
        view.set_round(changed.round());
        view.set_quiet_rounds(changed.quiet_rounds());
        view.set_migrations(changed.migrations());
        view.set_unsettled(changed.is_unsettled());
        view.set_holder(changed.holder()).unwrap();
        prop_assert_eq!(view.as_bytes(), &changed.encode()[..]);
        prop_assert!(TokenView::new_checked(view.into_inner(), Limits::default()).is_ok());
    }
}

#[test]
fn patches_beyond_the_last_slot_are_refused() {
    let policy = PolicyKind::LoadAware.build();
    assert_eq!(policy.slot_kind(), SlotKind::Extended);
    let token = Token::new(&[VmId::new(9)], policy.as_ref(), MARK, Limits::default()).unwrap();
    let mut view = TokenView::new_checked(token.encode(), Limits::default()).unwrap();
    for position in [1, usize::MAX] {
        assert!(view.set_holder(position).is_err());
        assert!(view.set_level(position, Level::new(1)).is_err());
        assert!(view.raise_level(position, Level::new(1)).is_err());
        let error = view.set_statistic(position, Statistic::MAX).unwrap_err();
        assert_eq!((error.position, error.count), (position, 1));
    }
    assert_eq!(view.as_bytes(), &token.encode()[..]);
}
