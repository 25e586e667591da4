//! Faults of a laboratory's parts, and their repair.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::error::LabError;
use crate::layout::{HostNumber, Layout, Link};
use crate::process::{self, Members, Process};
use crate::switch::{self, Daemon};
use crate::system;

/// How long a process may take to stop.
const STOPS: Duration = Duration::from_secs(5);

/// What can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cable {
    /// A link between two switches.
    Link(Link),
    /// The link of a host to its rack's switch.
    Uplink(HostNumber),
    /// The link of a host to the management network's switch, in a laboratory that has one.
    Management(HostNumber),
}

/// Cuts a cable: nothing passes in either direction, and both ends see it.
///
/// # Errors
///
/// [`LabError`] if `ip` fails; also if there is no such cable.
pub fn cut(layout: &Layout, cable: Cable) -> Result<(), LabError> {
    set(layout, cable, "down")
}

/// Mends a cable that was cut.
///
/// # Errors
///
/// As [`cut`].
pub fn mend(layout: &Layout, cable: Cable) -> Result<(), LabError> {
    set(layout, cable, "up")
}

fn set(layout: &Layout, cable: Cable, state: &str) -> Result<(), LabError> {
    let interface = match cable {
        Cable::Link(link) => {
            let [lower, _] = layout.interfaces(link);
            lower
        }
        Cable::Uplink(host) => layout.host_port(host),
        Cable::Management(host) => layout.management_switch_port(host),
    };
    let fabric = layout.fabric_namespace();
    let mut command = Command::new("ip");
    system::run(command.args(["-n", &fabric, "link", "set", &interface, state])).map(drop)
}

/// Ends a host's switch if it runs, and starts it again, with its database server if that does not run. Interfaces come back as
/// the database has them; OpenFlow rules and counters are gone, as when a packaged switch is restarted by force.
///
/// # Errors
///
/// [`LabError`] if it does not end or does not start.
pub fn restart_switch(layout: &Layout, host: HostNumber) -> Result<(), LabError> {
    if let Some(process) = Daemon::Switch.process(layout, host)? {
        process::end(|| process.again().into_iter().collect())?;
    }
    if Daemon::Database.process(layout, host)?.is_none() {
        switch::start_database(layout, host)?;
    }
    switch::start(layout, host)
}

/// Stops a host's switch without ending it: frames wait, nobody gets an answer.
///
/// # Errors
///
/// [`LabError::Content`] if it does not run, [`LabError::DeadlineExceeded`] if it does not stop.
pub fn hang_switch(layout: &Layout, host: HostNumber) -> Result<(), LabError> {
    let switch = running_switch(layout, host)?;
    switch.signal(Signal::STOP);
    let deadline = Instant::now() + STOPS;
    while !switch.is_stopped() {
        if Instant::now() > deadline {
            return Err(LabError::DeadlineExceeded {
                what: format!("the stop of ovs-vswitchd {}", switch.id()),
                after: STOPS,
            });
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Lets a switch that hangs go on.
///
/// # Errors
///
/// [`LabError::Content`] if it does not run.
pub fn resume_switch(layout: &Layout, host: HostNumber) -> Result<(), LabError> {
    running_switch(layout, host).map(|switch| switch.signal(Signal::CONT))
}

fn running_switch(layout: &Layout, host: HostNumber) -> Result<Process, LabError> {
    let process = Daemon::Switch.process(layout, host)?;
    process.ok_or_else(|| LabError::Content {
        path: layout.host_directory(host),
        problem: "its switch does not run".into(),
    })
}

/// Kills everything that runs in a host's control domain, as a power cut does: the switch, its database server, the agent; not
/// this process. The namespaces of its VMs stay, without a network. [`restart_switch`] brings the switch back.
///
/// # Errors
///
/// [`LabError::DeadlineExceeded`] if something does not end.
pub fn kill_host(layout: &Layout, host: HostNumber) -> Result<(), LabError> {
    let namespace = layout.host_namespace(host);
    let members = Members::new(|name: &str| name == namespace)?;
    process::kill(|| members.all())
}
