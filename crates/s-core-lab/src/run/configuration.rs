//! The files that a laboratory's agents are configured by, as an operator would write them.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use s_core_token::PolicyKind;

use crate::error::LabError;
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
}

impl Default for AgentSettings {
    /// Distributed; rates of 10 s, read every second; a new token after 12 s; no interception. c_m is a twentieth of the
    /// VM's own cost, above what measured rates vary by.
    fn default() -> Self {
        Self {
            policy: PolicyKind::Distributed,
            interval: Duration::from_secs(1),
            window: Duration::from_secs(10),
            rest: Duration::from_millis(50),
            silence: Duration::from_secs(12),
            interception: false,
            migration_cost: 0.05,
        }
    }
}

/// The weights of a laboratory's links, c_1 upwards, as thesis 5.1 has them.
pub fn link_weights(layout: &Layout) -> Vec<f64> {
    let weights = [0.0, 1.0, 3.0, 5.0].map(f64::exp);
    weights[..layout.levels().into()].to_vec()
}

/// Writes `servers.csv`, a key and each host's `agent.toml`; those of an earlier run are replaced, what agents keep
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
        let path = layout.host_directory(host).join("agent.toml");
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
         outcome = 1\n",
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
    )
}

/// A key as `dom0-agent` reads it: 64 hexadecimal digits.
fn random_key() -> Result<String, LabError> {
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
}
