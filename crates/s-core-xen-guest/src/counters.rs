//! What a guest has counted.

use std::collections::BTreeMap;

use s_core_lab::traffic::Payload;
use s_core_model::VmId;
use serde::{Deserialize, Serialize};

use crate::interfaces::InterfaceCounters;

/// What a guest has counted since it started, at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// Whose.
    pub vm: VmId,
    /// When: nanoseconds of the domain's monotonic clock since the guest started. It stands still while the domain does, as in
    /// the last part of a migration; one that is lower than before is a guest that was started anew.
    pub nanoseconds: u64,
    /// The plan by which it sends.
    pub plan: PlanCounters,
    /// Payload by ordered pair; only what this end knows.
    pub pairs: Vec<PairCounters>,
    /// How many pairs are left out because there were too many.
    pub pairs_left_out: u64,
    /// What its interfaces have carried.
    pub interfaces: Vec<InterfaceCounters>,
    /// Memory that it writes.
    pub dirty: DirtyCounters,
    /// What its HTTP server has done.
    pub http: HttpCounters,
}

impl Counters {
    /// From the JSON of `GET /counters`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in one line.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(json).map_err(|error| error.to_string())
    }

    /// As JSON.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("addresses, names and numbers have a form in JSON")
    }
}

/// The plan by which a guest sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlanCounters {
    /// How often it was changed.
    pub changes: u64,
    /// How many pairs it has.
    pub pairs: u64,
}

/// The payload from one VM to another, as one end knows it: the sender `sent`, `connections` and `broken`, the receiver `received`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairCounters {
    /// The sender.
    pub from: VmId,
    /// The receiver.
    pub to: VmId,
    /// Bytes that the sender's kernel has taken.
    pub sent: u64,
    /// Bytes that the receiver has read.
    pub received: u64,
    /// TCP connections that were made.
    pub connections: u64,
    /// TCP connections that could not be made, or broke before all was sent.
    pub broken: u64,
}

impl PairCounters {
    pub(crate) const fn new((from, to): (VmId, VmId), payload: Payload) -> Self {
        let Payload {
            sent,
            received,
            connections,
            broken,
        } = payload;
        Self {
            from,
            to,
            sent,
            received,
            connections,
            broken,
        }
    }
}

/// Memory that a guest writes.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct DirtyCounters {
    /// At which rate, in 10⁶ bytes of pages per second; 0 if it does not.
    pub mb_per_second: f64,
    /// Over how much, in MiB.
    pub working_set_mib: u32,
    /// How many pages of 4096 bytes it has written, since this rate was set.
    pub pages: u64,
}

/// What a guest's HTTP server has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HttpCounters {
    /// Requests that were answered with what they asked for.
    pub answered: u64,
    /// Requests that were refused, or broke off.
    pub refused: u64,
    /// Bytes of the bodies of answers, refusals not among them.
    pub sent: u64,
}

/// The payload between all VMs whose guests were asked: what each end knows, put together. Ask after the plans were
/// cleared if both ends are to agree.
pub fn payload<'a>(
    counters: impl IntoIterator<Item = &'a Counters>,
) -> BTreeMap<(VmId, VmId), Payload> {
    let mut all = BTreeMap::<_, Payload>::new();
    for pair in counters.into_iter().flat_map(|one| &one.pairs) {
        let payload = all.entry((pair.from, pair.to)).or_default();
        // Of each number one end has none.
        payload.sent = payload.sent.max(pair.sent);
        payload.received = payload.received.max(pair.received);
        payload.connections = payload.connections.max(pair.connections);
        payload.broken = payload.broken.max(pair.broken);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(from: u32, to: u32, sent: u64, received: u64) -> PairCounters {
        let payload = Payload {
            sent,
            received,
            connections: sent / 10,
            broken: 0,
        };
        PairCounters::new((VmId::new(from), VmId::new(to)), payload)
    }

    fn counters(vm: u32, pairs: Vec<PairCounters>) -> Counters {
        Counters {
            vm: VmId::new(vm),
            nanoseconds: 7,
            plan: PlanCounters::default(),
            pairs,
            pairs_left_out: 0,
            interfaces: Vec::new(),
            dirty: DirtyCounters::default(),
            http: HttpCounters::default(),
        }
    }

    #[test]
    fn two_ends_know_a_pair_together() {
        let sender = counters(1, vec![pair(1, 2, 90, 0), pair(2, 1, 0, 5)]);
        let receiver = counters(2, vec![pair(1, 2, 0, 80)]);
        let all = payload([&sender, &receiver]);
        let ends = |from, to| (VmId::new(from), VmId::new(to));
        let known = |ends| (all[&ends].sent, all[&ends].received, all[&ends].connections);
        assert_eq!(known(ends(1, 2)), (90, 80, 9));
        assert_eq!(known(ends(2, 1)), (0, 5, 0));
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn counters_are_json() {
        let counters = counters(0x0a00_0001, vec![pair(1, 2, 3, 4)]);
        let json = counters.write();
        let text = String::from_utf8_lossy(&json);
        assert!(
            text.starts_with(r#"{"vm":"10.0.0.1","nanoseconds":7,"plan":{"changes":0,"pairs":0},"pairs":[{"from":"#),
            "{text}"
        );
        assert_eq!(Counters::read(&json), Ok(counters));
        assert!(Counters::read(b"{}").is_err());
    }
}
