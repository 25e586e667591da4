//! One migration.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use s_core_backend::xl::{DomainState, parse_list};
use s_core_lab::traffic::{ProbeSettings, Probes};
use s_core_lab::{LabError, system};
use s_core_model::VmId;
use s_core_xen_guest::{ClientError, Dirtying, GuestClient};

use super::hosts::Hosts;
use super::listening::Listening;
use super::schedule::Turn;
use super::scripts::{self, LONGEST};
use super::silence::Silence;
use super::told::{Told, plain};
use super::{MeasureError, Outcome, Row, Settings};

/// How long a control domain may take to list its domains.
const ANSWER: Duration = Duration::from_secs(60);
/// How long to wait before hosts are asked again.
const AGAIN: Duration = Duration::from_secs(2);
/// What starting the load and printing takes besides, on a busy control domain.
const AROUND: Duration = Duration::from_secs(120);
/// How often the VM is told how to write memory before that is a failure.
const TELLINGS: usize = 5;

/// Where the VM is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Home {
    /// Which host of the two.
    pub(super) at: usize,
    pub(super) memory_mib: u32,
}

/// Migrates the VM from its home to the other host. Beside what became of it stands where it was found afterwards.
///
/// The error is of what makes all further attempts useless; what fails else becomes the row's problem.
pub(super) fn attempt(
    hosts: &Hosts,
    settings: &Settings,
    turn: Turn,
    home: &Home,
) -> Result<(Row, Result<Home, MeasureError>), MeasureError> {
    let began = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    if settings.most_dirty > 0.0 {
        let dirtying = Dirtying {
            mb_per_second: turn.dirty_mb_per_second,
            working_set_mib: settings.working_set_mib,
        };
        write_memory(hosts, Some(dirtying))?;
    }
    let probing = Instant::now();
    let probes = Probes::start_parts(
        &[],
        &[(hosts.prober.clone(), hosts.address)],
        ProbeSettings {
            every: settings.probe,
            limit: LONGEST + 4 * AROUND + settings.patience + 2 * settings.margin,
            ..ProbeSettings::from(probing)
        },
    )?;
    thread::sleep(settings.margin);
    let told = migrate(hosts, home.at, turn.load_percent);
    let ended = probing.elapsed();
    let found = find(hosts, settings.patience);
    thread::sleep(settings.margin);
    let series = probes.stop()?;
    let silence = series.first().and_then(|series| Silence::of(series, ended));
    let outcome = match &found {
        Ok(now) if now.at == home.at => Outcome::Stayed,
        Ok(_) => Outcome::Moved,
        Err(_) => Outcome::Unknown,
    };
    let (told, problem) = match told {
        Ok(told) => {
            let failed = told.code != Some(0) || outcome != Outcome::Moved;
            let problem = if failed {
                told.last_words.clone()
            } else {
                String::new()
            };
            (told, problem)
        }
        Err(error) => (Told::default(), plain(&error.to_string())),
    };
    let row = Row {
        began: began.as_secs(),
        load_percent: turn.load_percent,
        load_mbit: told.load_mbit,
        vm: hosts.vm.clone(),
        transport: hosts.transport,
        source: hosts.pair[home.at].ssh.clone(),
        target: hosts.pair[1 - home.at].ssh.clone(),
        outcome,
        bytes: told.bytes,
        seconds: told.seconds,
        downtime_ms: silence.map(|of| milliseconds(of.downtime)),
        longest_gap_ms: silence.map(|of| milliseconds(of.longest_gap)),
        probe_ms: milliseconds(settings.probe),
        memory_mib: home.memory_mib,
        dirty_mb_per_second: turn.dirty_mb_per_second,
        problem,
    };
    Ok((row, found))
}

/// As it is written to the file.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Has the VM migrated while the target listens.
fn migrate(hosts: &Hosts, source: usize, load_percent: u32) -> Result<Told, LabError> {
    let _listening = Listening::start(hosts, 1 - source, load_percent)?;
    let script = scripts::source(hosts, source, load_percent);
    let said = system::run(&mut hosts.command(source, &script, LONGEST + AROUND))?;
    Ok(Told::parse(&said))
}

/// The host where the VM is at home, asked until it is exactly one: whoever sends a VM renames it before it is started elsewhere.
pub(super) fn find(hosts: &Hosts, patience: Duration) -> Result<Home, MeasureError> {
    let by = Instant::now() + patience;
    loop {
        let [one, other] = &thread::scope(|scope| {
            [0, 1]
                .map(|at| scope.spawn(move || memory_at(hosts, at)))
                .map(|asked| asked.join().expect("asking a host does not panic"))
        });
        match (one, other) {
            (Ok(Some(memory_mib)), Ok(None)) => {
                return Ok(Home {
                    at: 0,
                    memory_mib: *memory_mib,
                });
            }
            (Ok(None), Ok(Some(memory_mib))) => {
                return Ok(Home {
                    at: 1,
                    memory_mib: *memory_mib,
                });
            }
            _ if Instant::now() < by => thread::sleep(AGAIN),
            _ => {
                let said = [one, other].map(|said| match said {
                    Ok(Some(_)) => "it is here".to_owned(),
                    Ok(None) => "it is not here".into(),
                    Err(problem) => problem.clone(),
                });
                let found = hosts.names().into_iter().zip(said);
                let found: Vec<_> = found
                    .map(|(name, said)| format!("{name}: {said}"))
                    .collect();
                return Err(MeasureError::Unknown {
                    vm: hosts.vm.clone(),
                    found: found.join("; "),
                });
            }
        }
    }
}

/// The VM's memory in MiB, if this host is its home.
fn memory_at(hosts: &Hosts, at: usize) -> Result<Option<u32>, String> {
    let said = system::run(&mut hosts.command(at, "xl list", ANSWER));
    let said = said.map_err(|error| plain(&error.to_string()))?;
    let domains = parse_list(&said).map_err(|error| error.to_string())?;
    let at_home = domains.into_iter().find(|domain| {
        domain.name == hosts.vm
            && matches!(domain.state, DomainState::Runnable | DomainState::Paused)
    });
    Ok(at_home.map(|domain| domain.memory_mib))
}

/// Tells the VM how to write memory, or to write none.
pub(super) fn write_memory(hosts: &Hosts, dirtying: Option<Dirtying>) -> Result<(), MeasureError> {
    let guest = GuestClient::new(VmId::from(hosts.address));
    let prober = hosts.prober.clone();
    let tell = move || -> Result<Result<(), ClientError>, LabError> {
        prober.enter()?;
        let mut told = guest.dirty(dirtying);
        for _ in 1..TELLINGS {
            if !matches!(told, Err(ClientError::Io { .. })) {
                break;
            }
            told = guest.dirty(dirtying);
        }
        Ok(told)
    };
    let told = thread::spawn(tell).join();
    Ok(told.expect("telling a guest does not panic")??)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Of a VM that is told nothing.
    pub(crate) fn settings() -> Settings {
        Settings {
            loads: vec![0],
            migrations: 1,
            limit: Duration::from_secs(60),
            probe: Duration::from_millis(5),
            most_dirty: 0.0,
            working_set_mib: 4,
            seed: 1,
            margin: Duration::from_millis(50),
            patience: Duration::from_millis(50),
        }
    }
}
