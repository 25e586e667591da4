//! Open vSwitch with flows between IP addresses, where only MAC addresses are in its datapath.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use s_core_backend::ovs::OvsFlowSource;
use s_core_backend::ovs::ovsdb::Ovsdb;
use s_core_backend::{End, FlowCounter, FlowSource, FlowSourceError, Poll};
use s_core_flow::MacAddr;

use crate::agent::random_seed;

/// How many polls pass until the database is asked again which interfaces are VMs'.
const POLLS_PER_ATTACHMENT: u32 = 15;

/// An [`OvsFlowSource`] whose MAC addresses are turned into IP addresses: those configured, else those learnt.
#[derive(Debug)]
pub(super) struct AttributedOvs {
    switch: OvsFlowSource,
    database: Option<Ovsdb>,
    addresses: BTreeMap<MacAddr, Ipv4Addr>,
    polls: u32,
}

impl AttributedOvs {
    pub(super) fn new(
        socket: &Path,
        datapath: Option<&str>,
        database: Option<PathBuf>,
        addresses: BTreeMap<MacAddr, Ipv4Addr>,
    ) -> Self {
        let switch = OvsFlowSource::new(socket, random_seed());
        Self {
            switch: match datapath {
                Some(name) => switch.with_datapath(name),
                None => switch,
            },
            database: database.map(Ovsdb::new),
            addresses,
            polls: 0,
        }
    }

    fn ask_for_attachments(&mut self, deadline: Duration) -> Result<(), FlowSourceError> {
        if let Some(database) = &self.database
            && self.polls.is_multiple_of(POLLS_PER_ATTACHMENT)
        {
            let interfaces = database.interfaces(deadline)?;
            for mac in interfaces.into_iter().filter_map(|of| of.attached_mac) {
                self.switch.stations_mut().attach(mac);
            }
        }
        self.polls = self.polls.wrapping_add(1);
        Ok(())
    }

    /// The IP address of an end: configured, else learnt.
    fn address(&self, end: End) -> Option<Ipv4Addr> {
        match end {
            End::Ipv4(address) => Some(address),
            End::Ipv6(_) => None,
            End::Mac(mac) => {
                let configured = self.addresses.get(&mac).copied();
                configured.or_else(|| self.switch.stations().address(mac))
            }
        }
    }

    fn resolve(&self, flow: &mut FlowCounter) {
        let mac_of = |end: End| match end {
            End::Mac(mac) => Some(mac),
            End::Ipv4(_) | End::Ipv6(_) => None,
        };
        flow.src_mac = flow.src_mac.or(mac_of(flow.src));
        flow.dst_mac = flow.dst_mac.or(mac_of(flow.dst));
        let addresses = self.address(flow.src).zip(self.address(flow.dst));
        if let Some((src, dst)) = addresses.filter(|(src, dst)| src != dst) {
            (flow.src, flow.dst) = (End::Ipv4(src), End::Ipv4(dst));
        }
    }
}

impl FlowSource for AttributedOvs {
    fn poll(&mut self, deadline: Duration) -> Result<Poll, FlowSourceError> {
        self.ask_for_attachments(deadline)?;
        let mut poll = self.switch.poll(deadline)?;
        for flow in &mut poll.counters {
            self.resolve(flow);
        }
        Ok(poll)
    }
}
