//! What an interception is set up for.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use s_core_model::ServerId;

/// The longest name of a network interface.
const MAX_NAME: usize = 15;

/// The name of a network interface, or the beginning of one: 1 to 15 letters, digits, `.`, `_` and `-`, the first a
/// letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for InterfaceName {
    type Err = InvalidInterfaceName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if text.len() > MAX_NAME || !begins || !text.chars().all(plain) {
            return Err(InvalidInterfaceName);
        }
        Ok(Self(text.to_owned()))
    }
}

/// Text that names no network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the name of a network interface: 1 to 15 letters, digits, '.', '_' and '-' are wanted, the first a letter or digit"
)]
pub struct InvalidInterfaceName;

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
            vm_ports: ["vif", "tap"].map(|name| InterfaceName(name.into())).into(),
        }
    }

    /// Whether an interface of this name is a VM's.
    pub(super) fn is_vm_port(&self, name: &str) -> bool {
        let begins = |prefix: &InterfaceName| name.starts_with(prefix.as_str());
        self.vm_ports.iter().any(begins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_nothing_that_a_rule_could_take_for_something_else() {
        for name in ["xenbr0", "vif1.0", "br-lan", "a", "0123456789abcde"] {
            assert_eq!(name.parse::<InterfaceName>().unwrap().as_str(), name);
        }
        for name in [
            "",
            ".",
            "..",
            "-a",
            "a b",
            "a/b",
            "a\"",
            "a\nb",
            "vif*",
            "br,0",
            "ä",
            "0123456789abcdef",
        ] {
            assert!(name.parse::<InterfaceName>().is_err(), "{name}");
        }
    }
}
