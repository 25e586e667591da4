//! Agents at real switches go on after faults, as docs/protocol.md promises.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use s_core_lab::run::{AgentProgram, AgentSettings, Cluster, Said};
use s_core_lab::{
    Cable, HostNumber, Layout, Link, Shape, cut, hang_switch, mend, restart_switch, resume_switch,
};
use s_core_model::ServerId;

use crate::program::program;
use crate::support::{TakenDown, is_possible, layout};

/// How long anything may take here: the silence before a claim, the claims, and unreachable VMs, passed over one by one.
const LIMIT: Duration = Duration::from_secs(90);

/// Agents without traffic: the token goes round, and nobody migrates.
struct Agents {
    layout: Layout,
    cluster: Cluster,
    _down: TakenDown,
}

type Epoch = (u64, ServerId);

impl Agents {
    fn start() -> Self {
        let shape = Shape {
            vms_per_host: 2,
            ..Shape::default()
        };
        let layout = layout('f', shape);
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

    /// Waits until the token has been with each of these hosts, in one epoch; says which.
    fn token_at(&self, hosts: &[u16]) -> Epoch {
        let by = Instant::now() + LIMIT;
        let mut seen = BTreeSet::new();
        let mut newest = None;
        while Instant::now() < by {
            let Some(heard) = self.cluster.next(Duration::from_secs(1)) else {
                continue;
            };
            let Some(Said::Holding { epoch, .. }) = heard.said else {
                continue;
            };
            if !hosts.contains(&heard.host.0) {
                continue;
            }
            if newest.is_none_or(|newest| newest < epoch) {
                newest = Some(epoch);
                seen.clear();
            }
            if newest == Some(epoch) {
                seen.insert(heard.host.0);
            }
            if seen.len() == hosts.len() {
                return epoch;
            }
        }
        panic!("no token that was at all of {hosts:?} within {LIMIT:?}; at {seen:?}");
    }

    /// Forgets what agents have said up to now.
    fn forget(&self) {
        while self.cluster.next(Duration::ZERO).is_some() {}
    }

    /// The host that has the token.
    fn holder(&self) -> HostNumber {
        self.forget();
        loop {
            let heard = self.cluster.next(LIMIT).expect("agents say something");
            if matches!(heard.said, Some(Said::Holding { .. })) {
                return heard.host;
            }
        }
    }

    fn others(&self, host: HostNumber) -> Vec<u16> {
        let others = self.layout.hosts().filter(|other| *other != host);
        others.map(|other| other.0).collect()
    }
}

#[test]
#[ignore = "takes minutes"]
fn agents_go_on_after_faults() {
    if !is_possible("agents_go_on_after_faults") {
        return;
    }
    let mut agents = Agents::start();
    let first = agents.token_at(&[1, 2, 3, 4]);

    // The token is lost with the agent that has it.
    let killed = agents.holder();
    agents.cluster.kill(killed).unwrap();
    agents.forget();
    let second = agents.token_at(&agents.others(killed));
    assert!(second > first, "a new epoch");
    agents.cluster.restart(killed).unwrap();
    agents.token_at(&[1, 2, 3, 4]);

    // Two racks are cut off from the other two: each side has a token of its own, and one is left afterwards.
    let core = Cable::Link(Link {
        level: 2,
        number: 1,
    });
    cut(&agents.layout, core).unwrap();
    agents.forget();
    let sides = [&[1, 2][..], &[3, 4]].map(|side| agents.token_at(side));
    assert_ne!(sides[0], sides[1]);
    mend(&agents.layout, core).unwrap();
    agents.forget();
    let healed = agents.token_at(&[1, 2, 3, 4]);
    assert!(sides.iter().all(|side| *side <= healed));

    // A switch that hangs cuts its host off; when it goes on, the host is served again.
    let hung = HostNumber(2);
    hang_switch(&agents.layout, hung).unwrap();
    agents.forget();
    agents.token_at(&agents.others(hung));
    resume_switch(&agents.layout, hung).unwrap();
    agents.forget();
    agents.token_at(&[1, 2, 3, 4]);

    // A switch that is started again has lost its rules and counters.
    restart_switch(&agents.layout, hung).unwrap();
    agents.forget();
    agents.token_at(&[1, 2, 3, 4]);
    agents.cluster.stop().unwrap();
}
