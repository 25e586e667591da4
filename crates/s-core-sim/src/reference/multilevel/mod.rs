//! TODO
mod coarsen;
mod divide;
mod graph;
mod mapping;
mod overload;
mod refine;
mod room;
mod size;
mod tree;

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use s_core_model::{Levels, ServerIndex, VmIndex};

use crate::strategy::{Instance, Proposal, Strategy, StrategyError, Watch};
use coarsen::Hierarchy;
use graph::Graph;
use mapping::Mapping;
use refine::Refinement;
use size::Size;
use tree::Tree;

/// Multilevel.
#[derive(Clone, Debug, PartialEq)]
pub struct Multilevel {
    /// V-cycles.
    pub cycles: u32,
    /// Seed.
    pub seed: u64,
}

impl Default for Multilevel {
    fn default() -> Self {
        Self { cycles: 3, seed: 1 }
    }
}

fn refine(graph: &Graph, tree: &Tree, racks: Vec<u32>, rounds: u32, random: &mut Pcg64Mcg) -> Vec<u32> {
    let mut mapping = Mapping::new(graph, tree, racks);
    overload::relieve(&mut mapping);
    let before = mapping.cost();
    let t = std::time::Instant::now();
    Refinement::new(&mut mapping).run(rounds, random);
    if std::env::var("ML").is_ok() {
    eprintln!("  n={} m={} {:.4e} -> {:.4e} overload {} {:?}", graph.len(), graph.end_count()/2, before, mapping.cost(), mapping.overload(), t.elapsed());
    }
    mapping.into_racks()
}

impl<L: Levels> Strategy<L> for Multilevel {
    fn name(&self) -> &str {
        "multilevel"
    }

    fn run(&self, instance: &Instance<'_, L>, _watch: &dyn Watch) -> Result<Proposal, StrategyError> {
        let (hosts, cpu) = crate::cpu_time::measure(|| self.hosts(instance));
        let hosts = hosts?;
        Ok(Proposal::new(instance, &hosts, cpu).expect("fits"))
    }
}

impl Multilevel {
    fn hosts<L: Levels>(&self, instance: &Instance<'_, L>) -> Result<Vec<ServerIndex>, StrategyError> {
        let allocation = instance.allocation();
        let mut rooms: Vec<Size> = allocation.servers().map(|s| { let f = allocation.free(s); Size::new(f.vm_slots.into(), f.memory_mib) }).collect();
        let mut graph = Graph::with_capacity(allocation.vm_count(), 2 * instance.traffic().pair_count());
        for vm in allocation.vms() {
            let size = Size::new(1, allocation.memory_mib(vm).into());
            rooms[allocation.host(vm).usize()] += size;
            graph.push(size, instance.traffic().peers(vm).map(|(p, r)| (p.get(), r.bytes_per_second())));
        }
        let (tree, rack_of) = Tree::of_topology(instance.model().levels(), instance.model().weights(), |s| rooms[s.usize()]).unwrap();
        let mut random = Pcg64Mcg::seed_from_u64(self.seed);
        let least = tree.capacities().iter().map(|c| c.slots).min().unwrap();
        let env = |n: &str, d: usize| std::env::var(n).ok().and_then(|v| v.parse().ok()).unwrap_or(d);
        let per_rack = env("PER_RACK", 60);
        let limit = Size::new((least / env("LIMIT", 12) as u64).max(1), u64::MAX / 4);
        let enough = per_rack * tree.rack_count();
        let t = std::time::Instant::now();
        let h = Hierarchy::new(&graph, enough, limit, None, &mut random);
        let coarsest = h.layers.last().map_or(&graph, |l| &l.graph);
        if std::env::var("ML").is_ok() { eprintln!("coarsened {:?} layers {} n={}", t.elapsed(), h.layers.len(), coarsest.len()); }
        let racks = divide::divide(coarsest, &tree, &mut random);
        if std::env::var("ML").is_ok() { eprintln!("divided {:?}", t.elapsed()); }
        let rounds = env("ROUNDS", 4) as u32;
        let racks = refine(coarsest, &tree, racks, rounds, &mut random);
        let mut racks = divide::project(&graph, &h.layers, racks, |g, r| refine(g, &tree, r, rounds, &mut random));
        drop(h);
        for _ in 0..env("CYCLES", self.cycles as usize) {
            let h = Hierarchy::new(&graph, enough / env("SHRINK", 4), limit, Some(&racks), &mut random);
            let mut r = racks.clone();
            for l in &h.layers { r = coarsen::coarse_racks(&l.cluster_of, l.graph.len(), &r); }
            let coarsest = h.layers.last().map_or(&graph, |l| &l.graph);
            let r = refine(coarsest, &tree, r, rounds, &mut random);
            racks = divide::project(&graph, &h.layers, r, |g, r| refine(g, &tree, r, rounds, &mut random));
        }
        if std::env::var("ML").is_ok() { eprintln!("all {:?}", t.elapsed()); }
        // pack
        let mut hosts: Vec<Option<ServerIndex>> = allocation.vms().map(|_| None).collect();
        let mut left = rooms;
        for vm in allocation.vms() {
            let host = allocation.host(vm);
            if rack_of[host.usize()] == racks[vm.usize()] { hosts[vm.usize()] = Some(host); left[host.usize()] -= Size::new(1, allocation.memory_mib(vm).into()); }
        }
        let servers = graph::Buckets::new(&rack_of, tree.rack_count());
        for vm in allocation.vms() {
            if hosts[vm.usize()].is_none() {
                let s = servers.of(racks[vm.usize()]).iter().find(|s| left[**s as usize].slots > 0).expect("room");
                left[*s as usize].slots -= 1;
                hosts[vm.usize()] = Some(ServerIndex::new(*s));
            }
        }
        let _ = VmIndex::new(0);
        Ok(hosts.into_iter().map(|h| h.unwrap()).collect())
    }
}
