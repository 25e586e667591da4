//! The sizes of flows.

use rand::RngExt;
use s_core_sim::traffic::Pattern;

/// By how much large flows are smaller than those of thesis 5.1.1: its 128 MiB within 10 s are 107 Mbit/s between two
/// VMs, here 2 MiB and 1.7 Mbit/s, of which a few dozen pairs fit onto links of 100 to 200 Mbit/s.
pub const LARGE_FLOW_DIVISOR: u64 = 64;

/// The sizes of flows in bytes of payload, after thesis 5.1.1: small ones as there, all sizes equally likely; large ones
/// around a mode, smaller by a divisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowSizes {
    /// Small flows have 1 byte to one less than this.
    small: u32,
    /// The most likely size of a large flow.
    mode: u32,
    /// The largest size of a flow.
    most: u32,
}

impl Default for FlowSizes {
    /// Small flows below 10 KB, large ones around 2 MiB and up to 16 MiB.
    fn default() -> Self {
        Self::new(&Pattern::default(), LARGE_FLOW_DIVISOR)
    }
}

impl FlowSizes {
    /// The sizes of a pattern, the large ones divided by `divisor`. What does not fit into 32 bits, or leaves no
    /// room for another size, is the nearest that does.
    pub fn new(pattern: &Pattern, divisor: u64) -> Self {
        let within = |bytes: u64, least: u32| u32::try_from(bytes).unwrap_or(u32::MAX).max(least);
        let divided = |bytes: u64| bytes / divisor.max(1);
        let small = within(pattern.small_bytes, 2);
        let mode = within(divided(pattern.large_mode_bytes), small);
        let most = within(divided(pattern.large_most_bytes), mode);
        Self { small, mode, most }
    }

    /// The share of the bytes that is in small flows if this share of the flows is small.
    pub fn share_of_small_bytes(&self, share_of_small_flows: f64) -> f64 {
        let small = share_of_small_flows * self.mean_small();
        let sizes = [self.small, self.mode, self.most].map(f64::from);
        let large = (1.0 - share_of_small_flows) * sizes.iter().sum::<f64>() / 3.0;
        small / (small + large)
    }

    /// The mean size of a small flow.
    pub(super) fn mean_small(&self) -> f64 {
        f64::from(self.small) / 2.0
    }

    /// The largest size of a small flow.
    pub(super) const fn most_small(&self) -> u32 {
        self.small - 1
    }

    /// The size of a small flow.
    pub(super) fn draw_small(&self, random: &mut impl RngExt) -> u32 {
        random.random_range(1..self.small)
    }

    /// The size of a large flow: the density rises evenly to the mode and falls evenly from there.
    pub(super) fn draw_large(&self, random: &mut impl RngExt) -> u32 {
        let [least, mode, most] = [self.small, self.mode, self.most].map(f64::from);
        let (at, width) = (random.random_range(0.0..1.0), most - least);
        let size = if at * width < mode - least {
            least + (at * width * (mode - least)).sqrt()
        } else {
            most - ((1.0 - at) * width * (most - mode)).sqrt()
        };
        // It is between `least` and `most`, which have 32 bits.
        size as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_pcg::Pcg64Mcg;

    use super::*;

    #[test]
    fn means_are_those_of_the_distributions() {
        let sizes = FlowSizes::default();
        assert_eq!(
            [sizes.small, sizes.mode, sizes.most],
            [10_000, 2 << 20, 16 << 20]
        );
        let mut random = Pcg64Mcg::seed_from_u64(1);
        let mut mean = |draw: fn(&FlowSizes, &mut Pcg64Mcg) -> u32| {
            let drawn = (0..20_000).map(|_| f64::from(draw(&sizes, &mut random)));
            drawn.sum::<f64>() / 20_000.0
        };
        let near = |mean: f64, wanted: f64| assert!((mean / wanted - 1.0).abs() < 0.02, "{mean}");
        near(mean(FlowSizes::draw_small), 5000.0);
        let large = f64::from(10_000 + (2 << 20) + (16 << 20)) / 3.0;
        near(mean(FlowSizes::draw_large), large);
        let share = sizes.share_of_small_bytes(0.9);
        near(share, 4500.0 / (4500.0 + 0.1 * large));
    }

    proptest! {
        #[test]
        fn sizes_stay_in_their_range(
            small in any::<u64>(), mode in any::<u64>(), most in any::<u64>(), divisor in 0..1000u64, seed: u64,
        ) {
            let pattern = Pattern {
                small_bytes: small,
                large_mode_bytes: mode,
                large_most_bytes: most,
                ..Pattern::default()
            };
            let sizes = FlowSizes::new(&pattern, divisor);
            let mut random = Pcg64Mcg::seed_from_u64(seed);
            let drawn = sizes.draw_small(&mut random);
            prop_assert!((1..sizes.small).contains(&drawn));
            let drawn = sizes.draw_large(&mut random);
            prop_assert!((sizes.small..=sizes.most).contains(&drawn), "{drawn} {sizes:?}");
        }
    }
}
