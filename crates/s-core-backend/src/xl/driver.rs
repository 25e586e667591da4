//! The hypervisor behind the `xl` program.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use s_core_flow::MacAddr;
use s_core_model::{CpuModel, ServerId};

use super::left_out::LeftOut;
use super::list::is_half_migrated;
use super::outcome::{Sighting, classify, reason, settle};
use super::{
    Dialect, DomainConfig, HostInfo, InvalidXlConfig, ListedDomain, MAX_OUTPUT, NetworkInterface,
    ParseError, XlConfig, parse_cpu, parse_info, parse_list, parse_list_long, parse_network_list,
    parse_xm_list_long,
};
use super::{receive, xm};
use crate::command::{Exit, Finished, RunError, run};
use crate::{
    Domain, FreeCapacity, Gate, Hypervisor, HypervisorError, Leftover, LeftoverKind,
    MigrationOutcome, Uuid,
};

/// The most of a migration's time that is kept for looking where the domain is afterwards.
const LONGEST_LOOK: Duration = Duration::from_secs(15);
/// The most of a migration's time that `xl` gets for resuming the guest after its transport was cut.
const LONGEST_RESUME: Duration = Duration::from_secs(10);

/// A migration that has less time is not begun.
const SHORTEST_MIGRATION: Duration = Duration::from_secs(1);

/// Xen, driven through the `xl` program on this host.
///
/// Each call starts `xl`, with arguments of its own and never through a shell. The program, and all that it
/// started, is killed when the call's deadline comes near. A call returns by its deadline; only when the system
/// does not let the killed program go at once, up to a second later.
#[derive(Debug)]
pub struct Xl {
    config: XlConfig,
    left_out: Mutex<LeftOut>,
}

impl Xl {
    /// A driver with this configuration; runs nothing yet.
    ///
    /// # Errors
    ///
    /// [`InvalidXlConfig`] if the program or the transport's command cannot be run.
    pub fn new(config: XlConfig) -> Result<Self, InvalidXlConfig> {
        if config.program.as_os_str().is_empty() {
            return Err(InvalidXlConfig::NoProgram);
        }
        config.transport.check()?;
        Ok(Self {
            config,
            left_out: Mutex::default(),
        })
    }

    /// All domains with their UUIDs (`xl list -v`, `xm list -l`), the control domain included.
    ///
    /// # Errors
    ///
    /// [`HypervisorError`] if `xl` could not be run, failed, or gave an answer that is not understood.
    pub fn list(&self, deadline: Duration) -> Result<Vec<ListedDomain>, HypervisorError> {
        match self.config.dialect {
            Dialect::Xl => self.ask(&["list", "-v"], deadline, parse_list),
            Dialect::Xm => {
                let both = self.ask(&["list", "-l"], deadline, parse_xm_list_long)?;
                Ok(both.into_iter().map(|(listed, _)| listed).collect())
            }
        }
    }

    /// The guests with what is configured of them (`xl list -l`).
    fn configs(&self, deadline: Duration) -> Result<Vec<DomainConfig>, HypervisorError> {
        match self.config.dialect {
            Dialect::Xl => self.ask(&["list", "-l"], deadline, parse_list_long),
            Dialect::Xm => {
                let both = self.ask(&["list", "-l"], deadline, parse_xm_list_long)?;
                let guests = both.into_iter().filter(|(listed, _)| listed.domid != 0);
                Ok(guests.map(|(_, config)| config).collect())
            }
        }
    }

    /// What the host has (`xl info`).
    ///
    /// # Errors
    ///
    /// As [`Xl::list`].
    pub fn info(&self, deadline: Duration) -> Result<HostInfo, HypervisorError> {
        self.ask(&["info"], deadline, parse_info)
    }

    /// The network interfaces of a domain (`xl network-list`).
    ///
    /// # Errors
    ///
    /// As [`Xl::list`].
    pub fn network_interfaces(
        &self,
        domid: u32,
        deadline: Duration,
    ) -> Result<Vec<NetworkInterface>, HypervisorError> {
        let args = ["network-list", &domid.to_string()];
        self.ask(&args, deadline, parse_network_list)
    }

    /// Runs `xl` with these arguments and parses what it prints.
    fn ask<T>(
        &self,
        args: &[&str],
        deadline: Duration,
        parse: impl FnOnce(&str) -> Result<T, ParseError>,
    ) -> Result<T, HypervisorError> {
        let os_args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let what = || format!("{} {}", self.config.program.display(), args.join(" "));
        let Finished {
            exit,
            stdout,
            stdout_dropped,
            stderr,
        } = run(&self.config.program, &os_args, deadline).map_err(|error| {
            let (RunError::NotStarted(source) | RunError::Lost(source)) = error;
            HypervisorError::Unreachable {
                what: what(),
                source,
            }
        })?;
        match exit {
            Exit::Code(0) if stdout_dropped > 0 => Err(HypervisorError::Malformed {
                what: what(),
                message: ParseError::TooLong {
                    bytes: MAX_OUTPUT.saturating_add(stdout_dropped as usize),
                }
                .to_string(),
            }),
            Exit::Code(0) => parse(&stdout).map_err(|error| HypervisorError::Malformed {
                what: what(),
                message: error.to_string(),
            }),
            Exit::DeadlineExceeded => Err(HypervisorError::DeadlineExceeded {
                what: what(),
                after: deadline,
            }),
            Exit::Code(_) | Exit::Signal(_) => Err(HypervisorError::Failed {
                what: what(),
                status: exit.to_string(),
                message: reason(Exit::Code(1), &stderr),
            }),
        }
    }

    /// The domain with this UUID; the one that is at home here, should a half-migrated one bear it too.
    fn find(
        &self,
        uuid: Uuid,
        deadline: Duration,
    ) -> Result<Option<ListedDomain>, HypervisorError> {
        let listed = self.list(deadline)?;
        Ok(listed
            .into_iter()
            .filter(|domain| domain.uuid == Some(uuid))
            .max_by_key(ListedDomain::is_at_home))
    }

    /// Completes what `xl list -l` left out about a domain that is listed.
    fn complete(
        &self,
        config: DomainConfig,
        listed: &ListedDomain,
        budget: &Budget,
    ) -> Result<Domain, HypervisorError> {
        let known: Option<Vec<MacAddr>> = config.macs.iter().copied().collect();
        let macs = match known {
            Some(macs) => macs,
            None => self
                .network_interfaces(config.domid, budget.remaining())?
                .into_iter()
                .map(|interface| interface.mac)
                .collect(),
        };
        Ok(Domain {
            uuid: config.uuid,
            name: listed.name.clone(),
            macs,
            memory_mib: config.memory_mib.unwrap_or(listed.memory_mib),
            address: config.address,
        })
    }

    /// What `xl list -v` alone tells of a domain.
    fn bare(&self, domain: &ListedDomain) -> Result<DomainConfig, HypervisorError> {
        let unknown = || HypervisorError::Malformed {
            what: format!("{} list -v", self.config.program.display()),
            message: format!("it does not tell the UUID of {:?}", domain.name),
        };
        Ok(DomainConfig {
            domid: domain.domid,
            uuid: domain.uuid.ok_or_else(unknown)?,
            name: domain.name.clone(),
            memory_mib: None,
            macs: Vec::new(),
            address: None,
        })
    }

    /// Where the domain is now, as this host shows it.
    fn look(&self, uuid: Uuid, deadline: Duration) -> Sighting {
        match self.find(uuid, deadline) {
            Ok(Some(listed)) => Sighting::Listed(listed),
            Ok(None) => Sighting::Absent,
            Err(error) => Sighting::Failed(error.to_string()),
        }
    }

    /// Finds the number by which `xl migrate` knows the domain now; an outcome if it cannot be migrated.
    fn migratable(&self, uuid: Uuid, deadline: Duration) -> Result<u32, MigrationOutcome> {
        match self.find(uuid, deadline) {
            Ok(Some(domain)) if domain.is_at_home() => Ok(domain.domid),
            Ok(Some(domain)) if is_half_migrated(&domain.name) => {
                Err(MigrationOutcome::Unknown(format!(
                    "not begun: an earlier migration left it here as {:?}",
                    domain.name
                )))
            }
            Ok(Some(domain)) => Err(MigrationOutcome::StayedHere(format!(
                "not begun: {:?} is {:?}",
                domain.name, domain.state
            ))),
            Ok(None) => Err(MigrationOutcome::StayedHere(format!(
                "not begun: no domain with UUID {uuid} here"
            ))),
            Err(error) => Err(MigrationOutcome::StayedHere(format!("not begun: {error}"))),
        }
    }
}

impl Hypervisor for Xl {
    /// The guests at home in `xl list -v`: none that is half migrated, suspended or has shut down.
    ///
    /// What is configured of them is in `xl list -l`, which passes over a domain that it cannot read: one that is being built, or
    /// another's device model (`NAME-dm`). Such a guest is left out, which is said once if it runs.
    fn domains(&self, deadline: Duration) -> Result<Vec<Domain>, HypervisorError> {
        let budget = Budget::new(deadline);
        let configs = self.configs(deadline)?;
        let listed = self.list(budget.remaining())?;
        let mut domains = Vec::new();
        let mut left_out = Vec::new();
        let is_guest = |listed: &&ListedDomain| listed.domid != 0 && listed.is_at_home();
        for guest in listed.iter().filter(is_guest) {
            match config_of(&configs, guest) {
                Some(config) => domains.push(self.complete(config, guest, &budget)?),
                None => left_out.push(guest),
            }
        }
        let mut noted = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        for guest in noted.note(&left_out) {
            tracing::warn!(
                domain = guest.name,
                "left out, though it takes room here: xl list -l does not tell how it is configured"
            );
        }
        Ok(domains)
    }

    /// The domains that `xl list -v` calls `NAME--incoming`; if there are any, `xl list -l` tells more about them.
    ///
    /// One that `xl list -l` passes over, because it is still being built, is returned without MAC addresses, with the
    /// memory that it has now.
    fn arriving(&self, deadline: Duration) -> Result<Vec<Domain>, HypervisorError> {
        let budget = Budget::new(deadline);
        let mut incoming = self.list(deadline)?;
        incoming.retain(ListedDomain::is_arriving);
        if incoming.is_empty() {
            return Ok(Vec::new());
        }
        let configs = self.configs(budget.remaining())?;
        incoming
            .iter()
            .map(|domain| {
                let config = config_of(&configs, domain);
                let config = config.map_or_else(|| self.bare(domain), Ok)?;
                self.complete(config, domain, &budget)
            })
            .collect()
    }

    /// Slots: those configured, less one for each domain listed, half-migrated ones included.
    /// Memory: what is free and not claimed, which is what `xl info` calls free, less the reserve.
    fn free_capacity(&self, deadline: Duration) -> Result<FreeCapacity, HypervisorError> {
        let budget = Budget::new(deadline);
        let info = self.info(deadline)?;
        let guests = self
            .list(budget.remaining())?
            .iter()
            .filter(|domain| domain.domid != 0)
            .count();
        let memory_mib = info
            .free_memory_mib
            .saturating_sub(self.config.reserve_mib.into());
        Ok(FreeCapacity {
            vm_slots: self
                .config
                .vm_slots
                .saturating_sub(u32::try_from(guests).unwrap_or(u32::MAX)),
            memory_mib: u32::try_from(memory_mib).unwrap_or(u32::MAX),
        })
    }

    /// Runs `xl migrate`, and unless it tells of success, looks afterwards whether the domain is at home here.
    ///
    /// Of the time left after the domain was found, up to a quarter each, but no more than 15 s and 10 s, is kept
    /// for that look and for `xl` to resume the guest once its transport was cut.
    fn migrate(&self, domain: Uuid, target: ServerId, deadline: Duration) -> MigrationOutcome {
        let budget = Budget::new(deadline);
        let domid = match self.migratable(domain, deadline) {
            Ok(domid) => domid,
            Err(outcome) => return outcome,
        };
        let left = budget.remaining();
        if left < SHORTEST_MIGRATION {
            return MigrationOutcome::StayedHere(format!("not begun: only {left:?} are left"));
        }
        let limit = left - (left / 4).min(LONGEST_LOOK);
        let transport_limit = limit - (left / 4).min(LONGEST_RESUME);
        let args = match self.config.dialect {
            Dialect::Xl => self
                .config
                .transport
                .migrate_args(domid, target, transport_limit),
            Dialect::Xm => {
                let (domid, target) = (domid.to_string(), target.addr().to_string());
                ["migrate", "--live", &domid, &target]
                    .map(OsString::from)
                    .into()
            }
        };
        let said = match run(&self.config.program, &args, limit) {
            Ok(finished) if self.config.dialect == Dialect::Xm => {
                let seen = self.look(domain, budget.remaining());
                return xm::outcome(finished.exit, &finished.stderr, &seen);
            }
            Ok(finished) => classify(finished.exit, &finished.stderr),
            Err(RunError::NotStarted(error)) => {
                return MigrationOutcome::StayedHere(format!(
                    "not begun: cannot run xl migrate: {error}"
                ));
            }
            Err(RunError::Lost(error)) => {
                MigrationOutcome::Unknown(format!("lost sight of xl migrate: {error}"))
            }
        };
        if said == MigrationOutcome::Moved {
            return said;
        }
        settle(said, &self.look(domain, budget.remaining()))
    }

    /// `hw_caps` and `virt_caps` of `xl info`, and the vendor that the kernel tells.
    fn cpu(&self, deadline: Duration) -> Result<Option<CpuModel>, HypervisorError> {
        let path = &self.config.cpuinfo;
        let cpuinfo = read_beginning(path).map_err(|source| HypervisorError::Unreachable {
            what: path.display().to_string(),
            source,
        })?;
        self.ask(&["info"], deadline, |info| parse_cpu(info, &cpuinfo))
    }

    /// Where [`receive_socket`](XlConfig::receive_socket) is set. If it cannot be made, nobody is let in, since [`receive`](super::receive)
    /// finds nobody to ask.
    fn guard(&self, gate: Arc<dyn Gate>) -> bool {
        let asks = self.config.dialect == Dialect::Xl;
        let Some(socket) = self.config.receive_socket.as_ref().filter(|_| asks) else {
            return false;
        };
        if let Err(error) = receive::answer(socket, gate) {
            tracing::error!(socket = %socket.display(), %error, "cannot listen there; no migration to this host is let in");
        }
        true
    }

    /// The domains that are suspended, and those that are called `NAME--incoming` and are paused. None with [`Dialect::Xm`]: what a
    /// `xend` has left looks like what it is at work on, even after its `xm` was ended.
    fn leftovers(&self, deadline: Duration) -> Result<Vec<Leftover>, HypervisorError> {
        if self.config.dialect == Dialect::Xm {
            return Ok(Vec::new());
        }
        let left = |domain: ListedDomain| {
            Some(Leftover {
                kind: domain.leftover()?,
                uuid: domain.uuid?,
                name: domain.name,
            })
        };
        Ok(self.list(deadline)?.into_iter().filter_map(left).collect())
    }

    /// `xl destroy`, of the number that the domain has now.
    fn remove_leftover(
        &self,
        uuid: Uuid,
        kind: LeftoverKind,
        deadline: Duration,
    ) -> Result<bool, HypervisorError> {
        if kind == LeftoverKind::Suspended || self.config.dialect == Dialect::Xm {
            return Ok(false);
        }
        let budget = Budget::new(deadline);
        let listed = self.list(deadline)?;
        let is_it =
            |domain: &&ListedDomain| domain.uuid == Some(uuid) && domain.leftover() == Some(kind);
        let Some(domain) = listed.iter().find(is_it) else {
            return Ok(false);
        };
        let args = ["destroy", &domain.domid.to_string()];
        self.ask(&args, budget.remaining(), |_| Ok(true))
    }
}

/// What is configured of a domain that is listed.
fn config_of(configs: &[DomainConfig], listed: &ListedDomain) -> Option<DomainConfig> {
    let is_it =
        |config: &&DomainConfig| config.domid == listed.domid && Some(config.uuid) == listed.uuid;
    configs.iter().find(is_it).cloned()
}

/// The beginning of a file of the kernel, which tells of the first processor.
fn read_beginning(path: &Path) -> io::Result<String> {
    const ENOUGH: u64 = 16 << 10;
    let mut text = Vec::new();
    File::open(path)?.take(ENOUGH).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The time that a call of several commands has left.
struct Budget {
    started: Instant,
    whole: Duration,
}

impl Budget {
    fn new(whole: Duration) -> Self {
        Self {
            started: Instant::now(),
            whole,
        }
    }

    fn remaining(&self) -> Duration {
        self.whole.saturating_sub(self.started.elapsed())
    }
}
