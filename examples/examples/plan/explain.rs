//! Why one VM moves or stays.

use std::fmt::Write as _;

use s_core_examples::Failure;
use s_core_examples::cli::{si, table};
use s_core_model::{Capacity, Levels, Rate, VmIndex};
use s_core_proto::{Candidate, Evaluation};
use s_core_sim::Rules;
use s_core_sim::snapshot::{Snapshot, VMS_FILE};
use serde::Serialize;

use crate::plan::{MigrationJson, Plan};

/// How many peers the text lists.
const PEERS_SHOWN: usize = 20;

/// What a VM would gain on which server in the placement of the snapshot, and what a plan does with it.
#[derive(Serialize)]
pub(crate) struct Explanation<'a> {
    vm: String,
    name: String,
    server: String,
    location: String,
    memory_mib: u32,
    /// C(u).
    cost: f64,
    /// What a gain must be above: c_m.
    threshold: f64,
    min_gain: f64,
    /// The server that it would move to as things are now.
    target: Option<String>,
    /// The plan's policy.
    policy: &'static str,
    /// The plan's migrations of this VM, each after those of other VMs that come before it.
    planned: Vec<MigrationJson<'a>>,
    /// From the costliest down.
    peers: Vec<Peer>,
    /// In the order of thesis 4.2.5.
    candidates: Vec<Server>,
}

#[derive(Serialize)]
struct Peer {
    vm: String,
    name: String,
    server: String,
    level: u8,
    bytes_per_second: f64,
    cost: f64,
}

#[derive(Serialize)]
struct Server {
    server: String,
    location: String,
    gain: f64,
    verdict: String,
}

/// Explains what a VM would do by these rules, and what the plan does with it.
pub(crate) fn explain<'a>(
    snapshot: &'a Snapshot,
    vm: VmIndex,
    rules: Rules,
    plan: &Plan,
) -> Explanation<'a> {
    let (model, allocation) = (snapshot.cost_model(), snapshot.allocation());
    let source = allocation.host(vm);
    let mut evaluation = Evaluation::default();
    let peers = snapshot.traffic().peers(vm);
    let hosts = peers.map(|(peer, rate)| (allocation.host(peer), rate));
    evaluation.evaluate(&model, source, hosts);
    let threshold = rules.migration_cost.threshold(evaluation.cost());
    let memory_mib = allocation.memory_mib(vm);
    let worthwhile = evaluation.worthwhile(threshold, rules.target_choice);
    let target = worthwhile
        .iter()
        .filter(|candidate| candidate.gain >= rules.min_gain)
        .find(|candidate| allocation.free(candidate.server).admits(memory_mib))
        .map(|candidate| candidate.server);
    let candidate = |candidate: &Candidate| Server {
        server: allocation.server_at(candidate.server).to_string(),
        location: snapshot.locations().location(candidate.server).to_owned(),
        gain: candidate.gain,
        verdict: if target == Some(candidate.server) {
            "moves here".into()
        } else if candidate.gain <= threshold {
            format!("gain is not above the migration cost {}", si(threshold))
        } else if candidate.gain < rules.min_gain {
            format!("gain is below the least gain {}", si(rules.min_gain))
        } else {
            let free = allocation.free(candidate.server);
            why_full(free, memory_mib)
                .unwrap_or_else(|| format!("worthwhile; {} comes before it", rules.target_choice))
        },
    };
    Explanation {
        vm: allocation.vm_at(vm).to_string(),
        name: snapshot.name(vm).to_owned(),
        server: allocation.server_at(source).to_string(),
        location: snapshot.locations().location(source).to_owned(),
        memory_mib,
        cost: evaluation.cost(),
        threshold,
        min_gain: rules.min_gain,
        target: target.map(|server| allocation.server_at(server).to_string()),
        policy: plan.policy.name(),
        planned: plan.migrations_of(snapshot, vm),
        peers: peers_of(snapshot, vm),
        candidates: evaluation.candidates().iter().map(candidate).collect(),
    }
}

/// The VM with this address, or else the only one with this name.
pub(crate) fn find(snapshot: &Snapshot, wanted: &str) -> Result<VmIndex, Failure> {
    let allocation = snapshot.allocation();
    if let Ok(id) = wanted.parse()
        && let Some(vm) = allocation.vm_index(id)
    {
        return Ok(vm);
    }
    let mut named = allocation
        .vms()
        .filter(|vm| !wanted.is_empty() && snapshot.name(*vm) == wanted);
    match (named.next(), named.next()) {
        (Some(vm), None) => Ok(vm),
        (None, _) => Err(Failure::failed(format!(
            "--explain {wanted}: no VM in {VMS_FILE} has this address or name; give one that is listed there"
        ))),
        (Some(_), Some(_)) => Err(Failure::failed(format!(
            "--explain {wanted}: several VMs in {VMS_FILE} have this name; give the address"
        ))),
    }
}

fn peers_of(snapshot: &Snapshot, vm: VmIndex) -> Vec<Peer> {
    let (model, allocation) = (snapshot.cost_model(), snapshot.allocation());
    let here = allocation.host(vm);
    let peer = |(peer, rate): (VmIndex, Rate)| {
        let there = allocation.host(peer);
        Peer {
            vm: allocation.vm_at(peer).to_string(),
            name: snapshot.name(peer).to_owned(),
            server: allocation.server_at(there).to_string(),
            level: snapshot.locations().level(here, there).get(),
            bytes_per_second: rate.bytes_per_second(),
            cost: model.pair_cost(rate, here, there),
        }
    };
    let mut peers: Vec<_> = snapshot.traffic().peers(vm).map(peer).collect();
    let rate = |peer: &Peer| peer.bytes_per_second;
    peers.sort_by(|a, b| (b.cost.total_cmp(&a.cost)).then(rate(b).total_cmp(&rate(a))));
    peers
}

/// What a server lacks for a VM of `memory_mib`, if anything.
fn why_full(free: Capacity, memory_mib: u32) -> Option<String> {
    if free.vm_slots == 0 {
        Some("full: no VM slot is left".into())
    } else if free.admits(memory_mib) {
        None
    } else {
        Some(format!("full: {} MiB are left", free.memory_mib))
    }
}

impl Explanation<'_> {
    pub(crate) fn to_text(&self) -> String {
        let mut text = "As things are now, before any other migration:\n\n".to_owned();
        let mut line = |name: &str, value: &str| {
            writeln!(text, "{name:<15} {value}").expect("a String takes any text");
        };
        line("VM", format!("{} {}", self.vm, self.name).trim_end());
        line("server", &format!("{} ({})", self.server, self.location));
        line("memory", &format!("{} MiB", self.memory_mib));
        line("cost", &si(self.cost));
        line("migration cost", &si(self.threshold));
        if self.min_gain > 0.0 {
            line("least gain", &si(self.min_gain));
        }
        match &self.target {
            Some(target) => line("decision", &format!("moves to {target}")),
            None => line("decision", "stays"),
        }
        if self.planned.is_empty() {
            line("in the plan", &format!("does not move ({})", self.policy));
        }
        for migration in &self.planned {
            let (step, source, target) = (migration.step, &migration.source, &migration.target);
            let (gain, policy) = (si(migration.gain), self.policy);
            let text = format!("step {step}: from {source} to {target}, gain {gain} ({policy})");
            line("in the plan", &text);
        }
        if self.peers.is_empty() {
            text.push_str("\nIt exchanges no data with any VM.\n");
            return text;
        }
        format!("{text}\n{}{}", self.peers_text(), self.candidates_text())
    }

    fn peers_text(&self) -> String {
        let mut rows = table(&["peer", "name", "server", ">level", ">B/s", ">cost"]);
        for peer in self.peers.iter().take(PEERS_SHOWN) {
            rows.add_row([
                peer.vm.clone(),
                peer.name.clone(),
                peer.server.clone(),
                peer.level.to_string(),
                si(peer.bytes_per_second),
                si(peer.cost),
            ]);
        }
        let rows = rows.trim_fmt();
        match self.peers.len().saturating_sub(PEERS_SHOWN) {
            0 => format!("{rows}\n\n"),
            more => format!("{rows}\nand {more} more that cost no more\n\n"),
        }
    }

    fn candidates_text(&self) -> String {
        if self.candidates.is_empty() {
            return "All of its peers are on its own server.\n".into();
        }
        let mut rows = table(&["candidate", "location", ">gain", "verdict"]);
        for candidate in &self.candidates {
            rows.add_row([
                candidate.server.clone(),
                candidate.location.clone(),
                si(candidate.gain),
                candidate.verdict.clone(),
            ]);
        }
        format!("{}\n", rows.trim_fmt())
    }
}
