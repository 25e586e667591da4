//! A running Open vSwitch as a flow source.

use std::path::PathBuf;
use std::time::Duration;

use super::MacTable;
use super::dump::{LineError, read_dump};
use super::unixctl::Unixctl;
use crate::{FlowSource, FlowSourceError, Poll};

/// How many stations the table of a source holds.
const STATIONS: usize = 1 << 20;

/// The datapath flows of a running Open vSwitch, userspace or kernel.
///
/// Each poll is a `dpctl/dump-flows` without `-m`: it is a third as long, and it prints
/// every matched field with its mask, so that two flows never print alike.
/// The switch answers from its main thread, which does nothing else meanwhile (half a second for
/// 100,000 flows): poll every second or two, not more often.
///
/// ```no_run
/// use std::time::Duration;
/// use s_core_backend::FlowSource;
/// use s_core_backend::ovs::{OvsFlowSource, attribute};
///
/// let mut switch = OvsFlowSource::new("/run/openvswitch/ovs-vswitchd.1234.ctl", 7);
/// let poll = switch.poll(Duration::from_secs(5))?;
/// for flow in &poll.counters {
///     let (src, dst) = attribute(flow, switch.stations());
///     println!("{src} to {dst}: {} bytes", flow.bytes);
/// }
/// # Ok::<(), s_core_backend::FlowSourceError>(())
/// ```
#[derive(Debug)]
pub struct OvsFlowSource {
    unixctl: Unixctl,
    datapath: Option<String>,
    seed: u64,
    stations: MacTable,
    errors: Vec<LineError>,
}

impl OvsFlowSource {
    /// The switch whose control socket is at `socket`.
    ///
    /// `seed` seeds the flows' ids and the table of stations. Take it from a source that tenants
    /// cannot guess, since they choose the addresses that are hashed.
    pub fn new(socket: impl Into<PathBuf>, seed: u64) -> Self {
        Self {
            unixctl: Unixctl::new(socket),
            datapath: None,
            seed,
            stations: MacTable::new(STATIONS, seed),
            errors: Vec::new(),
        }
    }

    /// Asks for this datapath (`netdev@ovs-netdev`, `system@ovs-system`); needed only where the
    /// switch has several.
    #[must_use]
    pub fn with_datapath(mut self, name: impl Into<String>) -> Self {
        self.datapath = Some(name.into());
        self
    }

    /// What the polls so far have shown of which MAC address goes with which IPv4 address.
    pub fn stations(&self) -> &MacTable {
        &self.stations
    }

    /// The same, to tell it what is known from elsewhere ([`MacTable::attach`]).
    pub fn stations_mut(&mut self) -> &mut MacTable {
        &mut self.stations
    }

    /// The first lines of the latest poll that could not be understood, at most ten.
    pub fn line_errors(&self) -> &[LineError] {
        &self.errors
    }
}

impl FlowSource for OvsFlowSource {
    fn poll(&mut self, deadline: Duration) -> Result<Poll, FlowSourceError> {
        let params: &[&str] = match &self.datapath {
            None => &[],
            Some(name) => &[name],
        };
        let text = self.unixctl.call("dpctl/dump-flows", params, deadline)?;
        let reading = read_dump(&text, self.seed, &mut self.stations).map_err(|error| {
            FlowSourceError::Malformed {
                what: self.unixctl.path().display().to_string(),
                message: error.to_string(),
            }
        })?;
        self.errors = reading.errors;
        Ok(reading.poll)
    }
}
