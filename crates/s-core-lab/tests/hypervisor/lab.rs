//! A small laboratory: two hosts with a switch each on one bridge, and nothing left behind.

use std::fs;
use std::io::ErrorKind;
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
use s_core_lab::{HostNumber, LabError, LabHypervisor, Layout, Shape, VmNumber, namespace};

use crate::support::{TakenDown, is_possible};

pub(crate) const FIRST: HostNumber = HostNumber(1);
pub(crate) const SECOND: HostNumber = HostNumber(2);
/// At home on the first host to begin with, as is VM 2; VMs 3 and 4 on the second.
pub(crate) const VM: VmNumber = VmNumber(1);
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Ended when dropped, also by a panic.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) layout: Layout,
    _down: TakenDown,
}

impl Lab {
    /// Two hosts with two VMs each and room for one more, or `None`, said on standard error, where that is impossible.
    pub(crate) fn new(test: &str, memory_mib: u32) -> Option<Self> {
        if !is_possible(test) {
            return None;
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
        Some(Self {
            _down: TakenDown::up(&layout),
            layout,
        })
    }

    pub(crate) fn hypervisor(&self, host: HostNumber) -> LabHypervisor {
        self.observed(host, Arc::new(()))
    }

    pub(crate) fn observed(&self, host: HostNumber, observer: Arc<dyn Observer>) -> LabHypervisor {
        start(&self.layout, host, settings(), observer)
    }

    /// A hypervisor with the usual steps, for tests in which nothing is waited for in vain.
    pub(crate) fn patient(&self, host: HostNumber, observer: Arc<dyn Observer>) -> LabHypervisor {
        let settings = MigrationSettings::default();
        start(&self.layout, host, settings, observer)
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

/// Starts a hypervisor. The port of the one before it is held a moment longer by programs that another test is about to
/// start: they have all that this process had open.
pub(crate) fn start(
    layout: &Layout,
    host: HostNumber,
    settings: MigrationSettings,
    observer: Arc<dyn Observer>,
) -> LabHypervisor {
    let mut started = None;
    let begins = || {
        let observer = Arc::clone(&observer);
        let new = LabHypervisor::start(layout, host, settings.clone(), observer);
        let again = matches!(&new, Err(LabError::Program { source, .. }) if source.kind() == ErrorKind::AddrInUse);
        started = Some(new);
        !again
    };
    eventually(begins);
    started.unwrap().unwrap()
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

fn ip(namespace: &str, lines: &[&str]) {
    let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
    ip_batch(namespace, &lines).unwrap();
}

fn pid(file: &Path) -> Option<Pid> {
    let text = fs::read_to_string(file).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}
