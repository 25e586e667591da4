//! The shape of chapter 5's results, at the thesis's size.

use s_core_model::MigrationCost;
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{DataCentre, InitialPlacement, Rules, RunLimits, Simulation, TokenStart};
use s_core_token::PolicyKind;

const VMS: usize = 32_768;

/// The policies in the order in which they lower the cost per hop.
const FASTEST_FIRST: [PolicyKind; 4] = [
    PolicyKind::Global,
    PolicyKind::LoadAware,
    PolicyKind::Distributed,
    PolicyKind::RoundRobin,
];

struct Course {
    initial: f64,
    /// The mean cost over the hops of the first round-robin round, as many as there are VMs.
    mean_of_first_round: f64,
    after_five_rounds: f64,
    settled: f64,
}

fn run(snapshot: &Snapshot, kind: PolicyKind) -> Course {
    let (model, policy) = (snapshot.cost_model(), kind.build());
    let allocation = snapshot.allocation().clone();
    let (traffic, rules) = (snapshot.traffic(), Rules::default());
    let simulation = Simulation::new(&model, traffic, allocation, policy.as_ref(), rules)
        .expect("parts of one snapshot");
    let mut simulation = simulation.with_start(TokenStart::Measured);
    let initial = simulation.total_cost();
    let (mut rounds, mut sum, mut after_five_rounds) = (0, 0.0, initial);
    for hop in 0.. {
        if simulation.is_settled() {
            break;
        }
        let step = simulation.step();
        sum += if hop < VMS { step.total_cost } else { 0.0 };
        rounds += u32::from(step.new_round);
        if rounds <= 5 {
            after_five_rounds = step.total_cost;
        }
    }
    Course {
        initial,
        mean_of_first_round: sum / VMS as f64,
        after_five_rounds,
        settled: simulation.total_cost(),
    }
}

fn courses(placement: InitialPlacement, seed: u64) -> [Course; 4] {
    let snapshot = DataCentre::thesis(placement, seed);
    let snapshot = snapshot.generate().expect("fewer VMs than slots");
    FASTEST_FIRST.map(|kind| run(&snapshot, kind))
}

fn assert_fastest_first(courses: &[Course], seed: u64) {
    for (pair, kinds) in courses.windows(2).zip(FASTEST_FIRST.windows(2)) {
        let [faster, slower] = [&pair[0], &pair[1]].map(|course| course.mean_of_first_round);
        assert!(faster < slower, "{kinds:?}, seed {seed}: {faster} {slower}");
    }
}

/// 5.1.3: "the global token policy constantly exhibits best performance", "round-robin exhibits the slowest cost
/// reduction"; all of them "converge and stabilise".
#[test]
fn from_a_random_placement() {
    for seed in 1..=2 {
        let courses = courses(InitialPlacement::Random, seed);
        for (course, kind) in courses.iter().zip(FASTEST_FIRST) {
            let saved = |cost| 1.0 - cost / course.initial;
            let (in_five, in_all) = (saved(course.after_five_rounds), saved(course.settled));
            assert!(in_all >= 0.85, "{kind}, seed {seed}: {in_all}");
            assert!(in_five >= 0.99 * in_all, "{kind}, seed {seed}: {in_five}");
        }
        assert_fastest_first(&courses, seed);
    }
}

/// Where few VMs talk over the highest links, it pays to begin with them.
#[test]
fn from_a_rack_local_placement() {
    let courses = courses(InitialPlacement::RackLocal, 1);
    for (course, kind) in courses.iter().zip(FASTEST_FIRST) {
        let saved = 1.0 - course.settled / course.initial;
        assert!((0.5..0.85).contains(&saved), "{kind}: {saved}");
    }
    let [_, _, distributed, round_robin] = &courses;
    assert!(distributed.mean_of_first_round < 0.8 * round_robin.mean_of_first_round);
    assert_fastest_first(&courses, 1);
}

/// Fig. 5.3: "a pronounced communication cost reduction can still be seen" at a tenth, and the reduction
/// "plunges sharply" if c_m rises on. It cannot be a tenth of the cost of the whole data centre: no VM could gain that.
#[test]
fn c_m_bends_the_curve() {
    let snapshot = DataCentre::thesis(InitialPlacement::Random, 1)
        .generate()
        .unwrap();
    let (model, traffic, allocation) = (
        snapshot.cost_model(),
        snapshot.traffic(),
        snapshot.allocation(),
    );
    let total = model.total_cost(allocation, traffic);
    let mean = total / VMS as f64;
    let saved = |migration_cost| {
        let policy = PolicyKind::Distributed.build();
        let rules = Rules {
            migration_cost,
            ..Rules::default()
        };
        let allocation = allocation.clone();
        let mut simulation =
            Simulation::new(&model, traffic, allocation, policy.as_ref(), rules).unwrap();
        let outcome = simulation.run_until_settled(RunLimits::default());
        1.0 - outcome.final_cost / total
    };
    let free = saved(MigrationCost::ZERO);
    let check = |cost: MigrationCost, least: f64, most: f64| {
        let saved = saved(cost) / free;
        assert!((least..=most).contains(&saved), "{cost:?}: {saved}");
    };
    check(MigrationCost::RelativeToVm(0.1), 0.95, 1.0);
    check(MigrationCost::RelativeToVm(0.5), 0.7, 0.95);
    check(MigrationCost::RelativeToVm(1.0), 0.0, 0.0);
    check(MigrationCost::Absolute(0.1 * mean), 0.95, 1.0);
    check(MigrationCost::Absolute(2.0 * mean), 0.6, 0.95);
    check(MigrationCost::Absolute(5.0 * mean), 0.0, 0.4);
    check(MigrationCost::Absolute(0.1 * total), 0.0, 0.0);
}
