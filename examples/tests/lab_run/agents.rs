//! Agents without traffic: the token goes round, and nobody migrates.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use s_core_lab::run::{AgentProgram, AgentSettings, Cluster, Heard, Said};
use s_core_lab::{HostNumber, Layout, Shape};

use crate::program::program;
use crate::support::{TakenDown, layout};
use crate::tokens::{Epoch, OneToken};

/// How long anything may take here: the silence before a claim, the claims, and unreachable VMs, passed over one by one.
const LIMIT: Duration = Duration::from_secs(90);

pub(crate) struct Agents {
    pub(crate) layout: Layout,
    pub(crate) cluster: Cluster,
    _down: TakenDown,
}

impl Agents {
    pub(crate) fn start(suffix: char, shape: Shape) -> Self {
        let layout = layout(suffix, shape);
        let down = TakenDown::up(&layout);
        let agent = AgentProgram {
            path: program("lab").get_program().into(),
            arguments: ["agent", "--name", layout.name().as_str()]
                .map(Into::into)
                .into(),
        };
        let cluster = Cluster::start(&layout, &AgentSettings::default(), agent).unwrap();
        Self {
            layout,
            cluster,
            _down: down,
        }
    }

    /// Hears what is said until `found` returns something.
    pub(crate) fn hear<T>(&self, what: &str, mut found: impl FnMut(&Heard) -> Option<T>) -> T {
        let by = Instant::now() + LIMIT;
        while Instant::now() < by {
            let heard = self.cluster.next(Duration::from_secs(1));
            if let Some(found) = heard.and_then(|heard| found(&heard)) {
                return found;
            }
        }
        panic!("{what}: not within {LIMIT:?}");
    }

    /// Waits until the token has been with each of these hosts, in one epoch; says which.
    pub(crate) fn token_at(&self, hosts: &[u16]) -> Epoch {
        let mut seen = BTreeSet::new();
        let mut newest = None;
        self.hear(&format!("one token at all of {hosts:?}"), |heard| {
            let Some(Said::Holding { epoch, .. }) = heard.said else {
                return None;
            };
            if !hosts.contains(&heard.host.0) {
                return None;
            }
            if newest.is_none_or(|newest| newest < epoch) {
                newest = Some(epoch);
                seen.clear();
            }
            if newest == Some(epoch) {
                seen.insert(heard.host.0);
            }
            (seen.len() == hosts.len()).then_some(epoch)
        })
    }

    /// For two rounds of this token, which has been everywhere, there is no other.
    pub(crate) fn one_token(&self, epoch: Epoch) {
        let mut one = OneToken::new(self.layout.vms().count(), epoch);
        self.hear("two rounds of the token", |heard| match heard.said {
            Some(Said::Holding { vm, epoch }) => one.hold(vm, epoch).unwrap().then_some(()),
            _ => None,
        });
    }

    /// Forgets what agents have said up to now.
    pub(crate) fn forget(&self) {
        while self.cluster.next(Duration::ZERO).is_some() {}
    }

    /// The host that has the token.
    pub(crate) fn holder(&self) -> HostNumber {
        self.forget();
        self.hear("somebody holds the token", |heard| {
            matches!(heard.said, Some(Said::Holding { .. })).then_some(heard.host)
        })
    }

    pub(crate) fn others(&self, host: HostNumber) -> Vec<u16> {
        let others = self.layout.hosts().filter(|other| *other != host);
        others.map(|other| other.0).collect()
    }
}
