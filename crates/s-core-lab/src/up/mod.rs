//! Makes a laboratory.

mod fabric;
mod host;

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::down;
use crate::error::LabError;
use crate::layout::{HostNumber, Layout};
use crate::prerequisites::prerequisites;
use crate::record::Claim;
use crate::{namespace, system};

/// Makes a laboratory: all namespaces, the tree of switches with its shaped links, and every host with its Open vSwitch and
/// VMs. When it returns, every VM reaches every other.
///
/// It takes about 1 s for 4 hosts of 4 VMs. The switches do what the NORMAL action does; rules for measuring are the
/// agents' to install.
///
/// # Errors
///
/// [`LabError::Missing`] if the machine lacks something; [`LabError::Exists`] and [`LabError::Busy`] if the name is
/// taken; any other if something could not be made. In each case nothing is left of what was made.
pub fn up(layout: &Layout) -> Result<(), LabError> {
    up_unless(layout, &|| false)
}

/// As [`up`], but asks now and then whether it shall end early, as when the user has pressed Ctrl-C.
///
/// A terminal sends its signal also to the programs that are being run, which fail then; that counts as the same.
///
/// # Errors
///
/// As [`up`]; [`LabError::Interrupted`] if it ended early.
pub fn up_unless(layout: &Layout, stopped: &(dyn Fn() -> bool + Sync)) -> Result<(), LabError> {
    prerequisites()?;
    up_with(layout, stopped, || make_hosts(layout, stopped))
}

/// Makes a laboratory whose hosts are somebody else's to make: the tree of switches with its shaped links, and a namespace
/// for every host, without IPv6, with its end of its link ([`Layout::uplink`]) and, with a management network, [`Layout::management_port`];
/// both are down, and what the host sends is not shaped yet ([`shape_uplink`]). Then it calls `make_hosts`.
///
/// # Errors
///
/// As [`up_unless`], and what `make_hosts` returns. In each case nothing is left, nor is any process in one of the namespaces.
pub fn up_with(
    layout: &Layout,
    stopped: &(dyn Fn() -> bool + Sync),
    make_hosts: impl FnOnce() -> Result<(), LabError>,
) -> Result<(), LabError> {
    let _claim = Claim::new(layout)?;
    let Err(error) = make_fabric(layout).and_then(|()| make_hosts()) else {
        return Ok(());
    };
    match down::remove(layout.name()) {
        Err(remains) => {
            tracing::error!(error = %remains, laboratory = %layout.name(), "remains of what could not be made");
            Err(error)
        }
        Ok(_) if stopped() => Err(LabError::Interrupted(layout.name().clone())),
        Ok(_) => Err(error),
    }
}

/// Limits what a host sends to the rate of its link; what it receives is limited at the other end.
///
/// # Errors
///
/// [`LabError::Failed`] if `tc` does not.
pub fn shape_uplink(layout: &Layout, host: HostNumber) -> Result<(), LabError> {
    let uplink = fabric::shape(layout.uplink(), layout.shape().host_mbit.into());
    system::tc_batch(&layout.host_namespace(host), &[uplink])
}

fn make_fabric(layout: &Layout) -> Result<(), LabError> {
    let fabric = layout.fabric_namespace();
    let hosts = layout.hosts().map(|host| layout.host_namespace(host));
    let names: Vec<_> = hosts.chain([fabric.clone()]).collect();
    namespace::make(&fabric, &names)?;
    for name in names {
        namespace::spawn_in(&name, host::no_ipv6)?
            .join()
            .expect("writing a file does not panic")??;
    }
    system::ip_batch(&fabric, &fabric::links(layout))?;
    system::tc_batch(&fabric, &fabric::shaping(layout))
}

/// Makes the hosts in a few threads; the first that fails stops the others.
fn make_hosts(layout: &Layout, stopped: &(dyn Fn() -> bool + Sync)) -> Result<(), LabError> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let hosts = Mutex::new(layout.hosts());
    let failed = AtomicBool::new(false);
    let next = || -> Option<HostNumber> {
        let mut hosts = hosts.lock().ok()?;
        hosts.next().filter(|_| !failed.load(Ordering::Relaxed))
    };
    let work = || -> Result<(), LabError> {
        while let Some(host) = next() {
            if stopped() {
                failed.store(true, Ordering::Relaxed);
                return Err(LabError::Interrupted(layout.name().clone()));
            }
            host::make(layout, host).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        // A thread stays in the namespace that it entered last, so none of them is the caller's.
        let workers: Vec<_> = (0..2 * threads).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(|worker| worker.join());
        let ended: Vec<_> = ended.collect();
        (ended.into_iter()).try_for_each(|ended| ended.expect("making a host does not panic"))
    })
}
