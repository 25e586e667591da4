//! How often what went wrong.

use std::fmt;

/// Something that a run does to its servers, messages and VMs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Harm {
    /// A frame was lost by chance.
    Lost,
    /// A frame came twice.
    Doubled,
    /// A frame was late, so that others overtook it.
    Delayed,
    /// A copy of a frame came seconds later.
    Straggling,
    /// A bit of a frame was flipped.
    Damaged,
    /// A frame met a partition.
    Cut,
    /// A partition began.
    Partition,
    /// A path was clogged.
    Clogged,
    /// A server crashed.
    Crash,
    /// A server crashed between two actions of its node.
    CrashBetween,
    /// An agent was stopped and said goodbye.
    Stop,
    /// A process stood still.
    Pause,
    /// A timer was late.
    LateTimer,
    /// A migration was refused by the source's hypervisor.
    Refused,
    /// A migration failed before or soon after it began.
    FailedEarly,
    /// A migration failed at its end.
    FailedLate,
    /// A migration went on beyond its deadline.
    Hung,
    /// A migration ended and nobody said how.
    AnswerLost,
    /// A migration was said to have failed after its deadline, whatever became of it.
    LateAnswer,
    /// A VM was born.
    Birth,
    /// A VM died.
    Death,
    /// VMs began to talk to others.
    Traffic,
    /// The rates of a VM were not known.
    NotMeasured,
    /// The rates of a VM were wrong: counters had restarted.
    WrongRates,
}

impl Harm {
    /// All of them, in the order in which a table shows them.
    pub const ALL: [Self; 24] = [
        Self::Lost,
        Self::Doubled,
        Self::Delayed,
        Self::Straggling,
        Self::Damaged,
        Self::Cut,
        Self::Partition,
        Self::Clogged,
        Self::Crash,
        Self::CrashBetween,
        Self::Stop,
        Self::Pause,
        Self::LateTimer,
        Self::Refused,
        Self::FailedEarly,
        Self::FailedLate,
        Self::Hung,
        Self::AnswerLost,
        Self::LateAnswer,
        Self::Birth,
        Self::Death,
        Self::Traffic,
        Self::NotMeasured,
        Self::WrongRates,
    ];

    /// A few words for a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "frames lost",
            Self::Doubled => "frames doubled",
            Self::Delayed => "frames delayed",
            Self::Straggling => "frames that came again seconds later",
            Self::Damaged => "frames with a flipped bit",
            Self::Cut => "frames that met a partition",
            Self::Partition => "partitions",
            Self::Clogged => "clogged paths",
            Self::Crash => "crashes",
            Self::CrashBetween => "crashes between two actions",
            Self::Stop => "agents stopped",
            Self::Pause => "pauses",
            Self::LateTimer => "late timers",
            Self::Refused => "migrations refused",
            Self::FailedEarly => "migrations failed early",
            Self::FailedLate => "migrations failed late",
            Self::Hung => "migrations beyond their deadline",
            Self::AnswerLost => "migrations without an answer",
            Self::LateAnswer => "migrations answered again, wrongly",
            Self::Birth => "VMs born",
            Self::Death => "VMs died",
            Self::Traffic => "changes of traffic",
            Self::NotMeasured => "rates not known",
            Self::WrongRates => "rates wrong",
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How often each [`Harm`] was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tally([u64; Harm::ALL.len()]);

impl Tally {
    pub(super) fn add(&mut self, harm: Harm) {
        self.0[harm as usize] += 1;
    }

    /// How often this was done.
    pub fn of(&self, harm: Harm) -> u64 {
        self.0[harm as usize]
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }
}
