//! Processes that belong to a laboratory: they use one of its network namespaces.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::LabError;
use crate::namespace;

/// How long a process may take to end, after SIGTERM and again after SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// A process, whatever becomes of its id after its end.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    descriptor: OwnedFd,
}

impl Process {
    /// The process with this id, if it runs.
    pub(crate) fn open(pid: Pid) -> Option<Self> {
        let descriptor = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let process = Self { pid, descriptor };
        (!process.has_ended()).then_some(process)
    }

    /// The same process, if it still runs.
    pub(crate) fn again(&self) -> Option<Self> {
        // The id can be another's only if this one has ended.
        Self::open(self.pid).filter(|_| !self.has_ended())
    }

    pub(crate) const fn id(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// Sends a signal; whoever has ended needs none.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.descriptor, signal);
    }

    /// Whether it has ended, be it that nobody has asked for its exit status yet.
    pub(crate) fn has_ended(&self) -> bool {
        let mut ended = [PollFd::new(&self.descriptor, PollFlags::IN)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut ended, Some(&at_once)).is_ok_and(|number| number > 0)
    }

    /// Whether SIGSTOP holds it.
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        let state = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.chars().next());
        state == Some('T')
    }

    /// The program's name, of which the kernel keeps 15 bytes.
    pub(crate) fn program(&self) -> String {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.id()));
        name.unwrap_or_default().trim_end().to_owned()
    }
}

/// Which processes are meant: those of the network namespaces whose names `is_meant` accepts.
#[derive(Debug)]
pub(crate) struct Members<F> {
    is_meant: F,
    namespaces: BTreeSet<Identity>,
}

/// Device and inode of a namespace.
type Identity = (u64, u64);

impl<F: Fn(&str) -> bool> Members<F> {
    pub(crate) fn new(is_meant: F) -> Result<Self, LabError> {
        let names = namespace::with_prefix("")?;
        let meant = names.iter().filter(|name| is_meant(name));
        let namespaces = meant.filter_map(|name| identity(&namespace::path(name)));
        let namespaces = of_laboratories(namespaces, &spared());
        Ok(Self {
            is_meant,
            namespaces,
        })
    }

    /// All of them but this process.
    pub(crate) fn all(&self) -> Vec<Process> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        let ids = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let others = ids.filter(|id: &u32| *id != std::process::id());
        let ids = others.filter_map(|id| Pid::from_raw(i32::try_from(id).ok()?));
        ids.filter_map(|pid| self.open(pid)).collect()
    }

    /// The process with this id, if it is meant.
    pub(crate) fn open(&self, pid: Pid) -> Option<Process> {
        // Opened first: what is true of the id now, is true of this process.
        let process = Process::open(pid)?;
        let directory = format!("/proc/{}", process.id());
        let directory = Path::new(&directory);
        (self.has_thread_in(directory) || self.was_started_for(directory)).then_some(process)
    }

    fn has_thread_in(&self, process: &Path) -> bool {
        let Ok(threads) = fs::read_dir(process.join("task")) else {
            return false;
        };
        let mut identities = threads
            .flatten()
            .filter_map(|thread| identity(&thread.path().join("ns/net")));
        identities.any(|identity| self.namespaces.contains(&identity))
    }

    /// Whether it was started for a namespace, whichever it uses now: its environment says so, or `ip netns exec` started it,
    /// which mounts a /sys named after the namespace. This also finds a process whose namespace has lost its name, and one
    /// that is still about to enter it.
    fn was_started_for(&self, process: &Path) -> bool {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        if marks(&environment).any(&self.is_meant) {
            return true;
        }
        let mounts = identity(&process.join("ns/mnt"));
        if mounts == identity(Path::new("/proc/self/ns/mnt")) {
            return false;
        }
        let mounts = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
        mounts.lines().filter_map(sysfs_source).any(&self.is_meant)
    }
}

/// The network namespaces of the machine and of this process. `ip netns attach` can give them any name, also one of a
/// laboratory, to which their processes do not belong for that.
fn spared() -> Vec<Identity> {
    let paths = ["/proc/1/ns/net", "/proc/self/ns/net"];
    let identities = paths.iter().map(Path::new).filter_map(identity);
    identities.collect()
}

fn of_laboratories(
    named: impl Iterator<Item = Identity>,
    spared: &[Identity],
) -> BTreeSet<Identity> {
    named.filter(|named| !spared.contains(named)).collect()
}

/// The values of [`namespace::MARK`] in an environment.
fn marks(environment: &[u8]) -> impl Iterator<Item = &str> {
    let texts = environment.split(|byte| *byte == 0);
    let texts = texts.filter_map(|text| std::str::from_utf8(text).ok());
    texts.filter_map(|text| text.strip_prefix(namespace::MARK)?.strip_prefix('='))
}

/// What /sys is called, from a line of `mountinfo`.
fn sysfs_source(line: &str) -> Option<&str> {
    let (_, mount) = line.split_once(" - ")?;
    mount.strip_prefix("sysfs ")?.split(' ').next()
}

fn identity(namespace: &Path) -> Option<Identity> {
    let metadata = fs::metadata(namespace).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Ends all processes that `find` finds, also those that they start meanwhile: SIGTERM, then SIGKILL. Returns how many
/// have ended.
///
/// # Errors
///
/// [`LabError::DeadlineExceeded`] names those that are left.
pub(crate) fn end(find: impl Fn() -> Vec<Process>) -> Result<usize, LabError> {
    end_within(PATIENCE, find)
}

fn end_within(patience: Duration, find: impl Fn() -> Vec<Process>) -> Result<usize, LabError> {
    let mut ended = BTreeSet::new();
    let mut left = Vec::new();
    for signals in [&[Signal::TERM, Signal::CONT][..], &[Signal::KILL]] {
        left = signal_all(&find, signals, patience, &mut ended);
        if left.is_empty() {
            return Ok(ended.len());
        }
    }
    let left: Vec<_> = left
        .iter()
        .map(|process| format!("{} {}", process.program(), process.id()))
        .collect();
    Err(LabError::DeadlineExceeded {
        what: format!("the end of {}", left.join(", ")),
        after: 2 * patience,
    })
}

/// Kills processes at once, as a crash does.
pub(crate) fn kill(find: impl Fn() -> Vec<Process>) -> Result<(), LabError> {
    let left = signal_all(&find, &[Signal::KILL], PATIENCE, &mut BTreeSet::new());
    if left.is_empty() {
        return Ok(());
    }
    Err(LabError::DeadlineExceeded {
        what: format!("the end of {} killed processes", left.len()),
        after: PATIENCE,
    })
}

/// Sends each process that `find` finds these signals once, until it finds none or patience ends; those that are left.
fn signal_all(
    find: &impl Fn() -> Vec<Process>,
    signals: &[Signal],
    patience: Duration,
    ended: &mut BTreeSet<i32>,
) -> Vec<Process> {
    let deadline = Instant::now() + patience;
    let mut signalled: BTreeMap<i32, Process> = BTreeMap::new();
    loop {
        let found = find();
        if found.is_empty() || Instant::now() >= deadline {
            ended.extend(signalled.into_keys());
            return found;
        }
        for process in found {
            if let Entry::Vacant(place) = signalled.entry(process.id()) {
                let process = place.insert(process);
                for signal in signals {
                    process.signal(*signal);
                }
            }
        }
        while Instant::now() < deadline && signalled.values().any(|process| !process.has_ended()) {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_sys_names_its_namespace() {
        for (line, source) in [
            (
                "84 81 0:40 / /sys rw,relatime - sysfs score-lab-h1 rw",
                Some("score-lab-h1"),
            ),
            (
                "84 81 0:40 / /sys rw,relatime shared:7 - sysfs sysfs rw",
                Some("sysfs"),
            ),
            ("84 81 0:40 / /x rw - tmpfs score-lab-h1 rw", None),
            ("", None),
        ] {
            assert_eq!(sysfs_source(line), source, "{line}");
        }
    }

    #[test]
    fn an_environment_names_its_namespace() {
        let environment =
            b"A=B\0S_CORE_LAB_NAMESPACE=score-lab-h1\0S_CORE_LAB_NAMESPACES=x\0\xff\0";
        assert_eq!(marks(environment).collect::<Vec<_>>(), ["score-lab-h1"]);
    }

    #[test]
    fn the_machines_own_network_is_no_laboratorys() {
        let spared = spared();
        let own = identity(Path::new("/proc/self/ns/net")).unwrap();
        assert!(spared.contains(&own));
        // Another user's may not be looked at.
        let machines = identity(Path::new("/proc/1/ns/net"));
        assert!(machines.is_none_or(|machines| spared.contains(&machines)));
        let other = (own.0, own.1 + 1);
        let named = [other, own].into_iter().chain(machines);
        let namespaces = of_laboratories(named, &spared);
        assert_eq!(namespaces, BTreeSet::from([other]));
    }

    #[test]
    fn the_deaf_are_killed_and_zombies_have_ended() {
        // A shell that ignores SIGTERM; its parent does not ask for its exit status before the end.
        let mut child = Command::new("sh");
        let child = child.args(["-c", "trap '' TERM; echo; while :; do read x; done"]);
        let child = child
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped());
        let mut child = child.spawn().unwrap();
        let mut line = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        let pid = Pid::from_child(&child);
        let found = || Process::open(pid).into_iter().collect::<Vec<_>>();
        assert_eq!(found().len(), 1);
        let begun = Instant::now();
        let patience = Duration::from_millis(200);
        assert_eq!(end_within(patience, found).unwrap(), 1);
        assert!(begun.elapsed() >= patience);
        assert!(Process::open(pid).is_none());
        child.wait().unwrap();
    }
}
