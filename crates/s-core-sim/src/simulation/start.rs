//! What the token knows when it begins.

use std::fmt;
use std::str::FromStr;

use s_core_model::{Level, Levels};

use super::{Seats, Simulation};

/// What a token knows when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TokenStart {
    /// Nothing: all levels and statistics are zero, as in a token that an agent has just made, and as in 4.1: "The highest
    /// communication level for each VM is initialised to zero." The distributed and the load-aware policy need their first rounds to find out which
    /// VMs talk over the highest links.
    #[default]
    Empty,
    /// What a round without migrations would have left: every VM's level and statistic as they are. A token
    /// that has been round before knows this. The next sentence of 4.1 has the first token begin at a VM
    /// that talks over the highest links, which somebody must have found out.
    Measured,
}

impl TokenStart {
    /// The name in files and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Measured => "measured",
        }
    }
}

impl fmt::Display for TokenStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for TokenStart {
    type Err = UnknownTokenStart;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let mut all = [Self::Measured, Self::Empty].into_iter();
        let known = all.find(|start| start.name() == name);
        known.ok_or_else(|| UnknownTokenStart(crate::snapshot::shown(name)))
    }
}

/// A name that is no [`TokenStart`]'s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not what a token can begin with; there are measured and empty")]
pub struct UnknownTokenStart(String);

impl<L: Levels> Simulation<'_, L> {
    /// The same, with a token that begins as `start` says. Meant for a simulation before its first hop.
    pub fn with_start(mut self, start: TokenStart) -> Self {
        match start {
            TokenStart::Empty => {}
            TokenStart::Measured => self.measure(),
        }
        self
    }

    fn measure(&mut self) {
        for vm in self.allocation.vms() {
            let here = self.allocation.host(vm);
            let level = |(peer, _)| self.model.levels().level(here, self.allocation.host(peer));
            let own = self.traffic.peers(vm).map(level).max();
            let position = self.token.position_of_rank(vm.usize());
            self.token.raise_level(position, own.unwrap_or(Level::ZERO));
        }
        let statistics = self.gather_statistics();
        self.token.restart_round(self.policy, &statistics);
        self.seats = Seats::new(&self.token);
    }
}
