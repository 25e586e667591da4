//! The size of a laboratory, and what sizes there can be.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::LabError;

/// The most hosts: their addresses differ in one octet.
const MOST_HOSTS: u16 = 250;
/// The most VMs.
const MOST_VMS: u32 = 10_000;
/// The most switches below one switch.
const MOST_FAN_OUT: u16 = 64;
/// The most levels of links above the racks.
const MOST_LEVELS: usize = 4;

/// The size of a laboratory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Control domains with a switch each, spread evenly over the racks.
    pub hosts: u16,
    /// VMs that each host begins with.
    pub vms_per_host: u16,
    /// How many VMs a host can run.
    pub vm_slots: u16,
    /// Memory of each VM in MiB: what a migration copies.
    pub vm_memory_mib: u32,
    /// How many switches each switch has below it, from the core down; the last are the racks' (ToR). The number of levels
    /// of links is its length.
    pub fan_out: Vec<u16>,
    /// The rate of a host's link in Mbit/s.
    pub host_mbit: u32,
    /// How much more the links below a switch can carry together than its own upward link: at least 1.
    pub over_subscription: f64,
    /// Whether the control domains have a network of their own for the agents and migrations, beside that of the VMs.
    pub management: bool,
}

impl Default for Shape {
    /// Four hosts in four racks below two aggregation switches and a core, four VMs each.
    fn default() -> Self {
        Self {
            hosts: 4,
            vms_per_host: 4,
            vm_slots: 8,
            vm_memory_mib: 16,
            fan_out: vec![2, 2],
            host_mbit: 200,
            over_subscription: 2.0,
            management: false,
        }
    }
}

impl Shape {
    /// Whether a laboratory can be made so.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        self.check_machines()?;
        self.check_tree()?;
        let over = self.over_subscription;
        within("host_mbit", self.host_mbit, 1, 1000)?;
        require((1.0..=100.0).contains(&over), "over_subscription", || {
            format!("{over} is not 1 to 100")
        })
    }

    fn check_machines(&self) -> Result<(), LabError> {
        let (hosts, per_host, slots) = (self.hosts, self.vms_per_host, self.vm_slots);
        let vms = u32::from(hosts) * u32::from(per_host);
        within("hosts", hosts, 1, MOST_HOSTS)?;
        require(per_host > 0, "vms_per_host", || {
            "0 leaves nothing to move; at least 1".into()
        })?;
        require(vms <= MOST_VMS, "vms_per_host", || {
            format!("makes {vms} VMs; at most {MOST_VMS}")
        })?;
        require(slots >= per_host, "vm_slots", || {
            format!("{slots} do not hold {per_host} VMs")
        })?;
        within("vm_memory_mib", self.vm_memory_mib, 1, 4096)
    }

    fn check_tree(&self) -> Result<(), LabError> {
        let levels = self.fan_out.len();
        require((1..=MOST_LEVELS).contains(&levels), "fan_out", || {
            format!("{levels} levels are not 1 to {MOST_LEVELS}")
        })?;
        for switches in &self.fan_out {
            within("fan_out", *switches, 1, MOST_FAN_OUT)?;
        }
        // At most 64 to the fourth.
        let racks: u32 = self.fan_out.iter().map(|of| u32::from(*of)).product();
        require(racks <= u32::from(self.hosts), "fan_out", || {
            format!("makes {racks} racks for {} hosts", self.hosts)
        })
    }
}

fn within<T: PartialOrd + fmt::Display>(
    what: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<(), LabError> {
    require(least <= value && value <= most, what, || {
        format!("{value} is not {least} to {most}")
    })
}

fn require(
    fits: bool,
    what: &'static str,
    problem: impl FnOnce() -> String,
) -> Result<(), LabError> {
    if fits {
        return Ok(());
    }
    let problem = problem();
    Err(LabError::Layout { what, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_do_is_named() {
        assert!(Shape::default().check().is_ok());
        let check = |change: fn(&mut Shape), says: &str| {
            let mut shape = Shape::default();
            change(&mut shape);
            assert_eq!(shape.check().unwrap_err().to_string(), says);
        };
        check(|of| of.hosts = 0, "hosts: 0 is not 1 to 250");
        check(
            |of| of.vms_per_host = 0,
            "vms_per_host: 0 leaves nothing to move; at least 1",
        );
        check(
            |of| of.vms_per_host = 2501,
            "vms_per_host: makes 10004 VMs; at most 10000",
        );
        check(|of| of.vm_slots = 3, "vm_slots: 3 do not hold 4 VMs");
        check(
            |of| of.vm_memory_mib = 4097,
            "vm_memory_mib: 4097 is not 1 to 4096",
        );
        check(|of| of.fan_out = vec![], "fan_out: 0 levels are not 1 to 4");
        check(|of| of.fan_out = vec![2, 0], "fan_out: 0 is not 1 to 64");
        check(
            |of| of.fan_out = vec![8],
            "fan_out: makes 8 racks for 4 hosts",
        );
        check(|of| of.host_mbit = 1001, "host_mbit: 1001 is not 1 to 1000");
        check(
            |of| of.over_subscription = f64::NAN,
            "over_subscription: NaN is not 1 to 100",
        );
    }
}
