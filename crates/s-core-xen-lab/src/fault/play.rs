//! How each fault is made.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use s_core_lab::{HostNumber, LabError};

use super::hold::{Hold, until};
use super::judge::judge;
use super::observe::HostSeen;
use super::scenario::Fault;
use super::stage::{BALLAST, Made, Moving, Stage};
use super::{Broken, FaultOutcome, Halt};
use crate::run::configuration::AGENT;

/// How long a command on a control domain may take.
const COMMAND: Duration = Duration::from_secs(120);
/// How long a state of a control domain is held at most.
const HELD: Duration = Duration::from_secs(900);
/// How long memory may take to be copied.
const COPIED: Duration = Duration::from_secs(150);
/// How long the target's part of the last handshake is stopped, in which the link has to be cut.
const STOPPED: u32 = 45;
/// How often it is judged what holds.
const LOOK: Duration = Duration::from_secs(10);
/// How long after a reservation has expired an agent has told of a domain that it may not remove.
const TELLING: Duration = Duration::from_secs(90);

/// The processes that take migrations as plain streams.
const RECEIVER: &str = "$(pgrep -f '[T]CP-LISTEN:8003')";
/// Where a target keeps what `xl` says of migrations that come as plain streams.
const RECEIVED: &str = "/var/log/s-core-receive.log";
/// What it says there when the VM's memory is not to be had.
const NO_MEMORY: [&str; 1] = ["Failed to populate physmap"];
/// What `ssh` says at the source when nobody takes its connection.
const NO_SSHD: [&str; 2] = ["ssh: connect to host", "Connection refused"];
/// Memory is copied to here, or has been.
const INCOMING: &str = "xl list | grep -q -e '--incoming'";
/// The domain is suspended here, and the target may start it.
const MIGRATED_AWAY: &str = "xl list | grep -q -e '--migratedaway'";

/// Makes a fault and judges what comes of it.
pub(super) fn play(stage: &mut Stage<'_>, fault: Fault) -> Result<FaultOutcome, Halt> {
    let began = Instant::now();
    let before = stage.begin()?;
    let made = match fault {
        Fault::NoMemory => no_memory(stage),
        Fault::NoSshd => no_sshd(stage),
        Fault::CutPrecopy => cut_precopy(stage),
        Fault::CutHandshake => cut_handshake(stage),
        Fault::KillSourceAgent => kill_agent(stage, |of| of.source),
        Fault::KillTargetAgent => kill_agent(stage, |of| of.target),
        Fault::KillSourceHost => kill_host(stage, |of| of.source),
        Fault::KillTargetHost => kill_host(stage, |of| of.target),
        Fault::DestroyDomain => destroy(stage),
    }?;
    stage.step(&made.seen);
    stage.fast()?;
    let terms = stage.terms(&before, &made);
    let reservation = stage.migration_limit().mul_f64(1.25);
    let by = Instant::now() + terms.bound.max(reservation + TELLING);
    let mut said = Vec::new();
    let (observed, broken) = loop {
        stage.listen(LOOK)?;
        let observed = stage.observation(&made);
        let broken = judge(&observed, &terms);
        if broken.is_empty() || Instant::now() > by {
            break (observed, broken);
        }
        if broken != said {
            let waits: Vec<_> = broken.iter().map(Broken::to_string).collect();
            stage.step(&format!("not yet: {}", waits.join("; ")));
            said = broken;
        }
    };
    let with_vms = observed.hosts.iter().filter(|(_, seen)| seen.has_vms());
    let came: Option<Vec<_>> = with_vms
        .map(|(host, _)| observed.token.get(host).copied())
        .collect();
    Ok(FaultOutcome {
        fault,
        seen: format!("{}; {}", made.seen, whereabouts(&observed.hosts, made.of)),
        token: came.and_then(|came| came.into_iter().max()),
        bound: terms.bound,
        took: began.elapsed(),
        broken,
    })
}

/// Where the VM is in the end.
fn whereabouts(hosts: &BTreeMap<HostNumber, HostSeen>, of: Moving) -> String {
    let found = hosts.iter().flat_map(|(host, seen)| {
        let domains = seen.domains.iter();
        domains
            .filter(|domain| domain.vm == Some(of.vm))
            .map(|domain| format!("{} on host {} ({:?})", domain.name, host.0, domain.state))
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return format!("v{} is gone", of.vm.0);
    }
    found.join(", ")
}

/// A domain takes all but 20 MiB of the target's memory, between the promise of room and the first byte of the VM.
fn no_memory(stage: &mut Stage<'_>) -> Result<Made, Halt> {
    let remote = stage.remote.clone();
    let (doing, undoing) = (
        format!("kill -STOP {RECEIVER}"),
        format!("kill -CONT {RECEIVER}"),
    );
    let stopped = |host| Hold::new(&remote, host, &doing, &undoing, HELD);
    let holds: Result<Vec<_>, LabError> = stage.hosts().into_iter().map(stopped).collect();
    let holds = holds?;
    let of = stage.moving()?;
    let doing = format!(
        "free=$(xl info | awk '/^free_memory/ {{ print $3 - 20 }}') && \
         printf 'name=\"{BALLAST}\"\\ntype=\"pv\"\\nkernel=\"/etc/s-core/guest-kernel\"\\nmemory=%s\\nmaxmem=%s\\n' $free $free \
         >/run/ballast.cfg && xl create -p /run/ballast.cfg >/dev/null"
    );
    let undoing = format!("xl destroy {BALLAST}");
    let ballast = Hold::new(&remote, of.target, &doing, &undoing, HELD)?;
    stage.step("the target's memory is taken");
    let size = format!("wc -c <{RECEIVED}");
    let before = remote.run(of.target, &size, "", COMMAND)?;
    let at = Instant::now();
    holds.into_iter().for_each(Hold::release);
    let (since, why) = stage.ending(of)?;
    // The source learns no more than that its stream ends.
    let said = format!(
        "tail -c +$(({before} + 1)) {RECEIVED} | grep -F -m 1 -e '{}' || true",
        NO_MEMORY[0],
        before = before.trim(),
    );
    let said = remote.run(of.target, &said, "", COMMAND)?;
    let why = expected(format!("{}; at the source: {why}", said.trim()), &NO_MEMORY)?;
    ballast.release();
    Ok(Made {
        of,
        at,
        since,
        gone: Vec::new(),
        restarts: None,
        seen: why,
    })
}

/// No control domain takes new connections over ssh, until the migration has failed.
fn no_sshd(stage: &mut Stage<'_>) -> Result<Made, Halt> {
    let remote = stage.remote.clone();
    let (doing, undoing) = (
        "kill $(cat /run/sshd.pid)",
        "/usr/sbin/sshd -f /etc/s-core/sshd_config",
    );
    let stopped = |host| Hold::new(&remote, host, doing, undoing, HELD);
    let holds: Result<Vec<_>, LabError> = stage.hosts().into_iter().map(stopped).collect();
    let holds = holds?;
    stage.step("sshd is stopped on all hosts");
    let of = stage.moving()?;
    let at = Instant::now();
    let (since, why) = stage.ending(of)?;
    let why = expected(why, &NO_SSHD)?;
    holds.into_iter().for_each(Hold::release);
    Ok(Made {
        of,
        at,
        since,
        gone: Vec::new(),
        restarts: None,
        seen: why,
    })
}

/// Why a migration failed, if it is what was made: it may have failed for another reason before.
fn expected(why: String, words: &[&str]) -> Result<String, LabError> {
    if words.iter().all(|word| why.contains(word)) {
        return Ok(why);
    }
    let problem = format!("the migration failed for another reason: {why}");
    Err(LabError::Missing(problem))
}

/// Waits until an agent migrates and memory is being copied.
fn copying(stage: &mut Stage<'_>) -> Result<Moving, Halt> {
    stage.slow()?;
    let of = stage.moving()?;
    until(&stage.remote, of.target, INCOMING, COPIED)?;
    Ok(of)
}

/// Cuts the target off until the source's agent has given up.
fn cut_until_given_up(stage: &mut Stage<'_>, of: Moving) -> Result<Made, Halt> {
    let at = Instant::now();
    stage.cut_off(of.target)?;
    stage.step("the target's link is cut");
    let (_, why) = stage.ending(of)?;
    stage.mend_link()?;
    Ok(Made {
        of,
        at,
        since: Instant::now(),
        gone: Vec::new(),
        restarts: None,
        seen: why,
    })
}

fn cut_precopy(stage: &mut Stage<'_>) -> Result<Made, Halt> {
    let of = copying(stage)?;
    cut_until_given_up(stage, of)
}

/// The target's `xl` is stopped as soon as it has asked for permission to start the domain: the handshake, of some
/// milliseconds, then lasts long enough for the link to be cut in it.
fn cut_handshake(stage: &mut Stage<'_>) -> Result<Made, Halt> {
    let of = copying(stage)?;
    let armed = stop_in_handshake();
    stage.remote.run(of.target, &armed, "", COMMAND)?;
    until(&stage.remote, of.source, MIGRATED_AWAY, COPIED)?;
    cut_until_given_up(stage, of)
}

/// Runs on by itself when the connection has ended: the link is about to be cut.
fn stop_in_handshake() -> String {
    format!(
        "receivers=$(pgrep -f '[x]l migrate-receive')\n\
         [ -n \"$receivers\" ] || exit 1\n\
         (timeout 300 tail -n 0 -F {RECEIVED} | while read -r line; do\n\
         \x20   case $line in *'requesting permission'*) kill -STOP $receivers; sleep {STOPPED}; kill -CONT $receivers; break ;; esac\n\
         done) </dev/null >/dev/null 2>&1 &\n"
    )
}

fn kill_agent(stage: &mut Stage<'_>, whose: fn(Moving) -> HostNumber) -> Result<Made, Halt> {
    let of = copying(stage)?;
    let host = whose(of);
    let kill = format!("kill -KILL $(cat {AGENT})");
    let at = Instant::now();
    stage.remote.run(host, &kill, "", COMMAND)?;
    Ok(Made {
        of,
        at,
        since: Instant::now(),
        gone: Vec::new(),
        restarts: Some(host),
        seen: format!("the agent of host {} was killed", host.0),
    })
}

fn kill_host(stage: &mut Stage<'_>, whose: fn(Moving) -> HostNumber) -> Result<Made, Halt> {
    let of = copying(stage)?;
    let host = whose(of);
    let at = Instant::now();
    stage.cut_power(host)?;
    let since = Instant::now();
    stage.step(&format!("host {} has lost power, and starts again", host.0));
    stage.restart_host()?;
    let layout = stage.remote.plan().layout();
    let vms = layout.vms();
    Ok(Made {
        of,
        at,
        since,
        gone: vms.filter(|vm| layout.first_host(*vm) == host).collect(),
        restarts: Some(host),
        seen: format!("host {} lost power", host.0),
    })
}

fn destroy(stage: &mut Stage<'_>) -> Result<Made, Halt> {
    let of = copying(stage)?;
    let destroy = format!("xl destroy {}", stage.remote.plan().domain(of.vm));
    let at = Instant::now();
    stage.remote.run(of.source, &destroy, "", COMMAND)?;
    Ok(Made {
        of,
        at,
        since: Instant::now(),
        gone: vec![of.vm],
        restarts: None,
        seen: format!("v{} was destroyed", of.vm.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_fails_for_the_reason_that_was_made() {
        const TRUNCATED: &str = "libxl: error: libxl_utils.c:505:libxl_read_exactly: file/stream truncated reading ipc msg header from \
            domain 1 save/restore helper stdout pipe";
        let transcript = include_str!(
            "../../../s-core-backend/tests/data/xen/error-migrate-no-memory-on-target.txt"
        );
        let refused = "ssh: connect to host 192.168.77.2 port 22: Connection refused";
        let timed_out = "ssh: connect to host 192.168.77.2 port 22: Connection timed out";
        for (why, words, wanted) in [
            (transcript, &NO_MEMORY[..], true),
            (TRUNCATED, &NO_MEMORY[..], false),
            (refused, &NO_SSHD[..], true),
            (timed_out, &NO_SSHD[..], false),
            (TRUNCATED, &NO_SSHD[..], false),
        ] {
            assert_eq!(expected(why.into(), words).is_ok(), wanted, "{why}");
        }
        let other = expected(TRUNCATED.into(), &NO_MEMORY)
            .unwrap_err()
            .to_string();
        assert!(other.starts_with("the migration failed for another reason: libxl"));
    }
}
