//! What happens, in words: the lines of a trace.

use s_core_proto::{Action, Destination, Durable, Input, Message};
use s_core_token::TokenView;

pub(super) fn started(durable: &Durable) -> String {
    let open = durable.migrations.len();
    format!("starts with mark {}, {open} open migrations", durable.mark)
}

pub(super) fn message(message: &Message) -> String {
    match message {
        Message::Token(bytes) => match TokenView::new_checked(&bytes[..], Default::default()) {
            Ok(view) => format!("token {} for {}", view.mark(), view.holder_id()),
            Err(error) => format!("a token that is none: {error}"),
        },
        Message::TokenAck { mark, verdict } => format!("token {mark}: {verdict:?}"),
        Message::LocationRequest { vm, .. } => format!("where is {vm}?"),
        Message::LocationResponse {
            vm,
            server: Some(server),
            ..
        } => format!("{vm} is at {server}"),
        Message::LocationResponse { vm, .. } => format!("{vm} is not here"),
        Message::CapacityRequest { mark, demands, .. } => {
            let vms: Vec<_> = demands.iter().map(|demand| demand.vm.to_string()).collect();
            format!("room for {} under {mark}?", vms.join(", "))
        }
        Message::CapacityResponse { answer, .. } => format!("room: {answer:?}"),
        Message::Release { mark, vm } => format!("release {vm} under {mark}"),
        Message::KeepAlive { mark, current } => format!("keep-alive of {mark}, now {current}"),
        Message::CustodyRequest { mark, .. } => format!("have you still {mark}?"),
        Message::Beacon { mark, round } => format!("beacon {mark} round {round}"),
        Message::Claim { mark, .. } => format!("claim above {mark}"),
        Message::Yield { mark, vm: None } => format!("yield to {mark}"),
        Message::Yield { mark, vm: Some(vm) } => format!("yield to {mark}, give {vm} a slot"),
        Message::Join { vm } => format!("a slot for {vm}, please"),
        Message::OutcomeRequest { vm, mark, .. } => format!("did {vm} come under {mark}?"),
        Message::OutcomeResponse { vm, arrival, .. } => format!("{vm}: {arrival:?}"),
    }
}

pub(super) fn input(input: &Input) -> Option<String> {
    Some(match input {
        // Shown as it was opened.
        Input::Received { .. } => return None,
        Input::Tick => "timer".into(),
        Input::Hosted { vms, free } => {
            let vms: Vec<_> = vms.iter().map(|(vm, _)| vm.to_string()).collect();
            format!("hosts {}; free: {} slots", vms.join(" "), free.vm_slots)
        }
        Input::Measured { vm, peers } => format!("rates of {vm} to {} peers", peers.len()),
        other => format!("{other:?}"),
    })
}

pub(super) fn action(action: &Action) -> String {
    match action {
        Action::Persist(durable) => {
            let open: Vec<_> = durable
                .migrations
                .iter()
                .map(|m| m.vm.to_string())
                .collect();
            format!("persists {} {}", durable.mark, open.join(" "))
        }
        Action::Send { to, message: what } => {
            let to = match to {
                Destination::Server(server) => server.to_string(),
                Destination::HostOf(vm) => format!("host of {vm}"),
                Destination::Everybody => "all".into(),
            };
            format!("→ {to}: {}", message(what))
        }
        Action::Report(report) => format!("! {report:?}"),
        other => format!("{other:?}"),
    }
}
