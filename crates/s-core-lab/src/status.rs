//! What a laboratory does right now.

use crate::counters::{LinkCounters, link_counters};
use crate::error::LabError;
use crate::layout::{HostNumber, LabName, Layout, Link, VmNumber};
use crate::prerequisites::privilege;
use crate::record::load;
use crate::switch::{self, Daemon};

/// Whether a daemon does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaemonState {
    /// It runs, with this process id.
    Running(i32),
    /// It was stopped and may go on.
    Hanging(i32),
    /// It does not run.
    Ended,
}

/// What a host does.
#[derive(Debug)]
pub struct HostStatus {
    /// Which host.
    pub host: HostNumber,
    /// Its ovs-vswitchd.
    pub switch: DaemonState,
    /// Its ovsdb-server.
    pub database: DaemonState,
    /// The VMs whose interfaces are ports of its bridge; the error if its database does not tell.
    pub vms: Result<Vec<VmNumber>, LabError>,
}

/// What a link between two switches does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkStatus {
    /// Which link.
    pub link: Link,
    /// Its rate in Mbit/s.
    pub mbit: f64,
    /// What it has carried.
    pub counters: LinkCounters,
}

/// What a laboratory does.
#[derive(Debug)]
pub struct Status {
    /// How it is laid out.
    pub layout: Layout,
    /// All hosts, by number.
    pub hosts: Vec<HostStatus>,
    /// All links between switches, by level and number.
    pub links: Vec<LinkStatus>,
}

/// What the laboratory of this name does right now.
///
/// # Errors
///
/// [`LabError::Missing`] without root, [`LabError::Unknown`] if there is no such laboratory, any other if it is damaged or not
/// finished.
pub fn status(name: &LabName) -> Result<Status, LabError> {
    privilege()?;
    let layout = load(name)?;
    let hosts = layout.hosts().map(|host| host_status(&layout, host));
    let hosts = hosts.collect::<Result<_, _>>()?;
    let counters = link_counters(&layout)?.into_iter();
    let links = counters.map(|(link, counters)| LinkStatus {
        link,
        mbit: layout.link_mbit(link.level),
        counters,
    });
    let links = links.collect();
    Ok(Status {
        layout,
        hosts,
        links,
    })
}

fn host_status(layout: &Layout, host: HostNumber) -> Result<HostStatus, LabError> {
    let state = |daemon: Daemon| {
        Ok(match daemon.process(layout, host)? {
            Some(process) if process.is_stopped() => DaemonState::Hanging(process.id()),
            Some(process) => DaemonState::Running(process.id()),
            None => DaemonState::Ended,
        })
    };
    let vms = switch::interfaces(layout, host).map(|interfaces| {
        let vms = interfaces
            .iter()
            .filter_map(|interface| layout.vm_with_vif(&interface.name));
        let mut vms: Vec<_> = vms.collect();
        vms.sort_unstable();
        vms
    });
    Ok(HostStatus {
        host,
        switch: state(Daemon::Switch)?,
        database: state(Daemon::Database)?,
        vms,
    })
}
