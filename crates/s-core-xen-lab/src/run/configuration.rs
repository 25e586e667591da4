//! The files that the agents of a testbed are configured by, as an operator would write them, and the scripts that put them
//! in place and remove them.

use std::fmt::Write as _;
use std::time::Duration;

use s_core_agent::DEFAULT_PORT;
use s_core_backend::ovs::IP_PAIR_COOKIE;
use s_core_lab::run::link_weights;
use s_core_lab::{HostNumber, Layout};
use s_core_token::PolicyKind;
use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// Where a control domain keeps the configuration of its agent. As long as `agent.toml` is there, the agent runs.
const DIRECTORY: &str = "/etc/s-core";
/// Where `/etc/s-core/agent` has the agent add its events.
pub(super) const EVENTS: &str = "/var/log/s-core-events.jsonl";
/// Where it logs to.
pub(crate) const LOG: &str = "/var/log/s-core-agent.log";
/// Where `/etc/s-core/agent` keeps its own process id, and that of the agent.
pub(super) const KEEPER: &str = "/run/s-core-keeper.pid";
pub(crate) const AGENT: &str = "/run/s-core-agent.pid";
/// The end of a file in a script. No file has such a line.
const END: &str = "END-OF-FILE";

/// How the memory of a VM gets from host to host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// As it is, over TCP (socat): half the time that ssh takes. The target's agent lets in only whom it expects.
    #[default]
    Stream,
    /// Over ssh, as `xl migrate` does by itself.
    Ssh,
}

/// What the agents of a testbed are told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AgentSettings {
    /// Whose turn it is.
    pub policy: PolicyKind,
    /// How the memory of a VM gets from host to host.
    pub transport: Transport,
    /// Whether the kernel is asked for its datapath's flows, and not `ovs-vswitchd`.
    pub netlink: bool,
    /// How often the switch is read.
    pub interval: Duration,
    /// How far back rates look.
    pub window: Duration,
    /// How long the token rests with each VM.
    pub rest: Duration,
    /// How long servers hear of no token before they agree on a new one.
    pub silence: Duration,
    /// How long a migration may take, and how long an agent that ends waits for one.
    pub migration: Duration,
    /// c_m, relative to what the VM costs.
    pub migration_cost: f64,
    /// The only host with room for a VM beside its first ones, and for one alone. If none is named, each takes as many as its memory
    /// holds.
    pub only_room: Option<HostNumber>,
}

impl Default for AgentSettings {
    /// Distributed, over TCP. Emulated hosts are slow and their times uneven: rates of 30 s read every 5 s, a new token after a
    /// minute, 5 minutes for a migration that takes 12 s on a quiet machine and minutes on a busy one. c_m is a tenth of
    /// the VM's own cost.
    fn default() -> Self {
        Self {
            policy: PolicyKind::Distributed,
            transport: Transport::Stream,
            netlink: false,
            interval: Duration::from_secs(5),
            window: Duration::from_secs(30),
            rest: Duration::from_millis(500),
            silence: Duration::from_secs(60),
            migration: Duration::from_secs(300),
            migration_cost: 0.1,
            only_room: None,
        }
    }
}

impl AgentSettings {
    /// How many VMs a host takes.
    fn slots(&self, layout: &Layout, host: HostNumber) -> u16 {
        let shape = layout.shape();
        match self.only_room {
            Some(only) => shape.vms_per_host + u16::from(host == only),
            None => shape.vm_slots,
        }
    }
}

/// A script that ends the agent of a control domain if one runs, as SIGTERM does, and waits for it. The agent takes its rules away;
/// it does not wait for a switch that is too slow for that, this does.
pub(super) fn stop_script(plan: &Plan) -> String {
    let (bridge, ended) = (plan.bridge(), format!("{DIRECTORY}/ended.toml"));
    format!(
        "[ -e {DIRECTORY}/agent.toml ] && mv {DIRECTORY}/agent.toml {ended}\n\
         if [ -e {KEEPER} ]; then\n\
         \x20   keeper=$(cat {KEEPER})\n\
         \x20   [ -e {AGENT} ] && kill \"$(cat {AGENT})\" 2>/dev/null\n\
         \x20   while kill -0 \"$keeper\" 2>/dev/null; do sleep 0.2; done\n\
         fi\n\
         if [ -e {ended} ]; then\n\
         \x20   until ! [ -e {ended} ] || {{ /usr/local/sbin/dom0-agent clean {ended} >/dev/null && ovs-ofctl del-flows {bridge} cookie={IP_PAIR_COOKIE:#x}/-1; }}; do sleep 1; done\n\
         \x20   rm -f {ended}\n\
         fi\n"
    )
}

/// A script that ends the agent of a control domain, forgets all that one of before knew, and starts it with this configuration.
pub(super) fn start_script(
    plan: &Plan,
    settings: &AgentSettings,
    host: HostNumber,
    key: &str,
) -> String {
    let files = [
        ("servers.csv", servers_csv(plan, settings)),
        ("key", format!("{key}\n")),
        ("agent.toml", agent_toml(plan, settings, host)),
    ];
    let mut script = stop_script(plan);
    script += &format!("set -e\nrm -rf /var/lib/s-core {EVENTS} {LOG}\numask 077\n: >{EVENTS}\n");
    for (name, content) in files {
        write!(
            script,
            "cat >{DIRECTORY}/{name} <<'{END}'\n{content}{END}\n"
        )
        .expect("strings take all");
    }
    script += &format!("setsid {DIRECTORY}/agent </dev/null >/dev/null 2>&1 &\n");
    script + &format!("until [ -e {KEEPER} ]; do sleep 0.2; done\n")
}

fn servers_csv(plan: &Plan, settings: &AgentSettings) -> String {
    let (layout, mut servers) = (
        plan.layout(),
        String::from("server,location,vm_slots,memory_mib\n"),
    );
    for host in layout.hosts() {
        let slots = settings.slots(layout, host);
        let memory = u32::from(slots) * layout.shape().vm_memory_mib;
        let (server, location) = (layout.server(host), layout.location(host));
        writeln!(servers, "{server},{location},{slots},{memory}").expect("strings take all");
    }
    servers
}

fn agent_toml(plan: &Plan, settings: &AgentSettings, host: HostNumber) -> String {
    let (layout, bridge) = (plan.layout(), plan.bridge());
    let weights: Vec<_> = (link_weights(layout).iter().map(f64::to_string)).collect();
    let seconds = |duration: Duration| duration.as_secs_f64();
    let (silence, migration) = (seconds(settings.silence), seconds(settings.migration));
    let transport = match settings.transport {
        Transport::Stream => {
            "receive = true\ncommand = \"socat -b 131072 - TCP:{target}:8003\"\n".to_owned()
        }
        Transport::Ssh => String::new(),
    };
    let mut text = format!(
        "server = \"{server}\"\n\
         port = {DEFAULT_PORT}\n\
         servers = \"servers.csv\"\n\
         link_weights = [{weights}]\n\
         migration_cost = {{ relative = {migration_cost} }}\n\
         policy = \"{policy}\"\n\
         state_dir = \"/var/lib/s-core\"\n\
         \n[keys]\nactive = \"key\"\n\
         \n[flows]\n\
         source = \"{source}\"\n\
         bridge = \"{bridge}\"\n\
         ip_pair_rule = true\n\
         datapath = \"system@ovs-system\"\n\
         ovsdb = \"/run/openvswitch/db.sock\"\n\
         interval = {interval}\n\
         deadline = 30\n\
         window = {window}\n\
         \n[interception]\n\
         kind = \"openflow\"\n\
         bridge = \"{bridge}\"\n\
         \n[hypervisor]\n\
         kind = \"xl\"\n\
         vm_slots = {slots}\n\
         {transport}\
         \n[timing]\n\
         measurement = 20\n\
         answer = 3\n\
         acknowledgement = 5\n\
         migration = {migration}\n\
         reservation = {reservation}\n\
         rest = {rest}\n\
         idle = {rest}\n\
         keep_alive = {keep_alive}\n\
         custody = {custody}\n\
         beacon = {custody}\n\
         silence = {silence}\n\
         stagger = 1\n\
         outcome = 10\n\
         migration_grace = {migration}\n",
        server = layout.server(host),
        weights = weights.join(", "),
        migration_cost = settings.migration_cost,
        policy = settings.policy.name(),
        source = if settings.netlink {
            "netlink"
        } else {
            "datapath"
        },
        interval = seconds(settings.interval),
        window = seconds(settings.window),
        slots = settings.slots(layout, host),
        reservation = 1.25 * migration,
        rest = seconds(settings.rest),
        keep_alive = silence / 12.0,
        custody = silence / 4.0,
    );
    for vm in layout.vms() {
        let (mac, address) = (layout.mac(vm), layout.vm(vm));
        write!(text, "\n[[vm]]\nmac = \"{mac}\"\naddress = \"{address}\"\n")
            .expect("strings take all");
    }
    text
}

#[cfg(test)]
mod tests {
    use s_core_agent::ConfigFile;

    use super::*;
    use crate::fault::Fault;
    use crate::plan::Size;

    fn plan(hosts: u16) -> Plan {
        let size = Size {
            hosts,
            domains: 1,
            ..Size::default()
        };
        Plan::new("demo".parse().unwrap(), size).unwrap()
    }

    #[test]
    fn golden_script() {
        let script = start_script(
            &plan(2),
            &AgentSettings::default(),
            HostNumber(2),
            &"5a".repeat(32),
        );
        assert_eq!(script, include_str!("../../tests/data/agent-start.txt"));
    }

    #[test]
    fn one_host_has_room_for_one_more() {
        let settings = AgentSettings {
            only_room: Some(HostNumber(2)),
            ..AgentSettings::default()
        };
        let plan = plan(2);
        assert_eq!(
            servers_csv(&plan, &settings),
            "server,location,vm_slots,memory_mib\n192.168.77.1,s1,1,40\n192.168.77.2,s2,2,80\n"
        );
        for (host, line) in [(1, "\nvm_slots = 1\n"), (2, "\nvm_slots = 2\n")] {
            assert!(agent_toml(&plan, &settings, HostNumber(host)).contains(line));
        }
    }

    #[test]
    fn an_agent_takes_its_configuration() {
        let faults = Fault::ALL.map(Fault::agents);
        for settings in [AgentSettings::default()].into_iter().chain(faults) {
            let plan = plan(4);
            let directory = tempfile::tempdir().unwrap();
            let file = |name: &str| directory.path().join(name);
            std::fs::write(file("key"), "5a".repeat(32)).unwrap();
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(file("key"), permissions).unwrap();
            std::fs::write(file("servers.csv"), servers_csv(&plan, &settings)).unwrap();
            let text = agent_toml(&plan, &settings, HostNumber(3));
            std::fs::write(file("agent.toml"), text).unwrap();
            let read = ConfigFile::read(&file("agent.toml")).unwrap();
            let locations = s_core_sim::snapshot::read_locations(read.servers_file()).unwrap();
            let config = read.agent_config(locations).unwrap();
            assert_eq!(config.node.server, plan.layout().server(HostNumber(3)));
            assert_eq!(config.identities.len(), 4);
            read.hypervisor().unwrap();
        }
    }
}
