//! `[interception]` of a configuration file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use s_core_backend::InterfaceName;
use s_core_backend::interception::{BridgeNft, Interception, InterceptionConfig, OpenFlowTproxy};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::{ConfigFile, ConfigFileError, values};
use crate::config::Addressing;

/// `[interception]`. With `addressing = "vms"` there must be one on each host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InterceptionSection {
    /// `openflow`, `bridge`, `external` or `none`. Default: `openflow` where this section or `[flows]` names a bridge, so that
    /// VMs are kept from the agents' port; else `none`.
    pub kind: Option<InterceptionKind>,
    /// The bridge that the VMs' interfaces are ports of; `openflow` and `bridge` need it. Default for `openflow`: that of
    /// `[flows]`.
    #[serde(deserialize_with = "values::interface")]
    pub bridge: Option<InterfaceName>,
    /// The directory that Open vSwitch runs from. Default: that of `socket` of `[flows]`.
    pub run_dir: Option<PathBuf>,
    /// Whether packets for VMs are brought to the agent. Default: if `addressing` is `vms`.
    pub requests: Option<bool>,
    /// Whether packets from VMs to the agents' port are dropped. Default `true`.
    pub drop_from_vms: bool,
    /// What the names of the VMs' interfaces begin with. Default `vif` and `tap`.
    #[serde(deserialize_with = "interfaces")]
    pub vm_ports: Option<Vec<InterfaceName>>,
}

impl Default for InterceptionSection {
    fn default() -> Self {
        Self {
            kind: None,
            bridge: None,
            run_dir: None,
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
    /// What brings requests for VMs to the agent, and keeps VMs from the agents' port; changes nothing yet.
    ///
    /// # Errors
    ///
    /// [`ConfigFileError`] names the key at fault.
    pub fn interception(&self) -> Result<Option<Arc<dyn Interception>>, ConfigFileError> {
        let given = &self.interception;
        let by_vms = self.addressing == Addressing::Vms;
        let kind = self.interception_kind();
        match kind {
            InterceptionKind::None if by_vms => {
                let problem = "is \"vms\", but nothing brings requests for VMs to the agent; set interception.kind to openflow or bridge, or to external if something else does it";
                return Err(self.problem("addressing", problem));
            }
            InterceptionKind::None | InterceptionKind::External => return Ok(None),
            InterceptionKind::OpenFlow | InterceptionKind::Bridge => {}
        }
        // The bridge of [flows] is one of Open vSwitch.
        let default = (self.flows.bridge.as_ref()).filter(|_| kind == InterceptionKind::OpenFlow);
        let Some(bridge) = given.bridge.as_ref().or(default) else {
            let problem = "is missing; name the bridge that the VMs are at, such as \"xenbr0\"";
            return Err(self.problem("interception.bridge", problem));
        };
        if by_vms && given.requests == Some(false) {
            let problem = "is false, but addressing is \"vms\"; remove one of the two";
            return Err(self.problem("interception.requests", problem));
        }
        let mut config = InterceptionConfig::new(self.server, self.port, bridge.clone());
        config.requests = given.requests.unwrap_or(by_vms);
        config.drop_from_vms = given.drop_from_vms;
        if let Some(ports) = &given.vm_ports {
            config.vm_ports.clone_from(ports);
        }
        let run_dir = given.run_dir.as_deref();
        let run_dir = self.resolve(run_dir.unwrap_or(self.switch_directory()));
        Ok(Some(match kind {
            InterceptionKind::OpenFlow => Arc::new(OpenFlowTproxy::new(config, &run_dir)),
            _ => Arc::new(BridgeNft::new(config)),
        }))
    }

    fn interception_kind(&self) -> InterceptionKind {
        let bridge = self.interception.bridge.as_ref();
        let at_bridge = bridge.or(self.flows.bridge.as_ref()).is_some();
        let default = if at_bridge {
            InterceptionKind::OpenFlow
        } else {
            InterceptionKind::None
        };
        self.interception.kind.unwrap_or(default)
    }

    /// The directory that the switch of `[flows]` runs from.
    fn switch_directory(&self) -> &Path {
        let socket = &self.flows.socket;
        let is_socket = socket.extension().is_some_and(|suffix| suffix == "ctl");
        let directory = socket.parent().filter(|_| is_socket);
        directory.unwrap_or(socket)
    }
}
