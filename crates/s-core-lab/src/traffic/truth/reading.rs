//! What counters said at one moment.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Instant;

use s_core_model::{Rate, VmId};
use s_core_sim::snapshot::TrafficEntry;

/// An Ethernet header.
const ETHERNET: u64 = 14;

/// What one VM has sent to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Frames {
    /// How many frames.
    pub packets: u64,
    /// Their bytes, with the Ethernet header, without the check sequence.
    pub bytes: u64,
}

/// What VMs have sent to each other since their counters were made.
#[derive(Clone, Debug)]
pub struct Reading {
    at: Instant,
    frames: BTreeMap<(VmId, VmId), Frames>,
}

impl Reading {
    pub(super) const fn new(at: Instant) -> Self {
        Self {
            at,
            frames: BTreeMap::new(),
        }
    }

    pub(super) fn set(&mut self, from: Ipv4Addr, to: Ipv4Addr, packets: u64, l3_bytes: u64) {
        let bytes = l3_bytes.saturating_add(packets.saturating_mul(ETHERNET));
        let frames = Frames { packets, bytes };
        self.frames.insert((from.into(), to.into()), frames);
    }

    /// What VMs' own programs have counted: bytes of payload, by sender and receiver. It has no packets.
    pub fn of_payload(at: Instant, sent: impl IntoIterator<Item = ((VmId, VmId), u64)>) -> Self {
        let frames = sent.into_iter().map(|(ends, bytes)| {
            let frames = Frames { packets: 0, bytes };
            (ends, frames)
        });
        Self {
            at,
            frames: frames.collect(),
        }
    }

    /// When it was read.
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// What `from` has sent to `to`.
    pub fn sent(&self, from: VmId, to: VmId) -> Frames {
        self.frames.get(&(from, to)).copied().unwrap_or_default()
    }

    /// All that sent anything: sender, receiver, what; ascending.
    pub fn iter(&self) -> impl Iterator<Item = (VmId, VmId, Frames)> + '_ {
        let all = self.frames.iter();
        all.map(|(&(from, to), &frames)| (from, to, frames))
    }

    /// What was sent after an earlier reading. Where a counter has begun anew, all that it says.
    pub fn since(&self, earlier: &Self) -> BTreeMap<(VmId, VmId), Frames> {
        let grown = self.iter().map(|(from, to, now)| {
            let then = earlier.sent(from, to);
            let grown = match now.bytes.checked_sub(then.bytes) {
                Some(bytes) => Frames {
                    packets: now.packets.saturating_sub(then.packets),
                    bytes,
                },
                None => now,
            };
            ((from, to), grown)
        });
        grown.filter(|(_, grown)| grown.bytes > 0).collect()
    }

    /// λ between this reading and an earlier one: rows of `traffic.csv`, a pair once, both directions together.
    pub fn rates(&self, earlier: &Self) -> Vec<TrafficEntry> {
        let passed = self.at.saturating_duration_since(earlier.at);
        let passed = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
        let mut pairs: BTreeMap<(VmId, VmId), u64> = BTreeMap::new();
        for ((from, to), grown) in self.since(earlier) {
            *pairs.entry((from.min(to), from.max(to))).or_default() += grown.bytes;
        }
        let entry = |((vm_a, vm_b), bytes)| TrafficEntry {
            vm_a,
            vm_b,
            rate: Rate::from_bytes_over(bytes, passed),
        };
        pairs.into_iter().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rates_are_of_both_directions() {
        let [a, b, c] = [1, 2, 3].map(|n| Ipv4Addr::new(10, 0, 0, n));
        let begin = Instant::now();
        let mut first = Reading::new(begin);
        first.set(b, a, 10, 1000);
        first.set(a, c, 9, 9000);
        let mut second = Reading::new(begin + Duration::from_secs(2));
        second.set(b, a, 20, 3000);
        second.set(a, b, 5, 260);
        // Its table was made anew.
        second.set(a, c, 1, 86);
        second.set(c, a, 0, 0);
        let of = |from: Ipv4Addr, to: Ipv4Addr| second.sent(from.into(), to.into());
        assert_eq!(of(b, a).bytes, 3000 + 20 * 14);
        assert_eq!(of(b, c), Frames::default());
        let rates = second.rates(&first).into_iter();
        let rates: Vec<_> = rates
            .map(|row| {
                (
                    row.vm_a.addr(),
                    row.vm_b.addr(),
                    row.rate.bytes_per_second(),
                )
            })
            .collect();
        let ab = f64::from(2000 + 10 * 14 + 260 + 5 * 14) / 2.0;
        assert_eq!(rates, [(a, b, ab), (a, c, 50.0)]);
    }
}
