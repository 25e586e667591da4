//! One node, led by hand through its transitions: what comes in, what goes out.

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{Pairs, config, rate, server, vm};
use s_core_model::{Capacity, MigrationCost, ServerId, VmId};
use s_core_proto::{
    Action, CapacityAnswer, Config, Demand, Destination, Input, Instant, Message, Node, Outcome,
    QueryId, Report, TimerKind, TokenVerdict, WhySkipped, WhyStayed,
};
use s_core_token::{Limits, Mark, PolicyKind, Token, TokenView};

/// A node on server 0 of four that hosts VM 10; VM 20 is on server 2 and VM 30 on server 3.
struct Lead {
    node: Node<Pairs>,
    now: Instant,
}

const HERE: VmId = VmId::new(10);
const FAR: VmId = VmId::new(20);
const THIRD: VmId = VmId::new(30);

fn first_mark() -> Mark {
    Mark::default()
        .new_epoch(server(9))
        .expect("the first epoch")
}

fn token(holder: VmId, mark: Mark) -> Bytes {
    let policy = PolicyKind::RoundRobin.build();
    let vms = [HERE, FAR, THIRD];
    let mut token = Token::new(&vms, &*policy, mark, Limits::default()).expect("three VMs");
    while token.holder_id() != holder {
        token.pass(&*policy, false);
    }
    token.encode().into()
}

fn holder_and_mark(token: &Bytes) -> (VmId, Mark) {
    let view = TokenView::new_checked(&token[..], Limits::default()).expect("a proper token");
    (view.holder_id(), view.mark())
}

impl Lead {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config<Pairs>)) -> Self {
        let mut config = config(server(0), 4, PolicyKind::RoundRobin);
        config.timing.rest = Duration::ZERO;
        change(&mut config);
        let node = Node::new(Arc::new(config), Mark::default()).expect("server 0 is known");
        let mut lead = Self {
            node,
            now: Instant::ORIGIN,
        };
        assert_eq!(lead.hosted(&[HERE], 2), []);
        lead
    }

    fn feed(&mut self, input: Input) -> Vec<Action> {
        self.node.handle(self.now, input);
        std::iter::from_fn(|| self.node.poll()).collect()
    }

    /// Like `feed`, without what is only for people to read.
    fn acts(&mut self, input: Input) -> Vec<Action> {
        let mut actions = self.feed(input);
        actions.retain(|action| !matches!(action, Action::Report(_)));
        actions
    }

    fn hosted(&mut self, vms: &[VmId], free_slots: u32) -> Vec<Action> {
        let free = Capacity {
            vm_slots: free_slots,
            memory_mib: 1000,
        };
        let vms = vms.iter().map(|vm| (*vm, 80)).collect();
        self.feed(Input::Hosted { vms, free })
    }

    fn receives(&mut self, from: u32, message: Message) -> Vec<Action> {
        self.acts(Input::Received {
            sender: server(from),
            message,
        })
    }

    /// Lets time pass to the node's next timer.
    fn times_out(&mut self, kind: TimerKind) -> Vec<Action> {
        let (at, timer) = self
            .node
            .poll_timeout()
            .expect("the node waits for something");
        assert_eq!(timer, kind);
        self.now = at;
        self.feed(Input::Tick)
    }

    fn measured(&mut self, peers: &[(VmId, f64)]) -> Vec<Action> {
        let peers = peers
            .iter()
            .map(|(vm, bytes)| (*vm, rate(*bytes)))
            .collect();
        self.feed(Input::Measured { vm: HERE, peers })
    }

    /// Brings the node to where it asks server 2 for room for VM 10.
    fn up_to_asking(&mut self) -> QueryId {
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

    fn up_to_migrating(&mut self) {
        let query = self.up_to_asking();
        let answer = CapacityAnswer::Reserved;
        let actions = self.receives(2, Message::CapacityResponse { query, answer });
        assert!(
            matches!(actions[..], [Action::Migrate { vm: HERE, target, .. }] if target == server(2))
        );
    }

    /// Brings the node to where the token is on its way to VM 20 on server 2.
    fn up_to_handing(&mut self) -> Mark {
        self.receives(3, Message::Token(token(HERE, first_mark())));
        let query = asked_location(&self.measured(&[]));
        let answer = Message::LocationResponse {
            query,
            vm: FAR,
            server: Some(server(2)),
        };
        let actions = self.receives(2, answer);
        let [
            Action::Persist(mark),
            Action::Send {
                to,
                message: Message::Token(token),
            },
        ] = &actions[..]
        else {
            panic!("{actions:?}");
        };
        assert_eq!(*to, Destination::Server(server(2)));
        assert_eq!(holder_and_mark(token), (FAR, *mark));
        *mark
    }
}

fn sends(to: u32, message: Message) -> Action {
    Action::Send {
        to: Destination::Server(server(to)),
        message,
    }
}

fn ack(mark: Mark, verdict: TokenVerdict) -> Message {
    Message::TokenAck { mark, verdict }
}

fn asked_location(actions: &[Action]) -> QueryId {
    let query = actions.iter().find_map(|action| match action {
        Action::Send {
            message: Message::LocationRequest { query, .. },
            ..
        } => Some(*query),
        _ => None,
    });
    query.unwrap_or_else(|| panic!("no location request in {actions:?}"))
}

fn asked_capacity(actions: &[Action], of: u32) -> QueryId {
    let query = actions.iter().find_map(|action| match action {
        Action::Send {
            to,
            message: Message::CapacityRequest { query, .. },
        } if *to == Destination::Server(server(of)) => Some(*query),
        _ => None,
    });
    query.unwrap_or_else(|| panic!("server {of} was not asked for room in {actions:?}"))
}

fn why_stayed(actions: &[Action]) -> WhyStayed {
    let why = actions.iter().find_map(|action| match action {
        Action::Report(Report::Stayed { why, .. }) => Some(why.clone()),
        _ => None,
    });
    why.unwrap_or_else(|| panic!("nobody stayed in {actions:?}"))
}

#[test]
fn an_unknown_server_is_no_node() {
    let config = Arc::new(config(ServerId::new(1), 4, PolicyKind::RoundRobin));
    let error = Node::new(config, Mark::default()).expect_err("not in the table");
    assert!(error.to_string().contains("0.0.0.1"), "{error}");
}

/// R1: the mark is durable before the token is acknowledged or acted on.
#[test]
fn a_token_is_persisted_then_acknowledged_then_acted_on() {
    let mark = first_mark();
    let actions = Lead::new().receives(3, Message::Token(token(HERE, mark)));
    let wanted = [
        Action::Persist(mark),
        sends(3, ack(mark, TokenVerdict::Accepted)),
        Action::Measure(HERE),
    ];
    assert_eq!(actions, wanted);
}

/// R4: a copy of an accepted token is acknowledged again, an older one as stale, neither acted on.
#[test]
fn a_token_is_acted_on_once() {
    let mut lead = Lead::new();
    let mark = first_mark();
    let newer = mark.next().expect("the second mark");
    lead.receives(3, Message::Token(token(HERE, newer)));
    let check = |lead: &mut Lead, mark, verdict| {
        let actions = lead.receives(3, Message::Token(token(HERE, mark)));
        assert_eq!(actions, [sends(3, ack(mark, verdict))]);
    };
    check(&mut lead, newer, TokenVerdict::Accepted);
    check(&mut lead, mark, TokenVerdict::Stale(newer));
}

/// R1 across a crash: what was persisted is known after a restart.
#[test]
fn a_restarted_node_does_not_act_on_what_it_has_seen() {
    let mark = first_mark();
    let config = Arc::new(config(server(0), 4, PolicyKind::RoundRobin));
    let node = Node::new(config, mark).expect("server 0 is known");
    let mut lead = Lead {
        node,
        now: Instant::ORIGIN,
    };
    lead.hosted(&[HERE], 2);
    let actions = lead.receives(3, Message::Token(token(HERE, mark)));
    assert_eq!(actions, [sends(3, ack(mark, TokenVerdict::Stale(mark)))]);
}

#[test]
fn a_token_for_a_vm_that_is_not_here_is_refused_and_its_mark_left_free() {
    let mut lead = Lead::new();
    let mark = first_mark();
    let actions = lead.receives(3, Message::Token(token(FAR, mark)));
    assert_eq!(
        actions,
        [
            Action::ListHosted,
            sends(3, ack(mark, TokenVerdict::NotHosted))
        ]
    );
    // Once the VM is here, the same token is welcome.
    lead.hosted(&[HERE, FAR], 1);
    let actions = lead.receives(3, Message::Token(token(FAR, mark)));
    assert_eq!(actions[2], Action::Measure(FAR));
}

#[test]
fn damaged_tokens_and_those_of_another_policy_are_refused() {
    let mut lead = Lead::new();
    let actions = lead.receives(3, Message::Token(Bytes::from_static(b"SCTK")));
    assert_eq!(
        actions,
        [sends(3, ack(Mark::default(), TokenVerdict::Malformed))]
    );
    let policy = PolicyKind::Distributed.build();
    let mark = first_mark();
    let other = Token::new(&[HERE], &*policy, mark, Limits::default()).expect("one VM");
    let actions = lead.receives(3, Message::Token(other.encode().into()));
    assert_eq!(actions, [sends(3, ack(mark, TokenVerdict::Malformed))]);
    // The right code with slots of the wrong kind: a user's policy under a number taken twice.
    let mut kind = token(HERE, mark).to_vec();
    kind[5] = 1;
    let slots = [HERE, FAR, THIRD].map(|vm| [&vm.get().to_be_bytes()[..], &[0; 5]].concat());
    kind.splice(54.., slots.concat());
    let actions = lead.receives(3, Message::Token(kind.into()));
    assert_eq!(actions, [sends(3, ack(mark, TokenVerdict::Malformed))]);
}

#[test]
fn locations_are_told_to_those_who_ask() {
    let mut lead = Lead::new();
    let query = QueryId::new(7);
    let request = |vm, directed| Message::LocationRequest {
        query,
        vm,
        directed,
    };
    let response = |vm, server| Message::LocationResponse { query, vm, server };
    let here = Some(server(0));
    assert_eq!(
        lead.receives(1, request(HERE, false)),
        [sends(1, response(HERE, here))]
    );
    assert_eq!(
        lead.receives(1, request(HERE, true)),
        [sends(1, response(HERE, here))]
    );
    // Asked with all others, one that does not host it is silent; asked alone, it says so.
    assert_eq!(lead.receives(1, request(FAR, false)), []);
    assert_eq!(
        lead.receives(1, request(FAR, true)),
        [sends(1, response(FAR, None))]
    );
    lead.receives(2, response(FAR, Some(server(2))));
    let hint = response(FAR, Some(server(2)));
    assert_eq!(lead.receives(1, request(FAR, true)), [sends(1, hint)]);
}

/// R3: all lower marks are fenced, room is promised once, and the promise ends.
#[test]
fn room_is_reserved_once_and_for_a_time() {
    let mut lead = Lead::new();
    let mark = first_mark();
    let ask = |lead: &mut Lead, vm: u32, mark: Mark| {
        let demand = Demand {
            vm: VmId::new(vm),
            memory_mib: 80,
        };
        let query = QueryId::new(u64::from(vm));
        let request = Message::CapacityRequest {
            query,
            mark,
            demands: vec![demand],
        };
        match lead.receives(3, request).pop() {
            Some(Action::Send {
                message: Message::CapacityResponse { answer, .. },
                ..
            }) => answer,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(&mut lead, 50, mark), CapacityAnswer::Reserved);
    assert_eq!(lead.node.mark(), mark, "R6");
    assert_eq!(
        ask(&mut lead, 50, mark),
        CapacityAnswer::Reserved,
        "the same again"
    );
    assert_eq!(lead.node.reservation_count(), 1);
    let second = mark.next().expect("the second mark");
    assert_eq!(ask(&mut lead, 51, second), CapacityAnswer::Reserved);
    assert_eq!(ask(&mut lead, 52, mark), CapacityAnswer::Stale(second));
    let left = Capacity {
        vm_slots: 0,
        memory_mib: 840,
    };
    assert_eq!(ask(&mut lead, 52, second), CapacityAnswer::Full(left));
    // A VM that came is counted by the hypervisor; one that does not come gives its room back.
    lead.hosted(&[HERE, VmId::new(50)], 1);
    assert_eq!(lead.node.reservation_count(), 1);
    lead.receives(
        3,
        Message::Release {
            mark,
            vm: VmId::new(51),
        },
    );
    assert_eq!(
        lead.node.reservation_count(),
        1,
        "another mark's reservation stays"
    );
    lead.times_out(TimerKind::Reservation);
    assert_eq!(lead.node.reservation_count(), 0);
    assert_eq!(ask(&mut lead, 52, second), CapacityAnswer::Reserved);
    lead.receives(
        3,
        Message::Release {
            mark: second,
            vm: VmId::new(52),
        },
    );
    assert_eq!(lead.node.reservation_count(), 0);
}

#[test]
fn a_capacity_request_is_all_or_nothing() {
    let mut lead = Lead::new();
    let demands = (50..53)
        .map(|vm| Demand {
            vm: VmId::new(vm),
            memory_mib: 1,
        })
        .collect();
    let query = QueryId::new(1);
    let request = Message::CapacityRequest {
        query,
        mark: first_mark(),
        demands,
    };
    let left = Capacity {
        vm_slots: 2,
        memory_mib: 1000,
    };
    let answer = CapacityAnswer::Full(left);
    let actions = lead.receives(3, request);
    assert_eq!(
        actions[1],
        sends(3, Message::CapacityResponse { query, answer })
    );
    assert_eq!(lead.node.reservation_count(), 0);
}

#[test]
fn a_vm_migrates_to_its_peer_and_the_token_goes_on() {
    let mut lead = Lead::new();
    lead.up_to_migrating();
    let outcome = Outcome::Moved;
    let actions = lead.feed(Input::MigrationEnded { vm: HERE, outcome });
    let Some(Action::Report(Report::Migrated {
        gain, cost_before, ..
    })) = actions
        .iter()
        .find(|action| matches!(action, Action::Report(Report::Migrated { .. })))
    else {
        panic!("{actions:?}");
    };
    // 100 B/s over a path of cost 4, counted at both ends.
    assert_eq!((*gain, *cost_before), (800.0, 400.0));
    let Some(Action::Send {
        message: Message::Token(bytes),
        ..
    }) = actions.last()
    else {
        panic!("{actions:?}");
    };
    let (holder, mark) = holder_and_mark(bytes);
    assert_eq!(holder, FAR);
    assert!(mark > first_mark());
    assert_eq!(lead.node.hosted_vms().count(), 0);
}

#[test]
fn reasons_to_stay() {
    let check = |change: &dyn Fn(&mut Config<Pairs>),
                 peers: &[(VmId, f64)],
                 wanted: &dyn Fn(WhyStayed) -> bool| {
        let mut lead = Lead::with(change);
        lead.receives(3, Message::Token(token(HERE, first_mark())));
        let mut actions = lead.measured(peers);
        if !peers.is_empty() {
            let query = asked_location(&actions);
            let message = Message::LocationResponse {
                query,
                vm: FAR,
                server: Some(server(2)),
            };
            actions = lead.feed(Input::Received {
                sender: server(2),
                message,
            });
        }
        let why = why_stayed(&actions);
        assert!(wanted(why.clone()), "{why:?}");
    };
    check(&|_| {}, &[], &|why| why == WhyStayed::NoTraffic);
    let stranger = [(VmId::new(77), 5.0)];
    let mut lead = Lead::new();
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    assert_eq!(why_stayed(&lead.measured(&stranger)), WhyStayed::NoTraffic);
    // Eq. 3.2 is strict: a gain of 800 is not above 800.
    let at_the_gain =
        |config: &mut Config<Pairs>| config.migration_cost = MigrationCost::Absolute(800.0);
    let best = Some((server(2), 800.0));
    let no_gain = WhyStayed::NoGain {
        best,
        threshold: 800.0,
    };
    check(&at_the_gain, &[(FAR, 100.0)], &|why| why == no_gain);
}

#[test]
fn a_vm_whose_rates_do_not_come_stays() {
    let mut lead = Lead::new();
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    assert_eq!(
        why_stayed(&lead.times_out(TimerKind::Measurement)),
        WhyStayed::NotMeasured
    );
    assert_eq!(lead.measured(&[(FAR, 1.0)]), [], "too late");
}

/// The gain must be worth it even if the silent peer sits beside the VM and the target is at the far end.
#[test]
fn peers_that_are_not_found_count_against_a_move() {
    for (silent_rate, moves) in [(40.0, true), (100.0, false)] {
        let mut lead = Lead::new();
        lead.receives(3, Message::Token(token(HERE, first_mark())));
        let query = asked_location(&lead.measured(&[(FAR, 100.0), (THIRD, silent_rate)]));
        let answer = Message::LocationResponse {
            query,
            vm: FAR,
            server: Some(server(2)),
        };
        assert_eq!(lead.receives(2, answer), [], "one of two peers is missing");
        for _ in 1..4 {
            let again = lead.times_out(TimerKind::Location);
            assert!(matches!(
                again[..],
                [Action::Send {
                    to: Destination::HostOf(THIRD),
                    ..
                }]
            ));
        }
        let actions = lead.times_out(TimerKind::Location);
        let count = Report::PeersNotFound { vm: HERE, count: 1 };
        assert_eq!(actions[0], Action::Report(count));
        if moves {
            asked_capacity(&actions, 2);
        } else {
            let best = Some((server(2), 800.0));
            assert_eq!(
                why_stayed(&actions),
                WhyStayed::NoGain {
                    best,
                    threshold: 800.0
                }
            );
        }
    }
}

#[test]
fn the_next_candidate_is_asked_when_one_is_full_or_silent() {
    let mut lead = Lead::new();
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    let first = asked_location(&lead.measured(&[(FAR, 100.0), (THIRD, 90.0)])).get();
    for (query, vm, on) in [(first, FAR, 2), (first + 1, THIRD, 3)] {
        let query = QueryId::new(query);
        let server = Some(server(on));
        lead.receives(on, Message::LocationResponse { query, vm, server });
    }
    // FAR's pair is the dearest: its server was asked first. It is silent, and is told to forget it.
    let mut sent = Vec::new();
    for _ in 1..4 {
        asked_capacity(&lead.times_out(TimerKind::Capacity), 2);
    }
    sent.extend(lead.times_out(TimerKind::Capacity));
    let release = Message::Release {
        mark: first_mark(),
        vm: HERE,
    };
    assert!(sent.contains(&sends(2, release)));
    let query = asked_capacity(&sent, 3);
    let answer = CapacityAnswer::Full(Capacity::default());
    let message = Message::CapacityResponse { query, answer };
    let actions = lead.feed(Input::Received {
        sender: server(3),
        message,
    });
    let asked = vec![server(2), server(3)];
    assert_eq!(why_stayed(&actions), WhyStayed::NoRoom { asked });
}

/// R3, the asker's side: a target that has seen a higher mark ends the visit and the token.
#[test]
fn a_fenced_token_is_dropped() {
    let mut lead = Lead::new();
    let query = lead.up_to_asking();
    let higher = first_mark().new_epoch(server(1)).expect("an epoch");
    let answer = CapacityAnswer::Stale(higher);
    let message = Message::CapacityResponse { query, answer };
    let actions = lead.feed(Input::Received {
        sender: server(2),
        message,
    });
    let superseded = Report::Superseded {
        mark: first_mark(),
        by: higher,
    };
    assert_eq!(
        actions,
        [Action::Persist(higher), Action::Report(superseded)]
    );
    assert_eq!(lead.node.holder(), None);
}

#[test]
fn a_failed_migration_gives_the_room_back_and_an_unknown_one_blocks_the_vm() {
    let target = server(2);
    let mut lead = Lead::new();
    lead.up_to_migrating();
    let actions = lead.feed(Input::MigrationEnded {
        vm: HERE,
        outcome: Outcome::StayedHere,
    });
    let release = Message::Release {
        mark: first_mark(),
        vm: HERE,
    };
    assert!(actions.contains(&sends(2, release)));
    assert_eq!(why_stayed(&actions), WhyStayed::MigrationFailed { target });

    let mut lead = Lead::new();
    lead.up_to_migrating();
    let actions = lead.feed(Input::MigrationEnded {
        vm: HERE,
        outcome: Outcome::Unknown,
    });
    assert_eq!(why_stayed(&actions), WhyStayed::OutcomeUnknown { target });
    let later = lead.node.mark().new_epoch(server(3)).expect("an epoch");
    lead.receives(3, Message::Token(token(HERE, later)));
    let actions = lead.measured(&[(FAR, 100.0)]);
    let query = asked_location(&actions);
    let message = Message::LocationResponse {
        query,
        vm: FAR,
        server: Some(target),
    };
    let actions = lead.feed(Input::Received {
        sender: target,
        message,
    });
    assert_eq!(why_stayed(&actions), WhyStayed::Blocked);
}

#[test]
fn a_node_migrates_one_vm_at_a_time() {
    let mut lead = Lead::new();
    lead.up_to_migrating();
    // Another token comes while the first one's migration is under way.
    let later = first_mark().new_epoch(server(3)).expect("an epoch");
    lead.receives(3, Message::Token(token(HERE, later)));
    let query = asked_location(&lead.measured(&[(FAR, 100.0)]));
    let message = Message::LocationResponse {
        query,
        vm: FAR,
        server: Some(server(2)),
    };
    let actions = lead.feed(Input::Received {
        sender: server(2),
        message,
    });
    assert_eq!(why_stayed(&actions), WhyStayed::Busy);
}

/// R2: the same token again until it is acknowledged; given up only in a new epoch, to another VM.
#[test]
fn an_unacknowledged_token_is_sent_again_and_then_skips_its_holder() {
    let mut lead = Lead::new();
    let mark = lead.up_to_handing();
    for _ in 1..4 {
        let again = lead.times_out(TimerKind::Acknowledgement);
        let [
            Action::Send {
                message: Message::Token(token),
                ..
            },
        ] = &again[..]
        else {
            panic!("{again:?}");
        };
        assert_eq!(holder_and_mark(token), (FAR, mark));
    }
    let actions = lead.times_out(TimerKind::Acknowledgement);
    let minted = mark.new_epoch(server(0)).expect("an epoch");
    assert_eq!(actions[0], Action::Persist(minted));
    let why = WhySkipped::NoAcknowledgement(server(2));
    assert_eq!(actions[1], Action::Report(Report::Skipped { vm: FAR, why }));
    assert!(matches!(
        actions[2],
        Action::Send {
            to: Destination::HostOf(THIRD),
            ..
        }
    ));
    // A late acknowledgement of the old mark changes nothing.
    assert_eq!(lead.receives(2, ack(mark, TokenVerdict::Accepted)), []);
    assert_eq!(lead.node.holder(), Some(THIRD));
}

#[test]
fn what_ends_a_hand_over() {
    let mut lead = Lead::new();
    let mark = lead.up_to_handing();
    assert_eq!(
        lead.receives(3, ack(mark, TokenVerdict::Accepted)),
        [],
        "from elsewhere"
    );
    assert_eq!(
        lead.receives(2, ack(first_mark(), TokenVerdict::Accepted)),
        [],
        "of another"
    );
    assert_eq!(lead.node.holder(), Some(FAR));
    assert_eq!(lead.receives(2, ack(mark, TokenVerdict::Accepted)), []);
    assert_eq!(lead.node.holder(), None);

    let mut lead = Lead::new();
    let mark = lead.up_to_handing();
    let higher = mark.new_epoch(server(1)).expect("an epoch");
    lead.receives(2, ack(mark, TokenVerdict::Stale(higher)));
    assert_eq!((lead.node.holder(), lead.node.mark()), (None, higher));

    // Not there: it is looked for again and gets a mark of its own.
    let mut lead = Lead::new();
    let mark = lead.up_to_handing();
    let query = asked_location(&lead.receives(2, ack(mark, TokenVerdict::NotHosted)));
    let answer = Message::LocationResponse {
        query,
        vm: FAR,
        server: Some(server(1)),
    };
    let actions = lead.receives(1, answer);
    let next = mark.next().expect("a mark");
    assert_eq!(actions[0], Action::Persist(next));
    assert!(
        matches!(&actions[1], Action::Send { to: Destination::Server(to), .. } if *to == server(1))
    );
}

#[test]
fn a_vm_that_nobody_hosts_is_skipped_without_a_new_epoch() {
    let mut lead = Lead::new();
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    lead.measured(&[]);
    for _ in 1..4 {
        assert_eq!(lead.times_out(TimerKind::Location).len(), 1);
    }
    let actions = lead.times_out(TimerKind::Location);
    let why = WhySkipped::NotFound;
    assert_eq!(actions[0], Action::Report(Report::Skipped { vm: FAR, why }));
    assert_eq!(lead.node.mark(), first_mark());
}

#[test]
fn minting_makes_a_new_epoch_and_starts_the_first_round() {
    let mut lead = Lead::new();
    let actions = lead.acts(Input::Mint {
        vms: vec![FAR, THIRD, FAR],
    });
    let minted = Mark::default().new_epoch(server(0)).expect("an epoch");
    let acted = minted.next().expect("a mark");
    assert_eq!(
        actions,
        [
            Action::Persist(minted),
            Action::Persist(acted),
            Action::Measure(HERE)
        ]
    );
    let again = lead.feed(Input::Mint { vms: vec![FAR] });
    assert!(matches!(
        again[..],
        [Action::Report(Report::BadToken { .. })]
    ));
}

#[test]
fn a_vm_born_here_gets_a_slot() {
    let mut lead = Lead::new();
    let born = vm(15);
    lead.hosted(&[HERE, born], 1);
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    let actions = lead.measured(&[]);
    assert_eq!(
        actions.last(),
        Some(&Action::Measure(born)),
        "it is next by id, and here"
    );
}
