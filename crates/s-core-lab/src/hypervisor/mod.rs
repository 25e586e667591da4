//! A hypervisor for one host of a laboratory: live migration that copies real octets over the laboratory's links.
//!
//! [`LabHypervisor`] is what `xl` is on a Xen host. What stands for a VM is its network namespace with its interface
//! `eth0`; the other end of that is a port of the bridge of the host that the VM runs on. A migration copies a memory
//! image of the VM's size from host to host, with the pages again that the VM wrote meanwhile, pauses the VM, sends the
//! rest, moves the interface's end to the other host and announces the VM there:
//!
//! ```text
//! source                                      target
//!   │ offer ─────────────────────────────────▶ │ a host of the laboratory? room? the gate?
//!   │ ◀──────────────────────────────── admitted │ room is kept
//!   │ pages, rounds of pre-copy ─────────────▶ │
//!   │ the port is removed: the VM stands still │
//!   │ the rest, digest ──────────────────────▶ │
//!   │ ◀──────────────────────────────── complete │
//!   │ the interface's end is moved ══════════▶ │ ← from here on the VM is at home there
//!   │ given ─────────────────────────────────▶ │ port, link up, gratuitous ARP
//!   │ ◀──────────────────────────────────── runs │
//! ```
//!
//! # One home
//!
//! A VM is at home where its interface's end is, and the kernel moves that whole. So a VM has one home whatever is killed,
//! and whenever: a hypervisor, when it starts and ever after, connects the interfaces that it finds in its namespace
//! without a port.
//!
//! | what ends | before the interface moves | after |
//! |---|---|---|
//! | the connection | `StayedHere`, the port is back | `Unknown`; the target connects the VM |
//! | the target | `StayedHere`, the port is back | `Unknown`; the target connects the VM when it starts again |
//! | the source | the source connects the VM when it starts again | the target connects the VM |
//!
//! # What it does not do
//!
//! The hosts trust each other: one is known by its address alone, as in a migration network of its own. A source that
//! stands still for a step between its last look at the clock and giving the VM away brings it to a target that keeps no
//! room for it any more. The VM then runs there all the same.

mod announce;
mod arrival;
mod channel;
mod departure;
mod host;
mod image;
mod keeper;
mod places;
mod ports;
mod report;
mod settings;
mod wire;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use s_core_backend::{
    Domain, FreeCapacity, Gate, Hypervisor, HypervisorError, MigrationOutcome, Uuid,
};
use s_core_model::ServerId;

use self::departure::Departure;
use self::host::{Host, lock};
use self::places::Place;
use self::ports::Ports;
pub use self::report::{Ended, MigrationReport, Observer, Phase, reports_since};
pub use self::settings::{Faults, MigrationSettings};
use crate::error::LabError;
use crate::layout::{HostNumber, Layout};
use crate::namespace;

/// How often to look whether arrivals have ended.
const LOOK: Duration = Duration::from_millis(20);

/// The [`Hypervisor`] of one host of a laboratory that is up.
///
/// It may be used from any network namespace: what has to happen in the host's does.
///
/// When it is dropped nothing more is let in. A VM whose memory is still being copied to here stays at its source; one that
/// is being handed over arrives first, for which up to three steps are waited. Who wants those that were let in to arrive
/// [waits for them](Self::await_arrivals) before.
///
/// ```no_run
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use s_core_backend::Hypervisor;
/// use s_core_lab::hypervisor::MigrationSettings;
/// use s_core_lab::{HostNumber, LabHypervisor, Layout, Shape, VmNumber};
///
/// let layout = Layout::new("demo".parse()?, Shape::default())?;
/// let settings = MigrationSettings::default();
/// let start = |host| LabHypervisor::start(&layout, host, settings.clone(), Arc::new(()));
/// let (first, _second) = (start(HostNumber(1))?, start(HostNumber(2))?);
/// let (vm, target) = (layout.vm_uuid(VmNumber(1)), layout.server(HostNumber(2)));
/// println!("{:?}", first.migrate(vm, target, Duration::from_secs(60)));
/// # Ok::<(), s_core_lab::LabError>(())
/// ```
#[derive(Debug)]
pub struct LabHypervisor {
    host: Arc<Host>,
    keeper: Option<JoinHandle<Result<(), LabError>>>,
}

impl LabHypervisor {
    /// The hypervisor of this host. It connects the VMs whose interfaces it finds unconnected, and takes VMs in from now on.
    ///
    /// # Errors
    ///
    /// [`LabError`] if a setting does not do, the layout has no such host, the host's namespace is not there, or its address
    /// and port cannot be had.
    pub fn start(
        layout: &Layout,
        host: HostNumber,
        settings: MigrationSettings,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, LabError> {
        settings.check()?;
        if !layout.hosts().any(|number| number == host) {
            return Err(LabError::Layout {
                what: "host",
                problem: format!("{} is not 1 to {}", host.0, layout.shape().hosts),
            });
        }
        let (ready, is_ready) = sync_channel(1);
        let namespace = layout.host_namespace(host);
        let layout = layout.clone();
        let keeper = namespace::spawn_in(&namespace, move || {
            // Other threads read there which interfaces this thread sees.
            let thread = rustix::thread::gettid().as_raw_nonzero();
            let interfaces = PathBuf::from(format!("/proc/self/task/{thread}/net/dev"));
            let ports = Ports::new(layout.clone(), host, interfaces);
            let host = Arc::new(Host::new(layout, host, settings, observer, ports));
            let door = TcpListener::bind(host.door(host.number));
            match door.and_then(|door| door.set_nonblocking(true).map(|()| door)) {
                Ok(door) => {
                    keeper::adopt(&host);
                    if ready.send(Ok(Arc::clone(&host))).is_ok() {
                        keeper::keep(&host, &door);
                    }
                }
                Err(source) => drop(ready.send(Err(LabError::Program {
                    program: format!("a listener at {}", host.door(host.number)),
                    source,
                }))),
            }
        })?;
        match is_ready.recv() {
            Ok(host) => Ok(Self {
                host: host?,
                keeper: Some(keeper),
            }),
            // It ended before it could say anything: it could not enter the namespace.
            Err(_) => Err(match keeper.join() {
                Ok(Err(error)) => error,
                Ok(Ok(())) | Err(_) => LabError::Missing("the hypervisor's thread panicked".into()),
            }),
        }
    }

    /// Waits until no VM is arriving that was let in, for this time at most.
    pub fn await_arrivals(&self, most: Duration) {
        let until = Instant::now() + most;
        let arriving = || !self.host.places().which(&[Place::Arriving]).is_empty();
        while arriving() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
    }

    /// Lets migrations fail from now on as this says; those on their way too.
    pub fn set_faults(&self, faults: Faults) {
        *lock(&self.host.faults) = faults;
    }
}

impl Drop for LabHypervisor {
    fn drop(&mut self) {
        self.host.ends.store(true, Ordering::Relaxed);
        if let Some(keeper) = self.keeper.take() {
            // A panic of it was shown when it happened.
            drop(keeper.join());
        }
    }
}

impl Hypervisor for LabHypervisor {
    /// What the switch's database lists as VMs, and those whose port was taken away because they are leaving.
    ///
    /// Their addresses are those of the layout, as a domain's configuration gives one on Xen.
    fn domains(&self, deadline: Duration) -> Result<Vec<Domain>, HypervisorError> {
        let began = Instant::now();
        let listed = self.host.ports.listed(deadline);
        let listed = listed.map_err(|error| hypervisor_error(error, began, deadline))?;
        let mut domains: BTreeMap<Uuid, Domain> = listed
            .into_iter()
            .map(|domain| (domain.uuid, domain))
            .collect();
        // One that has been connected since the database was asked is not arriving any more.
        for vm in self.host.places().which(&[Place::Home, Place::Leaving]) {
            let domain = self.host.domain(vm);
            domains.entry(domain.uuid).or_insert(domain);
        }
        Ok(domains.into_values().collect())
    }

    /// VMs that were let in, and those whose interface is here and not connected yet. Never fails.
    fn arriving(&self, _deadline: Duration) -> Result<Vec<Domain>, HypervisorError> {
        let arriving = self.host.places().which(&[Place::Arriving]);
        Ok((arriving.into_iter())
            .map(|vm| self.host.domain(vm))
            .collect())
    }

    /// The layout's slots, with memory for a VM each, without those that VMs take up that run here, are leaving or arriving.
    fn free_capacity(&self, deadline: Duration) -> Result<FreeCapacity, HypervisorError> {
        let began = Instant::now();
        let look = self.host.look();
        let (places, here) = look.map_err(|error| hypervisor_error(error, began, deadline))?;
        let shape = self.host.layout.shape();
        let vm_slots = u32::from(shape.vm_slots).saturating_sub(places.taken(&here));
        Ok(FreeCapacity {
            vm_slots,
            memory_mib: vm_slots.saturating_mul(shape.vm_memory_mib),
        })
    }

    /// As the [module](self) says. Of the time, a step, but no more than a quarter, is kept for handing the VM over or
    /// letting it run on here; a VM whose memory is not copied by then is `StayedHere`.
    fn migrate(&self, domain: Uuid, target: ServerId, deadline: Duration) -> MigrationOutcome {
        let layout = &self.host.layout;
        let not_begun = |why: String| MigrationOutcome::StayedHere(format!("not begun: {why}"));
        let Some(vm) = layout.vm_with_uuid(domain) else {
            return not_begun(format!("no VM of this laboratory has UUID {domain}"));
        };
        match layout.host_of(target) {
            None => not_begun(format!("no host of this laboratory has address {target}")),
            Some(host) if host == self.host.number => not_begun("it is here already".into()),
            Some(host) => Departure::new(&self.host, vm, host, deadline).run(),
        }
    }

    /// Every VM that has room here is shown to the gate before its memory comes; that of one that was let in already, and
    /// arrives late, is not.
    fn guard(&self, gate: Arc<dyn Gate>) -> bool {
        *lock(&self.host.gate) = Some(gate);
        true
    }
}

/// As [`Hypervisor`] has it.
fn hypervisor_error(error: LabError, began: Instant, deadline: Duration) -> HypervisorError {
    let what = "ovs-vsctl".to_owned();
    match error {
        LabError::Program { program, source } => HypervisorError::Unreachable {
            what: program,
            source,
        },
        LabError::File { path, source } => HypervisorError::Unreachable {
            what: path.display().to_string(),
            source,
        },
        LabError::Content { path, problem } => HypervisorError::Malformed {
            what: path.display().to_string(),
            message: problem,
        },
        _ if began.elapsed() >= deadline => HypervisorError::DeadlineExceeded {
            what,
            after: deadline,
        },
        other => HypervisorError::Failed {
            what,
            status: "failed".into(),
            message: other.to_string(),
        },
    }
}
