//! `[interception]` of a configuration file.

use std::path::PathBuf;
use std::sync::Arc;

use s_core_backend::interception::{
    BridgeNft, Interception, InterceptionConfig, InterfaceName, OpenFlowTproxy,
};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::{ConfigFile, ConfigFileError, default_socket, values};
use crate::config::Addressing;

/// `[interception]`. With `addressing = "vms"` there must be one on each host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterceptionSection {
    /// `openflow`, `bridge`, `external` or `none`. Without the section: `none`.
    pub kind: InterceptionKind,
    /// The bridge that the VMs' interfaces are ports of; `openflow` and `bridge` need it.
    #[serde(default, deserialize_with = "interface")]
    pub bridge: Option<InterfaceName>,
    /// The directory that Open vSwitch runs from. Default `/run/openvswitch`.
    #[serde(default = "default_socket")]
    pub run_dir: PathBuf,
    /// Whether packets for VMs are brought to the agent. Default: if `addressing` is `vms`.
    pub requests: Option<bool>,
    /// Whether packets from VMs to the agents' port are dropped. Default `true`.
    #[serde(default = "yes")]
    pub drop_from_vms: bool,
    /// What the names of the VMs' interfaces begin with. Default `vif` and `tap`.
    #[serde(default, deserialize_with = "interfaces")]
    pub vm_ports: Option<Vec<InterfaceName>>,
}

impl Default for InterceptionSection {
    fn default() -> Self {
        Self {
            kind: InterceptionKind::None,
            bridge: None,
            run_dir: default_socket(),
            requests: None,
            drop_from_vms: true,
            vm_ports: None,
        }
    }
}

/// What brings requests for VMs to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InterceptionKind {
    /// The agent, at a bridge of Open vSwitch.
    OpenFlow,
    /// The agent, at a plain Linux bridge.
    Bridge,
    /// Somebody else, by translation of the destination address to the agent's.
    External,
    /// Nothing.
    None,
}

const fn yes() -> bool {
    true
}

fn interface<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<InterfaceName>, D::Error> {
    values::parsed(deserializer).map(Some)
}

fn interfaces<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<InterfaceName>>, D::Error> {
    let names: Vec<String> = Deserialize::deserialize(deserializer)?;
    let names = names
        .iter()
        .map(|name| name.parse().map_err(D::Error::custom));
    names.collect::<Result<_, _>>().map(Some)
}

impl ConfigFile {
    /// What brings requests for VMs to the agent; changes nothing yet.
    ///
    /// # Errors
    ///
    /// [`ConfigFileError`] names the key at fault.
    pub fn interception(&self) -> Result<Option<Arc<dyn Interception>>, ConfigFileError> {
        let given = &self.interception;
        let by_vms = self.addressing == Addressing::Vms;
        match given.kind {
            InterceptionKind::None if by_vms => {
                let problem = "is \"vms\", but nothing brings requests for VMs to the agent; set interception.kind to openflow or bridge, or to external if something else does it";
                return Err(self.problem("addressing", problem));
            }
            InterceptionKind::None | InterceptionKind::External => return Ok(None),
            InterceptionKind::OpenFlow | InterceptionKind::Bridge => {}
        }
        let Some(bridge) = given.bridge.clone() else {
            let problem = "is missing; name the bridge that the VMs are at, such as \"xenbr0\"";
            return Err(self.problem("interception.bridge", problem));
        };
        if by_vms && given.requests == Some(false) {
            let problem = "is false, but addressing is \"vms\"; remove one of the two";
            return Err(self.problem("interception.requests", problem));
        }
        let mut config = InterceptionConfig::new(self.server, self.port, bridge);
        config.requests = given.requests.unwrap_or(by_vms);
        config.drop_from_vms = given.drop_from_vms;
        if let Some(ports) = &given.vm_ports {
            config.vm_ports.clone_from(ports);
        }
        let run_dir = self.resolve(&given.run_dir);
        Ok(Some(match given.kind {
            InterceptionKind::OpenFlow => Arc::new(OpenFlowTproxy::new(config, &run_dir)),
            _ => Arc::new(BridgeNft::new(config)),
        }))
    }
}
