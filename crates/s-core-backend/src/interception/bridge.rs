//! Interception at a plain Linux bridge.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use s_core_flow::MacAddr;
use s_core_model::VmId;
use serde::Deserialize;

use super::config::InterceptionConfig;
use super::delivery::{self, Delivery, Way, addresses};
use super::error::InterceptionError;
use super::ledger::{Ledger, Verdict, state_after};
use super::nft::{self, Change, Table};
use super::{Interception, InterceptionState};
use crate::command::Budget;
use crate::{InterfaceName, ProgramError};

/// The family of the nftables table that sees what the bridge passes on.
const FAMILY: &str = "bridge";

/// An nftables chain of the bridge family, and translation of the destination address in the control domain.
///
/// It works with `br_netfilter` and without, and needs no kernel module for the bridge's name. Which of the host's interfaces are ports of the
/// bridge is read at each [`keep`](Interception::keep). Interfaces whose names begin as VMs' do are kept from the
/// agents' port from the moment that they appear, at whatever bridge.
#[derive(Debug)]
pub struct BridgeNft {
    config: InterceptionConfig,
    ledger: Mutex<Ledger>,
}

/// A line of `ip -j link show`.
#[derive(Deserialize)]
struct Link {
    ifname: String,
    address: Option<String>,
}

/// What of the bridge the table depends on.
struct Bridge {
    mac: MacAddr,
    ports: BTreeSet<String>,
}

impl BridgeNft {
    /// An interception at a bridge. Nothing is changed yet.
    pub fn new(config: InterceptionConfig) -> Self {
        Self {
            config,
            ledger: Mutex::default(),
        }
    }

    fn bridge(&self, budget: &Budget) -> Result<Bridge, ProgramError> {
        let name = self.config.bridge.as_str();
        let show = |which: &[&str]| {
            let args = [&["-j", "link", "show"], which].concat();
            let listed = budget.run("ip", &args, String::new())?;
            let links: Result<Vec<Link>, _> = serde_json::from_str(&listed.stdout);
            let links = links.map_err(|error| listed.malformed(error))?;
            Ok((listed, links))
        };
        let (listed, links) = show(&["dev", name, "type", "bridge"])?;
        let own = links.into_iter().find(|link| link.ifname == name);
        let own = own.ok_or_else(|| listed.malformed(format!("{name} is not a bridge")))?;
        let mac = own.address.and_then(|mac| mac.parse().ok());
        let mac = mac.ok_or_else(|| listed.malformed(format!("{name} has no MAC address")))?;
        let (_, links) = show(&["master", name])?;
        // One whose name could be taken for something else is no port of ours.
        let named = |link: &Link| link.ifname.parse::<InterfaceName>().is_ok();
        let ports = links.into_iter().filter(named).map(|link| link.ifname);
        Ok(Bridge {
            mac,
            ports: ports.collect(),
        })
    }

    fn table(&self, bridge: Bridge, vms: &BTreeSet<VmId>) -> Table {
        let InterceptionConfig { port, vm_ports, .. } = &self.config;
        let to_agents = format!("meta l4proto {{ tcp, udp }} th dport {port} counter");
        let mut rules = Vec::new();
        if self.config.drop_from_vms {
            for name in vm_ports {
                rules.push((
                    Verdict::Drop,
                    format!("iifname \"{name}*\" meta protocol ip {to_agents} drop"),
                ));
            }
        }
        let mut sets = Vec::new();
        if self.config.requests {
            let mac = bridge.mac;
            rules.push((
                Verdict::Intercept,
                format!(
                    "iifname @ports ip daddr @vms {to_agents} meta pkttype set host ether daddr set {mac} accept"
                ),
            ));
            sets.push(("vms", "ipv4_addr", addresses(vms)));
            sets.push(("ports", "ifname", bridge.ports));
        }
        Table {
            family: FAMILY,
            hook: "type filter hook prerouting priority dstnat",
            rules,
            sets,
        }
    }

    fn look(
        &self,
        vms: &BTreeSet<VmId>,
        budget: &Budget,
    ) -> Result<(Change, Delivery, InterceptionState), InterceptionError> {
        let table = self.table(self.bridge(budget)?, vms);
        let bridge = table.compare(budget)?;
        let delivery = Delivery::compare(&self.config, Way::Translation, vms, budget)?;
        let (missing, unwanted) = delivery.differing();
        let differing = (missing + bridge.differing.0, unwanted + bridge.differing.1);
        let state = state_after(&self.ledger, &bridge.counts, differing);
        Ok((bridge, delivery, state))
    }
}

impl Interception for BridgeNft {
    fn is_transparent(&self) -> bool {
        false
    }

    fn keep(
        &self,
        vms: &BTreeSet<VmId>,
        deadline: Duration,
    ) -> Result<InterceptionState, InterceptionError> {
        let budget = Budget::new(deadline);
        let (bridge, delivery, state) = self.look(vms, &budget)?;
        delivery.apply_routing(&budget)?;
        nft::apply(delivery.nft.script + &bridge.script, &budget)?;
        Ok(state)
    }

    fn verify(
        &self,
        vms: &BTreeSet<VmId>,
        deadline: Duration,
    ) -> Result<InterceptionState, InterceptionError> {
        let (_, _, state) = self.look(vms, &Budget::new(deadline))?;
        Ok(state)
    }

    fn remove(&self, deadline: Duration) -> Result<(), InterceptionError> {
        let budget = Budget::new(deadline);
        let bridge = nft::remove(FAMILY, &budget);
        delivery::remove(&budget)?;
        Ok(bridge?)
    }
}
