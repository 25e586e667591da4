//! Flows that start and end while the token goes round (5.1.3: "dynamic instantiation of new traffic flows").

use std::collections::VecDeque;

use rand::RngExt;
use s_core_model::TrafficMatrix;

use super::generator::Generator;
use super::pattern::in_range;
use super::{Flow, HomeRacks, Pattern, PatternError};

/// How long flows last.
///
/// The number of active flows stays as it is (5.1.1: "maintains 10 active flows"): whenever one ends, another of
/// its kind, small or large, starts. Small flows last one window: in thesis 2.2, 80 % of flows last less than 10 s
/// (\[16\], see [`Pattern`]) or 11 s (\[49\]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dynamics {
    /// How many windows a large flow lasts on average, 1 to 10⁶; it is as likely to end in each. 3: in \[16\], most
    /// bytes are in flows of up to 25 s.
    pub large_flow_windows: u32,
    /// For how many windows on average large flows follow each other between the same two VMs before others take their
    /// place, from `large_flow_windows` to 10⁶. 8640, a day of windows of 10 s, chosen: VMs change what they
    /// work at much more slowly than they send. S-CORE follows if this is much more than a round of the token takes.
    pub pair_windows: u32,
}

impl Default for Dynamics {
    fn default() -> Self {
        Self {
            large_flow_windows: 3,
            pair_windows: 8640,
        }
    }
}

impl Dynamics {
    const MOST: u32 = 1_000_000;

    /// Looks whether all parameters are in their ranges.
    ///
    /// # Errors
    ///
    /// [`PatternError::Parameter`] for the first that is not.
    pub fn check(self) -> Result<(), PatternError> {
        let least = self.large_flow_windows;
        in_range("large_flow_windows", least, 1, Self::MOST)?;
        in_range("pair_windows", self.pair_windows, least, Self::MOST)
    }
}

/// Traffic whose flows start and end, window by window.
///
/// ```
/// use s_core_sim::traffic::{DynamicTraffic, Dynamics, HomeRacks, Pattern};
///
/// let homes = HomeRacks::new(400, 20);
/// let mut traffic = DynamicTraffic::new(homes, &Pattern::default(), Dynamics::default(), 1)?;
/// let [first, second] = [traffic.next_window(), traffic.next_window()];
/// let persistent = first.pairs().filter(|(a, b, rate)| second.rate(*a, *b) == *rate).count();
/// assert!(0 < persistent && persistent < first.pair_count());
/// # Ok::<(), s_core_sim::traffic::PatternError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DynamicTraffic {
    generator: Generator,
    dynamics: Dynamics,
    vm_count: usize,
    /// The flows of the window that [`next_window`](Self::next_window) gives next.
    active: Vec<Flow>,
    /// Those of the windows before, the oldest first: at most one window fewer than are averaged.
    past: VecDeque<Vec<Flow>>,
}

impl DynamicTraffic {
    /// The traffic of these VMs before its first window.
    ///
    /// # Errors
    ///
    /// [`PatternError`] if a parameter is bad, or there are too many flows.
    pub fn new(
        homes: HomeRacks,
        pattern: &Pattern,
        dynamics: Dynamics,
        seed: u64,
    ) -> Result<Self, PatternError> {
        pattern.flow_count(homes)?;
        dynamics.check()?;
        let mut generator = Generator::new(homes, pattern, seed);
        let flows = pattern.flows_per_window(homes);
        Ok(Self {
            active: (0..flows).map(|_| generator.flow()).collect(),
            generator,
            dynamics,
            vm_count: homes.vm_count() as usize,
            past: VecDeque::new(),
        })
    }

    /// λ for all pairs, averaged over the next window and those before it: [`Pattern::windows`] in all, or as many as
    /// there have been. O(flows in these windows).
    ///
    /// The first window has the flows that [`flows`](super::flows) draws for one window from the same seed. Unlike
    /// there, flows go on from window to window, so that averaging adds fewer pairs.
    pub fn next_window(&mut self) -> TrafficMatrix {
        let pattern = &self.generator.pattern;
        let windows = u32::try_from(self.past.len() + 1).expect("at most pattern.windows");
        let flows = self.past.iter().flatten().chain(&self.active);
        let pairs = flows.map(|flow| (flow.a, flow.b, pattern.rate_over(*flow, windows)));
        let matrix = TrafficMatrix::from_pairs(self.vm_count, pairs)
            .expect("flows are between two different VMs, and no more than a matrix holds");
        if pattern.windows > 1 {
            if windows == pattern.windows {
                self.past.pop_front();
            }
            self.past.push_back(self.active.clone());
        }
        self.advance();
        matrix
    }

    /// Ends flows and starts others in their place.
    fn advance(&mut self) {
        let Dynamics {
            large_flow_windows,
            pair_windows,
        } = self.dynamics;
        let small = self.generator.pattern.small_bytes;
        for flow in &mut self.active {
            if flow.bytes < small {
                (flow.a, flow.b) = self.generator.ends();
                flow.bytes = self.generator.small_bytes();
            } else if self.generator.random.random_ratio(1, large_flow_windows) {
                flow.bytes = self.generator.large_bytes();
                if (self.generator.random).random_ratio(large_flow_windows, pair_windows) {
                    (flow.a, flow.b) = self.generator.ends();
                }
            }
        }
    }
}
