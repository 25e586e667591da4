//! What the process of an agent tells whoever started it: a line of JSON per event, on its standard output.

use s_core_agent::Event;
use s_core_model::{ServerId, VmId};
use s_core_proto::{Report, WhyStayed};
use serde::{Deserialize, Serialize};

/// An event of an agent, as far as a laboratory follows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Said {
    /// The agent runs.
    Ready,
    /// The token came for a VM.
    Holding {
        /// The VM.
        vm: VmId,
        /// The epoch of the token's mark, and the server that it is from.
        epoch: (u64, ServerId),
    },
    /// The holder does not migrate.
    Stayed {
        /// The VM.
        vm: VmId,
        /// Whether that was decided knowing its rates, its peers and their servers' room.
        informed: bool,
        /// Why.
        why: String,
    },
    /// A migration begins.
    Migrating {
        /// The VM.
        vm: VmId,
        /// Where to.
        target: ServerId,
        /// By how much Eq. 3.1 will fall as the agent has measured it.
        gain: f64,
    },
    /// It has succeeded.
    Migrated {
        /// The VM.
        vm: VmId,
        /// Where it was.
        source: ServerId,
        /// Where it is.
        target: ServerId,
        /// By how much Eq. 3.1 fell as the agent has measured it.
        gain: f64,
    },
    /// It has not.
    NotMoved {
        /// The VM.
        vm: VmId,
        /// Where it should have gone.
        target: ServerId,
        /// Why not, or what is not known.
        why: String,
    },
    /// A round of the token has ended.
    RoundEnded {
        /// Its number, from 0.
        round: u32,
        /// How many VMs migrated in it.
        migrations: u32,
        /// How many rounds in a row have been quiet.
        quiet_rounds: u16,
    },
    /// A token was made.
    Minted {
        /// For how many VMs.
        vms: usize,
    },
    /// Something that a quiet round must not have in it; or that a person may want to know.
    Trouble {
        /// What.
        what: String,
    },
}

impl Said {
    /// What there is to say of an event, if it is followed.
    pub(super) fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::Node(report) => return Self::of_report(report),
            Event::NotMoved { vm, target, why } => Self::NotMoved {
                vm: *vm,
                target: *target,
                why: why.clone(),
            },
            other => Self::Trouble {
                what: format!("{other:?}"),
            },
        })
    }

    fn of_report(report: &Report) -> Option<Self> {
        Some(match report {
            Report::Holding { vm, mark } => Self::Holding {
                vm: *vm,
                epoch: (mark.epoch.counter, mark.epoch.origin),
            },
            Report::Stayed { vm, why } => Self::Stayed {
                vm: *vm,
                informed: matches!(
                    why,
                    WhyStayed::NoTraffic | WhyStayed::NoGain { .. } | WhyStayed::NoRoom { .. }
                ),
                why: format!("{why:?}"),
            },
            Report::Migrating { vm, target, gain } => Self::Migrating {
                vm: *vm,
                target: *target,
                gain: *gain,
            },
            Report::Migrated {
                vm,
                source,
                target,
                gain,
                ..
            } => Self::Migrated {
                vm: *vm,
                source: *source,
                target: *target,
                gain: *gain,
            },
            Report::RoundEnded {
                round,
                migrations,
                quiet_rounds,
            } => Self::RoundEnded {
                round: *round,
                migrations: *migrations,
                quiet_rounds: *quiet_rounds,
            },
            Report::Minted { vms, .. } => Self::Minted { vms: *vms },
            Report::Passed { .. } => return None,
            other => Self::Trouble {
                what: format!("{other:?}"),
            },
        })
    }
}
