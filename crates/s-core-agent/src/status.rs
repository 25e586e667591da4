//! What an agent says about itself.

use std::collections::BTreeMap;

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
    /// The VMs that run here and whose addresses are known, with their memory in MiB.
    pub vms: Vec<(VmId, u32)>,
    /// Whether rates are known: the switch answers and has been measured for half a window.
    pub measured: bool,
    /// Whether a migration is in flight from here.
    pub migrating: bool,
    /// How many VMs room is reserved for.
    pub reservations: usize,
    /// How many datagrams, frames and connections were refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
}
