//! What traffic puts on the links of a laboratory.

use std::collections::BTreeMap;

use super::mix::PairTraffic;
use crate::layout::{HostNumber, Layout};

/// Bytes per second on each link and direction, with all VMs where they are at first.
#[derive(Debug)]
pub(super) struct ExpectedLoads<'a> {
    layout: &'a Layout,
    loads: BTreeMap<Direction, f64>,
}

/// A direction of a link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Direction {
    /// 0 for a host's own link, else that of [`Link`](crate::Link).
    level: u8,
    /// A path that names its lower end.
    lower: String,
    up: bool,
}

impl<'a> ExpectedLoads<'a> {
    pub(super) const fn new(layout: &'a Layout) -> Self {
        let loads = BTreeMap::new();
        Self { layout, loads }
    }

    /// Adds a pair that exchanges this many bytes per second, in both directions together.
    pub(super) fn add(&mut self, pair: &PairTraffic, rate: f64) {
        let layout = self.layout;
        let host = |vm| layout.vm_of(vm).map(|vm| layout.first_host(vm));
        let (Some(a), Some(b)) = (host(pair.a), host(pair.b)) else {
            return;
        };
        let share = pair.share_of_a;
        for (from, to, rate) in [(a, b, rate * share), (b, a, rate * (1.0 - share))] {
            for direction in self.links_up(from, to, true) {
                *self.loads.entry(direction).or_default() += rate;
            }
            for direction in self.links_up(to, from, false) {
                *self.loads.entry(direction).or_default() += rate;
            }
        }
    }

    /// The links from a host to where the way to another turns downward.
    fn links_up(&self, host: HostNumber, other: HostNumber, up: bool) -> Vec<Direction> {
        if host == other {
            return Vec::new();
        }
        let [path, other] = [host, other].map(|host| self.layout.location(host));
        let [path, other] = [&path, &other].map(|path| path.split('/').collect::<Vec<_>>());
        let common = path.iter().zip(&other).take_while(|(a, b)| a == b).count();
        let own = Direction {
            level: 0,
            lower: host.0.to_string(),
            up,
        };
        let levels = (1..).zip((common + 1..=path.len()).rev());
        let links = levels.map(|(level, length)| Direction {
            level,
            lower: path[..length].join("/"),
            up,
        });
        std::iter::once(own).chain(links).collect()
    }

    /// The largest share of a link's rate that is used; 0 without traffic.
    pub(super) fn most_utilised(&self) -> f64 {
        let used = self.loads.iter().map(|(direction, load)| {
            let mbit = match direction.level {
                0 => f64::from(self.layout.shape().host_mbit),
                level => self.layout.link_mbit(level),
            };
            load * 8.0 / (mbit * 1e6)
        });
        used.fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use s_core_model::Rate;

    use super::*;
    use crate::Shape;
    use crate::layout::VmNumber;
    use crate::traffic::Mix;

    #[test]
    fn traffic_climbs_as_far_as_it_must() {
        // Four racks of one host with four VMs: links of 200, then 100, then 100 Mbit/s.
        let layout = Layout::new("lab".parse().unwrap(), Shape::default()).unwrap();
        let check = |a, b, share_of_a, mbit: f64, wanted: f64| {
            let [a, b] = [a, b].map(|vm| layout.vm(VmNumber(vm)));
            let pair = PairTraffic {
                share_of_a,
                ..PairTraffic::new(a, b, Rate::ZERO, Mix::BULK)
            };
            let mut loads = ExpectedLoads::new(&layout);
            loads.add(&pair, mbit * 1e6 / 8.0);
            assert!((loads.most_utilised() - wanted).abs() < 1e-9, "{loads:?}");
            loads.loads.len()
        };
        assert_eq!(check(1, 2, 0.5, 10.0, 0.0), 0);
        assert_eq!(check(1, 5, 0.5, 10.0, 5.0 / 100.0), 8);
        assert_eq!(check(16, 1, 0.75, 10.0, 7.5 / 100.0), 12);
    }
}
