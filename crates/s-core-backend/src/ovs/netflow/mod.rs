//! NetFlow version 5 as a flow source: exact to the byte, at the price of a datapath flow per connection.
//!
//! The counters of datapath flows leave out the packet that makes each of them; what Open vSwitch exports as NetFlow
//! has it. Version 5 rather than IPFIX: Open vSwitch's IPFIX tells pairs of MAC addresses, tells every packet twice, and has the
//! datapath hand every packet up to be counted, where NetFlow reads the counters that are kept anyway. And the format is so
//! simple, records of 48 bytes at fixed places, that the parser is [one small file](Datagram): a crate that also
//! reads the versions with templates would bring a parser generator and caches that nothing here needs.
//!
//! To tell the connections apart, the switch then keeps a datapath flow for each: with many short ones it works harder
//! than with the IP-pair rule ([`super`]), whose loss, a packet per pair and pause of 10 s, is small. IPv4 only.
//!
//! Only datagrams of this machine are read. Whoever may run programs in the control domain can forge them, as he can
//! change the switch itself.

mod export;
mod ledger;
mod receiver;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::ovsdb::{Interface, Ovsdb};
use super::unixctl::Unixctl;
use crate::{FlowSource, FlowSourceError, InterfaceName, Poll};

use export::Export;
use ledger::Ledger;
use receiver::Receiver;

pub use ledger::Exports;
pub use wire::{Datagram, LONGEST, NotNetFlow5, Record};

/// How many ways between two ends are kept: what Open vSwitch keeps of flows.
const WAYS: usize = 200_000;

/// How long the removal of the record may take: whoever ends the agent waits for it.
const REMOVAL: Duration = Duration::from_millis(800);

/// What a bridge exports as NetFlow, added up per pair of IPv4 addresses.
///
/// The first poll opens a port on loopback and sets the bridge's NetFlow record to it through the database; every
/// poll sees to it that it still stands there, and it is taken away when the source is dropped. A record that is
/// somebody else's is not touched: then polls fail and say so.
///
/// The switch exports every second what flows have counted, so bytes come up to two seconds late. Each poll also
/// asks `ovs-vswitchd` for its version: one that hangs exports nothing, and nothing is not what was sent.
///
/// The interfaces at the ends of a flow are known by their OpenFlow ports ([`Interface::attached_mac`]).
///
/// ```no_run
/// use std::time::Duration;
/// use s_core_backend::FlowSource;
/// use s_core_backend::ovs::netflow::NetFlowSource;
///
/// let mut switch = NetFlowSource::new("/run/openvswitch", "/run/openvswitch/db.sock", "xenbr0".parse()?, 7);
/// for flow in switch.poll(Duration::from_secs(5))?.counters {
///     println!("{} to {}: {} bytes", flow.src, flow.dst, flow.bytes);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NetFlowSource {
    unixctl: Unixctl,
    ovsdb: Ovsdb,
    bridge: InterfaceName,
    seed: u64,
    open: Option<Open>,
    said: Exports,
}

#[derive(Debug)]
struct Open {
    export: Export,
    receiver: Receiver,
}

impl NetFlowSource {
    /// A bridge of the switch whose control socket, or the directory that it is in, is at `switch`
    /// ([`Unixctl::new`]), and whose database listens at `ovsdb`. Nothing is opened yet.
    ///
    /// `seed` seeds the hash of the addresses. Take it from a source that tenants cannot guess.
    pub fn new(
        switch: impl Into<PathBuf>,
        ovsdb: impl Into<PathBuf>,
        bridge: InterfaceName,
        seed: u64,
    ) -> Self {
        Self {
            unixctl: Unixctl::new(switch),
            ovsdb: Ovsdb::new(ovsdb),
            bridge,
            seed,
            open: None,
            said: Exports::default(),
        }
    }

    /// What became of the datagrams so far.
    pub fn exports(&self) -> Exports {
        let open = self.open.as_ref();
        open.map(|open| open.receiver.ledger().exports())
            .unwrap_or_default()
    }

    fn open(&mut self) -> Result<&Open, FlowSourceError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let ledger = Ledger::new(WAYS, self.seed);
                let receiver = Receiver::start(ledger).map_err(|source| {
                    let what = "a UDP port on 127.0.0.1 for NetFlow".to_owned();
                    FlowSourceError::Unreachable { what, source }
                })?;
                let bridge = self.bridge.clone();
                let export = Export::new(self.ovsdb.clone(), bridge, receiver.address());
                Open { export, receiver }
            }
        };
        Ok(self.open.insert(open))
    }

    /// Says once that something is missing.
    fn warn(&mut self, exports: Exports) {
        if exports.lost > 0 && self.said.lost == 0 {
            tracing::warn!(
                records = exports.lost,
                "NetFlow records of the switch were lost on their way here: rates are measured too small; raise net.core.rmem_max"
            );
        }
        if exports.no_room > 0 && self.said.no_room == 0 {
            tracing::warn!(
                pairs = WAYS,
                "more pairs talk than are kept; bytes of the others are not counted"
            );
        }
        if exports.refused > 0 && self.said.refused == 0 {
            tracing::warn!(
                "datagrams came that are not NetFlow version 5 of this machine; left out"
            );
        }
        self.said = exports;
    }
}

impl FlowSource for NetFlowSource {
    fn poll(&mut self, deadline: Duration) -> Result<Poll, FlowSourceError> {
        let started = Instant::now();
        let left = || deadline.saturating_sub(started.elapsed());
        self.unixctl.call("version", &[], deadline)?;
        let interfaces = self.ovsdb.interfaces(left())?;
        let ports = ports(&interfaces, &self.bridge);
        let open = self.open()?;
        let set = open.export.ensure(left())?;
        let mut ledger = open.receiver.ledger();
        ledger.know(ports);
        let poll = ledger.poll();
        let exports = ledger.exports();
        drop(ledger);
        if set {
            tracing::info!(bridge = %self.bridge, "the bridge exports NetFlow here from now on");
        }
        self.warn(exports);
        Ok(poll)
    }
}

impl Drop for NetFlowSource {
    fn drop(&mut self) {
        let Some(open) = &self.open else {
            return;
        };
        if let Err(error) = open.export.remove(REMOVAL) {
            tracing::warn!(bridge = %self.bridge, %error, "the NetFlow record is left behind; take it away with: ovs-vsctl clear bridge {} netflow", self.bridge);
        }
    }
}

/// The MAC address of the VM at each port of the bridge.
fn ports(interfaces: &[Interface], bridge: &InterfaceName) -> BTreeMap<u16, s_core_flow::MacAddr> {
    let here = |interface: &&Interface| interface.bridge.as_deref() == Some(bridge.as_str());
    let port = |interface: &Interface| {
        let port = u16::try_from(interface.ofport?).ok()?;
        Some((port, interface.attached_mac?))
    };
    interfaces.iter().filter(here).filter_map(port).collect()
}
