//! What S-CORE asks of a hypervisor.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use s_core_flow::MacAddr;
use s_core_model::{CpuModel, ServerId, VmId};

/// One virtual machine as its hypervisor knows it (thesis 4.2.4).
///
/// A hypervisor knows MAC addresses, and IP addresses only where its configuration gives them: which
/// VM id a domain has is otherwise learnt from its flows, through the MAC address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// What identifies the domain on every host and across migrations.
    pub uuid: Uuid,
    /// The name that the hypervisor's tools use; not an identity.
    pub name: String,
    /// The MAC addresses of its network interfaces.
    pub macs: Vec<MacAddr>,
    /// The IPv4 address that the hypervisor's configuration gives it, if it does.
    pub address: Option<Ipv4Addr>,
    /// Memory in MiB, rounded up.
    pub memory_mib: u32,
}

/// The UUID of a domain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// The UUID with these octets.
    pub const fn new(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// The octets.
    pub const fn octets(self) -> [u8; 16] {
        self.0
    }
}

impl std::str::FromStr for Uuid {
    type Err = InvalidUuid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        let dashes_in_place = bytes.len() == 36
            && bytes
                .iter()
                .enumerate()
                .all(|(i, b)| matches!(i, 8 | 13 | 18 | 23) == (*b == b'-'));
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        if !dashes_in_place || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidUuid);
        }
        u128::from_str_radix(&digits, 16)
            .map(|value| Self(value.to_be_bytes()))
            .map_err(|_| InvalidUuid)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, octet) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

/// Text that is not a UUID in the 8-4-4-4-12 form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID: 32 hexadecimal digits in the form 8-4-4-4-12 are wanted")]
pub struct InvalidUuid;

/// What a host has room for beyond what it runs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FreeCapacity {
    /// How many more VMs.
    pub vm_slots: u32,
    /// How much more memory for VMs, in MiB.
    pub memory_mib: u32,
}

/// A domain that does not run, and that a migration has left, or is at work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Which domain it is, or was.
    pub uuid: Uuid,
    /// How the hypervisor's tools call it.
    pub name: String,
    /// At which end.
    pub kind: LeftoverKind,
}

/// At which end of a migration something was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftoverKind {
    /// At its source: suspended, when the target had been allowed to start the domain (`NAME--migratedaway`).
    MigratedAway,
    /// At its source: suspended under its own name, when the target had not been allowed to start it. So it runs nowhere, and is
    /// never destroyed. A domain that is being saved looks like this too.
    Suspended,
    /// At its target: not started (`NAME--incoming`).
    Incoming,
}

/// How a live migration ended.
///
/// Never a bare error: `xl`'s exit code hides three outcomes, and taking one for another
/// either forgets a VM or runs it twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MigrationOutcome {
    /// The VM runs on the target.
    Moved,
    /// The VM runs on, here; why it did not move.
    StayedHere(String),
    /// The VM may run here, there or nowhere: look at both ends; what is known.
    Unknown(String),
}

/// A hypervisor could not be asked, or did not answer in time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HypervisorError {
    /// The tool or service could not be reached or run.
    #[error("cannot run {what}: {source}")]
    Unreachable {
        /// Which program or socket.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// No answer within the deadline.
    #[error("{what} gave no answer within {after:?}")]
    DeadlineExceeded {
        /// Which program or socket.
        what: String,
        /// How long it was given.
        after: Duration,
    },
    /// The tool ran and reported failure.
    #[error("{what} failed ({status}): {message}")]
    Failed {
        /// Which program or call.
        what: String,
        /// Its exit status.
        status: String,
        /// The end of what it wrote to standard error.
        message: String,
    },
    /// The answer was not of the form expected.
    #[error("cannot understand the answer of {what}: {message}")]
    Malformed {
        /// Which program or call.
        what: String,
        /// What is wrong, and where.
        message: String,
    },
}

/// A hypervisor, seen from its control domain.
///
/// All calls block, but never longer than the deadline given. The trait is object-safe and
/// its methods take `&self`, so that one thread can list domains while another waits for a migration.
pub trait Hypervisor: Send + Sync + fmt::Debug {
    /// The guest domains that run here, without the control domain itself; none that is suspended or has shut down. One of
    /// which the hypervisor does not tell how it is configured, as while it is being built, may be left out; it takes room nevertheless.
    ///
    /// # Errors
    ///
    /// [`HypervisorError`] if the list could not be obtained.
    fn domains(&self, deadline: Duration) -> Result<Vec<Domain>, HypervisorError>;

    /// The domains that are arriving by migration and do not run here yet, whoever let them in: after a restart an
    /// agent knows of them from here alone. Of one that is still being built, MAC addresses and address may be missing.
    ///
    /// # Errors
    ///
    /// As [`domains`](Self::domains).
    fn arriving(&self, deadline: Duration) -> Result<Vec<Domain>, HypervisorError>;

    /// What there is room for beyond the domains that run here.
    ///
    /// # Errors
    ///
    /// [`HypervisorError`] if the hypervisor could not be asked.
    fn free_capacity(&self, deadline: Duration) -> Result<FreeCapacity, HypervisorError>;

    /// Migrates a domain live to the host whose control domain has the address `target`, and waits for the end.
    ///
    /// A deadline that passes is an [`MigrationOutcome::Unknown`], unless the domain is known to run here.
    fn migrate(&self, domain: Uuid, target: ServerId, deadline: Duration) -> MigrationOutcome;

    /// What the host's processor offers to VMs; does not change while this exists. `None`, which is the default: it does not
    /// matter here.
    ///
    /// # Errors
    ///
    /// [`HypervisorError`] if the hypervisor could not be asked.
    fn cpu(&self, deadline: Duration) -> Result<Option<CpuModel>, HypervisorError> {
        let _ = deadline;
        Ok(None)
    }

    /// What migrations have left here half done, those under way among them. None, the default, where migrations leave nothing.
    ///
    /// # Errors
    ///
    /// [`HypervisorError`] if the hypervisor could not be asked.
    fn leftovers(&self, deadline: Duration) -> Result<Vec<Leftover>, HypervisorError> {
        let _ = deadline;
        Ok(Vec::new())
    }

    /// Destroys a leftover, if there is still one of this UUID and kind, and it is no [`Suspended`](LeftoverKind::Suspended) one;
    /// says whether it has. Only for whoever knows that the domain runs elsewhere, as a leftover may be all that there is of it.
    ///
    /// # Errors
    ///
    /// [`HypervisorError`] if it could not be destroyed.
    fn remove_leftover(
        &self,
        uuid: Uuid,
        kind: LeftoverKind,
        deadline: Duration,
    ) -> Result<bool, HypervisorError> {
        let _ = (uuid, kind, deadline);
        Ok(false)
    }

    /// Has `gate`, in place of any before it, asked about every domain that is about to arrive here; says whether
    /// this hypervisor can do that. One that cannot, which is the default, lets every domain in that it has room for.
    fn guard(&self, gate: Arc<dyn Gate>) -> bool {
        let _ = gate;
        false
    }
}

/// Decides at the target which domains may arrive by migration. It is asked by whatever receives
/// migrations on this host, on a thread of that: the emulated hypervisor, or a program around `xl migrate-receive`.
pub trait Gate: Send + Sync + fmt::Debug {
    /// Whether a domain may begin to arrive. Blocks at most for the deadline; no answer is no.
    fn admit(&self, domain: &Domain, deadline: Duration) -> bool;

    /// A domain that was let in does not come: its migration failed.
    fn failed(&self, domain: &Domain);

    /// As [`admit`](Self::admit) where only the source is known: which VM may begin to arrive from there, if one is expected.
    /// After the deadline the answer is no, though it may block until that is settled. Nobody is let in by default.
    fn admit_from(&self, source: ServerId, deadline: Duration) -> Option<VmId> {
        let _ = (source, deadline);
        None
    }

    /// The migration of a VM that [`admit_from`](Self::admit_from) has let in has ended, one way or the other.
    fn ended(&self, vm: VmId) {
        let _ = vm;
    }
}
