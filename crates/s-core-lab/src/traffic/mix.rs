//! Who sends what to whom.

use std::net::Ipv4Addr;
use std::str::FromStr;

use s_core_model::{Rate, VmId};
use s_core_sim::snapshot::Snapshot;
use s_core_sim::traffic::Pattern;

use super::error::TrafficError;
use super::sizes::FlowSizes;
use super::wire;

/// Short flows between two VMs in one direction begin at most this often per second: the ends that each leaves
/// behind for a minute (TIME-WAIT) are fewer than there are ports.
const MOST_SHORT_FLOWS: f64 = 200.0;

/// How a pair's bytes are shared out among short TCP flows, large ones and UDP.
///
/// ```
/// use s_core_lab::traffic::Mix;
///
/// let mix: Mix = "bulk=3,udp=1".parse()?;
/// assert_eq!([mix.bulk(), mix.short(), mix.udp()], [0.75, 0.0, 0.25]);
/// # Ok::<(), s_core_lab::traffic::TrafficError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    short: f64,
    udp: f64,
}

impl Mix {
    /// Only large TCP flows, one after the other, each paced.
    pub const BULK: Self = Self {
        short: 0.0,
        udp: 0.0,
    };
    /// Only short TCP flows: connect, send, close.
    pub const SHORT: Self = Self {
        short: 1.0,
        udp: 0.0,
    };
    /// Only UDP datagrams at a constant rate.
    pub const UDP: Self = Self {
        short: 0.0,
        udp: 1.0,
    };

    /// A mix with these weights.
    ///
    /// # Errors
    ///
    /// [`TrafficError::Mix`] if a weight is negative or infinite, or none is above 0.
    pub fn new(bulk: f64, short: f64, udp: f64) -> Result<Self, TrafficError> {
        let sum = bulk + short + udp;
        let good = |weight: &f64| (0.0..=1e9).contains(weight);
        if ![bulk, short, udp].iter().all(good) || sum <= 0.0 {
            let given = format!("bulk={bulk},short={short},udp={udp}");
            return Err(TrafficError::Mix(given));
        }
        Ok(Self {
            short: short / sum,
            udp: udp / sum,
        })
    }

    /// The share of large TCP flows.
    pub fn bulk(self) -> f64 {
        (1.0 - self.short - self.udp).max(0.0)
    }

    /// The share of short TCP flows.
    pub const fn short(self) -> f64 {
        self.short
    }

    /// The share of UDP.
    pub const fn udp(self) -> f64 {
        self.udp
    }
}

impl Default for Mix {
    /// As thesis 5.1.1: nine in ten flows are small, which makes less than one per cent of the bytes; and of all,
    /// one tenth is UDP (chosen).
    fn default() -> Self {
        const UDP: f64 = 0.1;
        let share = Pattern::default().share_of_small;
        let short = FlowSizes::default().share_of_small_bytes(share);
        Self {
            short: short * (1.0 - UDP),
            udp: UDP,
        }
    }
}

impl FromStr for Mix {
    type Err = TrafficError;

    /// Weights as `bulk=3,short=1,udp=1`; what is left out is 0.
    fn from_str(text: &str) -> Result<Self, TrafficError> {
        let bad = || TrafficError::Mix(text.into());
        let (mut bulk, mut short, mut udp) = (0.0, 0.0, 0.0);
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').ok_or_else(bad)?;
            let weight = weight.trim().parse().map_err(|_| bad())?;
            match name.trim() {
                "bulk" => bulk = weight,
                "short" => short = weight,
                "udp" => udp = weight,
                _ => return Err(bad()),
            }
        }
        Self::new(bulk, short, udp)
    }
}

/// Two VMs, what they exchange, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairTraffic {
    /// One VM.
    pub a: VmId,
    /// The other.
    pub b: VmId,
    /// λ: bytes of frames per second, both directions together, acknowledgements included.
    pub rate: Rate,
    /// The share of it that `a` sends (as payload, with its headers and the acknowledgements it causes), 0 to 1.
    pub share_of_a: f64,
    /// As what it is sent.
    pub mix: Mix,
}

impl PairTraffic {
    /// A pair that sends as much in both directions.
    pub const fn new(a: VmId, b: VmId, rate: Rate, mix: Mix) -> Self {
        Self {
            a,
            b,
            rate,
            share_of_a: 0.5,
            mix,
        }
    }

    /// All pairs of a snapshot, with the same mix.
    pub fn of_snapshot(snapshot: &Snapshot, mix: Mix) -> Vec<Self> {
        let vms = snapshot.allocation();
        let pairs = snapshot.traffic().pairs();
        pairs
            .map(|(a, b, rate)| Self::new(vms.vm_at(a), vms.vm_at(b), rate, mix))
            .collect()
    }

    /// What `sender` has to send for this pair; nothing if it is neither of the two.
    pub(super) fn streams(&self, sender: Ipv4Addr, sizes: &FlowSizes) -> Vec<Stream> {
        let ends = [self.a, self.b].map(VmId::addr);
        let (to, share) = match ends.map(|end| end == sender) {
            [true, false] => (ends[1], self.share_of_a),
            [false, true] => (ends[0], 1.0 - self.share_of_a),
            _ => return Vec::new(),
        };
        let rate = self.rate.bytes_per_second() * share.clamp(0.0, 1.0);
        let most_short = MOST_SHORT_FLOWS * wire::short_flow(sizes.mean_small() as u32);
        let short = (rate * self.mix.short()).min(most_short);
        let udp = rate * self.mix.udp();
        // Short flows beyond what is possible become large ones.
        let bulk = (rate - short - udp).max(0.0);
        [(Kind::Bulk, bulk), (Kind::Short, short), (Kind::Udp, udp)]
            .into_iter()
            // Less than a byte a second is what rounding leaves.
            .filter(|(_, rate)| *rate >= 1.0)
            .map(|(kind, rate)| Stream { to, kind, rate })
            .collect()
    }
}

/// As what bytes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Large TCP flows, one after the other, paced.
    Bulk,
    /// TCP flows of up to 10 KB, each as fast as it goes.
    Short,
    /// Datagrams at a constant rate.
    Udp,
}

/// What one VM sends to another in one way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stream {
    pub(super) to: Ipv4Addr,
    pub(super) kind: Kind,
    /// Bytes of frames per second.
    pub(super) rate: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixes_are_read_and_refused() {
        let check = |text: &str, shares: Option<[f64; 3]>| {
            let mix = text.parse::<Mix>().ok();
            let found = mix.map(|mix| [mix.bulk(), mix.short(), mix.udp()]);
            assert_eq!(found, shares, "{text}");
        };
        check("bulk=1", Some([1.0, 0.0, 0.0]));
        check("short=2, udp=2", Some([0.0, 0.5, 0.5]));
        check("bulk=1,short=1,udp=2", Some([0.25, 0.25, 0.5]));
        for bad in [
            "", "bulk", "bulk=0", "bulk=-1", "bulk=NaN", "bulk=inf", "tcp=1",
        ] {
            check(bad, None);
        }
        let short = Mix::default().short();
        assert!((0.001..0.01).contains(&short), "{short}");
    }

    #[test]
    fn a_pair_is_shared_out() {
        let [a, b, other] = [1, 2, 3].map(|n| Ipv4Addr::new(10, 0, 0, n));
        let check = |sender, rate: f64, mix, wanted: &[(Kind, f64)]| {
            let pair = PairTraffic {
                share_of_a: 0.75,
                ..PairTraffic::new(a.into(), b.into(), Rate::new(rate).unwrap(), mix)
            };
            let streams = pair.streams(sender, &FlowSizes::default());
            let to = if sender == a { b } else { a };
            let wanted: Vec<_> = wanted
                .iter()
                .map(|&(kind, rate)| Stream { to, kind, rate })
                .collect();
            assert_eq!(streams, wanted);
        };
        let half_udp = Mix::new(1.0, 0.0, 1.0).unwrap();
        let (bulk, short, udp) = (Kind::Bulk, Kind::Short, Kind::Udp);
        check(a, 8000.0, half_udp, &[(bulk, 3000.0), (udp, 3000.0)]);
        check(b, 8000.0, half_udp, &[(bulk, 1000.0), (udp, 1000.0)]);
        check(other, 8000.0, half_udp, &[]);
        check(b, 0.0, Mix::default(), &[]);
        check(b, 4000.0, Mix::SHORT, &[(short, 1000.0)]);
        // No more short flows than ports: the rest is bulk.
        let most = MOST_SHORT_FLOWS * wire::short_flow(5000);
        check(b, 16e6, Mix::SHORT, &[(bulk, 4e6 - most), (short, most)]);
    }
}
