//! What the first process of a machine has to do besides its work.
//!
//! The kernel mounts nothing for it, hands it every orphan, and stops with a panic if it ends. So the first process mounts what
//! it needs ([`mount`]), waits for signals ([`Signals`]), collects orphans ([`reap`]), and ends only with the machine ([`power_off`]).

use std::fs;
use std::io::{self, ErrorKind, PipeReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mount::MountFlags;
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::system::RebootCommand;
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};

/// What is mounted: a file system, where, and what is there if it has been.
const MOUNTS: [(&str, &str, &str); 3] = [
    ("proc", "/proc", "/proc/version"),
    ("sysfs", "/sys", "/sys/kernel"),
    ("devtmpfs", "/dev", "/dev/null"),
];

/// Whether this process is the first of its machine, or of its PID namespace.
pub fn is_first() -> bool {
    rustix::process::getpid().is_init()
}

/// Mounts `/proc`, `/sys` and `/dev` where they are not mounted. Returns what could not be; a kernel need not have all.
pub fn mount() -> Vec<(&'static str, io::Error)> {
    let missing = MOUNTS
        .into_iter()
        .filter(|(_, _, there)| !Path::new(there).exists());
    let failed = missing.filter_map(|(kind, at, _)| {
        let mounted = fs::create_dir_all(at).and_then(|()| {
            let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
            Ok(rustix::mount::mount(kind, at, kind, flags, None)?)
        });
        mounted.err().map(|error| (at, error))
    });
    failed.collect()
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// To end: SIGINT, as the kernel sends it for control-alt-delete, or SIGTERM.
    End,
    /// To collect children that have ended: SIGCHLD.
    Child,
}

/// The signals that this process has got, one after the other.
#[derive(Debug)]
pub struct Signals {
    end: Arc<AtomicBool>,
    pipe: PipeReader,
}

impl Signals {
    /// From now on signals are caught. A first process is from now on told of control-alt-delete.
    ///
    /// # Errors
    ///
    /// That of the system, if it has no handlers or no pipe to give.
    pub fn open() -> io::Result<Self> {
        let end = Arc::new(AtomicBool::new(false));
        let (pipe, write) = io::pipe()?;
        for signal in [SIGINT, SIGTERM, SIGCHLD] {
            if signal != SIGCHLD {
                // Before the byte that says that something has come.
                signal_hook::flag::register(signal, Arc::clone(&end))?;
            }
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
        }
        if is_first() {
            // A namespace has no control-alt-delete to be told of.
            let _ = rustix::system::reboot(RebootCommand::CadOff);
        }
        Ok(Self { end, pipe })
    }

    /// Waits for the next.
    ///
    /// # Errors
    ///
    /// That of the system, if the pipe cannot be read.
    pub fn wait(&mut self) -> io::Result<Event> {
        loop {
            match self.pipe.read(&mut [0; 64]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) if self.end.swap(false, Ordering::Relaxed) => return Ok(Event::End),
                Ok(_) => return Ok(Event::Child),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Collects all children that have ended.
pub fn reap() {
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
}

/// Powers the machine off. In a PID namespace, ends its processes. Returns only if that is not possible.
pub fn power_off() -> io::Error {
    match rustix::system::reboot(RebootCommand::PowerOff) {
        Ok(()) => io::Error::other("the system did not"),
        Err(error) => error.into(),
    }
}

/// As `/sbin/poweroff`, which the kernel runs when the hypervisor wants the domain to end: tells the first process to power off,
/// if it is this program too.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] if the first process is another program; else what the system said.
pub fn ask_to_power_off() -> io::Result<()> {
    let file = |process: &str| {
        let metadata = fs::metadata(format!("/proc/{process}/exe"))?;
        io::Result::Ok((metadata.dev(), metadata.ino()))
    };
    if file("1")? != file("self")? {
        let problem = "the first process is another program";
        return Err(io::Error::new(ErrorKind::Unsupported, problem));
    }
    Ok(rustix::process::kill_process(Pid::INIT, Signal::TERM)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_first_process_is_left_alone() {
        assert!(!is_first());
        assert!(ask_to_power_off().is_err());
    }

    #[test]
    fn signals_are_told_apart() {
        let mut signals = Signals::open().unwrap();
        for (signal, event) in [
            (Signal::CHILD, Event::Child),
            (Signal::TERM, Event::End),
            (Signal::INT, Event::End),
            (Signal::CHILD, Event::Child),
        ] {
            rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
            assert_eq!(signals.wait().unwrap(), event);
        }
    }
}
