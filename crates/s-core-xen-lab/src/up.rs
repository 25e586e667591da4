//! Starts a testbed.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use s_core_lab::{HostNumber, LabError, LabName, system, up_with};

use crate::build::Image;
use crate::cache::Cache;
use crate::domain;
use crate::host::{self, Base};
use crate::plan::Plan;
use crate::prerequisites::Purpose;
use crate::progress::Stage;
use crate::record;
use crate::snapshot::{self, Snapshot};
use crate::ssh::Remote;

/// How long a host that goes on from a snapshot may take to answer.
const AWAKE: Duration = Duration::from_secs(120);

/// How long it is left alone after it has not.
const AGAIN: Duration = Duration::from_secs(2);

/// How a testbed is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpOptions {
    /// Whether all hosts start from nothing although there is a snapshot, and none is taken.
    pub fresh: bool,
}

/// What hears how far the hosts are, from several threads.
pub(crate) type Tell<'a> = &'a (dyn Fn(HostNumber, Stage) + Sync);

/// What says whether to end early, asked from several threads.
pub(crate) type Stopped<'a> = &'a (dyn Fn() -> bool + Sync);

/// Starts a testbed: the switches, the hosts behind them, and the VMs. When it returns, every VM answers its control domain.
///
/// The first time all hosts boot, and their states are kept in the cache; later the same testbed goes on from there.
/// `tell` is called from several threads, as is `stopped`, which is asked now and then whether to end early.
///
/// # Errors
///
/// [`LabError::Missing`] if the machine lacks something or there is no image; [`LabError::Interrupted`] if it ended early; any
/// other if something could not be started. In each case nothing is left running.
pub fn up(
    plan: &Plan,
    cache: &Cache,
    options: UpOptions,
    stopped: Stopped<'_>,
    tell: Tell<'_>,
) -> Result<(), LabError> {
    let purpose = Purpose::Run {
        hosts: plan.layout().shape().hosts,
        memory_mib: plan.host_memory_mib(),
    };
    purpose.check(cache)?;
    let image = Image::of(cache)?;
    // Until the testbed's record says what it uses.
    let _lock = cache.share()?;
    let snapshot = Snapshot::of(plan, &image)?;
    let known = snapshot.directory().filter(|_| !options.fresh);
    let starting = Starting {
        remote: Remote::new(plan.clone(), image.clone()),
        image: &image,
        stopped,
        tell,
    };
    up_with(plan.layout(), stopped, || {
        join_management(plan)?;
        match known {
            Some(directory) => starting.restore(directory)?,
            None => on_all(plan, |host| starting.boot(host))?,
        }
        if !options.fresh && snapshot.directory().is_none() {
            // A testbed without a snapshot is a testbed all the same.
            if let Err(error) = snapshot.take(plan, stopped, tell) {
                tracing::warn!(%error, "no snapshot, the next start takes as long as this one");
            }
        }
        starting.go_on()?;
        // Now it is one for all others.
        record::write(plan, &image)
    })
}

/// Starts a host again after [`kill_host`](s_core_lab::kill_host), with the disk that it had and without any VM, as after a power cut.
///
/// # Errors
///
/// As [`load`](crate::load), and if the host does not start.
pub fn restart_host(name: &LabName, host: HostNumber, tell: Tell<'_>) -> Result<(), LabError> {
    let (plan, image) = record::load(name)?;
    host::boot(&plan, host, &image, &|| false, tell)
}

/// Gives this machine a place on the management network.
fn join_management(plan: &Plan) -> Result<(), LabError> {
    let address = plan.operator_address();
    let line = format!(
        "addr add {address}/24 dev {}",
        plan.layout().management_switch()
    );
    system::ip_batch(&plan.layout().fabric_namespace(), &[line])
}

/// Hosts that are being started.
struct Starting<'a> {
    remote: Remote,
    image: &'a Image,
    stopped: Stopped<'a>,
    tell: Tell<'a>,
}

impl Starting<'_> {
    /// Fails when it is to end early.
    fn go_on(&self) -> Result<(), LabError> {
        if (self.stopped)() {
            let name = self.remote.plan().layout().name();
            return Err(LabError::Interrupted(name.clone()));
        }
        Ok(())
    }

    /// Starts a host from nothing, and its VMs.
    fn boot(&self, host: HostNumber) -> Result<(), LabError> {
        let (plan, disk) = (self.remote.plan(), self.image.file("base.img"));
        let base = Base {
            path: &disk,
            format: "raw",
        };
        host::prepare(plan, host, &base)?;
        host::boot(plan, host, self.image, self.stopped, self.tell)?;
        self.set_clock(host)?;
        let layout = plan.layout();
        let vms = layout.vms().filter(|vm| layout.first_host(*vm) == host);
        for (number, vm) in (1..).zip(vms) {
            domain::start_unless(&self.remote, host, vm, self.stopped)?;
            (self.tell)(host, Stage::Domains(number));
        }
        Ok(())
    }

    /// Has all hosts go on as they were when the snapshot was taken.
    fn restore(&self, snapshot: &Path) -> Result<(), LabError> {
        let plan = self.remote.plan();
        on_all(plan, |host| {
            snapshot::restore(plan, host, self.image, snapshot, self.stopped)
        })?;
        on_all(plan, |host| {
            snapshot::resume(plan, host)?;
            self.set_clock(host)?;
            (self.tell)(host, Stage::Restored);
            Ok(())
        })
    }

    /// Tells a control domain what time it is: a state that was kept goes on at the time when it was.
    fn set_clock(&self, host: HostNumber) -> Result<(), LabError> {
        // It may answer too late for ssh while all hosts begin at once.
        let by = Instant::now() + AWAKE;
        loop {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let script = format!(
                "date -u -s @{} >/dev/null",
                now.unwrap_or_default().as_secs()
            );
            let told = (self.remote).run_unless(host, &script, "", AWAKE, self.stopped);
            self.go_on()?;
            match told {
                Err(_) if Instant::now() < by => thread::sleep(AGAIN),
                told => return told.map(drop),
            }
        }
    }
}

/// Does something on all hosts at once; the first that fails is the one that is reported, after all have ended.
pub(crate) fn on_all(
    plan: &Plan,
    work: impl Fn(HostNumber) -> Result<(), LabError> + Sync,
) -> Result<(), LabError> {
    thread::scope(|scope| {
        let hosts = plan.layout().hosts();
        let workers: Vec<_> = hosts
            .map(|host| {
                scope.spawn({
                    let work = &work;
                    move || work(host)
                })
            })
            .collect();
        let ended: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        (ended.into_iter())
            .try_for_each(|ended| ended.expect("what is done on a host does not panic"))
    })
}
