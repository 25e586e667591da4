//! Traffic to demonstrate with: VMs that belong together, spread over racks.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use s_core_model::{Rate, VmId};

use super::error::TrafficError;
use super::load::ExpectedLoads;
use super::mix::{Mix, PairTraffic};
use crate::layout::{Layout, VmNumber};

/// The most neighbours in a group's ring, on each side, that a VM talks to.
const MOST_NEIGHBOURS: usize = 3;

/// Communicating groups of VMs.
///
/// The members of a group begin on different hosts, as far apart as the laboratory allows: first in an order from host to
/// host, VMs are dealt out to groups like cards. Members exchange between 1 and 8 parts, one way more than
/// the other; a little goes between groups. All is drawn from a seed.
///
/// ```
/// use s_core_lab::traffic::Groups;
/// use s_core_lab::{Layout, Shape};
///
/// let layout = Layout::new("demo".parse()?, Shape::default())?;
/// let groups = Groups::default();
/// let [first, second] = [groups.pairs(&layout, 0)?, groups.pairs(&layout, 1)?];
/// assert!(first.len() >= 4 * 6, "four groups of four VMs");
/// assert_ne!(first, second);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Groups {
    /// How many VMs a group has at least, from 2; with fewer VMs there is one group.
    pub size: u16,
    /// How much of the rate of the most loaded link is used before anything has moved, above 0 up to 1.
    pub utilisation: f64,
    /// The most that all pairs send together: what the userspace switches of a machine with two cores carry with ease.
    pub most: Rate,
    /// The share of the bytes between VMs of different groups, 0 to below 1.
    pub between: f64,
    /// As what all pairs send.
    pub mix: Mix,
    /// What everything is drawn from.
    pub seed: u64,
}

impl Default for Groups {
    /// Groups of four that fill seven tenths of the most loaded link, at most 80 Mbit/s in all, one twentieth of it
    /// between groups.
    fn default() -> Self {
        Self {
            size: 4,
            utilisation: 0.7,
            most: Rate::from_bytes_over(10_000_000, 1_000_000_000),
            between: 0.05,
            mix: Mix::default(),
            seed: 1,
        }
    }
}

impl Groups {
    /// Who sends what: other groups for each `step`, for traffic that changes.
    ///
    /// # Errors
    ///
    /// [`TrafficError::Setting`] if a parameter is out of its range.
    pub fn pairs(&self, layout: &Layout, step: u64) -> Result<Vec<PairTraffic>, TrafficError> {
        self.check()?;
        let mut random =
            Pcg64Mcg::seed_from_u64(self.seed.wrapping_add(step.wrapping_mul(1 << 32)));
        let groups = self.deal(layout, &mut random);
        let mut weights = Weights::default();
        for group in &groups {
            weights.add_group(group, &mut random);
        }
        if groups.len() > 1 {
            weights.add_between(&groups, self.between, &mut random);
        }
        let unscaled: Vec<_> = weights.pairs(layout, self.mix, &mut random);
        let mut loads = ExpectedLoads::new(layout);
        for (pair, weight) in &unscaled {
            loads.add(pair, *weight);
        }
        let total: f64 = unscaled.iter().map(|(_, weight)| weight).sum();
        let scale = (self.utilisation / loads.most_utilised())
            .min(self.most.bytes_per_second() / total)
            .min(Rate::MAX.bytes_per_second() / total);
        let pairs = unscaled.into_iter().map(|(pair, weight)| PairTraffic {
            rate: Rate::new(weight * scale).unwrap_or_default(),
            ..pair
        });
        Ok(pairs.collect())
    }

    fn check(&self) -> Result<(), TrafficError> {
        let good = [
            ("size", self.size >= 2, "at least 2 VMs are wanted"),
            (
                "utilisation",
                self.utilisation > 0.0 && self.utilisation <= 1.0,
                "a number above 0, up to 1, is wanted",
            ),
            (
                "between",
                (0.0..1.0).contains(&self.between),
                "a number from 0 to below 1 is wanted",
            ),
        ];
        match good.into_iter().find(|(_, good, _)| !good) {
            None => Ok(()),
            Some((what, _, wanted)) => Err(TrafficError::Setting {
                what,
                problem: wanted.into(),
            }),
        }
    }

    /// The VMs of each group.
    fn deal(&self, layout: &Layout, random: &mut Pcg64Mcg) -> Vec<Vec<VmNumber>> {
        let mut vms: Vec<_> = layout.vms().collect();
        for host in vms.chunk_by_mut(|a, b| layout.first_host(*a) == layout.first_host(*b)) {
            for last in (1..host.len()).rev() {
                host.swap(last, random.random_range(0..=last));
            }
        }
        let count = (vms.len() / usize::from(self.size)).max(1);
        let mut groups = vec![Vec::new(); count];
        for (place, vm) in vms.into_iter().enumerate() {
            groups[place % count].push(vm);
        }
        groups
    }
}

/// How much pairs exchange, in parts.
#[derive(Debug, Default)]
struct Weights(BTreeMap<(VmNumber, VmNumber), f64>);

impl Weights {
    fn add(&mut self, a: VmNumber, b: VmNumber, weight: f64) {
        if a != b {
            *self.0.entry((a.min(b), a.max(b))).or_default() += weight;
        }
    }

    /// Each member exchanges something with its neighbours in a ring.
    fn add_group(&mut self, group: &[VmNumber], random: &mut Pcg64Mcg) {
        for (place, vm) in group.iter().enumerate() {
            for distance in 1..=MOST_NEIGHBOURS.min(group.len() / 2) {
                let peer = group[(place + distance) % group.len()];
                self.add(*vm, peer, f64::from(1 << random.random_range(0..4)));
            }
        }
    }

    /// Each VM exchanges a little with one of another group: this share of all.
    fn add_between(&mut self, groups: &[Vec<VmNumber>], share: f64, random: &mut Pcg64Mcg) {
        let within: f64 = self.0.values().sum();
        let vms: usize = groups.iter().map(Vec::len).sum();
        let each = within * share / (1.0 - share) / vms as f64;
        if each <= 0.0 {
            return;
        }
        for (at, group) in groups.iter().enumerate() {
            for vm in group {
                let other = (at + random.random_range(1..groups.len())) % groups.len();
                let peer = random.random_range(0..groups[other].len());
                self.add(*vm, groups[other][peer], each);
            }
        }
    }

    /// The pairs, each with its weight.
    fn pairs(self, layout: &Layout, mix: Mix, random: &mut Pcg64Mcg) -> Vec<(PairTraffic, f64)> {
        let vm = |number| -> VmId { layout.vm(number) };
        let pairs = self.0.into_iter().map(|((a, b), weight)| {
            let pair = PairTraffic {
                share_of_a: random.random_range(0.25..0.75),
                ..PairTraffic::new(vm(a), vm(b), Rate::ZERO, mix)
            };
            (pair, weight)
        });
        pairs.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Shape;

    fn layout(hosts: u16, vms_per_host: u16, fan_out: &[u16]) -> Layout {
        let shape = Shape {
            hosts,
            vms_per_host,
            vm_slots: vms_per_host * 2,
            fan_out: fan_out.to_vec(),
            ..Shape::default()
        };
        Layout::new("lab".parse().unwrap(), shape).unwrap()
    }

    #[test]
    fn groups_are_spread_over_racks() {
        let layout = layout(4, 4, &[2, 2]);
        let groups = Groups::default();
        let dealt = groups.deal(&layout, &mut Pcg64Mcg::seed_from_u64(7));
        assert_eq!(dealt.len(), 4);
        for group in dealt {
            let mut racks: Vec<_> = (group.iter())
                .map(|vm| layout.rack(layout.first_host(*vm)))
                .collect();
            racks.sort_unstable();
            assert_eq!(racks, [1, 2, 3, 4]);
        }
        let only = Groups {
            between: 0.0,
            ..groups
        };
        assert_eq!(only.pairs(&layout, 0).unwrap().len(), 4 * 6);
    }

    #[test]
    fn bad_parameters_are_named() {
        let check = |change: fn(&mut Groups), says: &str| {
            let mut groups = Groups::default();
            change(&mut groups);
            let refused = groups.pairs(&layout(2, 2, &[2]), 0).unwrap_err();
            assert_eq!(refused.to_string(), says);
        };
        check(|of| of.size = 1, "size: at least 2 VMs are wanted");
        let wanted = "a number above 0, up to 1, is wanted";
        check(|of| of.utilisation = 0.0, &format!("utilisation: {wanted}"));
        check(
            |of| of.between = f64::NAN,
            "between: a number from 0 to below 1 is wanted",
        );
    }

    proptest! {
        /// The most loaded link is as full as asked for, or all send as much as they may.
        #[test]
        fn links_are_filled_as_asked_for(
            per_rack in 1..5u16, vms in 1..6u16, fan_out in prop::collection::vec(1..4u16, 1..4),
            size in 2..9u16, between in 0.0..0.9f64, utilisation in 0.01..1.0f64, seed: u64, step in 0..9u64,
        ) {
            let racks: u16 = fan_out.iter().product();
            let layout = layout(racks * per_rack, vms, &fan_out);
            let groups = Groups { size, between, utilisation, seed, ..Groups::default() };
            let pairs = groups.pairs(&layout, step).unwrap();
            let mut loads = ExpectedLoads::new(&layout);
            for pair in &pairs {
                prop_assert!(pair.a < pair.b);
                loads.add(pair, pair.rate.bytes_per_second());
            }
            let total = pairs.iter().map(|pair| pair.rate).sum::<Rate>();
            let (total, most) = (total.bytes_per_second(), groups.most.bytes_per_second());
            let used = loads.most_utilised();
            prop_assert!(used <= utilisation * 1.000_001 && total <= most * 1.000_001);
            if pairs.iter().any(|pair| !pair.rate.is_zero()) {
                prop_assert!(used >= utilisation * 0.999_999 || total >= most * 0.999_999, "{used} {total}");
            }
            prop_assert_eq!(&pairs, &groups.pairs(&layout, step).unwrap());
        }
    }
}
