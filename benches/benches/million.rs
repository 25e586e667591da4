//! A million VMs with five million pairs in 65,536 servers, from random placement to settled: CPU seconds and memory.
//!
//! `cargo bench -p s-core-benches --bench million` takes a minute and 2 GiB, most of it to make the data centre up;
//! where benches are only tested it does nothing. One run, as nothing else of that size is left to compare with.

use peak_alloc::PeakAlloc;
use s_core_benches::cpu_time;
use s_core_model::{Allocation, CostModel, LinkWeights, ServerId, TrafficMatrix};
use s_core_sim::{DataCentre, InitialPlacement, Rules, Simulation, THESIS_LINK_WEIGHTS, Topology};
use s_core_token::PolicyKind;
use s_core_topology::CanonicalTree;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const FAN_OUTS: [u32; 3] = [16, 16, 16];
const SERVERS_PER_RACK: u32 = 16;
const VMS: u32 = 1 << 20;
const PAIRS: usize = 5_000_000;

/// Four in five VM slots are taken, as in `DataCentre::thesis`.
fn data_centre() -> (Allocation, TrafficMatrix) {
    let snapshot = DataCentre {
        topology: Topology::Tree {
            fan_outs: FAN_OUTS.to_vec(),
            servers_per_rack: SERVERS_PER_RACK,
        },
        vm_slots: 20,
        vms: VMS,
        link_weights: THESIS_LINK_WEIGHTS[..FAN_OUTS.len()].to_vec(),
        ..DataCentre::thesis(InitialPlacement::Random, 1)
    }
    .generate()
    .expect("four VMs for every five slots");
    // Evenly, so that no VM loses all of its peers.
    let surplus = snapshot.traffic().pair_count().saturating_sub(PAIRS);
    let every = snapshot.traffic().pair_count() / surplus.max(1);
    let kept = (1..).zip(snapshot.traffic().pairs());
    let kept = kept
        .filter(|(number, _)| number % every != 0)
        .map(|(_, pair)| pair);
    let traffic = TrafficMatrix::from_pairs(VMS as usize, kept.take(PAIRS))
        .expect("these pairs were in a matrix");
    (snapshot.allocation().clone(), traffic)
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let (allocation, traffic) = data_centre();
    let tree = CanonicalTree::new(&FAN_OUTS, SERVERS_PER_RACK).expect("65,536 servers");
    let tree = tree
        .with_base(
            allocation
                .servers()
                .next()
                .map_or(ServerId::new(1), |first| allocation.server_at(first)),
        )
        .expect("the snapshot has the same addresses");
    let weights = LinkWeights::new(&THESIS_LINK_WEIGHTS[..FAN_OUTS.len()]).expect("rising");
    let model = CostModel::new(weights, tree).expect("three levels, three weights");
    let pairs = traffic.pair_count();
    println!(
        "{VMS} VMs, {pairs} pairs, {} servers",
        allocation.server_count()
    );
    println!("policy             hops rounds  CPU time  reduction  bytes/VM     MiB");
    for kind in PolicyKind::ALL {
        run(&model, &traffic, &allocation, kind);
    }
}

/// Memory is that of the traffic, the allocation, the token and all else that the simulation keeps, at its highest.
fn run(
    model: &CostModel<CanonicalTree>,
    traffic: &TrafficMatrix,
    allocation: &Allocation,
    kind: PolicyKind,
) {
    let policy = kind.build();
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let allocation = allocation.clone();
    let mut simulation = Simulation::new(model, traffic, allocation, &*policy, Rules::default())
        .expect("the parts fit each other");
    let initial = simulation.total_cost();
    let ((hops, rounds), time) = cpu_time(|| {
        let (mut hops, mut rounds) = (0u64, 0);
        while !simulation.is_settled() {
            rounds += u32::from(simulation.step().new_round);
            hops += 1;
        }
        (hops, rounds)
    });
    let bytes = traffic.memory_usage() + HEAP.peak_usage() - before;
    let reduction = 100.0 * (1.0 - simulation.total_cost() / initial);
    let per_vm = bytes as f64 / f64::from(VMS);
    println!(
        "{kind:11} {hops:11} {rounds:6} {:7.2} s {reduction:8.2} % {per_vm:9.1} {:7.1}",
        time.as_secs_f64(),
        bytes as f64 / f64::from(1 << 20)
    );
}
