//! What may happen next in a state, for the checker to choose from.

use s_core_model::ServerId;
use s_core_proto::{Input, Instant, Outcome};
use stateright::{Model, Property};

use crate::common::server;
use crate::rules::{KEPT, REACHABLE};
use crate::scenario::Setup;
use crate::shared::Shared;
use crate::world::{Envelope, Flight, Ran, SERVERS, Stage, World};

/// One step. With `crash: Some(n)` the server crashes in its course, right before it would make something durable or begin
/// a migration for the time n (from 0): a crash anywhere else is one of these, with messages lost.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Deliver {
        envelope: Shared<Envelope>,
        crash: Option<u8>,
    },
    /// A second goes by for this server, and every timer that has waited for one fires.
    Tick {
        server: ServerId,
        crash: Option<u8>,
    },
    Crash {
        server: ServerId,
    },
    /// The driver lists the VMs by itself.
    List {
        server: ServerId,
    },
    /// A VM begins to arrive at the target.
    Arrive {
        flight: usize,
    },
    /// A migration comes to its end.
    Complete {
        flight: usize,
        moved: bool,
    },
    /// The source is told how it ended.
    Tell {
        flight: usize,
        outcome: Outcome,
        crash: Option<u8>,
    },
}

/// No step makes more things durable.
const MOST_WRITES: u8 = 4;

impl Model for Setup {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.broken.is_some() {
            return;
        }
        let crashes = || {
            let may = world.crashes_left > 0;
            let writes = (0..MOST_WRITES).filter(move |_| may).map(Some);
            std::iter::once(None).chain(writes)
        };
        for envelope in &world.network {
            steps.extend(crashes().map(|crash| Step::Deliver {
                envelope: envelope.clone(),
                crash,
            }));
        }
        for server in (0..SERVERS).map(server) {
            if may_tick(world, server) {
                steps.extend(crashes().map(|crash| Step::Tick { server, crash }));
            }
            if world.crashes_left > 0 {
                steps.push(Step::Crash { server });
            }
            if !world.is_listed(server) {
                steps.push(Step::List { server });
            }
        }
        for (number, flight) in world.flights.iter().enumerate() {
            for outcome in self.outcomes(flight) {
                steps.extend(crashes().map(|crash| Step::Tell {
                    flight: number,
                    outcome,
                    crash,
                }));
            }
            hypervisor_steps(number, flight, steps);
        }
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        let (ran, crash) = match step {
            Step::Deliver { envelope, crash } => {
                let input = Input::Received {
                    sender: envelope.from,
                    message: envelope.message.clone(),
                };
                (world.run(self, envelope.to, input, crash), crash)
            }
            Step::Tick { server, crash } => {
                world.change(server, |host| host.ticks += 1);
                (world.run(self, server, Input::Tick, crash), crash)
            }
            Step::Crash { server } => {
                world.crash(self, server);
                return Some(world);
            }
            Step::List { server } => {
                let listing = world.listing(server);
                (world.run(self, server, listing, None), None)
            }
            Step::Arrive { flight } => {
                let Flight { vm, target, .. } = world.flights[flight];
                (world.run(self, target, Input::Arriving { vm }, None), None)
            }
            Step::Complete { flight, moved } => {
                world.complete(self, flight, moved);
                (Ran::ToItsEnd, None)
            }
            Step::Tell {
                flight,
                outcome,
                crash,
            } => (world.tell(self, flight, outcome, crash), crash),
        };
        let as_asked = crash.is_some() == (ran == Ran::UpToCrash);
        (as_asked && world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let kept = KEPT
            .iter()
            .map(|(rule, kept)| Property::always(rule.name(), *kept));
        let wanted = self.scenario.reaches;
        let reached = REACHABLE.iter().filter(|(name, _)| wanted.contains(name));
        let reached = reached.map(|(name, reached)| Property::sometimes(name, *reached));
        kept.chain(reached).collect()
    }
}

impl Setup {
    fn outcomes(&self, flight: &Flight) -> Vec<Outcome> {
        if flight.told {
            return Vec::new();
        }
        let known = match flight.stage {
            Stage::Moved => Some(Outcome::Moved),
            Stage::Failed => Some(Outcome::StayedHere),
            Stage::Begun | Stage::Admitted => None,
        };
        let unknown = self.scenario.unknown.then_some(Outcome::Unknown);
        known.into_iter().chain(unknown).collect()
    }
}

fn may_tick(world: &World, server: ServerId) -> bool {
    let host = world.host(server);
    let next = host.now() + std::time::Duration::from_secs(1);
    let due = |(at, _): (Instant, _)| at <= next;
    host.node.poll_timeout().is_some_and(due)
}

fn hypervisor_steps(flight: usize, state: &Flight, steps: &mut Vec<Step>) {
    let ends = |moved| Step::Complete { flight, moved };
    match state.stage {
        Stage::Begun => steps.extend([Step::Arrive { flight }, ends(false)]),
        Stage::Admitted => steps.extend([ends(true), ends(false)]),
        Stage::Moved | Stage::Failed => {}
    }
}
