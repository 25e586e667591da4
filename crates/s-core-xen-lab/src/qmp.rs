//! The emulator's control socket: the QEMU Machine Protocol, one JSON value a line.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use s_core_lab::LabError;
use serde_json::{Value, json};

use crate::cache::file_error;
use crate::up::Stopped;

/// How long an answer may take; an emulator that loads a state answers late.
const ANSWER: Duration = Duration::from_secs(60);
/// The most bytes of a line.
const LONGEST: u64 = 1 << 20;
/// How often to look whether something has happened.
const LOOK: Duration = Duration::from_millis(100);

/// A connection; an emulator has one at a time.
#[derive(Debug)]
pub(crate) struct Qmp {
    path: PathBuf,
    reader: BufReader<UnixStream>,
}

impl Qmp {
    pub(crate) fn connect(path: &Path) -> Result<Self, LabError> {
        let error = |source| file_error(path, source);
        let stream = UnixStream::connect(path).map_err(error)?;
        stream.set_read_timeout(Some(ANSWER)).map_err(error)?;
        stream.set_write_timeout(Some(ANSWER)).map_err(error)?;
        let mut qmp = Self {
            path: path.into(),
            reader: BufReader::new(stream),
        };
        qmp.line()?;
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and returns what it returns.
    pub(crate) fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, LabError> {
        let request = json!({ "execute": command, "arguments": arguments });
        let written = self
            .reader
            .get_mut()
            .write_all(format!("{request}\n").as_bytes());
        written.map_err(|source| file_error(&self.path, source))?;
        loop {
            let mut line = self.line()?;
            if let Some(done) = line.get_mut("return") {
                return Ok(done.take());
            }
            if let Some(error) = line.get("error") {
                let said = error.get("desc").and_then(Value::as_str);
                return Err(self.content(&format!("{command}: {}", said.unwrap_or("it failed"))));
            }
            // What remains is an event.
        }
    }

    /// Whether the machine runs, or what it does instead.
    pub(crate) fn state(&mut self) -> Result<String, LabError> {
        let status = self.execute("query-status", json!({}))?;
        let state = status.get("status").and_then(Value::as_str);
        Ok(state.unwrap_or("unknown").to_owned())
    }

    /// Waits until the machine's state has been sent or taken in, or `stopped` says that nobody waits for it.
    pub(crate) fn await_migration(
        &mut self,
        within: Duration,
        stopped: Stopped<'_>,
    ) -> Result<(), LabError> {
        let by = Instant::now() + within;
        loop {
            let migration = self.execute("query-migrate", json!({}))?;
            match migration.get("status").and_then(Value::as_str) {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => {
                    let why = migration.get("error-desc").and_then(Value::as_str);
                    return Err(self.content(&format!("the state: {}", why.unwrap_or("failed"))));
                }
                _ if stopped() => return Err(self.content("nobody waits for the state")),
                _ if Instant::now() > by => {
                    return Err(LabError::DeadlineExceeded {
                        what: format!("the state at {}", self.path.display()),
                        after: within,
                    });
                }
                _ => std::thread::sleep(LOOK),
            }
        }
    }

    fn line(&mut self) -> Result<Value, LabError> {
        let mut line = String::new();
        let read = (&mut self.reader).take(LONGEST).read_line(&mut line);
        match read.map_err(|source| file_error(&self.path, source))? {
            0 => Err(self.content("the emulator has ended")),
            _ => serde_json::from_str(&line).map_err(|error| self.content(&error.to_string())),
        }
    }

    fn content(&self, problem: &str) -> LabError {
        LabError::Content {
            path: self.path.clone(),
            problem: problem.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::thread;

    /// Talks to something that says these lines, one after each line that it hears; the first at once.
    fn against(lines: &'static [&'static str], talk: impl FnOnce(Result<Qmp, LabError>)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("qmp.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            for said in lines {
                stream.write_all(format!("{said}\n").as_bytes()).unwrap();
                let mut heard = String::new();
                reader.read_line(&mut heard).unwrap();
            }
        });
        talk(Qmp::connect(&path));
        server.join().unwrap();
    }

    const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}"#;
    const DONE: &str = r#"{"return": {}}"#;

    #[test]
    fn answers_are_found_between_events() {
        let stopped = concat!(
            r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}"#,
            "\n",
            r#"{"return": {"status": "paused", "singlestep": false, "running": false}}"#
        );
        let lines: &[&str] = Box::leak(Box::new([GREETING, DONE, stopped]));
        against(lines, |qmp| {
            assert_eq!(qmp.unwrap().state().unwrap(), "paused");
        });
    }

    #[test]
    fn a_state_that_nobody_waits_for_is_not_waited_for() {
        const ACTIVE: &str = r#"{"return": {"status": "active"}}"#;
        against(&[GREETING, DONE, ACTIVE], |qmp| {
            let ended = qmp.unwrap().await_migration(ANSWER, &|| true);
            let ended = ended.unwrap_err().to_string();
            assert!(ended.ends_with("nobody waits for the state"), "{ended}");
        });
    }

    #[test]
    fn errors_say_which_command() {
        const REFUSED: &str = r#"{"error": {"class": "GenericError", "desc": "State blocked by non-migratable device"}}"#;
        against(&[GREETING, DONE, REFUSED], |qmp| {
            let refused = qmp
                .unwrap()
                .execute("migrate", json!({}))
                .unwrap_err()
                .to_string();
            assert!(
                refused.ends_with("qmp.sock: migrate: State blocked by non-migratable device"),
                "{refused}"
            );
        });
        against(&["no JSON"], |qmp| assert!(qmp.is_err()));
        against(&[], |qmp| {
            let ended = qmp.unwrap_err().to_string();
            assert!(ended.ends_with("the emulator has ended"), "{ended}");
        });
    }
}
