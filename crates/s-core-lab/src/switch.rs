//! The Open vSwitch of a host: a database server and a switch, each with its files in the host's directory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Pid;
use s_core_backend::ovs::ovsdb::{Interface, Ovsdb};

use crate::error::LabError;
use crate::layout::{HostNumber, Layout};
use crate::prerequisites::SCHEMA;
use crate::process::{Members, Process};
use crate::{namespace, system};

/// How long a database server may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// A daemon of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Daemon {
    Database,
    Switch,
}

impl Daemon {
    const fn program(self) -> &'static str {
        match self {
            Self::Database => "ovsdb-server",
            Self::Switch => "ovs-vswitchd",
        }
    }

    /// The process, if it runs.
    pub(crate) fn process(
        self,
        layout: &Layout,
        host: HostNumber,
    ) -> Result<Option<Process>, LabError> {
        let file = layout
            .host_directory(host)
            .join(format!("{}.pid", self.program()));
        let Ok(text) = fs::read_to_string(file) else {
            return Ok(None);
        };
        let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        let namespace = layout.host_namespace(host);
        // After a crash the id may long be another's.
        let process = Members::new(|name: &str| name == namespace)?.open(pid);
        Ok(process.filter(|process| process.program() == self.program()))
    }

    fn start(self, layout: &Layout, host: HostNumber, words: &[String]) -> Result<(), LabError> {
        let mut command = namespace::command(&layout.host_namespace(host), self.program());
        let file = |suffix| path(layout, host, &format!("{}.{suffix}", self.program()));
        command
            .args(words)
            .args(["--detach", "--no-chdir", "-vconsole:off"]);
        command.arg(format!("--pidfile={}", file("pid")));
        command.arg(format!("--log-file={}", file("log")));
        system::run(with_environment(&mut command, layout, host)).map(drop)
    }
}

/// Makes the database and starts its server.
pub(crate) fn start_database(layout: &Layout, host: HostNumber) -> Result<(), LabError> {
    let directory = layout.host_directory(host);
    fs::create_dir_all(&directory).map_err(|source| LabError::File {
        path: directory,
        source,
    })?;
    let file = path(layout, host, "conf.db");
    if !PathBuf::from(&file).exists() {
        system::run(Command::new("ovsdb-tool").args(["create", &file, SCHEMA]))?;
    }
    let remote = format!("--remote=punix:{}", path(layout, host, "db.sock"));
    Daemon::Database.start(layout, host, &[file, remote])
}

/// Starts the switch, waits until it has attached all interfaces that the database names, and sees to
/// it that the bridge has its address.
pub(crate) fn start(layout: &Layout, host: HostNumber) -> Result<(), LabError> {
    Daemon::Switch.start(layout, host, &[remote(layout, host)])?;
    let (bridge, address) = (layout.bridge(), layout.fabric_address(host));
    let lines = [
        format!("addr replace {address}/16 dev {bridge}"),
        format!("link set {bridge} up"),
    ];
    system::ip_batch(&layout.host_namespace(host), &lines)?;
    let interfaces = interfaces(layout, host)?;
    let detached: Vec<_> = (interfaces
        .iter()
        .filter(|interface| interface.ofport.is_none()))
    .collect();
    if detached.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = detached
        .iter()
        .map(|interface| interface.name.as_str())
        .collect();
    Err(LabError::Content {
        path: path(layout, host, "ovs-vswitchd.log").into(),
        problem: format!("the switch could not attach {}", names.join(", ")),
    })
}

/// The interfaces of the switch, as the database has them.
pub(crate) fn interfaces(layout: &Layout, host: HostNumber) -> Result<Vec<Interface>, LabError> {
    let socket = layout.host_directory(host).join("db.sock");
    let interfaces = Ovsdb::new(&socket).interfaces(ANSWER);
    interfaces.map_err(|error| LabError::Content {
        path: socket,
        problem: error.to_string(),
    })
}

/// `ovs-vsctl` for the database of a host's switch; its arguments are still to be given.
///
/// ```no_run
/// # use s_core_lab::{HostNumber, LabName, Layout, Shape, system, vsctl};
/// # let layout = Layout::new(LabName::default(), Shape::default())?;
/// let ports = system::run(vsctl(&layout, HostNumber(1)).args(["list-ports", layout.bridge()]))?;
/// # Ok::<(), s_core_lab::LabError>(())
/// ```
pub fn vsctl(layout: &Layout, host: HostNumber) -> Command {
    let mut command = Command::new("ovs-vsctl");
    command
        .arg(format!("--db={}", remote(layout, host)))
        .arg("--timeout=20");
    with_environment(&mut command, layout, host);
    command
}

/// `ovs-ofctl` for the bridges of a host's switch; its arguments are still to be given, as for [`vsctl`].
pub fn ofctl(layout: &Layout, host: HostNumber) -> Command {
    let mut command = Command::new("ovs-ofctl");
    command.arg("--timeout=20");
    with_environment(&mut command, layout, host);
    command
}

fn remote(layout: &Layout, host: HostNumber) -> String {
    format!("unix:{}", path(layout, host, "db.sock"))
}

fn path(layout: &Layout, host: HostNumber, file: &str) -> String {
    layout.host_directory(host).join(file).display().to_string()
}

fn with_environment<'a>(
    command: &'a mut Command,
    layout: &Layout,
    host: HostNumber,
) -> &'a mut Command {
    let directory = layout.host_directory(host);
    for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
        command.env(variable, &directory);
    }
    command
}
