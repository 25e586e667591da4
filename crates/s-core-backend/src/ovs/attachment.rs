//! Whether a VM's interfaces are at the bridge.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::ovsdb::{Interface, Ovsdb};
use crate::InterfaceName;
use crate::{Domain, FlowSourceError};

/// Looks in the switch's database whether VMs have ports.
///
/// A VM is known by `external_ids:attached-mac` or `xen-vm-uuid`, which it keeps when it migrates; `xen-vm-name`
/// stays `NAME--incoming` on the host that it has come to, and is not looked at.
#[derive(Clone, Debug)]
pub struct Attachments {
    ovsdb: Ovsdb,
    bridge: Option<InterfaceName>,
}

impl Attachments {
    /// In the database server at this socket; at any of its bridges. Nothing is opened yet.
    pub fn new(ovsdb: impl Into<PathBuf>) -> Self {
        Self {
            ovsdb: Ovsdb::new(ovsdb),
            bridge: None,
        }
    }

    /// At this bridge alone.
    #[must_use]
    pub fn at_bridge(mut self, bridge: InterfaceName) -> Self {
        self.bridge = Some(bridge);
        self
    }

    /// Those of the domains that do not have a working port for each of their interfaces, by position.
    ///
    /// # Errors
    ///
    /// [`FlowSourceError`] as of [`Ovsdb::interfaces`].
    pub fn missing(
        &self,
        domains: &[Domain],
        deadline: Duration,
    ) -> Result<Vec<usize>, FlowSourceError> {
        let interfaces = self.ovsdb.interfaces(deadline)?;
        Ok(missing(&interfaces, self.bridge.as_ref(), domains))
    }
}

fn missing(
    interfaces: &[Interface],
    bridge: Option<&InterfaceName>,
    domains: &[Domain],
) -> Vec<usize> {
    let at_bridge = |interface: &&Interface| match (&interface.bridge, bridge) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(name), Some(bridge)) => name == bridge.as_str(),
    };
    let working = interfaces
        .iter()
        .filter(|interface| interface.ofport.is_some());
    let working: Vec<_> = working.filter(at_bridge).collect();
    let macs: BTreeSet<_> = working
        .iter()
        .filter_map(|port| port.attached_mac)
        .collect();
    let uuids: BTreeSet<_> = working.iter().filter_map(|port| port.vm_uuid).collect();
    let is_missing = |domain: &Domain| match domain.macs.as_slice() {
        [] => false,
        // Where the script that adds the port says no MAC address, the VM's UUID does.
        [mac] => !macs.contains(mac) && !uuids.contains(&domain.uuid),
        all => !all.iter().all(|mac| macs.contains(mac)),
    };
    let positions = domains.iter().enumerate();
    let missing = positions.filter(|(_, domain)| is_missing(domain));
    missing.map(|(position, _)| position).collect()
}

#[cfg(test)]
mod tests {
    use s_core_flow::MacAddr;

    use super::*;
    use crate::Uuid;

    const fn mac(n: u8) -> MacAddr {
        MacAddr::new([0, 0x16, 0x3e, 0, 0, n])
    }

    fn port(bridge: Option<&str>, ofport: Option<u32>, n: Option<u8>, vm: Option<u8>) -> Interface {
        Interface {
            name: "vif4.0".into(),
            ofport,
            attached_mac: n.map(mac),
            vm_uuid: vm.map(|n| Uuid::new([n; 16])),
            bridge: bridge.map(str::to_owned),
        }
    }

    fn domain(n: u8, macs: &[u8]) -> Domain {
        Domain {
            uuid: Uuid::new([n; 16]),
            name: format!("vm{n}"),
            macs: macs.iter().copied().map(mac).collect(),
            address: None,
            memory_mib: 80,
        }
    }

    #[test]
    fn a_port_counts_that_works_at_the_bridge_for_this_vm() {
        let bridge: InterfaceName = "xenbr0".parse().expect("a name");
        let check = |ports: &[Interface], macs: &[u8], wanted: bool| {
            let found = missing(ports, Some(&bridge), &[domain(1, macs)]);
            assert_eq!(found.is_empty(), wanted, "{ports:?} {macs:?}");
        };
        let at = |n, vm| port(Some("xenbr0"), Some(5), n, vm);
        check(&[at(Some(1), None)], &[1], true);
        check(&[at(None, Some(1))], &[1], true);
        check(&[at(Some(2), Some(2))], &[1], false);
        check(&[port(Some("xenbr1"), Some(5), Some(1), None)], &[1], false);
        check(&[port(None, Some(5), Some(1), None)], &[1], false);
        check(&[port(Some("xenbr0"), None, Some(1), None)], &[1], false);
        check(&[], &[1], false);
        check(&[], &[], true);
        check(&[at(Some(1), Some(1))], &[1, 2], false);
        check(&[at(Some(1), Some(1)), at(Some(2), Some(1))], &[1, 2], true);
        let elsewhere = port(Some("other"), Some(1), Some(1), None);
        assert_eq!(
            missing(&[elsewhere], None, &[domain(1, &[1])]),
            [0_usize; 0]
        );
    }
}
