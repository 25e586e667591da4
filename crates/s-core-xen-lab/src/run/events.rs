//! What agents say, read from the files that they write it to.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use s_core_agent::EventLine;
use s_core_lab::run::Heard;
use s_core_lab::{HostNumber, LabError};

use super::agents::locked;
use super::configuration::{EVENTS, KEEPER};
use crate::ssh::Remote;

/// How long a connection over which events come lasts before the next one takes over.
const CONNECTION: Duration = Duration::from_secs(600);
/// How long to wait before a connection is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// The longest line of events, in octets.
const LONGEST_LINE: u64 = 64 << 10;
/// How every event's line begins.
const BEGINNING: &str = "{\"time\":";

/// Reads the events of one agent, over one connection after the other.
#[derive(Debug)]
pub(super) struct Follower {
    ends: Arc<AtomicBool>,
    connection: Arc<Mutex<Option<Child>>>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    pub(super) fn start(
        remote: &Remote,
        host: HostNumber,
        told: &Sender<Heard>,
    ) -> Result<Self, LabError> {
        let (ends, connection) = (Arc::default(), Arc::default());
        let mut reader = Reader::new(remote, host, told);
        reader.ends = Arc::clone(&ends);
        reader.connection = Arc::clone(&connection);
        let thread = thread::Builder::new().name(format!("events {}", host.0));
        let thread = thread.spawn(move || reader.work());
        let thread = thread.map_err(|source| LabError::Program {
            program: "a thread".into(),
            source,
        })?;
        Ok(Self {
            ends,
            connection,
            thread: Some(thread),
        })
    }

    /// Reads what there still is, but not longer than this.
    pub(super) fn end(&mut self, by: Instant) {
        self.ends.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else {
            return;
        };
        while !thread.is_finished() && Instant::now() < by {
            thread::sleep(Duration::from_millis(50));
        }
        if let Some(connection) = &*locked(&self.connection) {
            let pid = i32::try_from(connection.id()).ok().and_then(Pid::from_raw);
            if let Some(pid) = pid.filter(|_| !thread.is_finished()) {
                // It may have ended just now.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
    }
}

#[derive(Debug)]
struct Reader {
    remote: Remote,
    host: HostNumber,
    told: Sender<Heard>,
    ends: Arc<AtomicBool>,
    connection: Arc<Mutex<Option<Child>>>,
    /// How many octets of the file were read, in whole lines.
    offset: u64,
    /// The start of the host since which that is so.
    boot: String,
    /// All lines that were understood.
    known: BTreeSet<String>,
}

impl Reader {
    fn new(remote: &Remote, host: HostNumber, told: &Sender<Heard>) -> Self {
        Self {
            remote: remote.clone(),
            host,
            told: told.clone(),
            ends: Arc::default(),
            connection: Arc::default(),
            offset: 0,
            boot: String::new(),
            known: BTreeSet::new(),
        }
    }

    fn work(&mut self) {
        // The last connection reads to the end: it is made after the agent has ended.
        let mut last = false;
        while !last {
            last = self.ends.load(Ordering::Relaxed);
            if let Err(error) = self.connect() {
                tracing::debug!(host = self.host.0, %error, "no events");
            }
            if !last && !self.ends.load(Ordering::Relaxed) {
                thread::sleep(AGAIN);
            }
        }
    }

    /// Reads over one connection until it ends: with the agent, after its time, or because it broke.
    fn connect(&mut self) -> std::io::Result<()> {
        let mut command = self.remote.command(self.host, CONNECTION);
        command.arg(follow_script(self.offset, &self.boot));
        let mut child = command
            // A terminal's Ctrl-C is for this process.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take();
        *locked(&self.connection) = Some(child);
        let read = output.map_or(Ok(()), |output| self.read(BufReader::new(output)));
        let child = locked(&self.connection).take();
        if let Some(mut child) = child {
            child.wait()?;
        }
        read
    }

    fn read(&mut self, mut output: impl BufRead) -> std::io::Result<()> {
        let mut line = String::new();
        (&mut output).take(LONGEST_LINE).read_line(&mut line)?;
        let Some(opening) = Opening::parse(&line) else {
            // The host has not answered.
            return Ok(());
        };
        (self.offset, self.boot) = (opening.offset, opening.boot.into());
        let clock = Clock {
            here: Instant::now(),
            there: opening.time,
        };
        line.clear();
        // A line whose end has not come will come again.
        while (&mut output).take(LONGEST_LINE).read_line(&mut line)? > 0 && line.ends_with('\n') {
            self.offset += line.len() as u64;
            self.hear(line.trim_end(), clock);
            line.clear();
        }
        Ok(())
    }

    fn hear(&mut self, line: &str, clock: Clock) {
        // A power cut leaves a half line, and the first event after it is written behind that.
        let line = line.rfind(BEGINNING).map_or(line, |at| &line[at..]);
        match line.parse::<EventLine>() {
            Ok(EventLine { time, said }) => {
                if !self.known.insert(line.to_owned()) {
                    return;
                }
                let (at, host, said) = (clock.instant(time), self.host, Some(said));
                // Nobody may be listening any more.
                let _ = self.told.send(Heard { at, host, said });
            }
            Err(error) => {
                tracing::warn!(host = self.host.0, %error, line, "not understood");
            }
        }
    }
}

/// Prints an agent's events, until the agent has ended: from this octet on if the host has been on since, else all. A host that
/// has lost its power may have lost the end of the file, and have written something else in its place.
fn follow_script(offset: u64, boot: &str) -> String {
    let keeper = format!("$(cat {KEEPER} 2>/dev/null)");
    // Without an agent there is nothing to wait for.
    format!(
        "boot=$(cat /proc/sys/kernel/random/boot_id); from={offset}\n\
         [ \"$boot\" = '{boot}' ] || from=0\n\
         echo \"$boot $from $(date +%s.%N)\"\n\
         from=$((from + 1))\n\
         if [ -e {KEEPER} ]; then tail -c +$from -F --pid={keeper} -s 1 {EVENTS}; else tail -c +$from {EVENTS}; fi"
    )
}

/// What a host says before its agent's events.
#[derive(Debug)]
struct Opening<'a> {
    /// Which of its starts it is on since.
    boot: &'a str,
    /// From which octet of the file on lines follow.
    offset: u64,
    /// What time it is there, in seconds since 1970.
    time: f64,
}

impl<'a> Opening<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.strip_suffix('\n')?.split(' ');
        let (boot, offset, time) = (words.next()?, words.next()?, words.next()?);
        Some(Self {
            boot,
            offset: offset.parse().ok()?,
            time: time.parse().ok()?,
        })
    }
}

/// A moment by this machine's clock and by a host's, which may be wrong by seconds.
#[derive(Clone, Copy, Debug)]
struct Clock {
    here: Instant,
    /// In seconds since 1970.
    there: f64,
}

impl Clock {
    /// When it was this time there; never later than now, though clocks drift.
    fn instant(self, time: f64) -> Instant {
        let apart = Duration::try_from_secs_f64((time - self.there).abs()).unwrap_or_default();
        let at = if time < self.there {
            self.here.checked_sub(apart)
        } else {
            self.here.checked_add(apart)
        };
        at.unwrap_or(self.here).min(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc::{Receiver, channel};

    use s_core_agent::Said;

    use super::*;
    use crate::build::Image;
    use crate::plan::{Plan, Size};

    const BOOT: &str = "0b7e3d5c-11aa-4c55-9bd8-3f0f4f7f1c11";
    const READY: &str = "{\"time\":1000.5,\"event\":\"ready\"}\n";
    const MINTED: &str = "{\"time\":1002.5,\"event\":\"minted\",\"vms\":8}\n";

    fn reader() -> (Reader, Receiver<Heard>) {
        let plan = Plan::new("demo".parse().unwrap(), Size::default()).unwrap();
        let remote = Remote::new(plan, Image::from_directory("/c/image-1".into()));
        let (told, heard) = channel();
        (Reader::new(&remote, HostNumber(2), &told), heard)
    }

    /// What comes over a connection.
    fn connection(boot: &str, offset: u64, time: f64, file: &str) -> String {
        let from = usize::try_from(offset).unwrap();
        format!("{boot} {offset} {time}\n{}", &file[from..])
    }

    fn said(heard: &Receiver<Heard>) -> Vec<Option<Said>> {
        let heard = heard.try_iter().inspect(|of| assert_eq!(of.host.0, 2));
        heard.map(|of| of.said).collect()
    }

    #[test]
    fn a_connection_goes_on_where_the_last_one_broke() {
        let (mut reader, heard) = reader();
        let file = format!("{READY}nonsense\n{MINTED}");
        // The connection broke in the middle of the last line.
        let first = connection(BOOT, 0, 1003.0, &file[..READY.len() + 20]);
        reader.read(first.as_bytes()).unwrap();
        assert_eq!(reader.offset, READY.len() as u64 + 9);
        let second = connection(BOOT, reader.offset, 1004.0, &file);
        reader.read(second.as_bytes()).unwrap();
        assert_eq!(reader.offset, file.len() as u64);
        let wanted = [Said::Ready, Said::Minted { vms: 8 }];
        assert_eq!(said(&heard), wanted.map(Some));
        // One that did not come about changes nothing.
        reader.read(&b""[..]).unwrap();
        assert_eq!(
            (reader.offset, reader.boot.as_str()),
            (file.len() as u64, BOOT)
        );
    }

    #[test]
    fn nothing_is_heard_twice_after_a_power_cut() {
        let (mut reader, heard) = reader();
        let before = connection(BOOT, 0, 1003.0, &format!("{READY}{MINTED}"));
        reader.read(before.as_bytes()).unwrap();
        assert_eq!(said(&heard).len(), 2);
        // The end of the last line was not on the disk.
        let file = format!("{READY}{}{}", &MINTED[..20], READY.replace("1000", "1060"));
        let after = connection("another", 0, 1061.0, &file);
        reader.read(after.as_bytes()).unwrap();
        assert_eq!(said(&heard), [Some(Said::Ready)]);
        assert_eq!(reader.boot, "another");
    }

    #[test]
    fn what_comes_late_was_said_before() {
        let (mut reader, heard) = reader();
        let before = Instant::now();
        let late = connection(BOOT, 0, 1052.5, &format!("{READY}{MINTED}"));
        reader.read(late.as_bytes()).unwrap();
        let after = Instant::now();
        for (heard, ago) in heard.try_iter().zip([52, 50].map(Duration::from_secs)) {
            assert!(heard.at + ago >= before && heard.at + ago <= after);
        }
        // A clock that is ahead by now.
        let clock = Clock {
            here: before,
            there: 1000.0,
        };
        assert!(clock.instant(2000.0) <= Instant::now());
        assert_eq!(clock.instant(f64::NAN), before);
    }

    #[test]
    fn the_file_is_read_from_its_start_if_the_host_has_started_since() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        let (events, boot) = (file("events", READY), file("boot", BOOT));
        let run = |offset, since: &str| {
            let script = follow_script(offset, since)
                .replace(EVENTS, &events)
                .replace("/proc/sys/kernel/random/boot_id", &boot)
                .replace(KEEPER, &format!("{events}-none"));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let (opening, lines) = text.split_at(text.find('\n').unwrap() + 1);
            let opening = Opening::parse(opening).unwrap();
            assert_eq!(opening.boot, BOOT);
            assert!(opening.time > 1.6e9);
            (opening.offset, lines.to_owned())
        };
        assert_eq!(run(0, ""), (0, READY.into()));
        assert_eq!(run(8, BOOT), (8, READY[8..].into()));
        assert_eq!(run(8, "another"), (0, READY.into()));
        assert_eq!(run(5000, "another"), (0, READY.into()));
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let (mut reader, heard) = reader();
        let endless = connection(BOOT, 0, 1003.0, &"x".repeat(1 << 20));
        reader.read(endless.as_bytes()).unwrap();
        assert_eq!((reader.offset, heard.try_iter().count()), (0, 0));
        reader.read(&[b'x'; 1 << 20][..]).unwrap();
        assert_eq!((reader.offset, reader.boot.as_str()), (0, BOOT));
    }
}
