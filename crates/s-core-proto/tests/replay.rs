//! The replay window against a set of all that ever came, and the opener that asks it.

#[path = "common/messages.rs"]
mod messages;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use bytes::Bytes;
use messages::all_messages;
use proptest::prelude::*;
use s_core_model::{Level, Levels, ServerId, ServerIndex};
use s_core_proto::wire::{
    Cluster, Codec, FrameError, Key, KeyId, Keyring, Opener, REPLAY_WINDOW, ReplayWindow,
};

/// Servers 1 to 3.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Three;

impl Levels for Three {
    fn server_count(&self) -> usize {
        3
    }
    fn max_level(&self) -> Level {
        Level::new(1)
    }
    fn level(&self, a: ServerIndex, b: ServerIndex) -> Level {
        Level::new((a != b).into())
    }
    fn index_of(&self, server: ServerId) -> Option<ServerIndex> {
        let index = server.get().checked_sub(1)?;
        (index < 3).then(|| ServerIndex::new(index))
    }
    fn server_at(&self, server: ServerIndex) -> ServerId {
        ServerId::new(server.get() + 1)
    }
}

fn codec(server: u32) -> Codec {
    let keyring = Keyring::new(Key::new(KeyId(1), [7; 32]), []).expect("one key");
    Codec::new(Cluster(5), ServerId::new(server), keyring, 1 << 16)
}

fn opener() -> Opener<Three> {
    Opener::new(codec(2), Three)
}

fn address(server: u32) -> Ipv4Addr {
    ServerId::new(server).addr()
}

/// What the window is meant to do, without a ring.
#[derive(Default)]
struct Model {
    came: BTreeSet<u64>,
}

impl Model {
    fn accept(&mut self, counter: u64) -> bool {
        let oldest = self
            .came
            .last()
            .map_or(0, |highest| highest.saturating_sub(REPLAY_WINDOW - 1));
        counter >= oldest && self.came.insert(counter)
    }
}

/// Steps from the highest counter, mostly at the edges of the window and of its words.
fn step() -> impl Strategy<Value = i128> {
    let window = i128::from(REPLAY_WINDOW);
    let edge = prop::sample::select(vec![0, 1, 63, 64, 65, 128, window / 2, window, 2 * window]);
    let near = (edge, -2i128..=2, any::<bool>());
    prop_oneof![
        4 => near.prop_map(|(edge, off, back)| if back { off - edge } else { off + edge }),
        4 => -8i128..8,
        1 => -window..window,
        1 => any::<i64>().prop_map(i128::from),
    ]
}

proptest! {
    #[test]
    fn the_window_agrees_with_the_set(
        start in prop_oneof![Just(0), Just(u64::MAX), Just(u64::MAX - REPLAY_WINDOW), any::<u64>()],
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let (mut window, mut model) = (ReplayWindow::default(), Model::default());
        prop_assert_eq!(window.highest(), None);
        let mut counter = start;
        for step in std::iter::once(0).chain(steps) {
            let from = window.highest().unwrap_or(start);
            counter = u64::try_from((i128::from(from) + step).clamp(0, u64::MAX.into())).unwrap_or(counter);
            let before = window.clone();
            let accepted = window.accept(counter);
            prop_assert_eq!(accepted, model.accept(counter), "{} after {:?}", counter, before);
            prop_assert_eq!(window.highest(), model.came.last().copied());
            prop_assert!(accepted || window == before, "what is refused changes nothing");
        }
    }
}

#[test]
fn the_edges_of_the_window() {
    let check = |came: &[u64], counter: u64, wanted: bool| {
        let mut window = ReplayWindow::default();
        for counter in came {
            assert!(window.accept(*counter), "{counter} of {came:?}");
        }
        assert_eq!(window.accept(counter), wanted, "{counter} after {came:?}");
    };
    let last = u64::MAX;
    check(&[], 0, true);
    check(&[], last, true);
    check(&[0], 0, false);
    check(&[0], REPLAY_WINDOW - 1, true);
    check(&[0, REPLAY_WINDOW - 1], 0, false);
    check(&[1, REPLAY_WINDOW], 0, false);
    check(&[REPLAY_WINDOW - 1], 0, true);
    check(&[REPLAY_WINDOW], 0, false);
    check(&[REPLAY_WINDOW], 1, true);
    // A place is free again when another counter takes it.
    check(&[0, REPLAY_WINDOW + 1], REPLAY_WINDOW, true);
    check(&[7, 7 + 3 * REPLAY_WINDOW], 7 + 2 * REPLAY_WINDOW, false);
    check(&[7, 7 + 3 * REPLAY_WINDOW], 8 + 2 * REPLAY_WINDOW, true);
    check(&[last], last, false);
    check(&[last], last - REPLAY_WINDOW + 1, true);
    check(&[last], last - REPLAY_WINDOW, false);
    check(&[last - 1], last, true);
    check(&[last], 0, false);
}

/// No bit of any frame, whatever kind it is of, can be changed without the opener being as if nothing had come.
#[test]
fn a_flipped_bit_anywhere_changes_nothing() {
    let mut alice = codec(1);
    let mut opener = opener();
    for message in all_messages() {
        let frame = alice.seal(None, &message);
        let before = opener.clone();
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let opened = opener.open(address(1), &flipped.into());
            assert!(opened.is_err(), "bit {bit} of {message:?}");
            assert!(opener == before, "bit {bit} of {message:?}");
        }
        let opened = opener.open(address(1), &frame).expect("as it was sealed");
        assert_eq!(opened.message, message);
    }
}

#[test]
fn a_frame_is_opened_once_and_strangers_leave_no_trace() {
    let mut opener = opener();
    let message = &all_messages()[0];
    let mut alice = codec(1).with_counter(1000);
    let frames: Vec<Bytes> = (0..3).map(|_| alice.seal(None, message)).collect();
    let refused = |opener: &mut Opener<Three>, from, frame: &Bytes, wanted: FrameError| {
        let before = opener.clone();
        assert_eq!(opener.open(from, frame), Err(wanted));
        assert!(*opener == before, "{wanted}");
    };
    let (sender, from) = (ServerId::new(1), address(3));
    // Caught on the way and passed on from elsewhere: the frame itself is not used up.
    let wanted = FrameError::OtherSource { sender, from };
    refused(&mut opener, from, &frames[0], wanted);
    for frame in [&frames[2], &frames[0], &frames[1]] {
        assert!(opener.open(address(1), frame).is_ok());
    }
    for (frame, counter) in frames.iter().zip(1001..) {
        let highest = 1003;
        let wanted = FrameError::Replayed {
            sender,
            counter,
            highest,
        };
        refused(&mut opener, address(1), frame, wanted);
    }
    // Another sender counts by itself.
    let third = codec(3).seal(None, message);
    assert!(opener.open(address(3), &third).is_ok());
    let stranger = codec(4).seal(None, message);
    let wanted = FrameError::UnknownSender(ServerId::new(4));
    refused(&mut opener, address(4), &stranger, wanted);
    let own = codec(2).seal(None, message);
    refused(&mut opener, address(2), &own, FrameError::OwnFrame);
    let elsewhere = alice.seal(Some(ServerId::new(3)), message);
    let wanted = FrameError::OtherReceiver(ServerId::new(3));
    refused(&mut opener, address(1), &elsewhere, wanted);
}

/// A sender begins above all that it used before, a receiver with an empty window.
#[test]
fn restarts() {
    let message = &all_messages()[0];
    let old = codec(1).with_counter(1000).seal(None, message);
    let new = codec(1).with_counter(1 << 60).seal(None, message);
    let mut opener = opener();
    for frame in [&old, &new] {
        assert!(opener.open(address(1), frame).is_ok());
    }
    assert!(opener.open(address(1), &old).is_err());
    let mut restarted = Opener::new(codec(2), Three);
    assert!(restarted.open(address(1), &old).is_ok(), "marks stop it");
    assert!(restarted.open(address(1), &new).is_ok());
    assert!(restarted.open(address(1), &old).is_err());
}

/// A counter that cannot rise any more is not used twice.
#[test]
fn the_last_counter() {
    let mut alice = codec(1).with_counter(u64::MAX - 1);
    let mut opener = opener();
    let mut open = || opener.open(address(1), &alice.seal(None, &all_messages()[0]));
    assert!(open().is_ok());
    assert!(matches!(
        open(),
        Err(FrameError::Replayed {
            counter: u64::MAX,
            ..
        })
    ));
}
