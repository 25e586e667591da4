//! A passing policy of one's own in a small copy of the thesis's data centre: `cargo run --example custom-policy`.

use s_core_sim::{DataCentre, InitialPlacement, Rules, RunLimits, Simulation};
use s_core_token::{Distributed, PassingPolicy, Token, VisitOrder};

/// Like Algorithm 1, but a round leaves out the VMs whose traffic stays within their server.
#[derive(Debug)]
struct AboveServers;

impl PassingPolicy for AboveServers {
    fn code(&self) -> u8 {
        128 // the first one that is free for users
    }

    fn name(&self) -> &str {
        "above-servers"
    }

    fn begin_round(&self, token: &mut Token) -> usize {
        token.first(VisitOrder::Level)
    }

    fn next(&self, token: &mut Token) -> Option<usize> {
        let next = token.following(VisitOrder::Level)?;
        (token.level(next).get() > 0).then_some(next)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data_centre = DataCentre {
        topology: "tree:2,2,2,2x20".parse()?,
        vms: 4_096,
        ..DataCentre::thesis(InitialPlacement::Random, 1)
    };
    let snapshot = data_centre.generate()?;
    let model = snapshot.cost_model();
    for policy in [&AboveServers as &dyn PassingPolicy, &Distributed] {
        let (traffic, allocation) = (snapshot.traffic(), snapshot.allocation().clone());
        let outcome = Simulation::new(&model, traffic, allocation, policy, Rules::default())?
            .run_until_settled(RunLimits::default());
        let saved = 100.0 * (1.0 - outcome.final_cost / outcome.initial_cost);
        let (name, hops) = (policy.name(), outcome.token_hops);
        println!("{name:13} saves {saved:.2} % in {hops} hops");
    }
    Ok(())
}
