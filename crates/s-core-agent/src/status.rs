//! What an agent says about itself.

use std::collections::BTreeMap;
use std::time::Duration;

use s_core_backend::Uuid;
use s_core_model::{ServerId, VmId};
use s_core_token::Mark;

/// An agent at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentStatus {
    /// Its server.
    pub server: ServerId,
    /// The highest mark that it has seen; the default if it has seen no token.
    pub mark: Mark,
    /// The VM for which it holds the token, if it does.
    pub holder: Option<VmId>,
    /// The server that has the token as far as this one knows, while this one keeps a copy of it.
    pub watched: Option<ServerId>,
    /// The VMs that run here and whose addresses are known, with their memory in MiB.
    pub vms: Vec<(VmId, u32)>,
    /// Whether rates are known: the switch answers and has been measured for half a window.
    pub measured: bool,
    /// What became of the bytes that the switch has counted since the agent started.
    pub flows: FlowTotals,
    /// How the switch has answered. While `measured` is false nothing is decided here.
    pub switch: SwitchStatus,
    /// Whether a migration is in flight from here.
    pub migrating: bool,
    /// Migrations from here of unknown outcome: the VM and where it may be.
    pub open_migrations: Vec<(VmId, ServerId)>,
    /// VMs that have moved from here, as the hypervisor says, while their targets have not said so for several listings: where
    /// each may be.
    pub unverified: Vec<(VmId, ServerId)>,
    /// Domains that migrations have left here half done and that are not known to run elsewhere: `xl list -v` shows them.
    pub leftovers: Vec<Uuid>,
    /// VMs that run here and have no working port at the bridge; none if [nobody looks](crate::AgentConfig::attachments).
    pub unattached: Vec<VmId>,
    /// How many VMs room is reserved for.
    pub reservations: usize,
    /// Whether requests for VMs are intercepted here, and what VMs have sent to the agents' port; nothing if the agent
    /// has no [interception](crate::AgentConfig::interception).
    pub interception: Option<InterceptionStatus>,
    /// How many datagrams, frames and connections were refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
}

/// How the switch has answered since the agent started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SwitchStatus {
    /// How long ago it last did, when this was asked: rates are that old. `None` if it never has.
    pub last_answer: Option<Duration>,
    /// Polls that it answered.
    pub answered: u64,
    /// Polls that it did not answer, or not in time.
    pub failed: u64,
    /// Polls that took longer than [`FlowSettings::interval`](crate::FlowSettings::interval).
    pub slow: u64,
    /// How long the latest took.
    pub latest: Duration,
}

/// What became of the rules of an interception.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterceptionStatus {
    /// Whether the rules were as they should be, or could be made so, when they were last looked at.
    pub in_place: bool,
    /// Packets for VMs that were brought to the agent.
    pub intercepted: u64,
    /// Packets from VMs to the agents' port that were dropped.
    pub dropped: u64,
}

/// Bytes that the switch counted, by what became of them. A byte that a later flow counts again is in none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlowTotals {
    /// Between two IPv4 addresses: measured.
    pub attributed: u64,
    /// Between two stations of which not both are known by an IPv4 address.
    pub unresolved: u64,
    /// Of flows that match on no pair of addresses.
    pub no_addresses: u64,
    /// Not between two stations: broadcast and multicast.
    pub multicast: u64,
    /// How many lines of the switch's dumps could not be understood; what they counted is not known.
    pub malformed_lines: u64,
}

impl FlowTotals {
    pub(crate) fn add(&mut self, new: Self) {
        let sums = [
            (&mut self.attributed, new.attributed),
            (&mut self.unresolved, new.unresolved),
            (&mut self.no_addresses, new.no_addresses),
            (&mut self.multicast, new.multicast),
            (&mut self.malformed_lines, new.malformed_lines),
        ];
        for (sum, new) in sums {
            *sum = sum.saturating_add(new);
        }
    }

    /// Whether a hundredth of the bytes or more belongs to no pair of VMs though it should, or a line was not understood.
    pub(crate) const fn is_worth_a_warning(self) -> bool {
        let lost = self.unresolved.saturating_add(self.no_addresses);
        self.malformed_lines > 0 || (lost > 0 && lost >= self.attributed / 100)
    }
}
