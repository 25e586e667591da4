//! Interception at a bridge of Open vSwitch.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use s_core_flow::MacAddr;
use s_core_model::VmId;

use super::config::InterceptionConfig;
use super::delivery::{self, Delivery, Way};
use super::error::InterceptionError;
use super::ledger::{Ledger, state_after};
use super::rules::{
    COOKIE_BITS, COOKIE_OWNER, DROP_PRIORITY, INTERCEPT_PRIORITY, Ports, Rules, count, is_ours,
    wanted,
};
use super::{Interception, InterceptionState, nft};
use crate::ProgramError;
use crate::command::{Budget, Said};
use crate::ovs::OpenFlow;

/// OpenFlow rules at a bridge of Open vSwitch, and TPROXY in the control domain.
///
/// Rules are changed in a bundle: all or none. The bridge must speak OpenFlow 1.4, as it does unless its `protocols`
/// are restricted. Which ports are VMs' is read at each [`keep`](Interception::keep): a VM that starts is kept from the
/// agents' port from then on.
#[derive(Debug)]
pub struct OpenFlowTproxy {
    config: InterceptionConfig,
    rules: OpenFlow,
    ledger: Mutex<Ledger>,
}

/// The rules of the switch as they are, beside those that there should be.
#[derive(Debug)]
struct Switch {
    wanted: Rules,
    found: Found,
}

/// What `ovs-ofctl dump-flows` says of table 0.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// The cookies of our rules, and the packets that these have counted.
    ours: Vec<(u64, u64)>,
    /// A rule of somebody else's at one of our priorities.
    foreign: Option<String>,
}

impl OpenFlowTproxy {
    /// An interception at a bridge of the Open vSwitch that runs from `run_dir`, usually `/run/openvswitch`. Nothing is
    /// changed yet.
    pub fn new(config: InterceptionConfig, run_dir: &Path) -> Self {
        Self {
            rules: OpenFlow::new(run_dir, &config.bridge),
            config,
            ledger: Mutex::default(),
        }
    }

    fn ofctl(
        &self,
        command: &[&str],
        arguments: &[&str],
        input: String,
        budget: &Budget,
    ) -> Result<Said, ProgramError> {
        let command = [&["-O", "OpenFlow14"], command].concat();
        self.rules.run(&command, arguments, input, budget)
    }

    fn switch(&self, vms: &BTreeSet<VmId>, budget: &Budget) -> Result<Switch, InterceptionError> {
        let listed = self.ofctl(&["dump-ports-desc"], &[], String::new(), budget)?;
        let ports = parse_ports(&listed.stdout, |name| self.config.is_vm_port(name));
        let ports = ports.ok_or_else(|| listed.malformed("the bridge's own port is missing"))?;
        let found = self.found(budget)?;
        if let Some(foreign) = found.foreign {
            return Err(InterceptionError::Taken {
                what: format!("OpenFlow priority {INTERCEPT_PRIORITY} or {DROP_PRIORITY}"),
                found: foreign,
            });
        }
        let wanted = wanted(&self.config, &ports, vms);
        Ok(Switch { wanted, found })
    }

    fn found(&self, budget: &Budget) -> Result<Found, ProgramError> {
        let options = ["--no-names", "dump-flows"];
        let listed = self.ofctl(&options, &["table=0"], String::new(), budget)?;
        let found = parse_flows(&listed.stdout);
        found.map_err(|line| listed.malformed(format!("{line:?}")))
    }

    fn look(
        &self,
        vms: &BTreeSet<VmId>,
        budget: &Budget,
    ) -> Result<(Switch, Delivery, InterceptionState), InterceptionError> {
        let switch = self.switch(vms, budget)?;
        let delivery = Delivery::compare(&self.config, Way::Tproxy, vms, budget)?;
        let (missing, unwanted) = delivery.differing();
        let (add, delete) = switch.differing();
        let counts: Vec<_> = (switch.found.ours.iter())
            .map(|(cookie, packets)| count(*cookie, *packets))
            .collect();
        let differing = (missing + add.len(), unwanted + delete.len());
        let state = state_after(&self.ledger, &counts, differing);
        Ok((switch, delivery, state))
    }
}

impl Interception for OpenFlowTproxy {
    fn is_transparent(&self) -> bool {
        self.config.requests
    }

    fn keep(
        &self,
        vms: &BTreeSet<VmId>,
        deadline: Duration,
    ) -> Result<InterceptionState, InterceptionError> {
        let budget = Budget::new(deadline);
        let (switch, delivery, state) = self.look(vms, &budget)?;
        // The way to the agent first: the switch sends nothing to where it would be lost.
        delivery.apply_routing(&budget)?;
        nft::apply(delivery.nft.script, &budget)?;
        let bundle = switch.bundle();
        if !bundle.is_empty() {
            self.ofctl(&["--bundle", "add-flows"], &["-"], bundle, &budget)?;
        }
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
        let ours = format!("cookie={COOKIE_OWNER:#x}/{:#x}", u64::MAX << COOKIE_BITS);
        let switch = self.ofctl(&["del-flows"], &[&ours], String::new(), &budget);
        delivery::remove(&budget)?;
        switch?;
        Ok(())
    }
}

impl Switch {
    /// The rules to add and the cookies of those to delete.
    fn differing(&self) -> (Vec<(u64, &str)>, Vec<u64>) {
        let there: BTreeSet<u64> = self.found.ours.iter().map(|(cookie, _)| *cookie).collect();
        let add = self.wanted.iter();
        let add = add.filter(|(cookie, _)| !there.contains(cookie));
        let add = add.map(|(cookie, rule)| (*cookie, rule.as_str())).collect();
        let keep = |cookie: &u64| self.wanted.contains_key(cookie);
        let delete = there.iter().copied().filter(|cookie| !keep(cookie));
        (add, delete.collect())
    }

    /// The input of `ovs-ofctl --bundle add-flows`; empty if all is as it should be.
    fn bundle(&self) -> String {
        let (add, delete) = self.differing();
        let mut text = String::new();
        for cookie in delete {
            text += &format!("delete cookie={cookie:#x}/-1\n");
        }
        for (cookie, rule) in add {
            text += &format!("add cookie={cookie:#x},{rule}\n");
        }
        text
    }
}

/// Reads `ovs-ofctl dump-ports-desc`; `None` if the bridge's own port is not among the ports.
fn parse_ports(text: &str, is_vm: impl Fn(&str) -> bool) -> Option<Ports> {
    let mut ports = Ports::default();
    let mut own = None;
    for line in text.lines() {
        // ` 1(vif1.0): addr:fe:ff:ff:ff:ff:ff`
        let port = line.split_once("): addr:").and_then(|(port, mac)| {
            let (number, name) = port.trim_start().split_once('(')?;
            Some((number, name, mac.trim()))
        });
        let Some((number, name, mac)) = port else {
            continue;
        };
        if number == "LOCAL" {
            own = mac.parse::<MacAddr>().ok();
        } else if is_vm(name)
            && let Ok(number) = number.parse()
        {
            ports.vms.insert(number);
        }
    }
    ports.bridge_mac = own?.to_string();
    Some(ports)
}

/// Reads `ovs-ofctl dump-flows`; the error is a line that is not understood.
fn parse_flows(text: &str) -> Result<Found, String> {
    let mut found = Found::default();
    for line in text.lines().map(str::trim) {
        let Some(rest) = line.strip_prefix("cookie=") else {
            if line.is_empty() || line.starts_with("OFPST_FLOW reply") {
                continue;
            }
            return Err(line.into());
        };
        let value = |key: &str| {
            let at = line.find(key)? + key.len();
            let digits = line[at..].split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse::<u64>().ok()
        };
        let cookie = rest.split(',').next().and_then(|c| c.strip_prefix("0x"));
        let cookie = cookie.and_then(|cookie| u64::from_str_radix(cookie, 16).ok());
        let (Some(cookie), Some(packets)) = (cookie, value(" n_packets=")) else {
            return Err(line.into());
        };
        let ours = [DROP_PRIORITY, INTERCEPT_PRIORITY].map(u64::from);
        if is_ours(cookie) {
            found.ours.push((cookie, packets));
        } else if value(" priority=").is_some_and(|priority| ours.contains(&priority)) {
            found.foreign.get_or_insert_with(|| line.into());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: &str = "OFPST_PORT_DESC reply (OF1.4) (xid=0x2):
 1(eth0): addr:06:12:71:7d:3d:ed
     config:     0
 12(vif3.0): addr:fe:ff:ff:ff:ff:ff
     config:     0
     state:      LINK_DOWN
 13(tap3.0): addr:fe:ff:ff:ff:ff:ff
 LOCAL(br0): addr:92:b7:96:80:11:45
     config:     PORT_DOWN
     speed: 10000 Mbps now, 0 Mbps max
";

    #[test]
    fn ports_are_read() {
        let ports = parse_ports(PORTS, |name| name.starts_with("vif")).unwrap();
        assert_eq!(ports.bridge_mac, "92:b7:96:80:11:45");
        assert_eq!(ports.vms, [12].into());
        assert_eq!(parse_ports(&PORTS.replace("LOCAL(", "14("), |_| true), None);
        assert_eq!(parse_ports("", |_| true), None);
    }

    #[test]
    fn our_rules_are_told_from_others() {
        let text = "OFPST_FLOW reply (OF1.4) (xid=0x2):
 cookie=0x53434f0000000003, duration=0.016s, table=0, n_packets=7, n_bytes=448, priority=47471,udp,in_port=1,tp_dst=4747 actions=drop
 cookie=0x53434f0000000004, duration=9.1s, table=0, n_packets=0, n_bytes=0, idle_age=9, priority=47470,udp,nw_dst=10.0.0.1,tp_dst=4747 actions=set_field:02:00:00:00:00:01->eth_dst,LOCAL
 cookie=0x0, duration=0.162s, table=0, n_packets=3, n_bytes=0, reset_counts priority=10,ip actions=move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],NORMAL
 cookie=0x0, duration=0.258s, table=0, n_packets=0, n_bytes=0, actions=NORMAL
";
        let found = parse_flows(text).unwrap();
        let ours = [(0x5343_4f00_0000_0003, 7), (0x5343_4f00_0000_0004, 0)];
        assert_eq!(found.ours, ours);
        assert_eq!(found.foreign, None);
        let taken = text.replace("priority=10,", "priority=47470,");
        let foreign = parse_flows(&taken).unwrap().foreign.unwrap();
        assert!(foreign.contains("priority=47470,ip "), "{foreign}");
        for wrong in ["what?", "cookie=x, n_packets=1", "cookie=0x1, n_packets=x"] {
            assert_eq!(parse_flows(wrong), Err(wrong.to_owned()));
        }
    }

    #[test]
    fn a_bundle_holds_the_difference_only() {
        let rule = |cookie: u64| (cookie, format!("rule {cookie}"));
        let check = |wanted: &[u64], found: &[u64], bundle: &str| {
            let switch = Switch {
                wanted: wanted.iter().copied().map(rule).collect(),
                found: Found {
                    ours: found.iter().map(|cookie| (*cookie, 0)).collect(),
                    foreign: None,
                },
            };
            assert_eq!(switch.bundle(), bundle);
        };
        check(&[1, 2], &[2, 1], "");
        check(
            &[1, 2],
            &[2, 3],
            "delete cookie=0x3/-1\nadd cookie=0x1,rule 1\n",
        );
        check(&[], &[10], "delete cookie=0xa/-1\n");
    }
}
