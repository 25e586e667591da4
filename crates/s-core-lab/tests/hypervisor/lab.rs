//! A small laboratory: two hosts with a switch each on one bridge, and nothing left behind.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use s_core_backend::ovs::ovsdb::Ovsdb;
use s_core_backend::{Hypervisor as _, MigrationOutcome};
use s_core_lab::hypervisor::{MigrationSettings, Observer};
use s_core_lab::system::{ip_batch, run};
use s_core_lab::{HostNumber, LabHypervisor, Layout, Shape, VmNumber, namespace};

pub(crate) const FIRST: HostNumber = HostNumber(1);
pub(crate) const SECOND: HostNumber = HostNumber(2);
/// At home on the first host to begin with, as is VM 2; VMs 3 and 4 on the second.
pub(crate) const VM: VmNumber = VmNumber(1);
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const PROGRAMS: [&str; 8] = [
    "ovs-vswitchd",
    "ovsdb-server",
    "ovsdb-tool",
    "ovs-vsctl",
    "ovs-ofctl",
    "ip",
    "tc",
    "ethtool",
];

/// Ended when dropped, also by a panic.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) layout: Layout,
}

impl Lab {
    /// Two hosts with two VMs each and room for one more, or `None`, said on standard error, where that is impossible.
    pub(crate) fn new(test: &str, memory_mib: u32) -> Option<Self> {
        match missing() {
            None => {}
            Some(missing) if std::env::var_os("S_CORE_REQUIRE_OVS").is_some_and(|v| v == "1") => {
                panic!("{test} must run (S_CORE_REQUIRE_OVS=1), but {missing}")
            }
            Some(missing) => {
                // Past the test harness, which shows nothing of tests that pass.
                let _ = writeln!(io::stderr(), "SKIPPED: {test}: {missing}");
                return None;
            }
        }
        static LABS: AtomicU32 = AtomicU32::new(0);
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:x}v{number:x}", std::process::id());
        let shape = Shape {
            hosts: 2,
            vms_per_host: 2,
            vm_slots: 3,
            vm_memory_mib: memory_mib,
            fan_out: vec![1],
            host_mbit: 200,
            ..Shape::default()
        };
        let layout = Layout::new(name.parse().unwrap(), shape).unwrap();
        let this = Self { layout };
        this.up();
        Some(this)
    }

    fn up(&self) {
        let layout = &self.layout;
        let fabric = layout.fabric_namespace();
        add_namespace(&fabric);
        ip(&fabric, &["link add s0 type bridge", "link set s0 up"]);
        for host in layout.hosts() {
            self.host_up(host, &fabric);
        }
        for vm in layout.vms() {
            self.vm_up(vm);
        }
    }

    fn host_up(&self, host: HostNumber, fabric: &str) {
        let layout = &self.layout;
        let (namespace, port) = (layout.host_namespace(host), layout.host_port(host));
        add_namespace(&namespace);
        let directory = layout.host_directory(host);
        fs::create_dir_all(&directory).unwrap();
        let dir = directory.display();
        tool(&format!("ovsdb-tool create {dir}/conf.db {SCHEMA}"));
        let options = |name: &str| {
            format!(
                "--pidfile={dir}/{name}.pid --log-file={dir}/{name}.log --unixctl={dir}/{name}.ctl --detach --no-chdir -vconsole:off"
            )
        };
        let within = format!("ip netns exec {namespace}");
        let remote = format!("--remote=punix:{dir}/db.sock");
        let database = options("ovsdb-server");
        tool(&format!(
            "{within} env OVS_RUNDIR={dir} ovsdb-server {dir}/conf.db {remote} {database}"
        ));
        self.vsctl(host, "--no-wait init");
        self.vsctl(host, "--no-wait set Open_vSwitch . other_config:n-handler-threads=1 other_config:n-revalidator-threads=1");
        let switch = options("ovs-vswitchd");
        tool(&format!(
            "{within} env OVS_RUNDIR={dir} ovs-vswitchd unix:{dir}/db.sock {switch}"
        ));
        let uplink = format!("link add up0 type veth peer name {port} netns {fabric}");
        ip(&namespace, &[&uplink, "link set up0 up"]);
        ip(fabric, &[&format!("link set {port} master s0 up")]);
        let mbit = layout.shape().host_mbit;
        for (namespace, device) in [(namespace.as_str(), "up0"), (fabric, &port)] {
            tool(&format!(
                "tc -n {namespace} qdisc add dev {device} root tbf rate {mbit}mbit burst 64kb latency 50ms"
            ));
        }
        // Otherwise it changes with the ports, and nobody finds the control domain until ARP forgets.
        let mac = format!("02:77:ff:00:00:{:02x}", host.0);
        self.vsctl(host, &format!("add-br br0 -- set Bridge br0 datapath_type=netdev other-config:hwaddr=\"{mac}\" -- add-port br0 up0"));
        let address = layout.fabric_address(host);
        let address = format!("address add {address}/16 dev br0");
        ip(&namespace, &[&address, "link set br0 up", "link set lo up"]);
    }

    fn vm_up(&self, vm: VmNumber) {
        let layout = &self.layout;
        let host = layout.first_host(vm);
        let (host_namespace, vm_namespace) = (layout.host_namespace(host), layout.vm_namespace(vm));
        let vif = layout.vif(vm);
        add_namespace(&vm_namespace);
        let within = format!("ip netns exec {vm_namespace}");
        tool(&format!(
            "{within} sysctl -qw net.ipv6.conf.default.disable_ipv6=1"
        ));
        let add = format!("link add {vif} type veth peer name eth0 netns {vm_namespace}");
        ip(&host_namespace, &[&add, &format!("link set {vif} up")]);
        let (mac, address) = (layout.mac(vm), layout.vm(vm));
        let mac = format!("link set eth0 address {mac} up");
        ip(
            &vm_namespace,
            &[&mac, &format!("address add {address}/16 dev eth0")],
        );
        tool(&format!("{within} ethtool -K eth0 tx off"));
        let ids = layout.external_ids(vm);
        let ids = ids.map(|(key, value)| format!("external_ids:{key}=\"{value}\""));
        let add = format!(
            "add-port br0 {vif} -- set Interface {vif} {}",
            ids.join(" ")
        );
        self.vsctl(host, &add);
    }

    /// Runs `ovs-vsctl` on a host with these arguments, separated by spaces.
    fn vsctl(&self, host: HostNumber, arguments: &str) {
        let dir = self.layout.host_directory(host);
        let dir = dir.display();
        tool(&format!(
            "ovs-vsctl --db=unix:{dir}/db.sock --timeout=20 {arguments}"
        ));
    }

    pub(crate) fn hypervisor(&self, host: HostNumber) -> LabHypervisor {
        self.observed(host, Arc::new(()))
    }

    pub(crate) fn observed(&self, host: HostNumber, observer: Arc<dyn Observer>) -> LabHypervisor {
        LabHypervisor::start(&self.layout, host, settings(), observer).unwrap()
    }

    /// A hypervisor with the usual steps, for tests in which nothing is waited for in vain.
    pub(crate) fn patient(&self, host: HostNumber, observer: Arc<dyn Observer>) -> LabHypervisor {
        let settings = MigrationSettings::default();
        LabHypervisor::start(&self.layout, host, settings, observer).unwrap()
    }

    /// Migrates [`VM`] to a host.
    pub(crate) fn migrate(&self, from: &LabHypervisor, to: HostNumber) -> MigrationOutcome {
        self.migrate_within(from, to, DEADLINE)
    }

    pub(crate) fn migrate_within(
        &self,
        from: &LabHypervisor,
        to: HostNumber,
        deadline: Duration,
    ) -> MigrationOutcome {
        let uuid = self.layout.vm_uuid(VM);
        from.migrate(uuid, self.layout.server(to), deadline)
    }

    /// Moves a VM's interface from one host to another, as a source does.
    pub(crate) fn give(&self, vm: VmNumber, from: HostNumber, to: HostNumber) {
        let [from, to] = [from, to].map(|host| self.layout.host_namespace(host));
        let vif = self.layout.vif(vm);
        ip(&from, &[&format!("link set {vif} netns {to}")]);
    }

    /// Sends a signal to a host's switch.
    pub(crate) fn signal_switch(&self, host: HostNumber, signal: Signal) {
        let pidfile = self.layout.host_directory(host).join("ovs-vswitchd.pid");
        kill_process(pid(&pidfile).unwrap(), signal).unwrap();
    }

    /// The hosts whose namespace has the VM's interface.
    fn homes(&self, vm: VmNumber) -> Vec<HostNumber> {
        let has = |host: &HostNumber| {
            let mut command = Command::new("ip");
            command.args(["-n", &self.layout.host_namespace(*host)]);
            run(command.args(["link", "show", &self.layout.vif(vm)])).is_ok()
        };
        self.layout.hosts().filter(has).collect()
    }

    /// The hosts whose database lists the VM.
    fn listings(&self, vm: VmNumber) -> Vec<HostNumber> {
        let lists = |host: &HostNumber| {
            let ovsdb = Ovsdb::new(self.layout.host_directory(*host).join("db.sock"));
            let interfaces = ovsdb.interfaces(DEADLINE).unwrap();
            let vif = self.layout.vif(vm);
            let mut vifs = interfaces.iter().filter(|of| of.name == vif);
            vifs.any(|of| of.attached_mac == Some(self.layout.mac(vm)) && of.ofport.is_some())
        };
        self.layout.hosts().filter(lists).collect()
    }

    /// Checks that the VM is at home here, and nowhere else, within a few seconds: its interface, the switch's database, and
    /// for the VMs that run on both hosts.
    pub(crate) fn assert_home(&self, home: HostNumber, about: &str) {
        assert_eq!(self.homes(VM), [home], "{about}: interface");
        let listed = || self.listings(VM) == [home];
        assert!(
            eventually(listed),
            "{about}: listed at {:?}",
            self.listings(VM)
        );
        for other in [VmNumber(2), VmNumber(3)] {
            let answers = || self.ping(other, VM);
            assert!(eventually(answers), "{about}: no answer to {other:?}");
        }
    }

    /// Whether one VM gets an answer from another within a second.
    fn ping(&self, from: VmNumber, to: VmNumber) -> bool {
        let mut ping = namespace::command(&self.layout.vm_namespace(from), "ping");
        run(ping.args(["-c1", "-W1", "-q", &self.layout.vm(to).to_string()])).is_ok()
    }
}

/// Short steps: what is waited for in vain does not take long.
pub(crate) fn settings() -> MigrationSettings {
    MigrationSettings {
        step: Duration::from_secs(1),
        ..MigrationSettings::default()
    }
}

/// Whether it becomes true within five seconds.
pub(crate) fn eventually(mut true_now: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(5);
    while !true_now() {
        if Instant::now() > until {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
    true
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in self.layout.hosts() {
            for daemon in ["ovs-vswitchd", "ovsdb-server"] {
                let pidfile = format!("{daemon}.pid");
                end(&self.layout.host_directory(host).join(pidfile));
            }
        }
        let hosts = (self.layout.hosts()).map(|host| self.layout.host_namespace(host));
        let vms = self.layout.vms().map(|vm| self.layout.vm_namespace(vm));
        for namespace in vms.chain(hosts).chain([self.layout.fabric_namespace()]) {
            // Nothing better can be done with a failure while a panic is on its way.
            drop(run(Command::new("ip").args(["netns", "del", &namespace])));
        }
        drop(fs::remove_dir_all(self.layout.directory()));
    }
}

fn add_namespace(name: &str) {
    tool(&format!("ip netns add {name}"));
}

fn ip(namespace: &str, lines: &[&str]) {
    let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
    ip_batch(namespace, &lines).unwrap();
}

/// Runs a program with arguments, separated by spaces.
fn tool(line: &str) {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap());
    run(command.args(words)).unwrap();
}

fn pid(file: &Path) -> Option<Pid> {
    let text = fs::read_to_string(file).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}

/// Ends the process whose id is in this file, and waits until it has ended.
fn end(pidfile: &Path) {
    let Some(process) = pid(pidfile) else {
        return;
    };
    // It is no child of ours: nobody may collect it, so a zombie counts as ended.
    let stat = format!("/proc/{process}/stat");
    let runs = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    // One that a test has stopped goes on, to hear the next.
    kill_process(process, Signal::CONT).ok();
    for signal in [Signal::TERM, Signal::KILL] {
        kill_process(process, signal).ok();
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
