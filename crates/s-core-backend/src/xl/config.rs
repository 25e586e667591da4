//! How to run `xl`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use s_core_model::ServerId;

/// What an [`Xl`](super::Xl) needs to know about its host.
///
/// ```
/// use s_core_backend::xl::{Xl, XlConfig};
///
/// let mut config = XlConfig::new(16);
/// config.reserve_mib = 256;
/// let hypervisor = Xl::new(config)?;
/// # Ok::<(), s_core_backend::xl::InvalidXlConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct XlConfig {
    /// Which of Xen's tools the program is.
    pub dialect: Dialect,
    /// The program: a path, or a name to be looked up in `PATH`. The default is `xl`.
    pub program: PathBuf,
    /// How the memory of a guest gets to the target; with [`Dialect::Xm`] it is `xend` that decides that.
    pub transport: MigrationTransport,
    /// How many guests this host runs at most.
    pub vm_slots: u32,
    /// Free memory that is not offered to guests, in MiB: for Xen's own needs and what a guest takes beyond its
    /// configured memory. The default is 0.
    pub reserve_mib: u32,
    /// A Unix socket at which [`receive`](super::receive) asks whether a domain may arrive, where every migration to this host
    /// goes through that. Not with [`Dialect::Xm`], whose `xend` asks nobody. The default is none: `xl` lets every domain in
    /// that there is memory for.
    pub receive_socket: Option<PathBuf>,
    /// Where the kernel tells the processor's vendor. The default is `/proc/cpuinfo`.
    pub cpuinfo: PathBuf,
}

impl XlConfig {
    /// The program `xl`, ssh that never asks for a password, and no reserve.
    pub fn new(vm_slots: u32) -> Self {
        Self {
            dialect: Dialect::Xl,
            program: "xl".into(),
            transport: MigrationTransport::Ssh("ssh -o BatchMode=yes".to_owned()),
            vm_slots,
            reserve_mib: 0,
            receive_socket: None,
            cpuinfo: "/proc/cpuinfo".into(),
        }
    }

    /// The program `xm`, and no reserve.
    pub fn xm(vm_slots: u32) -> Self {
        Self {
            dialect: Dialect::Xm,
            program: "xm".into(),
            ..Self::new(vm_slots)
        }
    }
}

/// Xen's tools: what they print, and how they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `xl`, from Xen 4.1 on.
    Xl,
    /// `xm` with `xend`, up to Xen 4.4: the thesis's. Memory goes to the target's `xend` as it is; a migration that is
    /// given up goes on in `xend`. So nothing that a migration may have left is found or removed, and how one ended the target has to
    /// tell. What is paused counts as arriving: do not pause guests by hand.
    Xm,
}

/// How `xl migrate` reaches `xl migrate-receive` on the target.
///
/// The text is the operator's and `xl` gives it to a shell. The target's address in it is always written from
/// a [`ServerId`]: four decimal numbers. Either command is run under coreutils' `timeout`, so that a
/// migration that takes too long loses its transport first, and `xl` then resumes the guest here.
/// Killing `xl` instead may leave a guest suspended for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MigrationTransport {
    /// An ssh command with its options (`xl migrate -s COMMAND`); `xl` adds host and command.
    Ssh(String),
    /// A whole command whose standard input and output lead to an `xl migrate-receive` on the target, with
    /// `{target}` where the target's address belongs, for instance `socat - TCP:{target}:8003`. Neither
    /// encrypted nor authenticated: only for a network of its own.
    Command(String),
}

/// The place of the target's address in a [`MigrationTransport::Command`].
const TARGET: &str = "{target}";

impl MigrationTransport {
    pub(super) fn check(&self) -> Result<(), InvalidXlConfig> {
        match self {
            Self::Ssh(command) | Self::Command(command)
                if command.trim().is_empty() || command.contains('\0') =>
            {
                Err(InvalidXlConfig::NoCommand)
            }
            Self::Command(command) if !command.contains(TARGET) => {
                Err(InvalidXlConfig::NoTarget(command.clone()))
            }
            Self::Ssh(_) | Self::Command(_) => Ok(()),
        }
    }

    /// The arguments of `xl` for a migration whose transport is cut after `limit`, in whole seconds.
    pub(super) fn migrate_args(
        &self,
        domid: u32,
        target: ServerId,
        limit: Duration,
    ) -> Vec<OsString> {
        let timed = format!("timeout --foreground {}", limit.as_secs().max(1));
        let address = target.addr().to_string();
        let (ssh, host) = match self {
            Self::Ssh(command) => (format!("{timed} {command}"), address),
            Self::Command(command) => {
                let command = command.replace(TARGET, &address);
                (String::new(), format!("exec {timed} {command}"))
            }
        };
        ["migrate", "-s", &ssh, &domid.to_string(), &host]
            .map(OsString::from)
            .into()
    }
}

/// A configuration with which `xl` cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidXlConfig {
    /// The program is empty.
    #[error("no program to run: give `xl` or its path")]
    NoProgram,
    /// The transport's command is empty or contains a NUL character.
    #[error("the migration transport is no command: give for instance `ssh -o BatchMode=yes`")]
    NoCommand,
    /// The transport's command does not say where the address belongs.
    #[error("the migration transport {0:?} lacks {{target}}, where the target's address belongs")]
    NoTarget(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_hold_a_number_and_an_address() {
        let target = ServerId::new(0x0a00_0003);
        let check = |transport: MigrationTransport, millis, expected: [&str; 5]| {
            transport.check().unwrap();
            let args = transport.migrate_args(7, target, Duration::from_millis(millis));
            assert_eq!(args, expected);
        };
        check(
            XlConfig::new(1).transport,
            95_900,
            [
                "migrate",
                "-s",
                "timeout --foreground 95 ssh -o BatchMode=yes",
                "7",
                "10.0.0.3",
            ],
        );
        check(
            MigrationTransport::Command("socat - TCP:{target}:8003".to_owned()),
            10,
            [
                "migrate",
                "-s",
                "",
                "7",
                "exec timeout --foreground 1 socat - TCP:10.0.0.3:8003",
            ],
        );
    }

    #[test]
    fn transports_that_cannot_work_are_refused() {
        use MigrationTransport::{Command, Ssh};
        let check = |transport: MigrationTransport, expected: InvalidXlConfig| {
            assert_eq!(transport.check(), Err(expected));
        };
        check(Ssh(" ".to_owned()), InvalidXlConfig::NoCommand);
        check(Ssh("a\0b".to_owned()), InvalidXlConfig::NoCommand);
        check(Command(String::new()), InvalidXlConfig::NoCommand);
        check(
            Command("socat - TCP:host:8003".to_owned()),
            InvalidXlConfig::NoTarget("socat - TCP:host:8003".to_owned()),
        );
    }
}
