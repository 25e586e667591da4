//! Traffic that changes while the token goes round (5.1.3: "dynamic instantiation of new traffic flows").

use std::time::Duration;

use s_core_model::{Levels, TrafficMatrix};

use super::{Hop, Simulation, SimulationError};

/// Where a hop stands in a run with changing traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// How many windows of traffic the run had, the first included.
    pub windows: u64,
    /// How many times a VM held the token during the run.
    pub hops: u64,
}

impl<L: Levels> Simulation<'_, L> {
    /// Passes the token on and on, and changes the traffic every `window` of simulated time, until there is no
    /// next traffic.
    ///
    /// The traffic that the simulation has now is that of the first window; `next` gives that of each window
    /// after it, or `None` to end. A VM that holds the token decides by the traffic of the window in which it got it. Every
    /// hop is shown to `observe`. Where nothing more is to be gained the token goes round all the same, as a real one does.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use s_core_sim::{DataCentre, InitialPlacement, Rules, Series, Simulation, Timing};
    /// # use s_core_token::PolicyKind;
    /// # let data_centre = DataCentre { vms: 200, ..DataCentre::thesis(InitialPlacement::Random, 1) };
    /// # let [snapshot, other] = [1, 2].map(|seed| DataCentre { seed, ..data_centre.clone() }.generate().unwrap());
    /// # let (model, policy) = (snapshot.cost_model(), PolicyKind::RoundRobin.build());
    /// # let allocation = snapshot.allocation().clone();
    /// let mut simulation = Simulation::new(&model, snapshot.traffic(), allocation, &*policy, Rules::default())?
    ///     .with_timing(Timing::today());
    /// let mut series = Series::new(simulation.total_cost(), 1000);
    /// let mut later = vec![other.traffic().clone()].into_iter();
    /// let run = simulation.run_dynamic(Duration::from_secs(60), || later.next(), |hop| series.observe(hop))?;
    /// assert_eq!(run.windows, 2);
    /// assert!(simulation.elapsed() >= Duration::from_secs(120));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SimulationError::NoTime`] if there is no [`Timing`](super::Timing), or its hop or the window takes no time; nothing is done
    /// then. [`SimulationError::OtherVms`] if a traffic is of more or fewer VMs; the run ends there.
    pub fn run_dynamic(
        &mut self,
        window: Duration,
        mut next: impl FnMut() -> Option<TrafficMatrix>,
        mut observe: impl FnMut(&Hop),
    ) -> Result<Windows, SimulationError> {
        let takes_time = self.timing.is_some_and(|timing| !timing.hop.is_zero());
        if !takes_time || window.is_zero() {
            return Err(SimulationError::NoTime);
        }
        let mut run = Windows {
            windows: 1,
            hops: 0,
        };
        let mut end = self.elapsed.saturating_add(window);
        loop {
            while self.elapsed < end {
                observe(&self.step());
                run.hops += 1;
            }
            let Some(traffic) = next() else {
                return Ok(run);
            };
            self.set_traffic(std::borrow::Cow::Owned(traffic))?;
            run.windows += 1;
            end = end.saturating_add(window);
        }
    }
}
