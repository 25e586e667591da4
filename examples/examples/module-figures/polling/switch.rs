//! An Open vSwitch of its own with two VMs in network namespaces, that leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use s_core_backend::ovs::unixctl::Unixctl;
use s_core_lab::{HostNumber, LabError, Layout, VmNumber, system};

use crate::namespace::{self, Namespace};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const PROGRAMS: [&str; 7] = [
    "ovs-vswitchd",
    "ovsdb-server",
    "ovsdb-tool",
    "ovs-vsctl",
    "ovs-ofctl",
    "ip",
    "ethtool",
];
/// The rule by which the switch keeps a flow for each pair of IPv4 addresses.
const IP_PAIR_RULE: &str = "priority=10,ip,actions=move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],move:NXM_OF_IP_DST[]->NXM_NX_REG1[],NORMAL";
/// Flows stay for ten minutes without a packet, and there may be more than the 200,000 of the default.
const KEEP: &str = "other_config:max-idle=600000 other_config:flow-limit=400000";
/// How long an answer on the control socket may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A switch with the userspace datapath, which needs no kernel module; ended when dropped.
#[derive(Debug)]
pub(crate) struct Switch {
    layout: Layout,
    dir: tempfile::TempDir,
    host: Namespace,
    vms: Vec<Namespace>,
}

impl Switch {
    /// Why there can be none here.
    pub(crate) fn missing() -> Option<String> {
        let schema = || (!Path::new(SCHEMA).is_file()).then(|| format!("{SCHEMA} is not there"));
        namespace::missing(&PROGRAMS).or_else(schema)
    }

    /// Starts it, with its VMs and the IP-pair rule.
    pub(crate) fn start() -> Result<Self, LabError> {
        let layout = namespace::layout()?;
        let host = Namespace::new(layout.host_namespace(HostNumber(1)))?;
        let dir = tempfile::tempdir().map_err(|source| LabError::File {
            path: std::env::temp_dir(),
            source,
        })?;
        let mut this = Self {
            layout,
            dir,
            host,
            vms: Vec::new(),
        };
        this.start_daemons()?;
        for vm in this.layout.vms() {
            this.add_vm(vm)?;
        }
        this.command("ovs-ofctl", &["add-flow", "br0", IP_PAIR_RULE])?;
        Ok(this)
    }

    fn start_daemons(&self) -> Result<(), LabError> {
        let db = self.file("conf.db");
        self.command("ovsdb-tool", &["create", &db, SCHEMA])?;
        let remote = format!("--remote=punix:{}", self.file("db.sock"));
        self.daemon("ovsdb-server", &[&db, &remote])?;
        self.vsctl("--no-wait init")?;
        self.vsctl("--no-wait set Open_vSwitch . other_config:n-handler-threads=1 other_config:n-revalidator-threads=1")?;
        self.vsctl(&format!("--no-wait set Open_vSwitch . {KEEP}"))?;
        self.daemon("ovs-vswitchd", &[&format!("unix:{}", self.file("db.sock"))])?;
        self.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev")
    }

    fn add_vm(&mut self, vm: VmNumber) -> Result<(), LabError> {
        let namespace = Namespace::new(self.layout.vm_namespace(vm))?;
        let (name, vif) = (namespace.name(), self.layout.vif(vm));
        let in_vm = |words: &str| system::run(&mut in_namespace(name, words));
        // Nobody but the program's own packets makes flows.
        in_vm("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")?;
        let host = [
            format!("link add {vif} type veth peer name eth0 netns {name}"),
            format!("link set {vif} up"),
        ];
        system::ip_batch(self.host.name(), &host)?;
        let inside = [
            format!("link set eth0 address {} up", self.layout.mac(vm)),
            format!("addr add {}/16 dev eth0", self.layout.vm(vm)),
        ];
        system::ip_batch(name, &inside)?;
        // Without this the userspace datapath passes on packets without checksum.
        in_vm("ethtool -K eth0 tx off")?;
        self.vms.push(namespace);
        self.vsctl(&format!("add-port br0 {vif}"))
    }

    /// The namespace of a VM and its address.
    pub(crate) fn vm(&self, vm: VmNumber) -> (String, std::net::Ipv4Addr) {
        (self.layout.vm_namespace(vm), self.layout.vm(vm).addr())
    }

    /// The directory that the daemons run from.
    pub(crate) fn run_dir(&self) -> &Path {
        self.dir.path()
    }

    /// The process id of `ovs-vswitchd`, which is also that of its main thread.
    pub(crate) fn process(&self) -> Result<u32, LabError> {
        process_in(&self.pid_file("ovs-vswitchd"))
    }

    /// Runs `ovs-vsctl` with these arguments, separated by spaces.
    pub(crate) fn vsctl(&self, arguments: &str) -> Result<(), LabError> {
        let db = format!("--db=unix:{}", self.file("db.sock"));
        let mut all = vec![db.as_str(), "--timeout=20"];
        all.extend(arguments.split(' '));
        self.command("ovs-vsctl", &all)
    }

    /// How many flows the datapath has, and how many it may have now: the limit rises from 10,000 to what is configured.
    pub(crate) fn flows(&self) -> Result<(u32, u32), LabError> {
        let unixctl = Unixctl::new(self.run_dir());
        let problem = |problem| LabError::Content {
            path: self.run_dir().into(),
            problem,
        };
        let text = unixctl.call("upcall/show", &[], DEADLINE);
        let text = text.map_err(|error| problem(error.to_string()))?;
        counts(&text).ok_or_else(|| problem(format!("upcall/show says {text:?}")))
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn pid_file(&self, daemon: &str) -> PathBuf {
        self.dir.path().join(format!("{daemon}.pid"))
    }

    fn daemon(&self, program: &str, arguments: &[&str]) -> Result<(), LabError> {
        let file = |option: &str, suffix: &str| {
            format!("--{option}={}", self.file(&format!("{program}.{suffix}")))
        };
        let options = [file("pidfile", "pid"), file("log-file", "log")];
        let mut all = vec!["netns", "exec", self.host.name(), program];
        all.extend(arguments);
        all.extend(options.iter().map(String::as_str));
        all.extend(["--detach", "--no-chdir", "-vconsole:off"]);
        self.command("ip", &all)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Result<(), LabError> {
        let mut command = Command::new(program);
        for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
            command.env(variable, self.dir.path());
        }
        system::run(command.args(arguments)).map(drop)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        for daemon in ["ovs-vswitchd", "ovsdb-server"] {
            if let Ok(process) = process_in(&self.pid_file(daemon)) {
                end(process);
            }
        }
    }
}

/// A command of words that are separated by spaces.
fn in_namespace(namespace: &str, words: &str) -> Command {
    let mut words = words.split(' ');
    let mut command = s_core_lab::namespace::command(namespace, words.next().unwrap_or_default());
    command.args(words);
    command
}

fn process_in(file: &Path) -> Result<u32, LabError> {
    let text = fs::read_to_string(file).map_err(|source| LabError::File {
        path: file.into(),
        source,
    })?;
    text.trim().parse().map_err(|_| LabError::Content {
        path: file.into(),
        problem: "it holds no process id".into(),
    })
}

/// Ends a process and waits until it has ended.
fn end(process: u32) {
    let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) else {
        return;
    };
    // It is no child of ours: nobody may collect it, so a zombie counts as ended.
    let stat = format!("/proc/{process}/stat");
    let runs = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    for signal in [Signal::TERM, Signal::KILL] {
        // That it has ended meanwhile is what is wanted.
        let _ = kill_process(pid, signal);
        for _ in 0..250 {
            if !runs() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The current number of flows and their limit in an answer to `upcall/show`.
fn counts(text: &str) -> Option<(u32, u32)> {
    let after = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        rest.split(')').next()?.trim().parse().ok()
    };
    Some((after("(current ")?, after("(limit ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_and_their_limit_are_read() {
        let check = |text: &str, wanted| assert_eq!(counts(text), wanted, "{text}");
        // Open vSwitch 3.1.0.
        let real = "netdev@ovs-netdev:\n  flows         : (current 12) (avg 5) (max 33) (limit 10000)\n  \
            offloaded flows : 0\n  dump duration : 1ms\n  ufid enabled : true\n\n  9: (keys 12)\n";
        check(real, Some((12, 10_000)));
        check("", None);
        check("(current 1)", None);
        check("(current x) (limit 7)", None);
    }
}
