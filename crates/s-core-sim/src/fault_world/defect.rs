//! Defects that are put back, to prove that the invariants find them.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use s_core_model::{Level, VmId};
use s_core_proto::{Config, Mutation};
use s_core_token::{PassingPolicy, SlotKind, Statistic, Token, VisitOrder, VisitReport};

use super::{Options, Violation, run};

/// A defect of every node, of the passing policy, or of the way in which frames are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Defect {
    /// A node's own.
    Node(Mutation),
    /// The passing policy continues from the level that the holder has just written, not from that at which it was visited
    /// (`c1` of Algorithm 1 taken after the update).
    LevelAfterUpdate,
    /// The passing policy begins a level again when it has come to its end.
    WrapWithinLevel,
    /// A frame's body is read before its tag is checked.
    TagAfterParsing,
    /// The replay window lets the newest frame in again.
    ReplayWindowOffByOne,
}

/// The seed that found a defect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// How many seeds were run, that one included.
    pub seeds: u64,
    /// The seed.
    pub seed: u64,
    /// What was violated, and after how many events.
    pub violation: Violation,
}

impl Defect {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let others = [
            Self::LevelAfterUpdate,
            Self::WrapWithinLevel,
            Self::TagAfterParsing,
            Self::ReplayWindowOffByOne,
        ];
        Mutation::ALL.into_iter().map(Self::Node).chain(others)
    }

    /// The name on command lines, in words with hyphens between.
    pub fn name(self) -> String {
        let name = match self {
            Self::Node(mutation) => format!("{mutation:?}"),
            other => format!("{other:?}"),
        };
        let mut words = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !words.is_empty() {
                words.push('-');
            }
            words.extend(letter.to_lowercase());
        }
        words
    }

    pub(super) fn put_into<L>(self, config: &mut Config<L>) {
        match self {
            Self::Node(mutation) => config.mutation = Some(mutation),
            Self::LevelAfterUpdate => config.policy = Arc::new(Defective { wraps: false }),
            Self::WrapWithinLevel => config.policy = Arc::new(Defective { wraps: true }),
            Self::TagAfterParsing | Self::ReplayWindowOffByOne => {}
        }
    }

    /// Runs seeds from `first` up, `seeds` at most, until one finds the defect.
    pub fn find(self, first: u64, seeds: u64) -> Option<Found> {
        let options = Options {
            defect: Some(self),
            ..Options::default()
        };
        (first..).take(seeds as usize).find_map(|seed| {
            run(seed, &options).violation.map(|violation| Found {
                seeds: seed - first + 1,
                seed,
                violation,
            })
        })
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

/// Algorithm 1, read wrongly.
#[derive(Debug)]
struct Defective {
    wraps: bool,
}

impl Defective {
    fn key(token: &Token, position: usize) -> (Reverse<Level>, VmId) {
        (Reverse(token.level(position)), token.id(position))
    }
}

impl PassingPolicy for Defective {
    fn code(&self) -> u8 {
        200
    }

    fn name(&self) -> &str {
        "defective"
    }

    fn slot_kind(&self) -> SlotKind {
        SlotKind::Basic
    }

    fn ascending(&self) -> bool {
        true
    }

    fn statistic(&self, _: &VisitReport) -> Option<Statistic> {
        None
    }

    fn begin_round(&self, token: &mut Token) -> usize {
        token.first(VisitOrder::Level)
    }

    fn next(&self, token: &mut Token) -> Option<usize> {
        if !self.wraps {
            let here = Self::key(token, token.holder());
            let after = (0..token.len()).filter(|position| Self::key(token, *position) > here);
            return after.min_by_key(|position| Self::key(token, *position));
        }
        let level = token.visit().level;
        let others = |p: &usize| token.level(*p) == level && *p != token.holder();
        let same: Vec<usize> = (0..token.len()).filter(others).collect();
        let next = same.iter().find(|position| **position > token.holder());
        next.or(same.first())
            .copied()
            .or_else(|| token.following(VisitOrder::Level))
    }
}
