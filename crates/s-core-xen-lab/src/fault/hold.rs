//! States of a control domain that last only as long as somebody here holds them, and waits for states that come by themselves.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Stdio};
use std::time::Duration;

use s_core_lab::{HostNumber, LabError};

use crate::ssh::Remote;

/// What a script says when it has done its part.
const DONE: &str = "done";
/// The longest that it may say instead.
const LONGEST: u64 = 4096;

/// Something done on a control domain that is undone when this goes: also when this process is killed, or the time is over.
#[derive(Debug)]
pub(super) struct Hold {
    child: Child,
    input: Option<ChildStdin>,
}

impl Hold {
    /// Does it. Both scripts are a shell's.
    pub(super) fn new(
        remote: &Remote,
        host: HostNumber,
        doing: &str,
        undoing: &str,
        within: Duration,
    ) -> Result<Self, LabError> {
        let script = held_script(doing, undoing);
        let failed = |source| LabError::Program {
            program: "ssh".into(),
            source,
        };
        let mut command = remote.command(host, within);
        let mut child = command
            .arg(&script)
            // A terminal's Ctrl-C is for this process.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let mut said = String::new();
        if let Some(output) = child.stdout.take() {
            let mut output = BufReader::new(output.take(LONGEST));
            output.read_line(&mut said).map_err(failed)?;
        }
        let input = child.stdin.take();
        let this = Self { child, input };
        if said.trim_end() == DONE {
            return Ok(this);
        }
        Err(LabError::Failed {
            command: format!("{doing} on {}", remote.plan().host_name(host)),
            message: said.trim_end().to_owned(),
        })
    }

    /// Undoes it, and waits until that is done.
    pub(super) fn release(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if self.input.take().is_some() {
            // Whatever it ends with, the connection has.
            let _ = self.child.wait();
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.end();
    }
}

/// The end of the connection is the end of `cat`'s input.
fn held_script(doing: &str, undoing: &str) -> String {
    format!(
        "said=$(mktemp)\n\
         if {{ {doing}; }} 2>\"$said\"; then echo {DONE}; cat >/dev/null; else tail -n 1 \"$said\"; fi\n\
         rm -f \"$said\"\n\
         {undoing}\n"
    )
}

/// Waits on a control domain until a shell's condition holds.
pub(super) fn until(
    remote: &Remote,
    host: HostNumber,
    condition: &str,
    within: Duration,
) -> Result<(), LabError> {
    let script = until_script(condition, within);
    // The script ends by itself when its time is over.
    let within = within + Duration::from_secs(60);
    remote.run(host, &script, "", within).map(drop)
}

fn until_script(condition: &str, within: Duration) -> String {
    let seconds = within.as_secs();
    format!(
        "end=$(($(date +%s) + {seconds}))\n\
         until {condition}; do\n\
         \x20   if [ \"$(date +%s)\" -ge $end ]; then echo \"not within {seconds} s\" >&2; exit 1; fi\n\
         \x20   sleep 0.1\n\
         done\n"
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_is_held_is_undone_at_the_end_of_the_connection() {
        let run = |doing: &str| {
            let script = held_script(doing, "echo undone");
            // Its input ends at once.
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(run("true && true"), "done\nundone\n");
        assert_eq!(run("echo it is full >&2 && false"), "it is full\nundone\n");
    }

    #[test]
    fn a_condition_has_its_time() {
        let run = |condition: &str, seconds| {
            let script = until_script(condition, Duration::from_secs(seconds));
            let mut shell = Command::new("sh");
            shell.args(["-c", &script]).output().unwrap()
        };
        assert!(run("true", 0).status.success());
        let began = Instant::now();
        let late = run("false", 1);
        assert!(!late.status.success());
        assert_eq!(late.stderr, b"not within 1 s\n");
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}
