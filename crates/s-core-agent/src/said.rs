//! What an agent tells programs: its events, as far as they matter to an operator, each as a line of JSON.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use s_core_model::{ServerId, VmId};
use s_core_proto::{Report, WhyStayed};
use serde::{Deserialize, Serialize};

use crate::event::Event;

/// A line of an [`EventFile`](crate::EventFile): what an agent said, and when.
///
/// ```
/// use s_core_agent::{EventLine, Said};
///
/// let line = r#"{"time":1700000000.25,"event":"not-moved","vm":"10.1.0.1","target":"10.0.0.2","why":"it is full"}"#;
/// let EventLine { time, said } = line.parse()?;
/// assert_eq!(time, 1_700_000_000.25);
/// assert!(matches!(said, Said::NotMoved { why, .. } if why == "it is full"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventLine {
    /// By the host's clock, in seconds since 1970.
    pub time: f64,
    /// What. On the line, its fields stand beside the time.
    #[serde(flatten)]
    pub said: Said,
}

impl EventLine {
    /// What is said now.
    pub fn now(said: Said) -> Self {
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        // To the millisecond: that is what people can read.
        let time = time.unwrap_or_default().as_millis() as f64 / 1e3;
        Self { time, said }
    }
}

/// The line, without its end.
impl fmt::Display for EventLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = serde_json::to_string(self).expect("what is said has no keys but strings");
        f.write_str(&line)
    }
}

impl FromStr for EventLine {
    type Err = serde_json::Error;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(line)
    }
}

/// An event of an agent. On its line `event` says which, in kebab-case; VMs and servers are IPv4 addresses, gains are in
/// bytes per second times link weight. Later versions may add events and fields.
///
/// | `event` | other fields |
/// |---|---|
/// | `ready` | |
/// | `holding` | `vm`, `epoch` (a number and a server) |
/// | `stayed` | `vm`, `informed`, `why` |
/// | `migrating` | `vm`, `target`, `gain` |
/// | `migrated` | `vm`, `source`, `target`, `gain` |
/// | `not-moved` | `vm`, `target`, `why` |
/// | `round-ended` | `round`, `migrations`, `quiet_rounds` |
/// | `minted` | `vms` (how many) |
/// | `trouble` | `what` |
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
    /// What there is to say of an event; nothing of what only a developer wants to know.
    pub fn of(event: &Event) -> Option<Self> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_lines() {
        let [vm, other]: [VmId; 2] = ["10.1.0.1", "10.1.0.2"].map(|vm| vm.parse().unwrap());
        let [source, target]: [ServerId; 2] =
            ["10.0.0.1", "10.0.0.2"].map(|of| of.parse().unwrap());
        let check = |said: Said, wanted: &str| {
            let line = EventLine { time: 1.5, said };
            assert_eq!(line.to_string(), format!("{{\"time\":1.5,{wanted}}}"));
            assert_eq!(line.to_string().parse::<EventLine>().unwrap(), line);
        };
        check(Said::Ready, r#""event":"ready""#);
        let epoch = (3, source);
        check(
            Said::Holding { vm, epoch },
            r#""event":"holding","vm":"10.1.0.1","epoch":[3,"10.0.0.1"]"#,
        );
        let why = "NoTraffic".into();
        let stayed = Said::Stayed {
            vm: other,
            informed: true,
            why,
        };
        check(
            stayed,
            r#""event":"stayed","vm":"10.1.0.2","informed":true,"why":"NoTraffic""#,
        );
        let gain = 2.5;
        check(
            Said::Migrating { vm, target, gain },
            r#""event":"migrating","vm":"10.1.0.1","target":"10.0.0.2","gain":2.5"#,
        );
        check(
            Said::Migrated {
                vm,
                source,
                target,
                gain,
            },
            r#""event":"migrated","vm":"10.1.0.1","source":"10.0.0.1","target":"10.0.0.2","gain":2.5"#,
        );
        let round = Said::RoundEnded {
            round: 7,
            migrations: 2,
            quiet_rounds: 0,
        };
        check(
            round,
            r#""event":"round-ended","round":7,"migrations":2,"quiet_rounds":0"#,
        );
        check(Said::Minted { vms: 8 }, r#""event":"minted","vms":8"#);
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for line in [
            "",
            "{}",
            r#"{"time":1}"#,
            r#"{"event":"ready"}"#,
            r#"{"time":1,"event":"other"}"#,
            "[1]",
        ] {
            assert!(line.parse::<EventLine>().is_err(), "{line}");
        }
    }
}
