use s_core_model::Capacity;
use s_core_proto::Demand;

use super::*;

const VM: VmId = VmId::new(1);
const DOMAIN: Uuid = Uuid::new([1; 16]);
const HERE: ServerId = ServerId::new(10);
const OTHER: ServerId = ServerId::new(20);
const LONG: Duration = Duration::from_secs(600);

fn leftover(kind: LeftoverKind) -> Leftover {
    Leftover {
        uuid: DOMAIN,
        name: "vm1".into(),
        kind,
    }
}

/// A listing with VM running here or not, and with this of it left.
fn listing(here: bool, left: Option<LeftoverKind>) -> Inventory {
    let arriving = left == Some(LeftoverKind::Incoming);
    Inventory {
        generation: 0,
        vms: here.then_some((VM, (DOMAIN, 64))).into_iter().collect(),
        arriving: arriving.then_some((VM, 64)).into_iter().collect(),
        arriving_domains: arriving.then_some((VM, DOMAIN)).into_iter().collect(),
        arriving_unknown: 0,
        free: Capacity::default(),
        cpu: None,
        leftovers: left.map(leftover).into_iter().collect(),
        unattached: None,
    }
}

fn asked(step: &Step) -> (ServerId, QueryId) {
    match step {
        Step::Ask(
            server,
            Message::OutcomeRequest { query, .. } | Message::LocationRequest { query, .. },
        ) => (*server, *query),
        other => panic!("{other:?} is no question"),
    }
}

fn says(query: QueryId, arrival: Arrival) -> Message {
    Message::OutcomeResponse {
        query,
        vm: VM,
        arrival,
    }
}

/// A VM that has moved, and the target's answer as `heard` from `sender` in answer to the last question.
fn moved(sender: ServerId, arrival: Arrival) -> Verification {
    let mut verification = Verification::new(LONG);
    let step = verification.moved(VM, DOMAIN, OTHER, Mark::default());
    let (server, query) = asked(&step.expect("a question"));
    assert_eq!(server, OTHER);
    verification.heard(sender, &says(query, arrival));
    verification
}

#[test]
fn a_migration_is_verified_at_both_ends() {
    use LeftoverKind::MigratedAway;
    let list = |verification: &mut Verification, here, left| {
        verification.listed(Duration::ZERO, &listing(here, left), Mark::default())
    };
    let mut clean = moved(OTHER, Arrival::Hosted);
    assert_eq!(list(&mut clean, false, None), [Step::Verified(VM, OTHER)]);
    assert_eq!(list(&mut clean, false, None), [], "once");
    // What it has left goes, because it runs there.
    let mut left = moved(OTHER, Arrival::Hosted);
    let remove = || [Step::Remove(DOMAIN, MigratedAway)];
    assert_eq!(list(&mut left, false, Some(MigratedAway)), remove());
    assert_eq!(list(&mut left, false, Some(MigratedAway)), remove());
    assert_eq!(list(&mut left, false, None), [Step::Verified(VM, OTHER)]);
    let mut twice = moved(OTHER, Arrival::Hosted);
    let doubt = Step::Doubt(VM, OTHER, "it is listed here");
    assert_eq!(list(&mut twice, true, None), [doubt]);
}

#[test]
fn nothing_is_removed_on_anybody_elses_word() {
    let check = |sender, arrival| {
        let mut verification = moved(sender, arrival);
        let left = Some(LeftoverKind::MigratedAway);
        for number in 1..=2 * PATIENCE {
            let steps = verification.listed(LONG, &listing(false, left), Mark::default());
            let doubt = Step::Doubt(VM, OTHER, "the target does not say that it runs there");
            assert_eq!(
                steps.contains(&doubt),
                number == PATIENCE,
                "{number} {steps:?}"
            );
            let removes = |step: &Step| matches!(step, Step::Remove(..));
            assert!(!steps.iter().any(removes), "{sender} {arrival:?}");
        }
        assert_eq!(verification.unverified(), [(VM, OTHER)]);
    };
    check(HERE, Arrival::Hosted);
    check(OTHER, Arrival::Arriving);
    check(OTHER, Arrival::Absent);
    // An answer to an earlier question is none to the last.
    let mut verification = moved(OTHER, Arrival::Arriving);
    let steps = verification.listed(Duration::ZERO, &listing(false, None), Mark::default());
    let (_, query) = asked(&steps[0]);
    verification.heard(OTHER, &says(QueryId::new(query.get() - 1), Arrival::Hosted));
    let steps = verification.listed(Duration::ZERO, &listing(false, None), Mark::default());
    let (_, query) = asked(&steps[0]);
    verification.heard(OTHER, &says(query, Arrival::Hosted));
    let steps = verification.listed(Duration::ZERO, &listing(false, None), Mark::default());
    assert_eq!(steps, [Step::Verified(VM, OTHER)]);
}

#[test]
fn a_vm_that_has_gone_on_from_its_target_is_verified_where_it_is() {
    let check = |sender: ServerId, server: ServerId, expected: &[Step]| {
        let mut verification = moved(OTHER, Arrival::Absent);
        let mut list = |heard: Option<(ServerId, Message)>| {
            if let Some((sender, message)) = heard {
                verification.heard(sender, &message);
            }
            verification.listed(Duration::ZERO, &listing(false, None), Mark::default())
        };
        assert_eq!(list(None).len(), 1, "only the target at first");
        let steps = list(None);
        let Some(Step::Seek(VM, Message::LocationRequest { query, .. })) = steps.last() else {
            panic!("{steps:?}");
        };
        let (query, vm, server) = (*query, VM, Some(server));
        let answer = Message::LocationResponse { query, vm, server };
        let mut steps = list(Some((sender, answer)));
        steps.retain(|step| matches!(step, Step::Verified(..)));
        assert_eq!(steps, expected);
    };
    let third = ServerId::new(30);
    check(third, third, &[Step::Verified(VM, OTHER)]);
    check(third, OTHER, &[]);
}

/// What happens at a target before and while a domain is listed as arriving.
enum Event {
    Heard(Message),
    Promised,
}

/// How often the domain is to be removed while it is listed as arriving so often, every ten seconds, after these events, where
/// `OTHER` answers all questions with this server.
fn removals(events: Vec<Event>, server: Option<ServerId>, listings: u32) -> usize {
    let mut verification = Verification::new(LONG);
    for event in events {
        match event {
            Event::Heard(message) => verification.heard(OTHER, &message),
            Event::Promised => verification.promised(VM),
        }
    }
    let inventory = listing(false, Some(LeftoverKind::Incoming));
    let mut removals = 0;
    for number in 0..listings {
        let now = Duration::from_secs(10) * number;
        for step in verification.listed(now, &inventory, Mark::default()) {
            match step {
                Step::Remove(DOMAIN, LeftoverKind::Incoming) => removals += 1,
                Step::Left(_) => {}
                question => {
                    let (source, query) = asked(&question);
                    assert_eq!(source, OTHER);
                    let vm = VM;
                    let answer = Message::LocationResponse { query, vm, server };
                    verification.heard(OTHER, &answer);
                }
            }
        }
    }
    removals
}

fn request(mark: Mark) -> Event {
    Event::Heard(Message::CapacityRequest {
        query: QueryId::new(1),
        mark,
        demands: vec![Demand {
            vm: VM,
            memory_mib: 64,
        }],
        cpu: None,
    })
}

fn release(mark: Mark) -> Event {
    Event::Heard(Message::Release { mark, vm: VM })
}

#[test]
fn what_has_failed_to_come_goes_once_its_source_runs_it_and_has_given_up() {
    let check = |events: Vec<Event>, server, expected: usize| {
        assert_eq!(removals(events, server, 2 * OWN_CLEANING), expected);
    };
    let (mark, goes) = (Mark::default(), OWN_CLEANING as usize);
    let later = mark.next().expect("a mark");
    // As long as it is there: a removal may fail.
    check(vec![release(mark)], Some(OTHER), goes);
    check(vec![release(mark)], Some(HERE), 0);
    check(vec![release(mark)], None, 0);
    check(vec![], Some(OTHER), 0);
    // Another attempt begins with a promise. A request alone is turned away as long as something is left.
    check(vec![release(mark), request(later)], Some(OTHER), goes);
    let promised = vec![release(mark), request(later), Event::Promised];
    check(promised, Some(OTHER), 0);
    // A request that the source has taken back too; and one that it has not.
    check(vec![request(mark), release(mark)], Some(OTHER), goes);
    check(vec![request(later), release(mark)], Some(OTHER), 0);
}

#[test]
fn a_source_that_could_not_say_so_has_given_up_after_the_longest_migration() {
    let longest = u32::try_from(LONG.as_secs() / 10).expect("few");
    let check = |events: Vec<Event>, server, listings, expected: usize| {
        assert_eq!(removals(events, server, listings), expected);
    };
    let room = || vec![request(Mark::default()), Event::Promised];
    let last = longest + 1 + OWN_CLEANING;
    check(room(), Some(OTHER), last, 0);
    check(room(), Some(OTHER), last + 1, 1);
    check(room(), None, last + 9, 0);
    // From whom it comes is not known.
    check(vec![], Some(OTHER), last + 9, 0);
}

#[test]
fn what_stays_too_long_is_said_once() {
    let check = |kind, patience: Duration| {
        let mut verification = Verification::new(LONG);
        let mut said = |after: Duration| {
            let steps = verification.listed(after, &listing(false, Some(kind)), Mark::default());
            steps.contains(&Step::Left(leftover(kind)))
        };
        assert!(!said(Duration::ZERO));
        assert!(!said(patience - Duration::from_secs(1)));
        assert!(said(patience));
        assert!(!said(2 * patience));
        assert_eq!(verification.left(), [DOMAIN]);
        verification.listed(LONG, &listing(false, None), Mark::default());
        assert_eq!(verification.left(), []);
    };
    check(LeftoverKind::MigratedAway, LEAVING);
    check(LeftoverKind::Suspended, LEAVING);
    check(LeftoverKind::Incoming, LONG);
}
