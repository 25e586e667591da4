//! One node that a test leads by hand.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use s_core_model::{Capacity, VmId};
use s_core_proto::{
    Action, CapacityAnswer, Config, Destination, Durable, Input, Instant, Message, Node, QueryId,
    Report, TimerKind, TokenVerdict, WhyStayed,
};
use s_core_token::{Limits, Mark, PolicyKind, Token, TokenView};

use super::{Pairs, config, rate, server};

/// A node on server 0 of four that hosts VM 10; VM 20 is on server 2 and VM 30 on server 3.
pub struct Lead {
    pub node: Node<Pairs>,
    pub now: Instant,
    pub last_query: u64,
}

pub const HERE: VmId = VmId::new(10);
pub const FAR: VmId = VmId::new(20);
pub const THIRD: VmId = VmId::new(30);

pub fn first_mark() -> Mark {
    Mark::default()
        .new_epoch(server(9))
        .expect("the first epoch")
}

pub fn token(holder: VmId, mark: Mark) -> Bytes {
    let policy = PolicyKind::RoundRobin.build();
    let vms = [HERE, FAR, THIRD];
    let mut token = Token::new(&vms, &*policy, mark, Limits::default()).expect("three VMs");
    while token.holder_id() != holder {
        token.pass(&*policy, false);
    }
    token.encode().into()
}

pub fn holder_and_mark(token: &Bytes) -> (VmId, Mark) {
    let view = TokenView::new_checked(&token[..], Limits::default()).expect("a proper token");
    (view.holder_id(), view.mark())
}

impl Lead {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// A node that soon misses the token.
    pub fn claimant() -> Self {
        Self::with(|config| config.timing.silence = Duration::from_secs(45))
    }

    pub fn with(change: impl FnOnce(&mut Config<Pairs>)) -> Self {
        let mut config = config(server(0), 4, PolicyKind::RoundRobin);
        config.timing.rest = Duration::ZERO;
        // A test that does not wait for silence hears none.
        config.timing.silence = Duration::from_secs(1 << 40);
        change(&mut config);
        let node = Node::new(Arc::new(config), Durable::default()).expect("server 0 is known");
        let mut lead = Self {
            node,
            now: Instant::ORIGIN,
            last_query: 0,
        };
        assert_eq!(lead.hosted(&[HERE], 2), []);
        lead
    }

    pub fn feed(&mut self, input: Input) -> Vec<Action> {
        self.node.handle(self.now, input);
        let actions: Vec<_> = std::iter::from_fn(|| self.node.poll()).collect();
        for action in &actions {
            if let Action::Send {
                message: Message::LocationRequest { query, .. },
                ..
            } = action
            {
                self.last_query = query.get();
            }
        }
        actions
    }

    /// Like `feed`, without what is only for people to read.
    pub fn acts(&mut self, input: Input) -> Vec<Action> {
        let mut actions = self.feed(input);
        actions.retain(|action| !matches!(action, Action::Report(_)));
        actions
    }

    pub fn hosted(&mut self, vms: &[VmId], free_slots: u32) -> Vec<Action> {
        let free = Capacity {
            vm_slots: free_slots,
            memory_mib: 1000,
        };
        let vms = vms.iter().map(|vm| (*vm, 80)).collect();
        self.feed(Input::Hosted { vms, free })
    }

    pub fn receives(&mut self, from: u32, message: Message) -> Vec<Action> {
        self.acts(Input::Received {
            sender: server(from),
            message,
        })
    }

    /// Lets time pass to the node's next timer of this kind; signs of life come before it and with it, and are left out.
    pub fn times_out(&mut self, kind: TimerKind) -> Vec<Action> {
        loop {
            let next = self.node.poll_timeout();
            let (at, timer) = next.expect("the node waits for something");
            self.now = at;
            let actions = self.feed(Input::Tick);
            if timer == kind {
                let sign = |action: &Action| {
                    let Action::Send { message, .. } = action else {
                        return false;
                    };
                    matches!(message, Message::KeepAlive { .. } | Message::Beacon { .. })
                };
                return actions.into_iter().filter(|action| !sign(action)).collect();
            }
            assert!(
                matches!(timer, TimerKind::KeepAlive | TimerKind::Beacon),
                "waits for {timer:?}, not {kind:?}"
            );
        }
    }

    pub fn measured(&mut self, peers: &[(VmId, f64)]) -> Vec<Action> {
        let peers = peers
            .iter()
            .map(|(vm, bytes)| (*vm, rate(*bytes)))
            .collect();
        self.feed(Input::Measured { vm: HERE, peers })
    }

    /// Finds the next VM on server 2 and reads the statistic of `vm` in the token that goes there.
    pub fn next_token_slot_of(&mut self, vm: VmId) -> f64 {
        let next = self.node.holder().expect("the token is still here");
        let query = QueryId::new(self.last_query);
        let answer = Message::LocationResponse {
            query,
            vm: next,
            server: Some(server(2)),
        };
        let actions = self.receives(2, answer);
        let Some(Action::Send {
            message: Message::Token(bytes),
            ..
        }) = actions.last()
        else {
            panic!("{actions:?}");
        };
        let view = TokenView::new_checked(&bytes[..], Limits::default()).expect("a proper token");
        let slot = view
            .slots()
            .find(|slot| slot.id == vm)
            .expect("it has a slot");
        f64::from(slot.statistic.get())
    }

    /// Server 2 says that VM 20 is there.
    pub fn far_is_found(&mut self, query: QueryId) -> Vec<Action> {
        let message = Message::LocationResponse {
            query,
            vm: FAR,
            server: Some(server(2)),
        };
        self.feed(Input::Received {
            sender: server(2),
            message,
        })
    }

    /// Brings the node to where it asks server 2 for room for VM 10.
    pub fn up_to_asking(&mut self) -> QueryId {
        self.receives(3, Message::Token(token(HERE, first_mark())));
        let query = asked_location(&self.measured(&[(FAR, 100.0)]));
        let answer = Message::LocationResponse {
            query,
            vm: FAR,
            server: Some(server(2)),
        };
        let actions = self.receives(2, answer);
        asked_capacity(&actions, 2)
    }

    pub fn up_to_migrating(&mut self) {
        let query = self.up_to_asking();
        let answer = CapacityAnswer::Reserved;
        let actions = self.receives(
            2,
            Message::CapacityResponse {
                query,
                answer,
                cpu: None,
            },
        );
        let [
            Action::Persist(durable),
            Action::Migrate {
                vm: HERE, target, ..
            },
        ] = &actions[..]
        else {
            panic!("{actions:?}");
        };
        assert_eq!((*target, durable.migrations[0].vm), (server(2), HERE));
    }

    /// Brings the node to where the token is on its way to VM 20 on server 2.
    pub fn up_to_handing(&mut self) -> Mark {
        self.receives(3, Message::Token(token(HERE, first_mark())));
        let query = asked_location(&self.measured(&[]));
        let answer = Message::LocationResponse {
            query,
            vm: FAR,
            server: Some(server(2)),
        };
        let actions = self.receives(2, answer);
        let [
            Action::Persist(durable),
            Action::Send {
                to,
                message: Message::Token(token),
            },
        ] = &actions[..]
        else {
            panic!("{actions:?}");
        };
        assert_eq!(*to, Destination::Server(server(2)));
        assert_eq!(holder_and_mark(token), (FAR, durable.mark));
        durable.mark
    }
}

pub fn persist(mark: Mark) -> Action {
    Action::Persist(mark.into())
}

pub fn sends(to: u32, message: Message) -> Action {
    Action::Send {
        to: Destination::Server(server(to)),
        message,
    }
}

pub fn sends_to_all(message: Message) -> Action {
    Action::Send {
        to: Destination::Everybody,
        message,
    }
}

pub fn ack(mark: Mark, verdict: TokenVerdict) -> Message {
    Message::TokenAck { mark, verdict }
}

pub fn asked_location(actions: &[Action]) -> QueryId {
    let query = actions.iter().find_map(|action| match action {
        Action::Send {
            message: Message::LocationRequest { query, .. },
            ..
        } => Some(*query),
        _ => None,
    });
    query.unwrap_or_else(|| panic!("no location request in {actions:?}"))
}

pub fn asked_capacity(actions: &[Action], of: u32) -> QueryId {
    let query = actions.iter().find_map(|action| match action {
        Action::Send {
            to,
            message: Message::CapacityRequest { query, .. },
        } if *to == Destination::Server(server(of)) => Some(*query),
        _ => None,
    });
    query.unwrap_or_else(|| panic!("server {of} was not asked for room in {actions:?}"))
}

pub fn reports<'a>(actions: &'a [Action]) -> Vec<&'a Report> {
    let report = |action: &'a Action| match action {
        Action::Report(report) => Some(report),
        _ => None,
    };
    actions.iter().filter_map(report).collect()
}

pub fn why_stayed(actions: &[Action]) -> WhyStayed {
    let why = actions.iter().find_map(|action| match action {
        Action::Report(Report::Stayed { why, .. }) => Some(why.clone()),
        _ => None,
    });
    why.unwrap_or_else(|| panic!("nobody stayed in {actions:?}"))
}
