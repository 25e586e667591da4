//! One message of every kind, with every answer that it can have.

use bytes::Bytes;
use s_core_model::{Capacity, CpuModel, CpuVendor, GuestKinds, ServerId, VmId};
use s_core_proto::{Arrival, CapacityAnswer, Demand, Message, QueryId, TokenVerdict};
use s_core_token::{Epoch, Mark};

pub(crate) fn mark(seq: u64) -> Mark {
    let epoch = Epoch {
        counter: 3,
        origin: ServerId::new(0x0a00_0001),
    };
    Mark { epoch, seq }
}

/// Every kind of message in the order of their numbers on the wire; panics if one is missing.
pub(crate) fn all_messages() -> Vec<Message> {
    let messages = [
        location_messages(),
        capacity_messages(),
        token_messages(),
        recovery_messages(),
        outcome_messages(),
    ]
    .concat();
    let mut kinds: Vec<u8> = messages.iter().map(kind).collect();
    kinds.dedup();
    let all: Vec<u8> = (1..=KINDS).collect();
    assert_eq!(kinds, all, "a kind is missing or not in its place");
    messages
}

/// How many kinds there are.
const KINDS: u8 = 15;

/// A new kind does not compile here: give it the next number, raise `KINDS`, and add messages of it above.
const fn kind(message: &Message) -> u8 {
    match message {
        Message::LocationRequest { .. } => 1,
        Message::LocationResponse { .. } => 2,
        Message::CapacityRequest { .. } => 3,
        Message::CapacityResponse { .. } => 4,
        Message::Release { .. } => 5,
        Message::Token(_) => 6,
        Message::TokenAck { .. } => 7,
        Message::KeepAlive { .. } => 8,
        Message::CustodyRequest { .. } => 9,
        Message::Beacon { .. } => 10,
        Message::Claim { .. } => 11,
        Message::Yield { .. } => 12,
        Message::Join { .. } => 13,
        Message::OutcomeRequest { .. } => 14,
        Message::OutcomeResponse { .. } => 15,
    }
}

const QUERY: QueryId = QueryId::new(5);
const VM: VmId = VmId::new(0x0a00_0109);

fn location_messages() -> Vec<Message> {
    let (query, vm) = (QUERY, VM);
    let request = |directed| Message::LocationRequest {
        query,
        vm,
        directed,
    };
    let response = |server| Message::LocationResponse { query, vm, server };
    let server = ServerId::new(0x0a00_0002);
    vec![
        request(false),
        request(true),
        response(Some(server)),
        response(None),
    ]
}

/// What a host's processor offers.
fn cpu() -> CpuModel {
    CpuModel {
        vendor: CpuVendor::new("GenuineIntel"),
        guests: GuestKinds::PV.and(GuestKinds::HVM),
        layout: 1,
        features: [0x0fcb_f3fd, 0xc2f8_220b, 3, 4, 5, 6, 7, 8],
    }
}

fn capacity_messages() -> Vec<Message> {
    let (query, mark) = (QUERY, mark(8));
    let demand = |number| Demand {
        vm: VmId::new(number),
        memory_mib: 80,
    };
    let request = |demands, cpu| Message::CapacityRequest {
        query,
        mark,
        demands,
        cpu,
    };
    let response = |answer, cpu| Message::CapacityResponse { query, answer, cpu };
    let free = Capacity {
        vm_slots: 2,
        memory_mib: 1 << 33,
    };
    vec![
        request(vec![demand(1)], None),
        request(vec![demand(1), demand(2)], None),
        request(vec![demand(1)], Some(cpu())),
        response(CapacityAnswer::Reserved, None),
        response(CapacityAnswer::Full(free), None),
        response(CapacityAnswer::Stale(self::mark(9)), None),
        response(CapacityAnswer::Reserved, Some(cpu())),
        response(CapacityAnswer::Full(free), Some(cpu())),
        response(CapacityAnswer::Stale(self::mark(9)), Some(cpu())),
        response(CapacityAnswer::Unsuitable, Some(cpu())),
        Message::Release { mark, vm: VM },
    ]
}

fn token_messages() -> Vec<Message> {
    let ack = |verdict| Message::TokenAck {
        mark: mark(8),
        verdict,
    };
    vec![
        Message::Token(Bytes::from_static(b"slots")),
        ack(TokenVerdict::Accepted),
        ack(TokenVerdict::Stale(mark(9))),
        ack(TokenVerdict::HandedOn),
        ack(TokenVerdict::NotHosted),
        ack(TokenVerdict::Malformed),
    ]
}

fn recovery_messages() -> Vec<Message> {
    let (mark, later) = (mark(8), mark(9));
    vec![
        Message::KeepAlive {
            mark,
            current: later,
        },
        Message::CustodyRequest {
            mark,
            highest: later,
            vm: VM,
        },
        Message::Beacon { mark, round: 7 },
        Message::Claim { mark, round: 7 },
        Message::Yield { mark, vm: None },
        Message::Yield { mark, vm: Some(VM) },
        Message::Join { vm: VM },
    ]
}

fn outcome_messages() -> Vec<Message> {
    let (query, mark, vm) = (QUERY, mark(8), VM);
    let response = |arrival| Message::OutcomeResponse { query, vm, arrival };
    vec![
        Message::OutcomeRequest { query, mark, vm },
        response(Arrival::Hosted),
        response(Arrival::Arriving),
        response(Arrival::Absent),
    ]
}
