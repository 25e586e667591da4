//! The target while it listens.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use s_core_lab::{LabError, system};

use super::hosts::Hosts;
use super::scripts::{self, LONGEST, READY};
use super::told::plain;

/// How long it may take until the target listens.
const START: Duration = Duration::from_secs(120);
/// How long it may take to end.
const END: Duration = Duration::from_secs(60);
/// What is read of what it says, in octets.
const MOST_SAID: u64 = 64 << 10;

/// A target that takes one migration and its load, until it is dropped.
#[derive(Debug)]
pub(super) struct Listening {
    child: Child,
    /// It listens as long as this is open.
    stdin: Option<ChildStdin>,
}

impl Listening {
    /// Returns when it listens.
    pub(super) fn start(hosts: &Hosts, target: usize, load_percent: u32) -> Result<Self, LabError> {
        let script = scripts::target(hosts, target, load_percent);
        let name = &hosts.pair[target].ssh;
        let error = |source| LabError::Program {
            program: format!("ssh {name}"),
            source,
        };
        let mut child = (hosts.command(target, &script, LONGEST + 2 * START))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(error)?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut this = Self { child, stdin };
        let (tell, told) = channel();
        // Ends with the child, whom it always leaves room to write.
        thread::spawn(move || {
            let lines = stdout.map(|out| BufReader::new(out.take(MOST_SAID)).lines());
            for line in lines.into_iter().flatten().map_while(Result::ok) {
                tracing::debug!(line, "a target said");
                // Nobody may be listening any more.
                let _ = tell.send(line);
            }
        });
        match told.recv_timeout(START) {
            Ok(line) if line == READY => return Ok(this),
            Ok(_) | Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => {
                return Err(LabError::DeadlineExceeded {
                    what: format!("{name} does not listen"),
                    after: START,
                });
            }
        }
        this.end();
        let mut said = String::new();
        let read = stderr.map(|stderr| stderr.take(MOST_SAID).read_to_string(&mut said));
        let unread = read.and_then(Result::err).map(|error| error.to_string());
        Err(LabError::Failed {
            command: format!("ssh {name}"),
            message: unread.unwrap_or_else(|| plain(&said)),
        })
    }

    fn end(&mut self) {
        drop(self.stdin.take());
        let by = Instant::now() + END;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() >= by {
                // `timeout` ends what it runs, too, by SIGKILL if need be; killed itself it would leave it.
                system::terminate(&self.child);
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.end();
    }
}
