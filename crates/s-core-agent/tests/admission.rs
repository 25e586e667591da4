//! The target's agent decides which VMs may arrive (rule R3).
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics says where; clippy.toml exempts only test functions"
)]

mod common;

use std::net::Ipv4Addr;
use std::time::Duration;

use common::{Bench, PEER, SOON};
use s_core_backend::emulated::{Fault, uuid_of};
use s_core_backend::{Hypervisor as _, MigrationOutcome};
use s_core_proto::{CapacityAnswer, Demand, Message, QueryId};
use s_core_token::Mark;

#[test]
fn a_vm_arrives_only_where_room_is_reserved_for_it() {
    let state = tempfile::tempdir().unwrap();
    let bench = Bench::start(9, state.path());
    let here = Ipv4Addr::new(127, 78, 9, 1).into();
    let there = bench.data_centre.hypervisor(bench.other_id).unwrap();
    let migrate = || there.migrate(uuid_of(PEER), here, SOON);
    let refused = "not begun: 127.78.9.1 does not admit it".to_owned();
    let refused = MigrationOutcome::StayedHere(refused);
    let reserved = || bench.agent.status().unwrap().reservations;
    let mut mark = Mark::default();
    let mut reserve = || {
        mark = mark.new_epoch(bench.other_id).unwrap();
        let demand = Demand {
            vm: PEER,
            memory_mib: 64,
        };
        bench.tell(&Message::CapacityRequest {
            query: QueryId::new(1),
            mark,
            demands: vec![demand],
        });
        loop {
            if let Message::CapacityResponse { answer, .. } = bench.answer() {
                return assert_eq!(answer, CapacityAnswer::Reserved);
            }
        }
    };
    assert_eq!(migrate(), refused);
    reserve();
    assert_eq!(reserved(), 1);
    bench.data_centre.inject(PEER, Fault::FailMidway).unwrap();
    assert!(matches!(migrate(), MigrationOutcome::StayedHere(_)));
    assert_eq!(reserved(), 0, "it was given back");
    assert_eq!(migrate(), refused, "one promise, one arrival");
    reserve();
    assert_eq!(migrate(), MigrationOutcome::Moved);
    while reserved() > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(bench.agent.status().unwrap().vms.len(), 2);
    bench.stop();
}
