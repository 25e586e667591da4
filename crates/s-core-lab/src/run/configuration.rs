//! The files that a laboratory's agents are configured by, as an operator would write them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use s_core_model::LinkWeights;
use s_core_token::PolicyKind;
use serde::{Deserialize, Serialize};

use super::serve::FINISH;
use crate::error::LabError;
use crate::hypervisor::{Faults, MigrationSettings};
use crate::layout::{HostNumber, Layout};

/// What the agents of a laboratory are told. Times are shorter than an agent's own defaults, so that a person can
/// watch a laboratory settle.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentSettings {
    /// Whose turn it is.
    pub policy: PolicyKind,
    /// How often the switch is read.
    pub interval: Duration,
    /// How far back rates look.
    pub window: Duration,
    /// How long the token rests with each VM.
    pub rest: Duration,
    /// How long servers hear of no token before they agree on a new one.
    pub silence: Duration,
    /// Whether requests go to VMs' addresses and are intercepted at their bridges (thesis 4.2.3), instead of to all servers.
    pub interception: bool,
    /// c_m, relative to what the VM costs.
    pub migration_cost: f64,
    /// How many pages of 4 KiB a running VM writes in a second: a migration sends them again.
    pub dirty_pages_per_second: u32,
    /// Where migrations are made to fail, by host.
    pub faults: BTreeMap<HostNumber, Faults>,
}

/// What the hypervisor of a host is told, in a file beside the agent's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HypervisorFile {
    pub(super) dirty_pages_per_second: u32,
    #[serde(default)]
    pub(super) faults: Faults,
}

impl HypervisorFile {
    const NAME: &str = "hypervisor.toml";

    /// Reads the one beside this configuration of an agent.
    pub(super) fn read_beside(configuration: &Path) -> Result<Self, LabError> {
        let path = configuration.with_file_name(Self::NAME);
        let text = fs::read_to_string(&path).map_err(|source| LabError::File {
            path: path.clone(),
            source,
        })?;
        toml::from_str(&text).map_err(|error| LabError::Content {
            path,
            problem: error.to_string(),
        })
    }

    fn write(&self, directory: &Path) -> Result<(), LabError> {
        let path = directory.join(Self::NAME);
        match toml::to_string(self) {
            Ok(text) => put(&path, &text, 0o644),
            Err(error) => Err(LabError::Content {
                path,
                problem: error.to_string(),
            }),
        }
    }
}

impl Default for AgentSettings {
    /// Distributed; rates of 10 s, read every second; a new token after 12 s; no interception. c_m is a twentieth of the
    /// VM's own cost, above what measured rates vary by. Migrations are as those of [`MigrationSettings`], without faults.
    fn default() -> Self {
        Self {
            policy: PolicyKind::Distributed,
            interval: Duration::from_secs(1),
            window: Duration::from_secs(10),
            rest: Duration::from_millis(50),
            silence: Duration::from_secs(12),
            interception: false,
            migration_cost: 0.05,
            dirty_pages_per_second: MigrationSettings::default().dirty_pages_per_second,
            faults: BTreeMap::new(),
        }
    }
}

/// The weights of a laboratory's links, c_1 upwards, as thesis 5.1 has them.
pub fn link_weights(layout: &Layout) -> Vec<f64> {
    let thesis = LinkWeights::thesis();
    thesis.iter().take(layout.levels().into()).collect()
}

/// Writes `servers.csv`, a key and each host's `agent.toml` and `hypervisor.toml`; those of an earlier run are replaced, what agents keep
/// of it is removed. Returns the configuration of each host.
pub(super) fn write(
    layout: &Layout,
    settings: &AgentSettings,
) -> Result<Vec<(HostNumber, PathBuf)>, LabError> {
    let directory = layout.directory();
    let mut servers = String::from("server,location,vm_slots,memory_mib\n");
    let shape = layout.shape();
    for host in layout.hosts() {
        let memory = u32::from(shape.vm_slots) * shape.vm_memory_mib;
        let (server, location) = (layout.server(host), layout.location(host));
        let slots = shape.vm_slots;
        writeln!(servers, "{server},{location},{slots},{memory}").expect("strings take all");
    }
    put(&directory.join("servers.csv"), &servers, 0o644)?;
    put(&directory.join("key"), &random_key()?, 0o600)?;
    let mut written = Vec::new();
    for host in layout.hosts() {
        let state = state_directory(layout, host);
        match fs::remove_dir_all(&state) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(LabError::File {
                    path: state,
                    source,
                });
            }
            Ok(()) | Err(_) => {}
        }
        let directory = layout.host_directory(host);
        let hypervisor = HypervisorFile {
            dirty_pages_per_second: settings.dirty_pages_per_second,
            faults: settings.faults.get(&host).cloned().unwrap_or_default(),
        };
        hypervisor.write(&directory)?;
        let path = directory.join("agent.toml");
        put(&path, &agent_toml(layout, settings, host), 0o644)?;
        written.push((host, path));
    }
    Ok(written)
}

/// Where the agent of a host keeps its mark.
pub(super) fn state_directory(layout: &Layout, host: HostNumber) -> PathBuf {
    layout.host_directory(host).join("agent")
}

fn agent_toml(layout: &Layout, settings: &AgentSettings, host: HostNumber) -> String {
    let weights: Vec<_> = (link_weights(layout).iter().map(f64::to_string)).collect();
    let seconds = |duration: Duration| duration.as_secs_f64();
    let custody = seconds(settings.silence) / 4.0;
    let addressing = if settings.interception {
        "vms"
    } else {
        "servers"
    };
    format!(
        "server = \"{server}\"\n\
         servers = \"../servers.csv\"\n\
         link_weights = [{weights}]\n\
         migration_cost = {{ relative = {migration_cost} }}\n\
         policy = \"{policy}\"\n\
         addressing = \"{addressing}\"\n\
         state_dir = \"agent\"\n\
         \n[keys]\nactive = \"../key\"\n\
         \n[flows]\n\
         socket = \".\"\n\
         ovsdb = \"db.sock\"\n\
         bridge = \"{bridge}\"\n\
         ip_pair_rule = true\n\
         interval = {interval}\n\
         window = {window}\n\
         \n[interception]\n\
         kind = \"openflow\"\n\
         bridge = \"{bridge}\"\n\
         run_dir = \".\"\n\
         \n[hypervisor]\n\
         kind = \"external\"\n\
         vm_slots = {slots}\n\
         \n[timing]\n\
         rest = {rest}\n\
         idle = {rest}\n\
         keep_alive = {keep_alive}\n\
         custody = {custody}\n\
         beacon = {beacon}\n\
         silence = {silence}\n\
         outcome = 1\n\
         migration_grace = {migration_grace}\n",
        server = layout.server(host),
        weights = weights.join(", "),
        migration_cost = settings.migration_cost,
        policy = settings.policy.name(),
        bridge = layout.bridge(),
        interval = seconds(settings.interval),
        window = seconds(settings.window),
        slots = layout.shape().vm_slots,
        rest = seconds(settings.rest),
        keep_alive = custody / 4.0,
        beacon = custody,
        silence = seconds(settings.silence),
        migration_grace = seconds(FINISH),
    )
}

/// A new key as an agent reads it: 64 hexadecimal digits.
///
/// # Errors
///
/// [`LabError::File`] if the system has no random octets to give.
pub fn random_key() -> Result<String, LabError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 32];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|source| LabError::File {
        path: path.into(),
        source,
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn put(path: &Path, text: &str, mode: u32) -> Result<(), LabError> {
    let error = |source| LabError::File {
        path: path.into(),
        source,
    };
    let options = || {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(mode);
        options
    };
    let mut file = options().open(path).map_err(error)?;
    file.write_all(text.as_bytes()).map_err(error)
}

#[cfg(test)]
mod tests {
    use s_core_agent::ConfigFile;

    use super::*;
    use crate::{LabName, Shape};

    #[test]
    fn an_agent_takes_its_configuration() {
        let layout = Layout::new(LabName::default(), Shape::default()).unwrap();
        for interception in [false, true] {
            let settings = AgentSettings {
                interception,
                ..AgentSettings::default()
            };
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("agent.toml");
            fs::write(&path, agent_toml(&layout, &settings, HostNumber(2))).unwrap();
            let file = ConfigFile::read(&path).unwrap();
            assert_eq!(file.server, layout.server(HostNumber(2)));
        }
    }

    #[test]
    fn a_hypervisor_takes_its_configuration() {
        let check = |faults: &str| {
            let file = HypervisorFile {
                dirty_pages_per_second: 7,
                faults: faults.parse().unwrap(),
            };
            let dir = tempfile::tempdir().unwrap();
            file.write(dir.path()).unwrap();
            let read = HypervisorFile::read_beside(&dir.path().join("agent.toml"));
            assert_eq!(read.unwrap(), file);
        };
        check("full");
        check("refuse,cut-after=9,bytes-per-second=1");
    }
}
