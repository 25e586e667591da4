//! What is said in a log.

use s_core_model::VmId;
use s_core_proto::{
    Arrival, CapacityAnswer, Durable, Message, Report, TimerKind, TokenVerdict, WhySkipped,
    WhyStayed,
};
use s_core_token::{Limits, TokenView};

use crate::world::World;

/// The word for a message in commands.
pub const fn kind(message: &Message) -> &'static str {
    match message {
        Message::LocationRequest { .. } | Message::LocationResponse { .. } => "location",
        Message::CapacityRequest { .. } | Message::CapacityResponse { .. } => "capacity",
        Message::Release { .. } => "release",
        Message::Token(_) => "token",
        Message::TokenAck { .. } => "acknowledgement",
        Message::KeepAlive { .. } => "keep-alive",
        Message::CustodyRequest { .. } => "custody",
        Message::Beacon { .. } => "beacon",
        Message::Claim { .. } => "claim",
        Message::Yield { .. } => "yield",
        Message::Join { .. } => "join",
        Message::OutcomeRequest { .. } | Message::OutcomeResponse { .. } => "outcome",
    }
}

fn name(vm: VmId) -> String {
    format!("vm{}", vm.get())
}

fn names(vms: impl Iterator<Item = VmId>) -> String {
    vms.map(name).collect::<Vec<_>>().join(", ")
}

pub fn message(message: &Message) -> String {
    match message {
        Message::LocationRequest { vm, .. } => format!("where is {}?", name(*vm)),
        Message::LocationResponse { vm, server, .. } => match server {
            Some(server) => format!("{} is on {server}", name(*vm)),
            None => format!("{} is not here", name(*vm)),
        },
        Message::CapacityRequest { mark, demands, .. } => {
            let vms = names(demands.iter().map(|demand| demand.vm));
            format!("is there room for {vms}? ({mark})")
        }
        Message::CapacityResponse { answer, .. } => match answer {
            CapacityAnswer::Reserved => "room is reserved".into(),
            CapacityAnswer::Full(left) => format!("full: {} slots left", left.vm_slots),
            CapacityAnswer::Stale(mark) => format!("no: {mark} was seen"),
            CapacityAnswer::Unsuitable => "another processor".into(),
        },
        Message::Release { mark, vm } => format!("{} does not come ({mark})", name(*vm)),
        Message::Token(bytes) => match TokenView::new_checked(&bytes[..], Limits::default()) {
            Ok(token) => format!("token {} for {}", token.mark(), name(token.holder_id())),
            Err(why) => format!("no token: {why}"),
        },
        Message::TokenAck { mark, verdict } => format!("token {mark} {}", self::verdict(*verdict)),
        Message::KeepAlive { mark, current } => {
            format!("token {mark} is here, now under {current}")
        }
        Message::CustodyRequest { mark, vm, .. } => {
            format!("where is token {mark} for {}?", name(*vm))
        }
        Message::Beacon { mark, round } => format!("token {mark} lives, in round {round}"),
        Message::Claim { mark, .. } => format!("may a token be made above {mark}?"),
        Message::Yield { mark, vm: None } => format!("{mark} was seen"),
        Message::Yield { mark, vm: Some(vm) } => {
            format!("{mark} was seen; {} runs here", name(*vm))
        }
        Message::Join { vm } => format!("a slot for {}, please", name(*vm)),
        Message::OutcomeRequest { mark, vm, .. } => {
            format!("what became of {}? ({mark})", name(*vm))
        }
        Message::OutcomeResponse { vm, arrival, .. } => match arrival {
            Arrival::Hosted => format!("{} runs here", name(*vm)),
            Arrival::Arriving => format!("{} is arriving", name(*vm)),
            Arrival::Absent => format!("{} is not here and is not let in", name(*vm)),
        },
    }
}

fn verdict(verdict: TokenVerdict) -> String {
    match verdict {
        TokenVerdict::Accepted => "accepted".into(),
        TokenVerdict::Stale(mark) => format!("is stale: {mark} was seen"),
        TokenVerdict::HandedOn => "was handed on".into(),
        TokenVerdict::NotHosted => "refused: the VM is not here".into(),
        TokenVerdict::Malformed => "refused: malformed".into(),
    }
}

pub fn durable(durable: &Durable) -> String {
    let mut text = durable.mark.to_string();
    for open in &durable.migrations {
        text += &format!(", {} may be on {}", name(open.vm), open.target);
    }
    text
}

pub const fn timer(timer: TimerKind) -> &'static str {
    match timer {
        TimerKind::Measurement => "has got no rates",
        TimerKind::Location => "has got no answer where a VM is",
        TimerKind::Capacity => "has got no answer about room",
        TimerKind::Migration => "has heard of no end of a migration",
        TimerKind::Rest => "has rested",
        TimerKind::Acknowledgement => "has got no acknowledgement",
        TimerKind::Reservation => "lets a reservation expire",
        TimerKind::KeepAlive => "tells its predecessor that the token is here",
        TimerKind::Custody => "misses a sign of its successor",
        TimerKind::Beacon => "tells everybody that the token is here",
        TimerKind::Silence => "has heard of no token",
        TimerKind::Outcome => "asks how a migration ended",
    }
}

/// Whether it is worth a line where only news is logged.
pub const fn is_rare(message: &Message) -> bool {
    matches!(
        message,
        Message::Join { .. } | Message::OutcomeRequest { .. } | Message::OutcomeResponse { .. }
    )
}

/// Whether it is more than the token's daily round.
pub const fn is_news(report: &Report) -> bool {
    !matches!(
        report,
        Report::Holding { .. }
            | Report::Stayed { .. }
            | Report::Passed { .. }
            | Report::RoundEnded { .. }
    )
}

pub fn report(report: &Report) -> String {
    match report {
        Report::Holding { vm, mark } => format!("holds the token for {} ({mark})", name(*vm)),
        Report::Stayed { vm, why } => format!("leaves {} where it is: {}", name(*vm), stayed(why)),
        Report::Migrating { vm, target, gain } => {
            format!("migrates {} to {target}, for a gain of {gain}", name(*vm))
        }
        Report::Migrated { vm, target, .. } => format!("has migrated {} to {target}", name(*vm)),
        Report::PeersNotFound { count, .. } => format!("has not found {count} peers"),
        Report::Passed { vm, server } => {
            format!("has passed the token to {} on {server}", name(*vm))
        }
        Report::RoundEnded {
            round, migrations, ..
        } => format!("ends round {round} with {migrations} migrations"),
        Report::Skipped { vm, why } => format!("skips {}: {}", name(*vm), skipped(*why)),
        Report::Superseded { mark, by } => format!("drops token {mark}: {by} was seen"),
        Report::SentAgain { server, mark } => format!("sends token {mark} to {server} again"),
        Report::InDoubt { server, mark } => format!("doubts that {server} still has token {mark}"),
        Report::NobodyLeft { vm } => format!("ends the token: {} was the last", name(*vm)),
        Report::Recovered { from, mark } => {
            format!("goes on from its copy as {mark}: the token was lost on {from}")
        }
        Report::Claiming { mark } => format!("claims to make a token above {mark}"),
        Report::Parked { by } => format!("gives its claim up for {by}"),
        Report::OutcomeKnown { vm, target, moved } => {
            let where_to = if *moved { "is" } else { "is not" };
            format!("knows now: {} {where_to} on {target}", name(*vm))
        }
        Report::Missing { vm, target } => {
            format!("misses {}: it is neither here nor on {target}", name(*vm))
        }
        Report::Minted { mark, vms } => format!("makes token {mark} for {vms} VMs"),
        other => format!("{other:?}"),
    }
}

fn stayed(why: &WhyStayed) -> String {
    match why {
        WhyStayed::NoTraffic => "no traffic".into(),
        WhyStayed::NotMeasured => "no rates".into(),
        WhyStayed::NoGain { .. } => "no gain".into(),
        WhyStayed::NoRoom { .. } => "no room anywhere".into(),
        WhyStayed::Busy => "another migration is under way".into(),
        WhyStayed::Gone => "it is gone".into(),
        WhyStayed::Blocked => "an earlier migration has no known outcome".into(),
        WhyStayed::MigrationFailed { target } => format!("it did not get to {target}"),
        WhyStayed::OutcomeUnknown { target } => format!("it may be on {target}"),
        other => format!("{other:?}"),
    }
}

fn skipped(why: WhySkipped) -> String {
    match why {
        WhySkipped::NotFound => "nobody hosts it".into(),
        WhySkipped::NoAcknowledgement(server) => format!("{server} is silent"),
        WhySkipped::Refused(server) => format!("{server} refuses the token"),
        WhySkipped::Forgotten(server) => format!("{server} has lost the token"),
    }
}

/// A line for each server.
pub fn show(world: &mut World) {
    let mut lines = Vec::new();
    for (server, host) in &world.servers {
        let Some(node) = &host.node else {
            lines.push(format!("{server} is dead"));
            continue;
        };
        let mut vms = names(node.hosted_vms().map(|(vm, _)| vm));
        if vms.is_empty() {
            vms = "nothing".into();
        }
        let mut line = format!("{server} has seen {}; runs {vms}", node.mark());
        if let Some(vm) = node.holder() {
            line += &format!("; has the token, for {}", name(vm));
        }
        if node.reservation_count() > 0 {
            line += &format!("; keeps room for {}", node.reservation_count());
        }
        lines.push(line);
    }
    for line in lines {
        world.say(line);
    }
}
