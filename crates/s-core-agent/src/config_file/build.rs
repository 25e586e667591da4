//! From a configuration file to what an agent is started with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use s_core_backend::ovs::netflow::NetFlowSource;
use s_core_backend::ovs::{Attachments, OvsFlowSource};
use s_core_backend::xl::{MigrationTransport, Xl, XlConfig};
use s_core_backend::{FlowSource, Hypervisor};
use s_core_flow::MacAddr;
use s_core_model::{CostModel, VmId};
use s_core_proto::wire::{Cluster, Key, Keyring};
use s_core_proto::{Bounds, Config as NodeConfig, MigrationLimits, Timing};
use s_core_topology::LocationTable;

use super::{ConfigFile, ConfigFileError, FlowSourceKind, HypervisorKind, read_text};
use crate::agent::random_seed;
use crate::config::{AgentConfig, FlowSettings, Mint};
use crate::error::AgentError;
use crate::key_file::{lab_key, read_key_file};

impl ConfigFile {
    /// The agent's settings; reads the key files and the list of VMs. `locations` is what [`servers_file`](Self::servers_file) holds.
    ///
    /// # Errors
    ///
    /// [`ConfigFileError`] names the key at fault.
    pub fn agent_config(&self, locations: LocationTable) -> Result<AgentConfig, ConfigFileError> {
        let model = CostModel::new(self.link_weights.clone(), Arc::new(locations))
            .map_err(|error| self.problem("link_weights", error))?;
        let policy = self.policy.build().into();
        let mut node = NodeConfig::new(self.server, model, policy);
        node.migration_cost = self.migration_cost;
        node.target_choice = self.target_choice;
        node.timing = self.timing();
        node.bounds = self.bounds();
        node.limits = self.migration_limits();
        let state_dir = self.resolve(&self.state_dir);
        let mut config = AgentConfig::new(node, self.keyring()?, state_dir);
        config.cluster = Cluster(self.cluster);
        config.port = self.port;
        config.addressing = self.addressing;
        self.check_flow_source()?;
        config.interception = self.interception()?;
        config.flows = self.flow_settings();
        config.identities = self.identities()?;
        config.attachments = self.attachments();
        config.mint = self.mint()?;
        if let Some(grace) = self.timing.migration_grace {
            config.migration_grace = grace;
        }
        config.check().map_err(|error| match error {
            AgentError::Setting { setting, problem } => self.problem(setting, problem),
            other => self.problem("flows", other),
        })?;
        Ok(config)
    }

    fn timing(&self) -> Timing {
        let default = Timing::default();
        let given = self.timing;
        Timing {
            measurement: given.measurement.unwrap_or(default.measurement),
            answer: given.answer.unwrap_or(default.answer),
            acknowledgement: given.acknowledgement.unwrap_or(default.acknowledgement),
            migration: given.migration.unwrap_or(default.migration),
            reservation: given.reservation.unwrap_or(default.reservation),
            rest: given.rest.unwrap_or(default.rest),
            idle: given.idle.unwrap_or(default.idle),
            keep_alive: given.keep_alive.unwrap_or(default.keep_alive),
            custody: given.custody.unwrap_or(default.custody),
            beacon: given.beacon.unwrap_or(default.beacon),
            silence: given.silence.unwrap_or(default.silence),
            stagger: given.stagger.unwrap_or(default.stagger),
            outcome: given.outcome.unwrap_or(default.outcome),
        }
    }

    fn bounds(&self) -> Bounds {
        let default = Bounds::default();
        let given = self.bounds;
        Bounds {
            open_migrations: given.open_migrations.unwrap_or(default.open_migrations),
            newcomers: given.newcomers.unwrap_or(default.newcomers),
            quiet_rounds: given.quiet_rounds.unwrap_or(default.quiet_rounds),
            ..default
        }
    }

    fn migration_limits(&self) -> MigrationLimits {
        let given = &self.limits;
        MigrationLimits {
            pair_share: given.pair_share,
            pinned: given.pinned.clone(),
            takes_none: given.takes_none,
            cool_down: given.cool_down.unwrap_or_default(),
        }
    }

    fn flow_settings(&self) -> FlowSettings {
        let default = FlowSettings::default();
        let given = &self.flows;
        let window = given.window.unwrap_or(default.window);
        FlowSettings {
            interval: given.interval.unwrap_or(default.interval),
            deadline: given.deadline.unwrap_or(default.deadline),
            window,
            idle_timeout: given
                .idle_timeout
                .unwrap_or(default.idle_timeout.max(window)),
            limit: given.limit.unwrap_or(default.limit),
            answered_only: given.answered_only,
        }
    }

    fn keyring(&self) -> Result<Keyring, ConfigFileError> {
        let read = |key, path: &Path| -> Result<Key, ConfigFileError> {
            read_key_file(&self.resolve(path)).map_err(|source| ConfigFileError::KeyFile {
                path: self.path.clone(),
                key,
                source,
            })
        };
        let Some(keys) = &self.keys else {
            if !self.lab {
                return Err(ConfigFileError::NoKey(self.path.clone()));
            }
            tracing::warn!("lab = true: the key is public, whoever reaches this port can move VMs");
            return Keyring::new(lab_key(), []).map_err(|error| self.problem("lab", error));
        };
        if self.lab {
            let problem = "is set and there are keys; remove one of the two";
            return Err(self.problem("lab", problem));
        }
        let active = read("keys.active", &keys.active)?;
        let accepted = keys.accepted.as_ref();
        let accepted = accepted
            .map(|path| read("keys.accepted", path))
            .transpose()?;
        Keyring::new(active, accepted).map_err(|error| self.problem("keys.accepted", error))
    }

    fn attachments(&self) -> Option<Attachments> {
        let ovsdb = self.flows.ovsdb.as_ref()?;
        let attachments = Attachments::new(self.resolve(ovsdb));
        Some(match &self.flows.bridge {
            Some(bridge) => attachments.at_bridge(bridge.clone()),
            None => attachments,
        })
    }

    fn identities(&self) -> Result<BTreeMap<MacAddr, VmId>, ConfigFileError> {
        let mut identities = BTreeMap::new();
        for vm in &self.vm {
            if identities.insert(vm.mac, vm.address).is_some() {
                let problem = format!("{} comes twice; remove one of the two", vm.mac);
                return Err(self.problem("vm.mac", problem));
            }
        }
        Ok(identities)
    }

    fn mint(&self) -> Result<Option<Mint>, ConfigFileError> {
        let Some(path) = &self.token.mint else {
            return Ok(None);
        };
        let path = self.resolve(path);
        let text = read_text(&path)?;
        let mut vms = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.split('#').next().unwrap_or_default().trim();
            if !text.is_empty() {
                vms.push(text.parse().map_err(|_| ConfigFileError::Content {
                    path: path.clone(),
                    line,
                    column: 1,
                    message: format!("{text:.40} is not an IPv4 address; write one VM a line"),
                })?);
            }
        }
        let default = 2 * self.flow_settings().window;
        let delay = self.token.delay.unwrap_or(default);
        Ok(Some(Mint { vms, delay }))
    }

    /// The hypervisor; asks it nothing yet.
    ///
    /// # Errors
    ///
    /// [`ConfigFileError`] names the key at fault.
    pub fn hypervisor(&self) -> Result<Arc<dyn Hypervisor>, ConfigFileError> {
        let given = &self.hypervisor;
        if given.kind == HypervisorKind::External {
            let problem = "is external: only a program that brings a hypervisor of its own can use this file; write xl";
            return Err(self.problem("hypervisor.kind", problem));
        }
        let Some(vm_slots) = given.vm_slots else {
            let problem = "is missing; write how many VMs this host runs at most";
            return Err(self.problem("hypervisor.vm_slots", problem));
        };
        let mut config = match given.kind {
            HypervisorKind::Xm => XlConfig::xm(vm_slots),
            HypervisorKind::Xl | HypervisorKind::External => XlConfig::new(vm_slots),
        };
        let transport = [
            (given.ssh.is_some(), "hypervisor.ssh"),
            (given.command.is_some(), "hypervisor.command"),
        ];
        if given.kind == HypervisorKind::Xm
            && let Some((_, key)) = transport.into_iter().find(|(given, _)| *given)
        {
            let problem =
                "is of no use with kind = \"xm\", where xend carries the memory; leave it out";
            return Err(self.problem(key, problem));
        }
        config.reserve_mib = given.reserve_mib;
        if given.receive {
            if given.kind == HypervisorKind::Xm {
                let problem = "is of no use with kind = \"xm\", where xend receives; leave it out";
                return Err(self.problem("hypervisor.receive", problem));
            }
            config.receive_socket = Some(self.receive_socket());
        }
        if let Some(program) = &given.program {
            config.program = program.clone();
        }
        match (&given.ssh, &given.command) {
            (None, None) => {}
            (Some(ssh), None) => config.transport = MigrationTransport::Ssh(ssh.clone()),
            (None, Some(command)) => {
                config.transport = MigrationTransport::Command(command.clone());
            }
            (Some(_), Some(_)) => {
                let problem = "is given beside hypervisor.ssh; remove one of the two";
                return Err(self.problem("hypervisor.command", problem));
            }
        }
        let xl = Xl::new(config).map_err(|error| self.problem("hypervisor", error))?;
        Ok(Arc::new(xl))
    }

    /// Where `dom0-agent receive` asks the agent, if `hypervisor.receive` is set.
    pub fn receive_socket(&self) -> PathBuf {
        self.resolve(&self.state_dir).join("receive.sock")
    }

    fn check_flow_source(&self) -> Result<(), ConfigFileError> {
        let flows = &self.flows;
        let netflow = flows.source == FlowSourceKind::Netflow;
        if flows.source == FlowSourceKind::Netlink && cfg!(not(feature = "netlink")) {
            let why = "is \"netlink\", which this program was built without; write \"datapath\", or build it with --features netlink";
            return Err(self.problem("flows.source", why));
        }
        let missing = if netflow && flows.ovsdb.is_none() {
            (
                "flows.ovsdb",
                "is missing, and netflow is set up through it",
            )
        } else if netflow && flows.ip_pair_rule {
            let why = "is of no use with source = \"netflow\"; leave one of the two out";
            ("flows.ip_pair_rule", why)
        } else if (netflow || flows.ip_pair_rule) && flows.bridge.is_none() {
            let why = "is missing; name the bridge that the VMs are at, as xenbr0";
            ("flows.bridge", why)
        } else {
            return Ok(());
        };
        Err(self.problem(missing.0, missing.1))
    }

    /// The switch; asks it nothing yet. What [`agent_config`](Self::agent_config) refuses is left out.
    pub fn flow_source(&self) -> Box<dyn FlowSource> {
        let flows = &self.flows;
        let socket = self.resolve(&flows.socket);
        let ovsdb = flows.ovsdb.as_ref().map(|path| self.resolve(path));
        if flows.source == FlowSourceKind::Netflow
            && let (Some(ovsdb), Some(bridge)) = (&ovsdb, &flows.bridge)
        {
            let netflow = NetFlowSource::new(socket, ovsdb, bridge.clone(), random_seed());
            return Box::new(netflow);
        }
        let addresses = self.vm.iter().map(|vm| (vm.mac, vm.address.addr()));
        let mut switch = OvsFlowSource::new(socket, random_seed()).with_addresses(addresses);
        if let Some(name) = &flows.datapath {
            switch = switch.with_datapath(name);
        }
        #[cfg(feature = "netlink")]
        if flows.source == FlowSourceKind::Netlink {
            switch = switch.with_netlink();
        }
        if let Some(path) = ovsdb {
            switch = switch.with_ovsdb(path);
        }
        if let Some(bridge) = flows.bridge.as_ref().filter(|_| flows.ip_pair_rule) {
            switch = switch.with_ip_pair_rule(bridge.clone());
        }
        Box::new(switch)
    }
}
