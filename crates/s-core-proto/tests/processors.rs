//! No VM is sent where the processor does not offer what its own host's does.

mod common;

use common::lead::{HERE, Lead, asked_capacity, first_mark, reports, sends, why_stayed};
use common::{server, vm};
use s_core_model::{Capacity, CpuMismatch, CpuModel, CpuVendor, GuestKinds};
use s_core_proto::{
    Action, CapacityAnswer, Demand, Input, Message, QueryId, Report, TimerKind, WhyStayed,
};

/// A processor with these features.
fn cpu(vendor: &str, features: u32) -> CpuModel {
    CpuModel {
        vendor: CpuVendor::new(vendor),
        guests: GuestKinds::PV,
        layout: 1,
        features: [features; CpuModel::WORDS],
    }
}

const FULL: CapacityAnswer = CapacityAnswer::Full(Capacity {
    vm_slots: 0,
    memory_mib: 0,
});

/// What the asker makes of an answer: `None` if it migrates, else what it says of the target's processor.
fn asker(
    here: Option<CpuModel>,
    answer: CapacityAnswer,
    there: Option<CpuModel>,
) -> (bool, Option<CpuMismatch>, bool) {
    let mut lead = Lead::new();
    if let Some(cpu) = here {
        assert_eq!(lead.feed(Input::Cpu(cpu)), []);
    }
    let query = lead.up_to_asking();
    let again = lead.times_out(TimerKind::Capacity);
    assert_eq!(asked_capacity(&again, 2), query);
    let told = again.iter().find_map(|action| match action {
        Action::Send {
            message: Message::CapacityRequest { cpu, .. },
            ..
        } => Some(*cpu),
        _ => None,
    });
    assert_eq!(
        told,
        Some(here),
        "the request tells of the asker's processor"
    );
    let message = Message::CapacityResponse {
        query,
        answer,
        cpu: there,
    };
    let actions = lead.feed(Input::Received {
        sender: server(2),
        message,
    });
    let migrates = actions
        .iter()
        .any(|action| matches!(action, Action::Migrate { .. }));
    if !migrates {
        let asked = vec![server(2)];
        assert_eq!(why_stayed(&actions), WhyStayed::NoRoom { asked });
    }
    let said = reports(&actions)
        .into_iter()
        .find_map(|report| match report {
            Report::Unsuitable {
                vm: HERE,
                source,
                target,
                why,
            } => {
                assert_eq!((*source, *target), (server(0), server(2)));
                Some(*why)
            }
            _ => None,
        });
    let release = Message::Release {
        mark: first_mark(),
        vm: HERE,
    };
    (migrates, said, actions.contains(&sends(2, release)))
}

#[test]
fn a_target_with_another_processor_is_passed_over() {
    use CapacityAnswer::{Reserved, Unsuitable};
    let check = |here, answer, there, wanted| {
        assert_eq!(
            asker(here, answer, there),
            wanted,
            "{here:?} {answer:?} {there:?}"
        );
    };
    let [less, more] = [0b001, 0b011].map(|features| Some(cpu("GenuineIntel", features)));
    check(less, Reserved, less, (true, None, false));
    check(less, Reserved, more, (true, None, false));
    // What was reserved is given back.
    let lacking = CpuMismatch::Features([0b010; CpuModel::WORDS]);
    check(more, Reserved, less, (false, Some(lacking), true));
    let other = cpu("AuthenticAMD", 0b011);
    let vendor = CpuMismatch::Vendor {
        wanted: CpuVendor::new("GenuineIntel"),
        found: CpuVendor::new("AuthenticAMD"),
    };
    check(more, Reserved, Some(other), (false, Some(vendor), true));
    check(
        more,
        Reserved,
        None,
        (false, Some(CpuMismatch::Unknown), true),
    );
    check(more, Unsuitable, less, (false, Some(lacking), false));
    check(
        more,
        Unsuitable,
        more,
        (false, Some(CpuMismatch::Refused), false),
    );
    check(more, FULL, more, (false, None, false));
    // Whoever knows of no processor compares none.
    check(None, Reserved, less, (true, None, false));
    check(None, Reserved, None, (true, None, false));
    check(
        None,
        Unsuitable,
        None,
        (false, Some(CpuMismatch::Refused), false),
    );
}

#[test]
fn a_vm_that_may_need_more_is_refused_before_room_is_reserved() {
    let check =
        |here: Option<CpuModel>, of: Option<CpuModel>, wanted, told, why: Option<CpuMismatch>| {
            let mut lead = Lead::new();
            if let Some(cpu) = here {
                lead.feed(Input::Cpu(cpu));
            }
            let query = QueryId::new(1);
            let message = Message::CapacityRequest {
                query,
                mark: first_mark(),
                demands: vec![Demand {
                    vm: vm(50),
                    memory_mib: 80,
                }],
                cpu: of,
            };
            let actions = lead.feed(Input::Received {
                sender: server(3),
                message,
            });
            let answer = Message::CapacityResponse {
                query,
                answer: wanted,
                cpu: told,
            };
            assert!(actions.contains(&sends(3, answer)), "{actions:?}");
            let reserved = usize::from(wanted == CapacityAnswer::Reserved);
            assert_eq!(lead.node.reservation_count(), reserved);
            let said: Vec<_> = reports(&actions).into_iter().cloned().collect();
            let refused = |why| Report::Unsuitable {
                vm: vm(50),
                source: server(3),
                target: server(0),
                why,
            };
            assert_eq!(said, Vec::from_iter(why.map(refused)));
            assert_eq!(lead.node.mark(), first_mark(), "R6 all the same");
        };
    use CapacityAnswer::{Reserved, Unsuitable};
    let [less, more] = [0b001, 0b011].map(|features| Some(cpu("GenuineIntel", features)));
    check(more, less, Reserved, more, None);
    check(more, more, Reserved, more, None);
    let lacking = CpuMismatch::Features([0b010; CpuModel::WORDS]);
    check(less, more, Unsuitable, less, Some(lacking));
    // An answer tells of the processor here only to whoever has told of his.
    check(more, None, Reserved, None, None);
    check(None, more, Reserved, None, None);
    check(None, None, Reserved, None, None);
}
