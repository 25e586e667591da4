//! How long a decision takes with so many peers (thesis 5.2.2).
//!
//! Real agents on loopback addresses over emulated switches. Some VMs, the hubs, have all others as peers; no gain is worth a
//! migration, so that each decision is what the thesis has measured: the peers' rates, where each of them is, and Eq. 3.1 and 3.2.

mod bare;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use s_core_agent::embedded::{Embedded, EmbeddedConfig, Scenario, ScenarioServer, ScenarioVm};
use s_core_agent::{Event, Observer};
use s_core_examples::Failure;
use s_core_model::{Capacity, MigrationCost, Rate, ServerId, VmId};
use s_core_proto::{Report, WhyStayed};
use s_core_token::PolicyKind;

use crate::measure::Spread;
use crate::progress::Progress;
pub(crate) use bare::Bare;

/// How long nothing may happen.
const SILENCE: Duration = Duration::from_secs(60);
/// Beyond what any VM gains.
const PROHIBITIVE: MigrationCost = MigrationCost::Absolute(1e18);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Numbers of peers and of rounds of the token.
    pub(crate) peers: &'static [(u16, u32)],
    pub(crate) servers: u16,
    /// How far back rates look; a round of the token takes at least as long.
    pub(crate) window: Duration,
    /// How many VMs have that many peers, each on another server.
    pub(crate) hubs: u16,
}

/// Decisions of VMs with so many peers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided {
    pub(crate) peers: u16,
    /// Seconds from holding the token to the decision made, the first time: all servers are asked where each peer is.
    pub(crate) first: Spread,
    /// The later times: the server where a peer was last is asked.
    pub(crate) later: Spread,
    /// CPU seconds without any network.
    pub(crate) bare: Bare,
}

/// Measures decisions with each number of peers.
pub(crate) fn measure(plan: Plan, progress: &Progress) -> Result<Vec<Decided>, Failure> {
    let one = |&(peers, rounds): &(u16, u32)| {
        progress.step(&format!("decisions with {peers} peers"))?;
        let scenario = scenario(plan, peers)?;
        let times = decisions(&scenario, plan.window, rounds, progress)?;
        let hubs = || (0..plan.hubs).filter_map(|number| times.get(&hub(number)));
        let first = hubs().filter_map(|of| of.first().copied());
        let later = hubs().flat_map(|of| of.iter().skip(1).copied());
        let none = || Failure::failed(format!("no VM with {peers} peers has decided"));
        Ok(Decided {
            peers,
            first: Spread::of(first).ok_or_else(none)?,
            later: Spread::of(later).ok_or_else(none)?,
            bare: bare::measure(peers),
        })
    };
    plan.peers.iter().map(one).collect()
}

/// Runs agents for so many rounds; seconds of each hub's decisions, in their order.
fn decisions(
    scenario: &Scenario,
    window: Duration,
    rounds: u32,
    progress: &Progress,
) -> Result<BTreeMap<VmId, Vec<f64>>, Failure> {
    let state = tempfile::tempdir()?;
    let times: Arc<Mutex<Times>> = Arc::default();
    let noted = Arc::clone(&times);
    let config = EmbeddedConfig {
        policy: PolicyKind::RoundRobin,
        migration_cost: PROHIBITIVE,
        window,
        observer: Some(Observer::new(move |_, event| {
            let now = Instant::now();
            if let Event::Node(report) = event {
                let mut times = noted.lock().unwrap_or_else(PoisonError::into_inner);
                times.note(now, report);
            }
        })),
        ..EmbeddedConfig::new(state.path())
    };
    let embedded = Embedded::start(scenario, config)?;
    embedded.mint()?;
    let mut ended = 0;
    while ended < rounds {
        progress.step(&format!("decisions of {} VMs", scenario.vms.len()))?;
        let Some((_, event)) = embedded.next_event(SILENCE) else {
            return Err(Failure::failed(format!(
                "no agent did anything for {SILENCE:?}"
            )));
        };
        ended += u32::from(matches!(event, Event::Node(Report::RoundEnded { .. })));
    }
    embedded.stop()?;
    let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut times.decisions))
}

/// When VMs held the token and decided.
#[derive(Debug, Default)]
struct Times {
    held: Option<(VmId, Instant)>,
    /// Seconds of each VM's decisions.
    decisions: BTreeMap<VmId, Vec<f64>>,
}

impl Times {
    fn note(&mut self, now: Instant, report: &Report) {
        match report {
            Report::Holding { vm, .. } => self.held = Some((*vm, now)),
            // It was made without some of the peers: not the decision that is measured.
            Report::PeersNotFound { .. } => self.held = None,
            // Other reasons to stay need no peers.
            Report::Stayed {
                vm,
                why: WhyStayed::NoGain { .. },
            } => {
                if let Some((_, began)) = self.held.take().filter(|(holder, _)| holder == vm) {
                    let time = now.duration_since(began).as_secs_f64();
                    self.decisions.entry(*vm).or_default().push(time);
                }
            }
            _ => {}
        }
    }
}

/// Hubs on the first servers, one each; their peers evenly on all.
fn scenario(plan: Plan, peers: u16) -> Result<Scenario, Failure> {
    let servers: Vec<_> = (0..plan.servers).map(server).collect();
    let others = (0..peers).map(peer);
    let vm = |(number, id): (usize, VmId)| ScenarioVm {
        id,
        server: servers[number % servers.len()].id,
        memory_mib: 16,
        name: String::new(),
    };
    let hubs = (0..plan.hubs).map(hub);
    let mut vms: Vec<_> = (hubs.clone().enumerate().map(vm))
        .chain(others.clone().enumerate().map(vm))
        .collect();
    vms.sort_by_key(|vm| vm.id);
    let rate = Rate::new(1e5)?;
    let pairs = hubs.flat_map(|hub| others.clone().map(move |peer| (hub, peer, rate)));
    Ok(Scenario {
        link_weights: vec![1.0, std::f64::consts::E],
        traffic: pairs.collect(),
        servers,
        vms,
    })
}

/// Four servers to a rack, four racks to an aggregation switch.
pub(crate) fn server(number: u16) -> ScenarioServer {
    let [high, low] = (number + 1).to_be_bytes();
    ScenarioServer {
        id: ServerId::from(Ipv4Addr::new(127, 79, 100 + high, low)),
        location: format!("a{}/r{}", number / 16 + 1, number / 4 + 1),
        capacity: Capacity {
            vm_slots: 1_000,
            memory_mib: 1_000_000,
        },
    }
}

fn hub(number: u16) -> VmId {
    let [high, low] = (number + 1).to_be_bytes();
    Ipv4Addr::new(10, 200, high, low).into()
}

/// Peer `number`; also what VMs are called elsewhere.
pub(crate) fn peer(number: u16) -> VmId {
    let [high, low] = (number + 1).to_be_bytes();
    Ipv4Addr::new(10, 100, high, low).into()
}

#[cfg(test)]
mod tests {
    use s_core_token::Mark;

    use super::*;

    #[test]
    fn every_hub_has_all_peers_and_a_server_of_its_own() {
        let plan = Plan {
            peers: &[],
            servers: 5,
            window: Duration::from_secs(1),
            hubs: 3,
        };
        let scenario = scenario(plan, 11).unwrap();
        assert!(scenario.vms.is_sorted_by_key(|vm| vm.id));
        assert_eq!(scenario.vms.len(), 14);
        let home = |id| {
            scenario
                .vms
                .iter()
                .find(|vm| vm.id == id)
                .map(|vm| vm.server)
        };
        for number in 0..3 {
            let pairs = scenario.traffic.iter();
            assert_eq!(pairs.filter(|pair| pair.0 == hub(number)).count(), 11);
            assert_eq!(home(hub(number)), Some(server(number).id));
        }
        assert_eq!(home(peer(10)), Some(server(0).id));
    }

    #[test]
    fn a_decision_lasts_from_holding_to_staying() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let [one, two] = [VmId::new(1), VmId::new(2)];
        let holding = |vm| Report::Holding {
            vm,
            mark: Mark::default(),
        };
        let stayed = |vm, why| Report::Stayed { vm, why };
        let no_gain = || WhyStayed::NoGain {
            best: None,
            threshold: 0.0,
        };
        let mut times = Times::default();
        for (ms, report) in [
            (0, holding(one)),
            (3, stayed(one, no_gain())),
            (10, holding(one)),
            (11, stayed(one, WhyStayed::NotMeasured)),
            (20, holding(one)),
            (21, Report::PeersNotFound { vm: one, count: 1 }),
            (22, stayed(one, no_gain())),
            (30, holding(two)),
            (31, stayed(one, no_gain())),
            (40, holding(one)),
            (49, stayed(one, no_gain())),
        ] {
            times.note(at(ms), &report);
        }
        assert_eq!(times.decisions, BTreeMap::from([(one, vec![0.003, 0.009])]));
    }
}
