//! How long a VM did not answer.

use std::time::Duration;

use s_core_lab::traffic::ProbeSeries;

/// The longest time without an answer, in two ways. They differ where probes wait in queues and are answered late, or were not sent
/// in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// From the first probe of the longest run that was not answered to the next that was: the downtime, give or take the time
    /// between two probes. Zero if all were answered.
    pub downtime: Duration,
    /// The longest time between two answers.
    pub longest_gap: Duration,
}

impl Silence {
    /// Of a VM that was migrated until `ended`; `None` if it has not answered afterwards.
    pub fn of(series: &ProbeSeries, ended: Duration) -> Option<Self> {
        let probes = &series.probes;
        let answered = || probes.iter().filter(|probe| probe.round_trip.is_some());
        if !answered().any(|probe| probe.sent >= ended) {
            return None;
        }
        let (mut downtime, mut since) = (Duration::ZERO, None);
        for probe in probes {
            match probe.round_trip {
                None => drop(since.get_or_insert(probe.sent)),
                Some(_) => {
                    let run = since.take().map(|since| probe.sent.saturating_sub(since));
                    downtime = downtime.max(run.unwrap_or_default());
                }
            }
        }
        let arrivals = answered().filter_map(|probe| Some(probe.sent + probe.round_trip?));
        let mut arrivals: Vec<_> = arrivals.collect();
        arrivals.sort_unstable();
        let gaps = arrivals.array_windows().map(|[one, next]| *next - *one);
        Some(Self {
            downtime,
            longest_gap: gaps.max().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use s_core_lab::traffic::Probe;
    use s_core_model::VmId;

    use super::*;

    #[test]
    fn the_longest_run_without_an_answer() {
        // Round trips in ms of probes every 10 ms, 0 for none.
        let check = |round_trips: &[u64], ended: u64, wanted: Option<(u64, u64)>| {
            let probes = (0..).zip(round_trips).map(|(at, ms)| Probe {
                sent: Duration::from_millis(10 * at),
                round_trip: (*ms > 0).then(|| Duration::from_millis(*ms)),
            });
            let [from, to] = [1, 2].map(VmId::new);
            let probes = probes.collect();
            let found = Silence::of(
                &ProbeSeries { from, to, probes },
                Duration::from_millis(ended),
            );
            let found = found.map(|of| [of.downtime, of.longest_gap].map(|time| time.as_millis()));
            let wanted = wanted.map(|(down, gap)| [down, gap].map(u128::from));
            assert_eq!(found, wanted, "{round_trips:?}");
        };
        check(&[], 0, None);
        check(&[0, 0], 0, None);
        check(&[1], 0, Some((0, 0)));
        check(&[1, 1, 1], 10, Some((0, 10)));
        // Two lost, the next one sent 20 ms after the first of them.
        check(&[1, 0, 0, 2, 1], 30, Some((20, 31)));
        check(&[1, 0, 1, 0, 0, 0, 1, 0, 1], 60, Some((30, 40)));
        // It waited in a queue while the VM stood still: nothing is lost, but no answer came for 40 ms.
        check(&[1, 40, 30, 20, 10, 1], 40, Some((0, 49)));
        // Not after the end.
        check(&[1, 1, 0, 0], 20, None);
        check(&[1, 0, 0, 1, 0, 0], 30, Some((20, 30)));
    }
}
