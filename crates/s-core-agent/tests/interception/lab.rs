//! Two hosts with a bridge each, VMs, and a third server behind the switch between them, in network namespaces.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use s_core_model::VmId;

/// What kind of bridge the hosts have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    OpenVSwitch,
    LinuxBridge,
}

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// Host 1 or 2, or 3: a server without VMs, at the switch between the others.
pub(crate) fn server(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 79, 0, number)
}

pub(crate) fn vm(number: u8) -> VmId {
    Ipv4Addr::new(10, 79, 1, number).into()
}

/// Removed when it is dropped, also by a panic.
pub(crate) struct Lab {
    pub(crate) kind: Kind,
    prefix: String,
    dir: tempfile::TempDir,
    namespaces: Vec<String>,
}

impl Lab {
    /// Hosts 1 and 2; VM 1 on the first, 2 on the second; or `None`, said on standard error, where that is impossible.
    pub(crate) fn new(test: &str, kind: Kind) -> Option<Self> {
        if let Some(missing) = missing(kind) {
            let required = std::env::var_os("S_CORE_REQUIRE_OVS").is_some_and(|v| v == "1");
            assert!(
                !required,
                "{test} must run (S_CORE_REQUIRE_OVS=1), but {missing}"
            );
            // Past the test harness, which shows nothing of tests that pass.
            let _ = writeln!(io::stderr(), "SKIPPED: {test}: {missing}");
            return None;
        }
        let letter = if kind == Kind::OpenVSwitch { 'o' } else { 'l' };
        let mut lab = Self {
            kind,
            prefix: format!("score-i{letter}{}", std::process::id()),
            dir: tempfile::tempdir().unwrap(),
            namespaces: Vec::new(),
        };
        let fabric = lab.add_namespace("h3");
        lab.ip(&format!("-n {fabric} link add fabric type bridge"));
        lab.ip(&format!("-n {fabric} link set fabric up"));
        lab.in_host(3, "ethtool", &["-K", "fabric", "tx", "off"]);
        lab.ip(&format!("-n {fabric} addr add {}/16 dev fabric", server(3)));
        for number in [1, 2] {
            lab.add_host(number);
        }
        for number in [1, 2] {
            lab.add_vm(number, number);
        }
        Some(lab)
    }

    fn add_host(&mut self, number: u8) {
        let host = self.add_namespace(&format!("h{number}"));
        let fabric = self.name("h3");
        let (veth, own) = ("up0", format!("port{number}"));
        self.ip(&format!(
            "-n {host} link add {veth} type veth peer name {own} netns {fabric}"
        ));
        self.ip(&format!("-n {fabric} link set {own} master fabric up"));
        match self.kind {
            Kind::LinuxBridge => self.ip(&format!("-n {host} link add br0 type bridge")),
            Kind::OpenVSwitch => self.start_switch(number),
        }
        self.ip(&format!("-n {host} addr add {}/16 dev br0", server(number)));
        self.ip(&format!("-n {host} link set br0 up"));
        self.in_host(number, "ethtool", &["-K", "br0", "tx", "off"]);
        self.plug(number, veth);
    }

    fn start_switch(&self, number: u8) {
        let dir = self.run_dir(number);
        fs::create_dir_all(&dir).unwrap();
        let file = |name: &str| dir.join(name).display().to_string();
        run(Command::new("ovsdb-tool").args(["create", &file("conf.db"), SCHEMA]));
        let socket = file("db.sock");
        let daemon = |program: &str, args: &[&str]| {
            let pid = format!("--pidfile={}", file(&format!("{program}.pid")));
            let log = format!("--log-file={}", file(&format!("{program}.log")));
            let rest = ["--detach", "--no-chdir", "-vconsole:off", &pid, &log];
            let mut command = self.command(number, program);
            command.env("OVS_RUNDIR", &dir).args(args).args(rest);
            run(&mut command);
        };
        daemon(
            "ovsdb-server",
            &[&file("conf.db"), &format!("--remote=punix:{socket}")],
        );
        let few = "set Open_vSwitch . other_config:n-handler-threads=1 other_config:n-revalidator-threads=1";
        self.vsctl(number, &format!("--no-wait init -- {few}"));
        daemon("ovs-vswitchd", &[&format!("unix:{socket}")]);
        // The kernel sees the ports' frames beside the userspace datapath. It must neither answer for the bridge's
        // addresses at a port, nor take frames for the bridge as its own because the bridge has a port's address.
        let name = format!("h{number}");
        self.set(&name, "/proc/sys/net/ipv4/conf/all/arp_ignore");
        let own = format!("other-config:hwaddr=\"02:79:00:00:01:0{number}\"");
        self.vsctl(
            number,
            &format!("add-br br0 -- set bridge br0 datapath_type=netdev {own}"),
        );
    }

    fn add_vm(&mut self, number: u8, host: u8) {
        let vm_space = self.add_namespace(&format!("v{number}"));
        let host_space = self.name(&format!("h{host}"));
        let (vif, address) = (format!("vif{number}.0"), vm(number).addr());
        self.ip(&format!(
            "-n {host_space} link add {vif} type veth peer name eth0 netns {vm_space}"
        ));
        self.ip(&format!("-n {vm_space} addr add {address}/16 dev eth0"));
        self.ip(&format!(
            "-n {vm_space} link set eth0 address 02:79:00:00:00:{number:02x} up"
        ));
        // Without this the userspace datapath passes on TCP segments without checksum.
        run(Command::new("ip").args([
            "netns", "exec", &vm_space, "ethtool", "-K", "eth0", "tx", "off",
        ]));
        self.plug(host, &vif);
    }

    /// Makes an interface of a host a port of its bridge.
    fn plug(&self, host: u8, interface: &str) {
        let space = self.name(&format!("h{host}"));
        self.ip(&format!("-n {space} link set {interface} up"));
        match self.kind {
            Kind::OpenVSwitch => self.vsctl(host, &format!("add-port br0 {interface}")),
            Kind::LinuxBridge => self.ip(&format!("-n {space} link set {interface} master br0")),
        }
    }

    /// What a live migration does to the network: the interface moves, and the VM says where it is now.
    pub(crate) fn move_vm(&self, number: u8, from: u8, to: u8) {
        let vif = format!("vif{number}.0");
        let [from_space, to_space] = [from, to].map(|host| self.name(&format!("h{host}")));
        if self.kind == Kind::OpenVSwitch {
            self.vsctl(from, &format!("del-port br0 {vif}"));
        }
        self.ip(&format!("-n {from_space} link set {vif} netns {to_space}"));
        self.plug(to, &vif);
        let announce = move || {
            let socket = std::net::UdpSocket::bind((vm(number).addr(), 0)).unwrap();
            socket.set_broadcast(true).unwrap();
            socket
                .send_to(b"here", (Ipv4Addr::new(10, 79, 255, 255), 9))
                .unwrap();
        };
        self.inside(&format!("v{number}"), announce).join().unwrap();
    }

    /// Runs `work` in a thread that sees the network of `h1` … `h3`, `v1` or `v2`.
    pub(crate) fn inside<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let namespace = format!("/run/netns/{}", self.name(name));
        thread::spawn(move || {
            let file = File::open(namespace).unwrap();
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        })
    }

    /// The directory that a host's switch runs from.
    pub(crate) fn run_dir(&self, host: u8) -> PathBuf {
        self.dir.path().join(format!("h{host}"))
    }

    pub(crate) fn state_dir(&self, host: u8) -> PathBuf {
        let dir = self.dir.path().join(format!("state{host}"));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    fn add_namespace(&mut self, name: &str) -> String {
        let full = self.name(name);
        self.ip(&format!("netns add {full}"));
        self.namespaces.push(full.clone());
        self.ip(&format!("-n {full} link set lo up"));
        self.set(name, "/proc/sys/net/ipv6/conf/all/disable_ipv6");
        full
    }

    /// Sets a parameter of a namespace's network to 1, if there is such a one.
    fn set(&self, name: &str, file: &'static str) {
        let set = move || {
            if Path::new(file).exists() {
                fs::write(file, "1").unwrap();
            }
        };
        self.inside(name, set).join().unwrap();
    }

    fn ip(&self, args: &str) {
        run(Command::new("ip").args(args.split(' ')));
    }

    fn command(&self, host: u8, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(&format!("h{host}")), program]);
        command
    }

    /// Runs a program on a host and tells what it said.
    pub(crate) fn in_host(&self, host: u8, program: &str, args: &[&str]) -> String {
        run(self.command(host, program).args(args))
    }

    fn vsctl(&self, host: u8, args: &str) {
        let db = format!("--db=unix:{}", self.run_dir(host).join("db.sock").display());
        run(Command::new("ovs-vsctl")
            .args([&db, "--timeout=20"])
            .args(args.split(' ')));
    }

    /// Runs `ovs-ofctl` on a host's bridge.
    pub(crate) fn ofctl(&self, host: u8, verb: &str, args: &[&str]) -> String {
        let target = format!("unix:{}", self.run_dir(host).join("br0.mgmt").display());
        self.in_host(host, "ovs-ofctl", &[&[verb, &target], args].concat())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for (host, daemon) in [1, 2]
            .into_iter()
            .flat_map(|h| [(h, "ovs-vswitchd"), (h, "ovsdb-server")])
        {
            end(&self.run_dir(host).join(format!("{daemon}.pid")));
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
    let text = fs::read_to_string(pidfile).unwrap_or_default();
    let Some(process) = text.trim().parse().ok().and_then(Pid::from_raw) else {
        return;
    };
    let stat = format!("/proc/{}/stat", process.as_raw_nonzero());
    // It is no child of ours: nobody may collect it, so a zombie counts as ended.
    let runs = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    for signal in [Signal::TERM, Signal::KILL] {
        let _ = kill_process(process, signal);
        for _ in 0..100 {
            if !runs() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What is needed and not there.
fn missing(kind: Kind) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it needs root, for network namespaces".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed =
        |program: &&&str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    let ovs = [
        "ovs-vswitchd",
        "ovsdb-server",
        "ovsdb-tool",
        "ovs-vsctl",
        "ovs-ofctl",
    ];
    let ovs = if kind == Kind::OpenVSwitch {
        &ovs[..]
    } else {
        &[]
    };
    let all = [&["ip", "nft", "ethtool"][..], ovs].concat();
    if let Some(program) = all.iter().find(|program| !installed(program)) {
        return Some(format!("{program} is not installed"));
    }
    (kind == Kind::OpenVSwitch && !Path::new(SCHEMA).is_file())
        .then(|| format!("{SCHEMA} is not there"))
}
