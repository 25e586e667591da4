//! Traffic after thesis 5.1.1.
//!
//! | 5.1.1 | here |
//! |---|---|
//! | 10 active flows on average per VM | a flow has two ends, so there are 5 flows per VM |
//! | 90 % smaller than 10 KB | 1 to 9,999 bytes, all equally likely |
//! | 10 % with a mode of 128 MB | 64 to 192 MiB, most likely 128 MiB |
//! | 80 % stay within the rack | both ends have the same home rack |
//! | 20 % of the racks are hotspots | both ends of a flow that leaves its rack are in different hot racks |
//! | a hot rack talks with a few others | each hot rack has three partners, drawn among the other hot racks |
//! | a traffic matrix of 10 s | λ of a flow is its bytes over 10 s |
//!
//! A VM's *home rack* says whom it talks to and not where it is: in a rack-local placement it is there,
//! in a random placement it may be anywhere. VMs are numbered rack by rack.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use s_core_model::{Rate, VmIndex};
use std::ops::Range;

const FLOW_ENDS_PER_VM: u64 = 10;
const SHARE_OF_LARGE: f64 = 0.1;
const SMALL_BYTES: Range<u64> = 1..10_000;
const LARGE_BYTES: Range<u64> = 64 << 20..192 << 20;
const SHARE_WITHIN_RACK: f64 = 0.8;
const RACKS_PER_HOT_RACK: u32 = 5;
const PARTNERS: usize = 3;
const WINDOW_NANOSECONDS: u64 = 10_000_000_000;

/// VMs divided evenly among home racks, in the order of their numbers.
///
/// With fewer VMs than racks, only as many racks as VMs are homes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HomeRacks {
    vms: u32,
    racks: u32,
}

impl HomeRacks {
    /// `vms` VMs in up to `racks` racks; in one if `racks` is 0, as every VM has a home.
    pub fn new(vms: u32, racks: u32) -> Self {
        let racks = racks.max(1).min(vms);
        Self { vms, racks }
    }

    /// How many racks are homes.
    pub fn rack_count(self) -> u32 {
        self.racks
    }

    /// How many VMs there are.
    pub fn vm_count(self) -> u32 {
        self.vms
    }

    /// The numbers of the VMs that are at home in a rack; at least one.
    ///
    /// # Panics
    ///
    /// If the rack is not below [`rack_count`](Self::rack_count).
    pub fn vms_of(self, rack: u32) -> Range<u32> {
        assert!(rack < self.racks, "rack {rack} of {}", self.racks);
        let start = |rack| (u64::from(rack) * u64::from(self.vms) / u64::from(self.racks)) as u32;
        start(rack)..start(rack + 1)
    }

    /// The home rack of a VM.
    ///
    /// # Panics
    ///
    /// If the VM is not below [`vm_count`](Self::vm_count).
    pub fn rack_of(self, vm: u32) -> u32 {
        assert!(vm < self.vms, "VM {vm} of {}", self.vms);
        // The last rack whose first VM is not beyond this one.
        ((u64::from(vm + 1) * u64::from(self.racks) - 1) / u64::from(self.vms)) as u32
    }
}

/// A flow between two VMs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// One end.
    pub a: VmIndex,
    /// The other.
    pub b: VmIndex,
    /// How many bytes pass within the window of 10 s.
    pub bytes: u64,
}

impl Flow {
    /// λ of this flow alone.
    pub fn rate(self) -> Rate {
        Rate::from_bytes_over(self.bytes, WINDOW_NANOSECONDS)
    }
}

/// The flows of a data centre, the same for the same seed on every machine. None for fewer than two VMs.
pub fn flows(homes: HomeRacks, seed: u64) -> impl Iterator<Item = Flow> {
    let mut generator = Generator::new(homes, seed);
    let count = match homes.vms {
        0 | 1 => 0,
        vms => u64::from(vms) * FLOW_ENDS_PER_VM / 2,
    };
    (0..count).map(move |_| generator.flow())
}

struct Generator {
    homes: HomeRacks,
    /// The hot racks, each with its partners.
    hot: Vec<(u32, [u32; PARTNERS])>,
    random: Pcg64Mcg,
}

impl Generator {
    fn new(homes: HomeRacks, seed: u64) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut racks: Vec<u32> = (0..homes.racks).collect();
        shuffle(&mut racks, &mut random);
        // At least two: a flow that leaves a hot rack goes to another one.
        racks.truncate(homes.racks.div_ceil(RACKS_PER_HOT_RACK).max(2) as usize);
        let others = (racks.len() as u32).saturating_sub(1);
        let mut partner = |own: u32| match others {
            0 => own,
            _ => skip(random.random_range(0..others), own),
        };
        let hot = (0..)
            .zip(&racks)
            .map(|(own, rack)| (*rack, [(); PARTNERS].map(|()| racks[partner(own) as usize])))
            .collect();
        Self { homes, hot, random }
    }

    fn flow(&mut self) -> Flow {
        let within = self.random.random_bool(SHARE_WITHIN_RACK);
        let (a, b) = match (within, self.homes.racks) {
            (true, _) | (false, 1) => self.ends_in_one_rack(),
            (false, _) => self.ends_in_hot_racks(),
        };
        let bytes = if self.random.random_bool(SHARE_OF_LARGE) {
            // The mean of two equally distributed numbers is most likely half-way.
            self.random
                .random_range(LARGE_BYTES)
                .midpoint(self.random.random_range(LARGE_BYTES))
        } else {
            self.random.random_range(SMALL_BYTES)
        };
        let [a, b] = [a, b].map(VmIndex::new);
        Flow { a, b, bytes }
    }

    /// Any VM and another one of its rack; if it is alone there, one of another rack.
    fn ends_in_one_rack(&mut self) -> (u32, u32) {
        let a = self.random.random_range(0..self.homes.vms);
        let mut neighbours = self.homes.vms_of(self.homes.rack_of(a));
        if neighbours.len() < 2 {
            neighbours = 0..self.homes.vms;
        }
        let b = self
            .random
            .random_range(neighbours.start..neighbours.end - 1);
        (a, skip(b, a))
    }

    fn ends_in_hot_racks(&mut self) -> (u32, u32) {
        let hot = self.random.random_range(0..self.hot.len() as u32);
        let (rack, partners) = self.hot[hot as usize];
        let partner = partners[self.random.random_range(0..PARTNERS as u32) as usize];
        (self.vm_of(rack), self.vm_of(partner))
    }

    fn vm_of(&mut self, rack: u32) -> u32 {
        self.random.random_range(self.homes.vms_of(rack))
    }
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
