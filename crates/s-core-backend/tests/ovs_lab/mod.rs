//! An Open vSwitch of its own, with VMs in network namespaces, that leaves nothing behind.
//!
//! The switch is the userspace datapath, so no kernel module is needed. VM `n` (1, 2, …) has the
//! address 10.9.0.n and the MAC address 02:00:0a:09:00:0n. Counters are compared with frames, so the
//! VMs speak no IPv6, and the kernel does not merge their segments.

#![allow(dead_code, reason = "each test uses its part of the laboratory")]

pub(crate) mod log;
pub(crate) mod traffic;

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

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

/// A switch and its VMs; ended when dropped, also by a panic.
pub(crate) struct Lab {
    dir: tempfile::TempDir,
    prefix: String,
    namespaces: Vec<String>,
}

impl Lab {
    /// A switch with this many VMs, or `None`, said on standard error, where that is impossible.
    ///
    /// # Panics
    ///
    /// If it is impossible although `S_CORE_REQUIRE_OVS=1` says that it must not be.
    pub(crate) fn new(test: &str, vms: u8) -> Option<Self> {
        match missing() {
            None => Some(Self::start(vms)),
            Some(missing) if std::env::var_os("S_CORE_REQUIRE_OVS").is_some_and(|v| v == "1") => {
                panic!("{test} must run (S_CORE_REQUIRE_OVS=1), but {missing}")
            }
            Some(missing) => {
                // Past the test harness, which shows nothing of tests that pass.
                let _ = writeln!(io::stderr(), "SKIPPED: {test}: {missing}");
                None
            }
        }
    }

    fn start(vms: u8) -> Self {
        static LABS: AtomicU32 = AtomicU32::new(0);
        let lab = LABS.fetch_add(1, Ordering::Relaxed);
        let mut this = Self {
            dir: tempfile::tempdir().unwrap(),
            prefix: format!("score-{}-{lab}", std::process::id()),
            namespaces: Vec::new(),
        };
        let host = this.add_namespace("host");
        let db = this.file("conf.db");
        // NetFlow goes to the loopback address.
        this.run("ip", &["-n", &host, "link", "set", "lo", "up"]);
        this.run("ovsdb-tool", &["create", &db, SCHEMA]);
        let remote = format!("--remote=punix:{}", this.file("db.sock"));
        this.daemon(&host, "ovsdb-server", &[&db, &remote]);
        this.vsctl("--no-wait init");
        this.vsctl("--no-wait set Open_vSwitch . other_config:n-handler-threads=1 other_config:n-revalidator-threads=1");
        let db_remote = format!("unix:{}", this.file("db.sock"));
        this.daemon(&host, "ovs-vswitchd", &[&db_remote]);
        this.add_bridge();
        for n in 1..=vms {
            this.add_vm(&host, n);
        }
        this
    }

    /// Makes the bridge `br0`, without ports.
    pub(crate) fn add_bridge(&self) {
        self.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
    }

    /// Attaches VM `n` to the bridge, with `more` for `ovs-vsctl`, as ` ofport_request=7`.
    pub(crate) fn add_port(&self, n: u8, more: &str) {
        let mac = mac(n);
        self.vsctl(&format!(
            "add-port br0 vif{n}.0 -- set interface vif{n}.0 external_ids:attached-mac=\"{mac}\"{more}"
        ));
    }

    /// Ends a daemon: `ovs-vswitchd` or `ovsdb-server`.
    pub(crate) fn stop(&self, daemon: &str) {
        end(&self.dir.path().join(format!("{daemon}.pid")));
    }

    /// Starts a daemon that was ended.
    pub(crate) fn start_again(&self, daemon: &str) {
        let arguments = if daemon == "ovsdb-server" {
            let remote = format!("--remote=punix:{}", self.file("db.sock"));
            vec![self.file("conf.db"), remote]
        } else {
            vec![format!("unix:{}", self.file("db.sock"))]
        };
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        self.daemon(&format!("{}-host", self.prefix), daemon, &arguments);
    }

    /// Sends a daemon a signal, as `STOP` and `CONT`.
    pub(crate) fn signal(&self, daemon: &str, signal: Signal) {
        let pid = fs::read_to_string(self.file(&format!("{daemon}.pid"))).unwrap();
        let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Gives VM `n` the address of `other` in the place of its own.
    pub(crate) fn change_address(&self, n: u8, other: u8) {
        let vm = format!("{}-vm{n}", self.prefix);
        let address = format!("{}/24", address(other));
        self.run("ip", &["-n", &vm, "addr", "flush", "dev", "eth0"]);
        self.run("ip", &["-n", &vm, "addr", "add", &address, "dev", "eth0"]);
    }

    fn add_vm(&mut self, host: &str, n: u8) {
        let vm = self.add_namespace(&format!("vm{n}"));
        let (ip, mac) = (address(n), mac(n));
        let in_vm = format!("netns exec {vm}");
        self.in_vm(n, no_ipv6).join().unwrap();
        for command in [
            format!("-n {host} link add vif{n}.0 type veth peer name eth0 netns {vm}"),
            format!("-n {vm} link set eth0 address {mac} up"),
            format!("-n {vm} addr add {ip}/24 dev eth0"),
            format!("-n {host} link set vif{n}.0 up"),
            // Without this the userspace datapath passes on TCP segments without checksum.
            format!("{in_vm} ethtool -K eth0 tx off"),
        ] {
            self.run("ip", &command.split(' ').collect::<Vec<_>>());
        }
        self.add_port(n, "");
    }

    /// The directory that the daemons run from, as a packaged Open vSwitch has it.
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.dir.path().into()
    }

    /// The control socket of ovs-vswitchd.
    pub(crate) fn unixctl(&self) -> PathBuf {
        let pid = fs::read_to_string(self.file("ovs-vswitchd.pid")).unwrap();
        self.file(&format!("ovs-vswitchd.{}.ctl", pid.trim()))
            .into()
    }

    /// The socket of the database.
    pub(crate) fn ovsdb(&self) -> PathBuf {
        self.file("db.sock").into()
    }

    /// Runs `ovs-vsctl` with these arguments, separated by spaces, and tells what it printed.
    pub(crate) fn vsctl(&self, arguments: &str) -> String {
        let db = format!("--db=unix:{}", self.file("db.sock"));
        let mut all = vec![db.as_str(), "--timeout=20"];
        all.extend(arguments.split(' '));
        self.run("ovs-vsctl", &all)
    }

    /// Adds an OpenFlow rule to the bridge.
    pub(crate) fn add_rule(&self, rule: &str) {
        self.ofctl(&["add-flow", "br0", rule]);
    }

    /// Runs `ovs-ofctl` with these arguments.
    pub(crate) fn ofctl(&self, arguments: &[&str]) -> String {
        self.run("ovs-ofctl", arguments)
    }

    /// The OpenFlow rules of the bridge, without their counters.
    pub(crate) fn rules(&self) -> String {
        self.ofctl(&["--no-stats", "dump-flows", "br0"])
    }

    /// Runs `work` in a thread that sees the network of VM `n`.
    pub(crate) fn in_vm<T: Send + 'static>(
        &self,
        n: u8,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.in_namespace(&format!("vm{n}"), work)
    }

    /// Runs `work` in a thread that sees the network of the switch.
    pub(crate) fn in_host<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.in_namespace("host", work)
    }

    fn in_namespace<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let namespace = format!("/run/netns/{}-{name}", self.prefix);
        thread::spawn(move || {
            let file = File::open(namespace).unwrap();
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        })
    }

    /// The bytes of all frames that VM `n` has sent and received, as its own kernel counted them.
    pub(crate) fn frames(&self, n: u8) -> u64 {
        let fields = self.device(n);
        fields[0] + fields[8]
    }

    /// The bytes and number of all frames that VM `n` has received, as its own kernel counted them.
    pub(crate) fn received(&self, n: u8) -> (u64, u64) {
        let fields = self.device(n);
        (fields[0], fields[1])
    }

    /// The kernel's counters of VM `n`'s interface.
    fn device(&self, n: u8) -> Vec<u64> {
        let read = || {
            let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
            let line = text.lines().find_map(|l| l.trim().strip_prefix("eth0:"));
            let fields = line.unwrap().split_whitespace();
            fields.map(|field| field.parse().unwrap()).collect()
        };
        self.in_vm(n, read).join().unwrap()
    }

    fn add_namespace(&mut self, name: &str) -> String {
        let name = format!("{}-{name}", self.prefix);
        self.run("ip", &["netns", "add", &name]);
        self.namespaces.push(name.clone());
        name
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn daemon(&self, namespace: &str, program: &str, arguments: &[&str]) {
        let file = |option: &str, suffix: &str| {
            format!("--{option}={}", self.file(&format!("{program}.{suffix}")))
        };
        let options = [file("pidfile", "pid"), file("log-file", "log")];
        let mut all = vec!["netns", "exec", namespace, program];
        all.extend(arguments);
        all.extend(options.iter().map(String::as_str));
        all.extend(["--detach", "--no-chdir", "-vconsole:off"]);
        self.run("ip", &all);
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
            command.env(variable, self.dir.path());
        }
        let output = command.args(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for daemon in ["ovs-vswitchd", "ovsdb-server"] {
            self.stop(daemon);
        }
        for namespace in &self.namespaces {
            // Nothing better can be done with a failure while a panic is on its way.
            let _ = Command::new("ip")
                .args(["netns", "del", namespace])
                .status();
        }
    }
}

/// Ends the process whose id is in this file, and waits until it has ended.
fn end(pidfile: &Path) {
    let Some(pid) = fs::read_to_string(pidfile)
        .ok()
        .and_then(|text| text.trim().parse().ok())
    else {
        return;
    };
    let Some(process) = Pid::from_raw(pid) else {
        return;
    };
    // It is no child of ours: nobody may collect it, so a zombie counts as ended.
    let runs =
        || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    for signal in [Signal::TERM, Signal::KILL] {
        let _ = rustix::process::kill_process(process, signal);
        for _ in 0..100 {
            if !runs() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What is needed and not there.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it needs root, for network namespaces".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed =
        |program: &&&str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if let Some(program) = PROGRAMS.iter().find(|program| !installed(program)) {
        return Some(format!("{program} is not installed"));
    }
    (!Path::new(SCHEMA).is_file()).then(|| format!("{SCHEMA} is not there"))
}

/// Keeps the interfaces of the calling thread's namespace from sending by themselves.
fn no_ipv6() {
    for whose in ["all", "default"] {
        let file = format!("/proc/sys/net/ipv6/conf/{whose}/disable_ipv6");
        if Path::new(&file).exists() {
            fs::write(file, "1").unwrap();
        }
    }
}

/// The IPv4 address of VM `n`.
pub(crate) fn address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, 0, n)
}

/// The MAC address of VM `n`.
pub(crate) fn mac(n: u8) -> String {
    format!("02:00:0a:09:00:{n:02x}")
}
