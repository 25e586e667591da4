//! The token's frame (Fig. 4.1 and its header).

use s_core_model::Level;
use s_core_token::{Limits, Mark, PolicyKind, Statistic, Token, TokenView};

use crate::memory::bounded;

const LIMITS: Limits = Limits { max_slots: 1 << 20 };
/// The byte of the header that may differ between a frame and the same token's, encoded again: a sender need not
/// promise that its ids ascend.
const FLAGS: usize = 7;
const ASCENDING: u8 = 1;

/// Checks, decodes, encodes, patches and passes a token.
pub fn token(data: &[u8]) {
    let Ok(view) = bounded(data.len(), || TokenView::new_checked(data, LIMITS)) else {
        return;
    };
    let token = bounded(data.len(), || Token::decode(&view));
    let frame = token.encode();
    assert_eq!(frame, promised(data, &token), "encode(decode(x)) = x");
    let again = TokenView::new_checked(frame, LIMITS).expect("an encoded token is a token");
    assert_eq!(Token::decode(&again), token, "decode(encode(x)) = x");
    patch(data, token.clone());
    pass(token);
}

/// The frame with the promise that its ids ascend, if they do.
fn promised(frame: &[u8], token: &Token) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if token.is_ascending() {
        frame[FLAGS] |= ASCENDING;
    }
    frame
}

/// Changes the frame where it lies and the token beside it, by values from the frame's own end.
fn patch(data: &[u8], mut token: Token) {
    let mut view =
        TokenView::new_checked(data.to_vec(), LIMITS).expect("it has been checked before");
    let mut values = data.iter().rev().copied().cycle();
    let mut bytes = || -> [u8; Mark::LEN] { std::array::from_fn(|_| values.next().unwrap_or(0)) };
    let number = |[a, b, c, d, ..]: [u8; Mark::LEN]| u32::from_be_bytes([a, b, c, d]);

    let mark = Mark::from_bytes(bytes());
    view.set_mark(mark);
    token.set_mark(mark);
    // One beyond the last slot is among the positions.
    let position = number(bytes()) as usize % (view.len() + 1);
    let level = Level::new(bytes()[0]);
    match view.raise_level(position, level) {
        Ok(rose) => assert_eq!(rose, token.raise_level(position, level)),
        Err(error) => assert_eq!((error.position, error.count), (position, view.len())),
    }
    let own = view.holder_position();
    let level = Level::new(bytes()[0]);
    view.set_level(own, level).expect("the holder has a slot");
    token.set_own_level(level);
    let statistic = Statistic::from_bits(number(bytes())).unwrap_or_default();
    view.set_statistic(own, statistic)
        .expect("the holder has a slot");
    token.set_own_statistic(statistic);
    assert_eq!(
        token.encode(),
        promised(view.as_bytes(), &token),
        "a patched frame is the changed token's"
    );

    view.set_round(number(bytes()));
    view.set_quiet_rounds(number(bytes()) as u16);
    view.set_migrations(number(bytes()));
    view.set_unsettled(bytes()[0] % 2 == 0);
    assert_eq!(
        view.set_holder(position).is_ok(),
        view.slot(position).is_some()
    );
    let patched = TokenView::new_checked(view.as_bytes(), LIMITS);
    patched.expect("every setter leaves a frame that passes the check");
}

/// Hands the token on by each policy that it can be of.
fn pass(token: Token) {
    for kind in [
        PolicyKind::RoundRobin,
        PolicyKind::Global,
        PolicyKind::Distributed,
        PolicyKind::LoadAware,
    ] {
        let policy = kind.build();
        // What a node asks of a received token before it holds it.
        let fits = token.slot_kind() == policy.slot_kind()
            && (token.is_ascending() || !policy.ascending());
        if !fits {
            continue;
        }
        let mut token = token.clone();
        for migrated in [false, true] {
            let step = token.pass(policy.as_ref(), migrated);
            assert_eq!(
                (step.position, step.id),
                (token.holder(), token.holder_id())
            );
        }
        let frame = token.encode();
        TokenView::new_checked(frame, LIMITS).expect("a token that was passed on is a token");
    }
}
