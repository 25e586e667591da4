//! The faults that can be made.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use s_core_lab::Layout;

use crate::run::{AgentSettings, Transport};

/// How long the agents wait for an answer, and how often they ask; [`AgentSettings`] does not say otherwise.
const ANSWER: Duration = Duration::from_secs(3);
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 4;

/// Something that goes wrong while a VM migrates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The target's memory goes to another domain after room was promised.
    NoMemory,
    /// Nobody takes connections of migrations: `sshd` is stopped.
    NoSshd,
    /// The target's management link is cut while memory is copied.
    CutPrecopy,
    /// The target's management link is cut between the source's renaming of the domain and the target's report.
    CutHandshake,
    /// `kill -9` of the source's agent while memory is copied.
    KillSourceAgent,
    /// `kill -9` of the target's agent while memory is copied.
    KillTargetAgent,
    /// A power cut of the source.
    KillSourceHost,
    /// A power cut of the target.
    KillTargetHost,
    /// The migrating domain is destroyed at its source.
    DestroyDomain,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::NoMemory,
        Self::NoSshd,
        Self::CutPrecopy,
        Self::CutHandshake,
        Self::KillSourceAgent,
        Self::KillTargetAgent,
        Self::KillSourceHost,
        Self::KillTargetHost,
        Self::DestroyDomain,
    ];

    /// What it is called on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoMemory => "no-memory",
            Self::NoSshd => "no-sshd",
            Self::CutPrecopy => "cut-precopy",
            Self::CutHandshake => "cut-handshake",
            Self::KillSourceAgent => "kill-source-agent",
            Self::KillTargetAgent => "kill-target-agent",
            Self::KillSourceHost => "kill-source-host",
            Self::KillTargetHost => "kill-target-host",
            Self::DestroyDomain => "destroy-domain",
        }
    }

    /// What is done, and when.
    pub const fn about(self) -> &'static str {
        match self {
            Self::NoMemory => "the target's memory is taken after it has promised room",
            Self::NoSshd => "sshd takes no connections when the migration begins",
            Self::CutPrecopy => "the target's link is cut while memory is copied",
            Self::CutHandshake => "the target's link is cut in the last handshake",
            Self::KillSourceAgent => "kill -9 of the source's agent while memory is copied",
            Self::KillTargetAgent => "kill -9 of the target's agent while memory is copied",
            Self::KillSourceHost => {
                "the source loses power while memory is copied, and starts again"
            }
            Self::KillTargetHost => {
                "the target loses power while memory is copied, and starts again"
            }
            Self::DestroyDomain => "the domU is destroyed while its memory is copied",
        }
    }

    /// What the agents are told: migrations may take three minutes, so that one that hangs is given up soon.
    pub(crate) fn agents(self) -> AgentSettings {
        AgentSettings {
            transport: match self {
                Self::NoSshd => Transport::Ssh,
                _ => Transport::Stream,
            },
            migration: Duration::from_secs(180),
            ..AgentSettings::default()
        }
    }

    /// Whether the VM is to migrate after all, once the fault is over, if it has stayed: both hosts and the VM are there.
    pub(super) const fn may_migrate_again(self) -> bool {
        !matches!(
            self,
            Self::KillSourceHost | Self::KillTargetHost | Self::DestroyDomain
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no fault of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no fault {0}: --list names all")]
pub struct UnknownFault(String);

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        let found = all.find(|fault| fault.name() == name);
        found.ok_or_else(|| UnknownFault(name.into()))
    }
}

/// How long the token may stay away after a fault, by the second line of docs/protocol.md (*How long it takes*) with one dead server
/// whose VMs are next in a row; and a migration that the holder has to see to its end comes first.
pub(super) fn token_bound(layout: &Layout, settings: &AgentSettings) -> Duration {
    let shape = layout.shape();
    let (others, vms) = (
        u32::from(shape.hosts.saturating_sub(1)),
        u32::from(shape.vms_per_host),
    );
    let stagger = Duration::from_secs(1);
    let asking = ANSWER * ATTEMPTS;
    let skips = (settings.rest + asking) * (vms + 1) + ACKNOWLEDGEMENT * ATTEMPTS;
    settings.migration + settings.silence + stagger * others + asking + skips
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Plan, Size};

    #[test]
    fn a_fault_is_found_by_its_name() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
            assert!(!fault.about().is_empty());
        }
        let unknown = "cut-prcopy".parse::<Fault>().unwrap_err().to_string();
        assert_eq!(unknown, "there is no fault cut-prcopy: --list names all");
    }

    #[test]
    fn the_bound_is_that_of_the_protocol() {
        let size = Size {
            hosts: 2,
            domains: 1,
            ..Size::default()
        };
        let plan = Plan::new("demo".parse().unwrap(), size).unwrap();
        let bound = token_bound(plan.layout(), &Fault::CutPrecopy.agents());
        // 180 + 60 + 1 + 12 + 2 · (0.5 + 12) + 20
        assert_eq!(bound, Duration::from_secs(298));
    }
}
