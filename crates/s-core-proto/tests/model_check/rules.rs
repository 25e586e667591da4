//! The rules and invariants of docs/protocol.md, as checks of a step or of a state, and what has to be reachable.

use s_core_model::{ServerId, VmId};
use s_core_proto::{
    Action, Arrival, CapacityAnswer, Destination, Input, Message, OpenMigration, Report,
    TokenVerdict,
};
use s_core_token::{Limits, Mark, TokenView};

use crate::common::server;
use crate::scenario::Setup;
use crate::world::{Envelope, Host, SERVERS, SLOTS, Stage, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A mark is acted on at most once, crashes included.
    S1,
    /// A VM has at most one migration under way and one home, from where it is migrated.
    S2,
    /// Hosted, reserved and arriving VMs together fit.
    S3,
    /// A server's mark never falls.
    S4,
    /// A mark, and a migration, is durable before it is acted on or told.
    R1,
    /// A mark goes to exactly one VM on one server.
    R2,
    /// Room is not promised under a mark below the highest that the server has seen.
    R3,
    /// A token is acted on only if its mark is above the highest that the server has seen.
    R4,
}

impl Rule {
    pub const fn name(self) -> &'static str {
        match self {
            Self::S1 => "S1: a mark is acted on at most once",
            Self::S2 => "S2: a VM has one migration and one home",
            Self::S3 => "S3: what is hosted, reserved and arriving fits",
            Self::S4 => "S4: a mark never falls",
            Self::R1 => "R1: durable before acted on",
            Self::R2 => "R2: a mark goes to one VM",
            Self::R3 => "R3: no room under a fenced mark",
            Self::R4 => "R4: a stale token is not acted on",
        }
    }
}

/// What a node makes of one input: S4, R3 and R4.
pub fn check_step(host: &Host, before: Mark, input: &Input, actions: &[Action]) -> Option<Rule> {
    if host.node.mark() < before {
        return Some(Rule::S4);
    }
    let (mut seen, mut durable) = (before, host.durable.mark);
    for action in actions {
        match action {
            Action::Persist(now) => durable = now.mark,
            Action::Report(Report::Holding { mark, .. }) => {
                if *mark <= seen {
                    return Some(Rule::R4);
                }
                seen = *mark;
            }
            Action::Send {
                message:
                    Message::CapacityResponse {
                        answer: CapacityAnswer::Reserved,
                        ..
                    },
                ..
            } => {
                let asked = asked_under(input)?;
                if asked < before {
                    return Some(Rule::R3);
                }
                if asked > durable {
                    return Some(Rule::R1);
                }
            }
            _ => {}
        }
    }
    None
}

fn asked_under(input: &Input) -> Option<Mark> {
    match input {
        Input::Received {
            message: Message::CapacityRequest { mark, .. },
            ..
        } => Some(*mark),
        _ => None,
    }
}

/// A message is about to leave: R1 and R2.
pub fn check_sent(
    world: &World,
    from: ServerId,
    to: Destination,
    message: &Message,
) -> Option<Rule> {
    let told = match message {
        Message::Token(bytes) => {
            let (vm, mark) = addressee(bytes);
            let elsewhere = |envelope: &Envelope| {
                token_in(envelope).is_some_and(|(other, at)| {
                    at == mark && (other, Destination::Server(envelope.to)) != (vm, to)
                })
            };
            if world.network.iter().any(|envelope| elsewhere(envelope))
                || world.acted_on_at(from, mark)
            {
                return Some(Rule::R2);
            }
            mark
        }
        Message::TokenAck {
            mark,
            verdict: TokenVerdict::Accepted,
        }
        | Message::Beacon { mark, .. }
        | Message::Claim { mark, .. }
        | Message::Yield { mark, .. } => *mark,
        Message::KeepAlive { current, .. } => *current,
        _ => return None,
    };
    (told > world.host(from).durable.mark).then_some(Rule::R1)
}

/// A node begins a visit: S1, R2 and R1.
pub fn check_acted_on(world: &World, at: ServerId, vm: VmId, mark: Mark) -> Option<Rule> {
    if world.acted_on.iter().any(|(acted, _)| *acted == mark) {
        return Some(Rule::S1);
    }
    let elsewhere = |envelope: &Envelope| {
        let sent = token_in(envelope);
        sent.is_some_and(|(other, sent)| sent == mark && (other, envelope.to) != (vm, at))
    };
    if world.network.iter().any(|envelope| elsewhere(envelope)) {
        return Some(Rule::R2);
    }
    (world.host(at).durable.mark < mark).then_some(Rule::R1)
}

/// A migration is about to begin: R1 and S2.
pub fn check_migration(
    world: &World,
    vm: VmId,
    source: ServerId,
    target: ServerId,
) -> Option<Rule> {
    let mut open = world.host(source).durable.migrations.iter();
    let is_it = |open: &OpenMigration| open.vm == vm && open.target == target;
    if !open.any(is_it) {
        return Some(Rule::R1);
    }
    let mut flights = world.flights.iter();
    let moving = flights.any(|flight| flight.vm == vm && flight.is_under_way());
    (moving || world.home(vm) != source).then_some(Rule::S2)
}

/// S3: by what the hypervisors know, and by what the nodes have promised.
pub fn check_room(world: &World) -> Option<Rule> {
    let fits = |at: ServerId| {
        let hosted = world.homes.iter().filter(|home| **home == at).count();
        let arriving = |stage, target| stage == Stage::Admitted && target == at;
        let flights = world.flights.iter();
        let arriving = flights.filter(|f| arriving(f.stage, f.target)).count();
        let node = &world.host(at).node;
        let promised = node.hosted_vms().count() + node.reservation_count();
        let slots = SLOTS as usize;
        hosted + arriving <= slots && promised <= slots
    };
    (!(0..SERVERS).map(server).all(fits)).then_some(Rule::S3)
}

fn addressee(bytes: &[u8]) -> (VmId, Mark) {
    let view = TokenView::new_checked(bytes, Limits::default()).expect("nodes send proper tokens");
    (view.holder_id(), view.mark())
}

/// The VM that a token is addressed to, and its mark.
pub fn token_in(envelope: &Envelope) -> Option<(VmId, Mark)> {
    match &envelope.message {
        Message::Token(bytes) => Some(addressee(bytes)),
        _ => None,
    }
}

/// Something that a check has to come by, or it checks nothing.
pub type Reachable = (&'static str, Holds);

/// A condition on a state, as the checker wants it.
pub type Holds = fn(&Setup, &World) -> bool;

/// Every rule, and what holds while it is kept.
pub const KEPT: &[(Rule, Holds)] = &[
    (Rule::S1, |_, world| world.broken != Some(Rule::S1)),
    (Rule::S2, |_, world| world.broken != Some(Rule::S2)),
    (Rule::S3, |_, world| world.broken != Some(Rule::S3)),
    (Rule::S4, |_, world| world.broken != Some(Rule::S4)),
    (Rule::R1, |_, world| world.broken != Some(Rule::R1)),
    (Rule::R2, |_, world| world.broken != Some(Rule::R2)),
    (Rule::R3, |_, world| world.broken != Some(Rule::R3)),
    (Rule::R4, |_, world| world.broken != Some(Rule::R4)),
];

/// By name. Messages stay in the network, so one that was sent shows what has happened.
pub const REACHABLE: &[Reachable] = &[
    ("a VM has moved", |_, world| {
        let homes = (0..).zip(&world.homes);
        homes.into_iter().any(|(vm, home)| *home != server(vm))
    }),
    ("a target is full", |_, world| {
        let full = |message: &Message| match message {
            Message::CapacityResponse { answer, .. } => matches!(answer, CapacityAnswer::Full(_)),
            _ => false,
        };
        world.was_sent(full)
    }),
    ("a capacity request is fenced", |_, world| {
        let stale = |message: &Message| match message {
            Message::CapacityResponse { answer, .. } => matches!(answer, CapacityAnswer::Stale(_)),
            _ => false,
        };
        world.was_sent(stale)
    }),
    ("a stale token is acknowledged", |_, world| {
        let stale = |message: &Message| match message {
            Message::TokenAck { verdict, .. } => matches!(verdict, TokenVerdict::Stale(_)),
            _ => false,
        };
        world.was_sent(stale)
    }),
    ("a token goes on in a second epoch", |_, world| {
        let mut tokens = world.network.iter().filter_map(|e| token_in(e));
        tokens.any(|(_, mark)| mark.epoch.counter > 1)
    }),
    ("two servers mint the same counter", |_, world| {
        let epochs = || world.network.iter().filter_map(|e| token_in(e));
        let rival = |a: Mark, b: Mark| {
            a.epoch.counter == b.epoch.counter && a.epoch.origin != b.epoch.origin
        };
        epochs().any(|(_, a)| epochs().any(|(_, b)| rival(a, b)))
    }),
    ("a predecessor asks its successor", |_, world| {
        world.was_sent(|message| matches!(message, Message::CustodyRequest { .. }))
    }),
    ("a server claims", |_, world| {
        world.was_sent(|message| matches!(message, Message::Claim { .. }))
    }),
    ("a target says that the VM has come", |_, world| {
        world.was_sent(|message| arrival(message) == Some(Arrival::Hosted))
    }),
    ("a target says that the VM is not let in", |_, world| {
        world.was_sent(|message| arrival(message) == Some(Arrival::Absent))
    }),
    ("a restarted server acts on a token", |_, world| {
        let restarted = |host: &Host| host.starts > 0 && host.node.holder().is_some();
        world.hosts().any(restarted)
    }),
];

fn arrival(message: &Message) -> Option<Arrival> {
    match message {
        Message::OutcomeResponse { arrival, .. } => Some(*arrival),
        _ => None,
    }
}
