//! How domains and counters are written on a line.

use std::fmt::Display;
use std::str::FromStr;

use s_core_backend::{Domain, End, FlowCounter};

/// The next word of a line.
pub(super) fn next<T: FromStr>(words: &mut std::str::SplitWhitespace<'_>) -> Option<T> {
    words.next()?.parse().ok()
}

/// A domain of the emulated data centre: one interface, and an address.
pub(super) fn domain(domain: &Domain) -> String {
    let address = domain.address.unwrap();
    let Domain {
        uuid,
        name,
        macs,
        memory_mib,
        ..
    } = domain;
    format!("{uuid} {name} {} {address} {memory_mib}", macs[0])
}

pub(super) fn to_domain(line: &str) -> Option<Domain> {
    let mut words = line.split_whitespace();
    Some(Domain {
        uuid: next(&mut words)?,
        name: next(&mut words)?,
        macs: vec![next(&mut words)?],
        address: Some(next(&mut words)?),
        memory_mib: next(&mut words)?,
    })
}

pub(super) fn counter(counter: &FlowCounter) -> String {
    let or_none = |mac: Option<&dyn Display>| mac.map_or("-".into(), ToString::to_string);
    let ip = |end| match end {
        End::Ipv4(ip) => ip,
        other => panic!("emulated flows are between IPv4 addresses, not {other:?}"),
    };
    format!(
        "{} {} {} {} {} {} {}",
        counter.id,
        ip(counter.src),
        ip(counter.dst),
        or_none(counter.src_mac.as_ref().map(|mac| mac as &dyn Display)),
        or_none(counter.dst_mac.as_ref().map(|mac| mac as &dyn Display)),
        counter.packets,
        counter.bytes
    )
}

pub(super) fn to_counter(line: &str) -> Option<FlowCounter> {
    let mut words = line.split_whitespace();
    Some(FlowCounter {
        id: next(&mut words)?,
        src: End::Ipv4(next(&mut words)?),
        dst: End::Ipv4(next(&mut words)?),
        src_mac: words.next()?.parse().ok(),
        dst_mac: words.next()?.parse().ok(),
        transport: None,
        packets: next(&mut words)?,
        bytes: next(&mut words)?,
    })
}
