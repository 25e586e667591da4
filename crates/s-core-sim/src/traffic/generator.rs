//! Drawing flows. Random numbers are integers, so that all machines draw alike.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use s_core_model::VmIndex;

use super::{Flow, HomeRacks, Pattern};

/// Draws flows after a pattern that has been checked.
#[derive(Clone, Debug)]
pub(super) struct Generator {
    homes: HomeRacks,
    pub(super) pattern: Pattern,
    hot: HotRacks,
    pub(super) random: Pcg64Mcg,
}

impl Generator {
    pub(super) fn new(homes: HomeRacks, pattern: &Pattern, seed: u64) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        Self {
            hot: HotRacks::new(homes, pattern, &mut random),
            homes,
            pattern: pattern.clone(),
            random,
        }
    }

    pub(super) fn flow(&mut self) -> Flow {
        let (a, b) = self.ends();
        let bytes = if self.random.random_bool(self.pattern.share_of_small) {
            self.small_bytes()
        } else {
            self.large_bytes()
        };
        Flow { a, b, bytes }
    }

    /// Two different VMs.
    pub(super) fn ends(&mut self) -> (VmIndex, VmIndex) {
        let within = self.random.random_bool(self.pattern.share_within_rack);
        let (a, b) = if within || self.homes.rack_count() == 1 {
            self.ends_within()
        } else {
            self.ends_of_leaving()
        };
        (VmIndex::new(a), VmIndex::new(b))
    }

    pub(super) fn small_bytes(&mut self) -> u64 {
        self.random.random_range(1..self.pattern.small_bytes)
    }

    /// The larger of two equally distributed numbers has an evenly rising density.
    pub(super) fn large_bytes(&mut self) -> u64 {
        let Pattern {
            small_bytes: least,
            large_mode_bytes: mode,
            large_most_bytes: most,
            ..
        } = self.pattern;
        let mut rising = |to: u64| {
            let one = self.random.random_range(0..=to);
            one.max(self.random.random_range(0..=to))
        };
        let (below, above) = (rising(mode - least), rising(most - mode));
        if self.random.random_range(least..=most) < mode {
            least + below
        } else {
            most - above
        }
    }

    /// Any VM, and another of its application or rack; if it is alone there, any other.
    fn ends_within(&mut self) -> (u32, u32) {
        let a = self.random.random_range(0..self.homes.vm_count());
        let sizes = [self.pattern.vms_per_application, None];
        let neighbourhoods = sizes.map(|size| self.homes.neighbourhood(a, size));
        let all = 0..self.homes.vm_count();
        let Range { start, end } = (neighbourhoods.into_iter())
            .find(|vms| vms.len() > 1)
            .unwrap_or(all);
        (a, skip(self.random.random_range(start..end - 1), a))
    }

    /// A VM of a hot rack, and one of a partner of that rack or, now and then, of any other rack.
    fn ends_of_leaving(&mut self) -> (u32, u32) {
        let hot = self.random.random_range(0..self.hot.racks.len() as u32) as usize;
        let rack = self.hot.racks[hot];
        let other = if self.random.random_bool(self.pattern.share_with_partners) {
            let rank = self.partner_rank();
            self.hot.partners[rank][hot]
        } else {
            skip(
                self.random.random_range(0..self.homes.rack_count() - 1),
                rack,
            )
        };
        (self.vm_of(rack), self.vm_of(other))
    }

    fn partner_rank(&mut self) -> usize {
        let last = self.hot.partners.len() - 1;
        let mut is_this = || self.random.random_bool(self.pattern.share_of_first_partner);
        (0..last).find(|_| is_this()).unwrap_or(last)
    }

    fn vm_of(&mut self, rack: u32) -> u32 {
        self.random.random_range(self.homes.vms_of(rack))
    }
}

/// The racks that talk to others.
#[derive(Clone, Debug)]
struct HotRacks {
    /// At least two, if there are as many.
    racks: Vec<u32>,
    /// For the first, second, … partner: the partner of each of `racks`.
    partners: Vec<Vec<u32>>,
}

impl HotRacks {
    fn new(homes: HomeRacks, pattern: &Pattern, random: &mut Pcg64Mcg) -> Self {
        let mut racks: Vec<u32> = (0..homes.rack_count()).collect();
        shuffle(&mut racks, random);
        let share = f64::from(homes.rack_count()) * pattern.share_of_hot_racks;
        racks.truncate((share.round() as usize).max(2));
        let partners = (0..pattern.partners).map(|_| pair_up(&racks, random));
        Self {
            partners: partners.collect(),
            racks,
        }
    }
}

/// Each rack's partner in a random pairing; of an odd number, the one that is left takes another's partner.
fn pair_up(racks: &[u32], random: &mut Pcg64Mcg) -> Vec<u32> {
    let mut order: Vec<u32> = (0..racks.len() as u32).collect();
    shuffle(&mut order, random);
    let mut partners = racks.to_vec();
    for pair in order.chunks(2) {
        let (a, b) = (pair[0], *pair.last().expect("chunks are not empty"));
        let b = if a == b { order[0] } else { b };
        partners[b as usize] = racks[a as usize];
        partners[a as usize] = racks[b as usize];
    }
    partners
}

/// The number at `place` among all numbers but `without`.
fn skip(place: u32, without: u32) -> u32 {
    place + u32::from(place >= without)
}

/// Fisher and Yates's shuffle, with 32-bit draws so that all machines shuffle alike.
pub(crate) fn shuffle(numbers: &mut [u32], random: &mut Pcg64Mcg) {
    for last in (1..numbers.len()).rev() {
        let bound = u32::try_from(last).expect("at most as many as there are 32-bit numbers");
        numbers.swap(last, random.random_range(0..=bound) as usize);
    }
}
