//! Eq. 3.1 and Eq. 3.2 against a model that is plainly right: a full matrix and two nested loops.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;
use s_core_model::{
    Allocation, Capacity, CostModel, HostLoads, Level, Levels, LinkWeights, Placement, Rate,
    RunningCost, ServerId, ServerIndex, TrafficMatrix, VmId, VmIndex,
};

/// `fan_out` children per switch, `depth` levels of switches, a server per leaf.
#[derive(Clone, Copy, Debug)]
struct Tree {
    fan_out: u32,
    depth: u8,
    grouped: bool,
}

impl Levels for Tree {
    fn server_count(&self) -> usize {
        self.fan_out.pow(self.depth.into()) as usize
    }
    fn max_level(&self) -> Level {
        Level::new(self.depth)
    }
    fn level(&self, a: ServerIndex, b: ServerIndex) -> Level {
        let (mut a, mut b, mut level) = (a.get(), b.get(), 0);
        while a != b {
            (a, b, level) = (a / self.fan_out, b / self.fan_out, level + 1);
        }
        Level::new(level)
    }
    fn group(&self, server: ServerIndex, level: Level) -> Option<u32> {
        self.grouped
            .then(|| server.get() / self.fan_out.pow(level.get().into()))
    }
    fn index_of(&self, server: ServerId) -> Option<ServerIndex> {
        Some(ServerIndex::new(server.get()))
    }
    fn server_at(&self, index: ServerIndex) -> ServerId {
        ServerId::new(index.get())
    }
}

#[derive(Clone, Debug)]
struct World {
    tree: Tree,
    hosts: Vec<u32>,
    pairs: Vec<(u32, u32, f64)>,
    moves: Vec<(u32, u32)>,
}

fn worlds(moves: usize) -> impl Strategy<Value = World> {
    (2u32..5, 1u8..4, 2u32..40).prop_flat_map(move |(fan_out, depth, vms)| {
        let tree = Tree {
            fan_out,
            depth,
            grouped: true,
        };
        let servers = u32::try_from(tree.server_count()).unwrap();
        (
            Just(tree),
            prop::collection::vec(0..servers, vms as usize),
            prop::collection::vec((0..vms, 0..vms, 0.0..1e9f64), 0..120),
            prop::collection::vec((0..vms, 0..servers), moves),
        )
            .prop_map(|(tree, hosts, mut pairs, moves)| {
                pairs.retain(|(a, b, _)| a != b);
                World {
                    tree,
                    hosts,
                    pairs,
                    moves,
                }
            })
    })
}

impl World {
    fn build(&self) -> (CostModel<Tree>, Allocation, TrafficMatrix) {
        let model = CostModel::new(LinkWeights::thesis(), self.tree).unwrap();
        let room = Capacity {
            vm_slots: 100,
            memory_mib: 1 << 20,
        };
        let allocation = Allocation::new(
            (0..self.tree.server_count()).map(|s| (ServerId::new(s.try_into().unwrap()), room)),
            (0..).zip(&self.hosts).map(|(vm, server)| Placement {
                vm: VmId::new(vm),
                server: ServerId::new(*server),
                memory_mib: 1,
            }),
        )
        .unwrap();
        let traffic = TrafficMatrix::from_pairs(
            self.hosts.len(),
            self.pairs
                .iter()
                .map(|(a, b, r)| (VmIndex::new(*a), VmIndex::new(*b), Rate::new(*r).unwrap())),
        )
        .unwrap();
        (model, allocation, traffic)
    }

    /// Eq. 3.1 as printed, from the raw pairs and the allocation.
    fn naive_total(&self, allocation: &Allocation) -> f64 {
        let weights = [1.0, 1f64.exp(), 3f64.exp(), 5f64.exp()];
        let mut total = 0.0;
        for (a, b, rate) in &self.pairs {
            let host = |vm: u32| allocation.host(VmIndex::new(vm));
            let level = self.tree.level(host(*a), host(*b)).get();
            total += 2.0 * rate * weights[..usize::from(level)].iter().sum::<f64>();
        }
        total
    }
}

fn close(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= 1e-9 * scale.max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn gain_is_the_drop_of_the_total(world in worlds(1)) {
        let (model, mut allocation, traffic) = world.build();
        let (vm, target) = world.moves[0];
        let (vm, target) = (VmIndex::new(vm), ServerIndex::new(target));
        let before = world.naive_total(&allocation);
        prop_assert!(close(model.total_cost(&allocation, &traffic), before, before));
        let gain = model.gain(&allocation, &traffic, vm, target);
        allocation.migrate(vm, target).unwrap();
        let after = world.naive_total(&allocation);
        prop_assert!(close(before - after, gain, before.max(after)));
    }

    #[test]
    fn the_total_kept_up_over_many_moves_is_the_recomputed_one(world in worlds(3000)) {
        let (model, mut allocation, traffic) = world.build();
        let mut running = RunningCost::new(model.total_cost(&allocation, &traffic));
        let mut largest = running.get();
        for (vm, target) in &world.moves {
            let (vm, target) = (VmIndex::new(*vm), ServerIndex::new(*target));
            running.add(-model.gain(&allocation, &traffic, vm, target));
            allocation.migrate(vm, target).unwrap();
            largest = largest.max(running.get());
        }
        let recomputed = model.total_cost(&allocation, &traffic);
        prop_assert!(
            (running.get() - recomputed).abs() <= 1e-9 * recomputed.max(1e-4 * largest),
            "{} {recomputed}", running.get()
        );
        let naive = world.naive_total(&allocation);
        prop_assert!(close(recomputed, naive, naive));
    }

    /// Many hosts take the grouped path, few the plain one; both say what `cost_at` says.
    #[test]
    fn costs_at_candidates_agree_with_the_plain_sum(
        loads in prop::collection::vec((0u32..256, 0.0..1e6f64), 0..300),
        candidates in prop::collection::vec(0u32..256, 1..40),
        grouped in any::<bool>(),
    ) {
        let tree = Tree { fan_out: 4, depth: 4, grouped };
        let model = CostModel::new(LinkWeights::thesis(), tree).unwrap();
        let loads: HostLoads = loads
            .into_iter()
            .map(|(host, rate)| (ServerIndex::new(host), Rate::new(rate).unwrap()))
            .collect();
        let candidates: Vec<_> = candidates.into_iter().map(ServerIndex::new).collect();
        let mut costs = vec![-1.0];
        model.costs_at(&loads, &candidates, &mut costs);
        prop_assert_eq!(costs.len(), candidates.len() + 1);
        for (candidate, cost) in candidates.iter().zip(&costs[1..]) {
            let plain = model.cost_at(&loads, *candidate);
            prop_assert!(close(*cost, plain, plain), "{cost} {plain}");
        }
    }
}

#[test]
fn too_few_weights_are_refused() {
    let tree = Tree {
        fan_out: 2,
        depth: 3,
        grouped: true,
    };
    let error = CostModel::new(LinkWeights::new([1.0, 2.0]).unwrap(), tree).unwrap_err();
    assert!(error.to_string().contains("3 levels"), "{error}");
}

#[test]
fn equal_costs_summed_in_another_order_are_no_gain() {
    assert_eq!(s_core_model::gain(0.1 + 0.2, 0.3), 0.0);
    assert_eq!(s_core_model::gain(0.3, 0.1 + 0.2), 0.0);
    assert_eq!(s_core_model::gain(3.0, 1.0), 4.0);
    assert_eq!(s_core_model::gain(1.0, 3.0), -4.0);
}

/// Within a rack there is nothing to gain, however large the loads inside that cancel and however small those outside.
#[test]
fn servers_of_one_rack_cost_the_same() {
    /// Racks of four servers under one level of links.
    struct Racks;
    impl Levels for Racks {
        fn server_count(&self) -> usize {
            400
        }
        fn max_level(&self) -> Level {
            Level::new(1)
        }
        fn level(&self, a: ServerIndex, b: ServerIndex) -> Level {
            Level::new(u8::from(a.get() / 4 != b.get() / 4))
        }
        fn group(&self, server: ServerIndex, level: Level) -> Option<u32> {
            Some(if level == Level::ZERO {
                server.get() / 4
            } else {
                0
            })
        }
        fn index_of(&self, server: ServerId) -> Option<ServerIndex> {
            Some(ServerIndex::new(server.get()))
        }
        fn server_at(&self, index: ServerIndex) -> ServerId {
            ServerId::new(index.get())
        }
    }
    let model = CostModel::new(LinkWeights::new([1.0]).unwrap(), Racks).unwrap();
    for seed in 1..200u32 {
        let load = |host, rate| (ServerIndex::new(host), Rate::new(rate).unwrap());
        let far = (20..100).map(|n| load(n * 4, f64::from(1 + (n * seed) % 99) + 0.1));
        let loads: HostLoads = far.chain([load(0, 0.6e9), load(1, 0.5e9)]).collect();
        let candidates: Vec<_> = loads.iter().map(|load| load.server).collect();
        let mut costs = Vec::new();
        model.costs_at(&loads, &candidates, &mut costs);
        assert_eq!(s_core_model::gain(costs[0], costs[1]), 0.0, "seed {seed}");
        assert_eq!(s_core_model::gain(costs[1], costs[0]), 0.0, "seed {seed}");
        assert!(close(
            costs[0],
            model.cost_at(&loads, candidates[0]),
            costs[0]
        ));
    }
}
