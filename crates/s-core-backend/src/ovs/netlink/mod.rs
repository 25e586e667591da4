//! The kernel's datapath, asked by generic netlink instead of through `ovs-vswitchd`.
//!
//! [`OvsFlowSource::with_netlink`](super::OvsFlowSource::with_netlink) reads the flows so. What a poll yields is the same; what it costs is not:
//! the kernel tells its flows in binary form to whoever asks, and `ovs-vswitchd`, whose main thread otherwise
//! stands still while it prints them, has no part in it. Nor does a poll wait for a switch that hangs.
//!
//! It is for the datapath `system@ovs-system` of the kernel's module `openvswitch` alone; the userspace datapath is inside
//! `ovs-vswitchd`. Flows that are offloaded to network cards (`other_config:hw-offload`) are not in it: there, go
//! without. No privilege is needed to ask.
//!
//! # What is asked
//!
//! The families `ovs_datapath` and `ovs_flow` are looked up by name (`CTRL_CMD_GETFAMILY`), the datapath by its name in a list of
//! all, then its flows are listed (`OVS_FLOW_CMD_GET`): numbers change with each start of the switch, and looking them up takes two
//! requests. Of a flow the key, its mask, counters, actions and unique identifier are read; a bit of the key that
//! its mask leaves open says nothing. Bytes are those of whole Ethernet frames, a VLAN tag included, as the
//! kernel counts them.

mod answer;
mod error;
mod flow;
mod socket;
mod wire;

use std::time::Duration;

pub use error::NetlinkError;

use crate::{FlowSourceError, Poll};

use super::MacTable;
use answer::read_piece;
use flow::{KernelFlow, OVS_HEADER};
use socket::{Failure, Socket, WHAT};
use wire::{Attributes, DUMP, Messages, Request, generic, name_attribute, split};

/// `GENL_ID_CTRL`: the family that knows the others.
const CONTROL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_VERSION: u8 = 1;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

const OVS_DP_CMD_GET: u8 = 3;
const OVS_DATAPATH_VERSION: u8 = 2;
const OVS_DP_ATTR_NAME: u16 = 1;
const OVS_FLOW_CMD_GET: u8 = 3;
const OVS_FLOW_VERSION: u8 = 1;

/// How often a list is asked for that changes while it is told.
const ATTEMPTS: u32 = 3;

/// The flows of a datapath.
#[derive(Debug, Default)]
pub(super) struct Dump {
    flows: Vec<KernelFlow>,
    /// How many could not be understood.
    malformed: u64,
}

impl Dump {
    /// Takes in a message of `ovs_flow`.
    fn take(&mut self, payload: &[u8], seed: u64) {
        match KernelFlow::read(payload, seed) {
            Ok(flow) => self.flows.push(flow),
            Err(error) => {
                tracing::debug!(%error, "a flow of the kernel is not understood");
                self.malformed += 1;
            }
        }
    }

    /// The poll that the flows make; `stations` learns from them.
    pub(super) fn into_poll(self, stations: &mut MacTable) -> Poll {
        let mut poll = Poll::default();
        poll.unattributed.malformed.flows = self.malformed;
        stations.begin_poll();
        for flow in self.flows {
            if let Some((mac, address)) = flow.matches.station() {
                stations.learn(mac, address);
            }
            poll.add(flow.counter());
        }
        poll
    }
}

/// Reads the flows of the kernel's datapath of this name; without one, of the only one.
///
/// `limit` bounds all answers together, in bytes; `seed` is that of the flows' ids.
pub(super) fn dump(
    datapath: Option<&str>,
    limit: usize,
    seed: u64,
    deadline: Duration,
) -> Result<Dump, FlowSourceError> {
    let read = || -> Result<Dump, Failure> {
        let mut socket = Socket::open(deadline, limit)?;
        let flows = family(&mut socket, "ovs_flow")?;
        let datapaths = family(&mut socket, "ovs_datapath")?;
        let number = choose(&list(&mut socket, datapaths)?, datapath)?;
        dump_flows(&mut socket, flows, number, seed)
    };
    read().map_err(Failure::into_error)
}

/// Reads the messages that answer a list of flows (`OVS_FLOW_CMD_GET` with `NLM_F_DUMP`) as the kernel sends them, one after the other,
/// and lets `stations` learn which MAC address goes with which IPv4 address.
///
/// `seed` is that of the flows' ids. A flow that cannot be understood is counted as malformed, as a line of a
/// [dump](super::dump::read_dump) is. No more memory is taken than a small multiple of the messages' length.
///
/// # Errors
///
/// [`NetlinkError`] if the messages are not whole, or the kernel refused.
pub fn read_dump(
    messages: &[u8],
    seed: u64,
    stations: &mut MacTable,
) -> Result<Poll, NetlinkError> {
    let first = Messages(messages)
        .next()
        .ok_or(NetlinkError::Unfinished)??;
    let mut dump = Dump::default();
    let progress = read_piece(messages, first.sequence, |payload| {
        dump.take(payload, seed);
        Ok(())
    })?;
    progress.whole()?;
    Ok(dump.into_poll(stations))
}

/// The number of a family of generic netlink.
fn family(socket: &mut Socket, name: &'static str) -> Result<u16, Failure> {
    let body = name_attribute(CTRL_ATTR_FAMILY_NAME, name);
    let request = Request {
        family: CONTROL,
        flags: 0,
        command: CTRL_CMD_GETFAMILY,
        version: CTRL_VERSION,
        body: &body,
    };
    let mut number = None;
    let asked = socket.ask(&request, |payload| {
        for attribute in Attributes(generic(payload)?) {
            if let (CTRL_ATTR_FAMILY_ID, value) = attribute? {
                let (bytes, _) = split::<2>(value, "a family's number")?;
                number = Some(u16::from_ne_bytes(*bytes));
            }
        }
        Ok(())
    });
    match asked {
        Err(Failure::Answer(NetlinkError::Refused(error)))
            if error.kind() == std::io::ErrorKind::NotFound =>
        {
            Err(refused(format!(
                "it has no {name}: load the module openvswitch, or, where the switch has a userspace datapath, go without netlink"
            )))
        }
        Err(error) => Err(error),
        Ok(()) => number.ok_or(Failure::Answer(NetlinkError::Missing("a family's number"))),
    }
}

/// The names and numbers of the datapaths.
fn list(socket: &mut Socket, family: u16) -> Result<Vec<(String, [u8; OVS_HEADER])>, Failure> {
    let request = Request {
        family,
        flags: DUMP,
        command: OVS_DP_CMD_GET,
        version: OVS_DATAPATH_VERSION,
        body: &[0; OVS_HEADER],
    };
    repeated(|| {
        let mut found = Vec::new();
        socket.ask(&request, |payload| {
            let body = generic(payload)?;
            let (number, attributes) = split::<OVS_HEADER>(body, "the header of a datapath")?;
            for attribute in Attributes(attributes) {
                if let (OVS_DP_ATTR_NAME, value) = attribute? {
                    let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
                    found.push((String::from_utf8_lossy(name).into_owned(), *number));
                }
            }
            Ok(())
        })?;
        Ok(found)
    })
}

/// The datapath that is meant, with or without `system@` before its name.
fn choose(
    found: &[(String, [u8; OVS_HEADER])],
    wanted: Option<&str>,
) -> Result<[u8; OVS_HEADER], Failure> {
    let names = || {
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    };
    if found.is_empty() {
        let problem =
            "it has no datapath; is ovs-vswitchd running, with a bridge of datapath_type system?";
        return Err(refused(problem.to_owned()));
    }
    let Some(wanted) = wanted else {
        let [(_, number)] = found else {
            let problem = format!("it has several datapaths, name one: {}", names());
            return Err(refused(problem));
        };
        return Ok(*number);
    };
    let name = wanted.strip_prefix("system@").unwrap_or(wanted);
    let named = found.iter().find(|(there, _)| there == name);
    named
        .map(|(_, number)| *number)
        .ok_or_else(|| refused(format!("it has no datapath {name}, but these: {}", names())))
}

fn dump_flows(
    socket: &mut Socket,
    family: u16,
    datapath: [u8; OVS_HEADER],
    seed: u64,
) -> Result<Dump, Failure> {
    let request = Request {
        family,
        flags: DUMP,
        command: OVS_FLOW_CMD_GET,
        version: OVS_FLOW_VERSION,
        body: &datapath,
    };
    repeated(|| {
        let mut dump = Dump::default();
        socket.ask(&request, |payload| {
            dump.take(payload, seed);
            Ok(())
        })?;
        Ok(dump)
    })
}

/// Asks again where the list changed while it was told.
fn repeated<T>(mut ask: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    for _ in 1..ATTEMPTS {
        match ask() {
            Err(Failure::Answer(NetlinkError::Interrupted)) => {}
            done => return done,
        }
    }
    ask()
}

fn refused(message: String) -> Failure {
    Failure::Source(FlowSourceError::Refused {
        what: WHAT.to_owned(),
        message,
    })
}

#[cfg(test)]
mod tests;
