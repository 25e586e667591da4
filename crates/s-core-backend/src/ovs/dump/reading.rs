//! A whole dump.

use super::{LineError, flows};
use crate::ovs::MacTable;
use crate::{Poll, UnattributedCounter};

/// How many line errors a [`Reading`] keeps.
const ERRORS_KEPT: usize = 10;

/// What a dump holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The counters, and what could not be attributed.
    pub poll: Poll,
    /// The first ten lines that could not be understood; `poll.unattributed.malformed` counts all.
    pub errors: Vec<LineError>,
}

/// Text that is no dump of datapath flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotADump {
    /// The first line that should be a flow is not.
    #[error(
        "{0}; this is no datapath flow dump: write one with 'ovs-appctl dpctl/dump-flows' or 'ovs-dpctl dump-flows'"
    )]
    NoFlows(LineError),
    /// The text is a dump of OpenFlow rules, which counts by rule and not by pair.
    #[error(
        "line {line}: this is a dump of OpenFlow rules (ovs-ofctl), not of datapath flows: use 'ovs-appctl dpctl/dump-flows' or 'ovs-dpctl dump-flows'"
    )]
    OpenFlow {
        /// Which line says so, from 1.
        line: usize,
    },
}

/// Reads a whole dump, and lets `stations` learn which MAC address goes with which IPv4 address.
///
/// `seed` is that of the flows' ids ([`DatapathFlow::id`](super::DatapathFlow::id)).
/// Text without any line is a dump of a switch that has no flows.
///
/// # Errors
///
/// [`NotADump`] if the first line that is neither blank nor a title is not a datapath flow.
/// Later lines that are none are counted as malformed.
pub fn read_dump(text: &str, seed: u64, stations: &mut MacTable) -> Result<Reading, NotADump> {
    let mut reading = Reading::default();
    let poll = &mut reading.poll;
    stations.begin_poll();
    for (index, flow) in flows(text).enumerate() {
        let flow = match flow {
            Ok(flow) => flow,
            Err(error) if index == 0 => return Err(not_a_dump(text, error)),
            Err(error) => {
                poll.unattributed.malformed.add(0);
                if reading.errors.len() < ERRORS_KEPT {
                    reading.errors.push(error);
                }
                continue;
            }
        };
        if let Some((mac, address)) = flow.station() {
            stations.learn(mac, address);
        }
        poll.add(flow.counter(seed).map_err(|reason| UnattributedCounter {
            id: flow.id(seed),
            reason,
            packets: flow.packets,
            bytes: flow.bytes,
        }));
    }
    Ok(reading)
}

fn not_a_dump(text: &str, error: LineError) -> NotADump {
    let line = text.lines().nth(error.line - 1).unwrap_or_default();
    let is_openflow = line.starts_with("NXST_FLOW")
        || line.starts_with("OFPST_FLOW")
        || line.trim_ascii_start().starts_with("cookie=0x");
    if is_openflow {
        NotADump::OpenFlow { line: error.line }
    } else {
        NotADump::NoFlows(error)
    }
}
