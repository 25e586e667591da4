//! From the bridge to the agent's sockets.

use std::collections::BTreeSet;

use s_core_model::VmId;
use serde::Deserialize;

use super::config::InterceptionConfig;
use super::error::InterceptionError;
use super::ledger::Verdict;
use super::nft::{self, Change, Table};
use crate::ProgramError;
use crate::command::Budget;

/// The mark of the packets, and the number of the routing table that they are routed by.
pub const NUMBER: u32 = 23_566;
/// The preference of the IP rule that sends marked packets there.
pub const PREFERENCE: u32 = 235;
/// The protocol number that rule and route bear.
pub const ROUTE_PROTOCOL: u8 = 83;

/// The family of the nftables table.
const FAMILY: &str = "ip";
/// What `ip` says of a routing table that holds nothing.
const NO_TABLE: &str = "FIB table does not exist";

/// The addresses, as nftables has them.
pub(super) fn addresses(vms: &BTreeSet<VmId>) -> BTreeSet<String> {
    vms.iter().map(|vm| vm.addr().to_string()).collect()
}

/// How packets for VMs reach the sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By TPROXY, and a routing table that makes them this host's own: addresses stay, and nothing is remembered.
    Tproxy,
    /// By translation of the destination address.
    Translation,
}

fn table(config: &InterceptionConfig, way: Way, vms: &BTreeSet<VmId>) -> Table {
    let InterceptionConfig {
        server,
        port,
        bridge,
        ..
    } = config;
    let (hook, verdict) = match way {
        Way::Tproxy => (
            "type filter hook prerouting priority mangle",
            format!("tproxy to {server}:{port} meta mark set {NUMBER} accept"),
        ),
        Way::Translation => (
            "type nat hook prerouting priority dstnat",
            format!("dnat to {server}:{port}"),
        ),
    };
    Table {
        family: FAMILY,
        hook,
        rules: vec![(
            Verdict::Intercept,
            format!(
                "iifname \"{bridge}\" ip daddr @vms meta l4proto {{ tcp, udp }} th dport {port} \
                 counter {verdict}"
            ),
        )],
        sets: vec![("vms", "ipv4_addr", addresses(vms))],
    }
}

/// The part of an interception that both kinds share.
#[derive(Debug)]
pub(super) struct Delivery {
    /// The nftables table.
    pub(super) nft: Change,
    routing: Routing,
    /// Whether there should be a rule and a route.
    routed: bool,
}

impl Delivery {
    /// What is to be done so that packets for these VMs that have come to the bridge reach the agent; or if it
    /// wants none, so that nothing of it is left.
    pub(super) fn compare(
        config: &InterceptionConfig,
        way: Way,
        vms: &BTreeSet<VmId>,
        budget: &Budget,
    ) -> Result<Self, InterceptionError> {
        let routing = Routing::read(budget)?;
        let routed = config.requests && way == Way::Tproxy;
        if routed {
            routing.check()?;
        }
        if config.requests {
            let nft = table(config, way, vms).compare(budget)?;
            return Ok(Self {
                nft,
                routing,
                routed,
            });
        }
        let mut nft = Change::default();
        if nft::exists(FAMILY, budget)? {
            nft.script = nft::removal(FAMILY);
            nft.differing.1 = 1;
        }
        Ok(Self {
            nft,
            routing,
            routed,
        })
    }

    /// How much is missing, and how much is there that should not be.
    pub(super) const fn differing(&self) -> (usize, usize) {
        let (missing, unwanted) = self.nft.differing;
        let there = self.routing.rules + self.routing.route as usize;
        if self.routed {
            (missing + 2_usize.saturating_sub(there), unwanted)
        } else {
            (missing, unwanted + there)
        }
    }

    /// Sets up the routing, or takes it away; the script of `nft` is for the caller to apply.
    pub(super) fn apply_routing(&self, budget: &Budget) -> Result<(), ProgramError> {
        if self.routed {
            self.routing.add(budget)
        } else {
            self.routing.remove(budget)
        }
    }
}

/// Removes all that a [`Delivery`] may have set.
pub(super) fn remove(budget: &Budget) -> Result<(), ProgramError> {
    let table = nft::remove(FAMILY, budget);
    Routing::read(budget)?.remove(budget)?;
    table
}

/// The IP rule and the route, as they are.
#[derive(Debug, Default)]
struct Routing {
    /// How many rules of ours: 0 or 1.
    rules: usize,
    /// Whether the route is there.
    route: bool,
    /// What else is in the routing table.
    foreign: Vec<String>,
}

/// A line of `ip -j -N rule show`.
#[derive(Deserialize)]
struct ListedRule {
    priority: u32,
    #[serde(default)]
    fwmark: String,
    #[serde(default)]
    table: String,
    #[serde(default)]
    protocol: String,
}

/// A line of `ip -j -N route show`.
#[derive(Deserialize)]
struct ListedRoute {
    #[serde(default, rename = "type")]
    kind: String,
    dst: String,
    #[serde(default)]
    dev: String,
    #[serde(default)]
    protocol: String,
}

impl Routing {
    fn read(budget: &Budget) -> Result<Self, ProgramError> {
        let none = String::new;
        let (number, protocol) = (NUMBER.to_string(), ROUTE_PROTOCOL.to_string());
        let listed = budget.run("ip", &["-4", "-N", "-j", "rule", "show"], none())?;
        let rules: Vec<ListedRule> =
            serde_json::from_str(&listed.stdout).map_err(|error| listed.malformed(error))?;
        let mark = format!("{NUMBER:#x}");
        let ours = |rule: &&ListedRule| {
            let numbers = (rule.priority, &rule.fwmark, &rule.table, &rule.protocol);
            numbers == (PREFERENCE, &mark, &number, &protocol)
        };
        let mut routing = Self {
            rules: rules.iter().filter(ours).count(),
            ..Self::default()
        };
        let args = ["-4", "-N", "-j", "route", "show", "table", &number];
        let listed = match budget.run("ip", &args, none()) {
            Ok(listed) => listed,
            Err(error) if error.said(NO_TABLE) => return Ok(routing),
            Err(error) => return Err(error),
        };
        let routes: Vec<ListedRoute> =
            serde_json::from_str(&listed.stdout).map_err(|error| listed.malformed(error))?;
        for route in routes {
            // 2 is the number of the type `local`.
            let ours = (route.kind.as_str(), route.dst.as_str(), route.dev.as_str());
            if ours == ("2", "default", "lo") && route.protocol == protocol {
                routing.route = true;
            } else {
                routing
                    .foreign
                    .push(format!("{} dev {}", route.dst, route.dev));
            }
        }
        Ok(routing)
    }

    /// A routing table that others use is left to them.
    fn check(&self) -> Result<(), InterceptionError> {
        if self.foreign.is_empty() {
            return Ok(());
        }
        Err(InterceptionError::Taken {
            what: format!("routing table {NUMBER}"),
            found: self.foreign.join(", "),
        })
    }

    fn add(&self, budget: &Budget) -> Result<(), ProgramError> {
        if !self.route {
            change("route", "add", budget)?;
        }
        if self.rules == 0 {
            change("rule", "add", budget)?;
        }
        Ok(())
    }

    fn remove(&self, budget: &Budget) -> Result<(), ProgramError> {
        for _ in 0..self.rules {
            change("rule", "del", budget)?;
        }
        if self.route {
            change("route", "del", budget)?;
        }
        Ok(())
    }
}

/// Adds or deletes the rule or the route.
fn change(what: &'static str, verb: &'static str, budget: &Budget) -> Result<(), ProgramError> {
    let [number, preference, protocol] =
        [NUMBER, PREFERENCE, ROUTE_PROTOCOL.into()].map(|number| number.to_string());
    let rest: &[&str] = match what {
        "rule" => &[
            "pref",
            &preference,
            "fwmark",
            &number,
            "lookup",
            &number,
            "protocol",
            &protocol,
        ],
        _ => &[
            "local", "default", "dev", "lo", "table", &number, "protocol", &protocol,
        ],
    };
    let args = [&["-4", what, verb], rest].concat();
    budget.run("ip", &args, String::new()).map(drop)
}
