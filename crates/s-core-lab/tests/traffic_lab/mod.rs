//! VMs in network namespaces on one plain bridge, named as those of a laboratory.

#![allow(dead_code, reason = "each test uses its part")]

use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use s_core_lab::traffic::Endpoint;
use s_core_lab::{Layout, Shape, VmNumber, namespace, system};
use s_core_model::VmId;

use crate::support::{TakenDown, no_ipv6};

/// A bridge and its VMs; removed when dropped, also by a panic.
pub(crate) struct Bridge {
    pub(crate) layout: Layout,
    _down: TakenDown,
}

impl Bridge {
    /// A bridge with this many VMs, or `None`, said on standard error, where that is impossible.
    pub(crate) fn new(test: &str, vms: u16) -> Option<Self> {
        let missing = missing();
        if let Some(missing) = &missing {
            let required = std::env::var_os("S_CORE_REQUIRE_OVS").is_some_and(|v| v == "1");
            assert!(
                !required,
                "{test} must run (S_CORE_REQUIRE_OVS=1), but {missing}"
            );
            let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {missing}");
            return None;
        }
        static BRIDGES: AtomicU32 = AtomicU32::new(0);
        let number = BRIDGES.fetch_add(1, Ordering::Relaxed) % 10;
        let name = format!("tr{:05}{number}", std::process::id() % 100_000);
        let shape = Shape {
            hosts: 1,
            vms_per_host: vms,
            fan_out: vec![1],
            ..Shape::default()
        };
        let layout = Layout::new(name.parse().unwrap(), shape).unwrap();
        let this = Self {
            _down: TakenDown(layout.name().clone()),
            layout,
        };
        this.build();
        Some(this)
    }

    fn build(&self) {
        let layout = &self.layout;
        let fabric = layout.fabric_namespace();
        ip(&["netns", "add", &fabric]);
        no_ipv6(&fabric);
        // A bridge that snoops would send reports of its own.
        let mut lines = vec![
            "link add br0 type bridge mcast_snooping 0".into(),
            "link set br0 up".into(),
        ];
        for vm in layout.vms() {
            let (vif, name) = (layout.vif(vm), layout.vm_namespace(vm));
            ip(&["netns", "add", &name]);
            no_ipv6(&name);
            lines.push(format!(
                "link add {vif} type veth peer name eth0 netns {name}"
            ));
            lines.push(format!("link set {vif} master br0 up"));
        }
        system::ip_batch(&fabric, &lines).unwrap();
        for vm in layout.vms() {
            let name = layout.vm_namespace(vm);
            let (mac, address) = (layout.mac(vm), layout.vm(vm));
            let lines = [
                format!("link set eth0 address {mac} up"),
                format!("addr add {address}/16 dev eth0"),
            ];
            system::ip_batch(&name, &lines).unwrap();
            // As in a laboratory: the kernel segments for TCP before it counts.
            in_namespace(&name, "ethtool -K eth0 tx off");
        }
    }

    /// The id of VM `n`.
    pub(crate) fn vm(&self, n: u32) -> VmId {
        self.layout.vm(VmNumber(n))
    }

    /// Where VM `n` is.
    pub(crate) fn endpoint(&self, n: u32) -> Endpoint {
        Endpoint::all(&self.layout).remove(n as usize - 1)
    }

    /// Takes the VM off the bridge, or puts it back.
    pub(crate) fn link(&self, n: u32, state: &str) {
        let vif = self.layout.vif(VmNumber(n));
        let line = format!("link set {vif} {state}");
        system::ip_batch(&self.layout.fabric_namespace(), &[line]).unwrap();
    }

    /// Packets and bytes of frames that the interface of VM `n` has received and sent.
    pub(crate) fn interface(&self, n: u32) -> [u64; 4] {
        let text = self.proc(n, "/proc/net/dev");
        let line = text.lines().find_map(|l| l.trim().strip_prefix("eth0:"));
        let fields: Vec<u64> = line
            .unwrap()
            .split_whitespace()
            .map(|field| field.parse().unwrap())
            .collect();
        [fields[1], fields[0], fields[9], fields[8]]
    }
}

impl Bridge {
    /// How many TCP segments VM `n` has sent again.
    pub(crate) fn retransmitted(&self, n: u32) -> u64 {
        let text = self.proc(n, "/proc/net/snmp");
        let mut tcp = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
        let [names, values] = [tcp.next().unwrap(), tcp.next().unwrap()];
        let at = names.split(' ').position(|name| name == "RetransSegs");
        values.split(' ').nth(at.unwrap()).unwrap().parse().unwrap()
    }

    fn proc(&self, n: u32, file: &str) -> String {
        let name = self.layout.vm_namespace(VmNumber(n));
        system::run(namespace::command(&name, "cat").arg(file)).unwrap()
    }
}

fn ip(arguments: &[&str]) {
    system::run(Command::new("ip").args(arguments)).unwrap();
}

fn in_namespace(name: &str, words: &str) {
    let mut words = words.split(' ');
    let program = words.next().unwrap();
    system::run(namespace::command(name, program).args(words)).unwrap();
}

/// What is needed and not there.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it needs root, for network namespaces".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed =
        |program: &&str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    let programs = ["ip", "nft", "ethtool"];
    let program = programs.into_iter().find(|program| !installed(program))?;
    Some(format!("{program} is not installed"))
}
