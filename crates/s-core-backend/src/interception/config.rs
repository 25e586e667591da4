//! What an interception is set up for.

use std::net::Ipv4Addr;

use s_core_model::ServerId;

use crate::InterfaceName;

/// What an interception is set up for; the same for both kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterceptionConfig {
    /// The agent's own address.
    pub server: Ipv4Addr,
    /// The agents' port, UDP and TCP.
    pub port: u16,
    /// The bridge that the VMs' interfaces are ports of.
    pub bridge: InterfaceName,
    /// Whether packets for VMs are brought to the agent. Default yes.
    pub requests: bool,
    /// Whether packets from VMs to the agents' port, whatever their destination, are dropped. Default yes.
    pub drop_from_vms: bool,
    /// What the names of the VMs' interfaces begin with. Default `vif` and `tap`, as Xen calls them.
    pub vm_ports: Vec<InterfaceName>,
}

impl InterceptionConfig {
    /// Settings with everything else at its default.
    pub fn new(server: ServerId, port: u16, bridge: InterfaceName) -> Self {
        Self {
            server: server.addr(),
            port,
            bridge,
            requests: true,
            drop_from_vms: true,
            vm_ports: ["vif", "tap"].map(InterfaceName::of_letters).into(),
        }
    }

    /// Whether an interface of this name is a VM's.
    pub(super) fn is_vm_port(&self, name: &str) -> bool {
        let begins = |prefix: &InterfaceName| name.starts_with(prefix.as_str());
        self.vm_ports.iter().any(begins)
    }
}
