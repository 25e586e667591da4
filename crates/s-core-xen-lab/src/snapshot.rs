//! The state of all hosts after their first start, so that the next start of the same testbed takes seconds. The emulators'
//! memory goes into a file each; the disks stay as they were then, and every start puts new ones above them.

use std::fs::{self, File};
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use s_core_lab::{HostNumber, LabError};
use serde_json::json;

use crate::build::Image;
use crate::cache::{Key, file_error, make_once, remove};
use crate::host::{self, Base};
use crate::plan::Plan;
use crate::prerequisites::check_room;
use crate::progress::Stage;
use crate::qemu;
use crate::qmp::Qmp;
use crate::up::{Stopped, Tell};

/// How long the state of one host may take to be written or read.
const TRANSFER: Duration = Duration::from_secs(300);
/// Bytes per second that an emulator may write its state with: as fast as the disk.
const BANDWIDTH: u64 = 4 << 30;
/// How often to look whether an emulator listens.
const LOOK: Duration = Duration::from_millis(50);

/// A snapshot's place, beside the image without which it is nothing: it goes with that.
#[derive(Debug)]
pub(crate) struct Snapshot {
    path: PathBuf,
}

impl Snapshot {
    /// The place of the snapshot of this testbed, on this emulator.
    pub(crate) fn of(plan: &Plan, image: &Image) -> Result<Self, LabError> {
        let words = plan
            .layout()
            .hosts()
            .flat_map(|host| qemu::arguments(plan, host, image.directory(), false));
        let layout = format!("{:?}", plan.layout());
        let key = Key::default()
            .with("snapshot 1")
            .with(qemu::version()?)
            .with(image.id())
            .with(layout);
        let key = words.fold(key, Key::with);
        let path = image.file(&format!("snapshot-{}", key.name()));
        Ok(Self { path })
    }

    /// The directory, if the snapshot was taken.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.path.is_dir().then_some(&self.path)
    }

    /// Stops all hosts, keeps their states, and lets them go on.
    pub(crate) fn take(
        &self,
        plan: &Plan,
        stopped: Stopped<'_>,
        tell: Tell<'_>,
    ) -> Result<(), LabError> {
        let above = self.path.parent().unwrap_or(&self.path);
        check_room(plan.layout().shape().hosts, above)?;
        let connect = |host| Ok((host, Qmp::connect(&plan.host_file(host, "qmp.sock"))?));
        let connections: Result<Vec<_>, LabError> = plan.layout().hosts().map(connect).collect();
        let mut connections = connections?;
        let halted = connections
            .iter_mut()
            .try_for_each(|(_, qmp)| qmp.execute("stop", json!({})).map(drop));
        let kept = halted.and_then(|()| {
            make_once(&self.path, |at| {
                connections.iter_mut().try_for_each(|(host, qmp)| {
                    keep(plan, *host, qmp, at, stopped)?;
                    tell(*host, Stage::Saved);
                    Ok(())
                })
            })
        });
        // Whatever has happened, a host that was stopped goes on.
        let mut resumed = Ok(());
        for (_, qmp) in &mut connections {
            resumed = resumed.and(qmp.execute("cont", json!({})).map(drop));
        }
        resumed?;
        kept
    }
}

/// A host's file in a snapshot.
fn file(directory: &Path, host: HostNumber, suffix: &str) -> PathBuf {
    directory.join(format!("h{}.{suffix}", host.0))
}

/// Writes a stopped host's memory, and copies its disk.
fn keep(
    plan: &Plan,
    host: HostNumber,
    qmp: &mut Qmp,
    at: &Path,
    stopped: Stopped<'_>,
) -> Result<(), LabError> {
    let socket = plan.host_file(host, "state.sock");
    remove(&socket)?;
    let listener = UnixListener::bind(&socket).map_err(|source| file_error(&socket, source))?;
    let state = file(at, host, "state");
    let mut output = File::create(&state).map_err(|source| file_error(&state, source))?;
    qmp.execute(
        "migrate-set-parameters",
        json!({ "max-bandwidth": BANDWIDTH }),
    )?;
    qmp.execute(
        "migrate",
        json!({ "uri": format!("unix:{}", socket.display()) }),
    )?;
    let writer = thread::spawn(move || -> io::Result<u64> {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(TRANSFER))?;
        io::copy(&mut stream, &mut output)
    });
    qmp.await_migration(TRANSFER, stopped)?;
    let written = writer.join().expect("copying does not panic");
    written.map_err(|source| file_error(&state, source))?;
    let (from, to) = (plan.host_file(host, "disk.qcow2"), file(at, host, "qcow2"));
    fs::copy(&from, &to).map_err(|source| file_error(&to, source))?;
    remove(&socket)
}

/// Joins a host to the switches and starts it with the state that it had; it does not go on yet.
pub(crate) fn restore(
    plan: &Plan,
    host: HostNumber,
    image: &Image,
    directory: &Path,
    stopped: Stopped<'_>,
) -> Result<(), LabError> {
    let disk = file(directory, host, "qcow2");
    let base = Base {
        path: &disk,
        format: "qcow2",
    };
    host::prepare(plan, host, &base)?;
    let mut emulator = qemu::start(plan, host, image, true)?;
    let socket = plan.host_file(host, "state.sock");
    let by = Instant::now() + TRANSFER;
    let mut stream = loop {
        match UnixStream::connect(&socket) {
            Ok(stream) => break stream,
            Err(source) if Instant::now() > by => return Err(file_error(&socket, source)),
            Err(_) if stopped() => {
                return Err(LabError::Interrupted(plan.layout().name().clone()));
            }
            Err(_) => {
                host::check_emulator(plan, host, &mut emulator)?;
                thread::sleep(LOOK);
            }
        }
    };
    let state = file(directory, host, "state");
    let mut input = File::open(&state).map_err(|source| file_error(&state, source))?;
    io::copy(&mut input, &mut stream).map_err(|source| file_error(&socket, source))?;
    drop(stream);
    Qmp::connect(&plan.host_file(host, "qmp.sock"))?.await_migration(TRANSFER, stopped)
}

/// Lets a restored host go on.
pub(crate) fn resume(plan: &Plan, host: HostNumber) -> Result<(), LabError> {
    let mut qmp = Qmp::connect(&plan.host_file(host, "qmp.sock"))?;
    qmp.execute("cont", json!({})).map(drop)
}
