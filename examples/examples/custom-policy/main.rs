//! A passing policy of one's own in a small copy of the thesis's data centre: `cargo run --example custom-policy`.

use s_core_sim::{DataCentre, InitialPlacement, Rules, RunLimits, Simulation};
use s_core_token::{Distributed, PassingPolicy, Token, VisitOrder};

/// Like Algorithm 1, but a round ends where traffic no longer leaves the rack: what is left to gain there is little.
#[derive(Debug)]
struct AboveRacks;

impl PassingPolicy for AboveRacks {
    fn code(&self) -> u8 {
        128 // the first one that is free for users
    }

    fn name(&self) -> &str {
        "above-racks"
    }

    fn begin_round(&self, token: &mut Token) -> usize {
        token.first(VisitOrder::Level)
    }

    fn next(&self, token: &mut Token) -> Option<usize> {
        let next = token.following(VisitOrder::Level)?;
        (token.level(next).get() >= min()).then_some(next)
    }
}
fn min() -> u8 {
    std::env::var("MINL").unwrap().parse().unwrap()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data_centre = DataCentre {
        topology: "tree:2,2,2,2x20".parse()?,
        vms: 4_096,
        ..DataCentre::thesis(InitialPlacement::Random, 1)
    };
    let snapshot = data_centre.generate()?;
    let model = snapshot.cost_model();
    for policy in [&AboveRacks as &dyn PassingPolicy, &Distributed] {
        for start in [
            s_core_sim::TokenStart::Empty,
            s_core_sim::TokenStart::Measured,
        ] {
            let (traffic, allocation) = (snapshot.traffic(), snapshot.allocation().clone());
            let outcome = Simulation::new(&model, traffic, allocation, policy, Rules::default())?
                .with_start(start)
                .run_until_settled(RunLimits::default());
            let saved = 100.0 * (1.0 - outcome.final_cost / outcome.initial_cost);
            let (name, hops) = (policy.name(), outcome.token_hops);
            println!("{name:12} saves {saved:.2} % in {hops} hops");
        }
    }
    Ok(())
}
