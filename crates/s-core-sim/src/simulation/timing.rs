//! How long things take (thesis 5.2).

use std::str::FromStr;
use std::time::Duration;

/// How long a hop of the token takes, from its arrival to that at the next VM.
///
/// A holder asks each of its peers where it is and works the costs out, asks servers for room one after the
/// other, migrates if one has some, and only then passes the token on: a migration holds the token up, as
/// in the thesis and in the agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Handing the token to the next VM's server.
    pub hop: Duration,
    /// What every peer takes: asking where it is, as far as that is not done for all at once, and its part of the decision.
    pub per_peer: Duration,
    /// A request and its answer: all peers' locations asked at once, or one server's capacity.
    pub probe: Duration,
    /// A live migration.
    pub migration: Duration,
}

impl Timing {
    /// The thesis's testbed: a decision takes 0.32 s, 2.97 s and 30.54 s with 10, 100 and 1000 peers (5.2.2), so 30 ms
    /// a peer, locations included; a migration takes 2.94 s without background traffic (5.2.3).
    ///
    /// Of a message on the testbed's idle 1 Gbps links it says nothing: half a millisecond is assumed, so 1 ms for a probe.
    pub const fn thesis() -> Self {
        Self {
            hop: Duration::from_micros(500),
            per_peer: Duration::from_millis(30),
            probe: Duration::from_millis(1),
            migration: Duration::from_millis(2940),
        }
    }

    /// The agents of this project on the same links: all peers are asked at once, and the decision takes about
    /// 0.1 µs a peer (`cargo bench --bench decision`). Migrations take as long as in the thesis.
    pub const fn today() -> Self {
        Self {
            per_peer: Duration::from_nanos(100),
            ..Self::thesis()
        }
    }

    /// How long a holder with `peers` keeps the token that asks `asked` servers for room, and how long it then travels.
    pub fn of_hop(&self, peers: usize, asked: u32, migrates: bool) -> Duration {
        let count = u32::try_from(peers).unwrap_or(u32::MAX);
        let probes = asked.saturating_add(u32::from(peers > 0));
        let work =
            (self.per_peer.saturating_mul(count)).saturating_add(self.probe.saturating_mul(probes));
        let migration = if migrates {
            self.migration
        } else {
            Duration::ZERO
        };
        self.hop.saturating_add(work).saturating_add(migration)
    }
}

impl Timing {
    /// The times as a part of a sentence.
    pub fn in_words(&self) -> String {
        format!(
            "a migration takes {:?}, and one comes after the other; a request and its answer {:?}; each peer {:?}; \
             handing the token on {:?}",
            self.migration, self.probe, self.per_peer, self.hop
        )
    }
}

/// `today`, `thesis`, or some of the times in seconds like `migration=5,hop=0.001` (`hop`, `per-peer`, `probe`, `migration`), the
/// others being those of [`today`](Timing::today).
impl FromStr for Timing {
    type Err = InvalidTiming;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "today" => return Ok(Self::today()),
            "thesis" => return Ok(Self::thesis()),
            _ => {}
        }
        let invalid = |part: &str| InvalidTiming(crate::snapshot::shown(part));
        let mut timing = Self::today();
        for part in text.split(',') {
            let (key, seconds) = part.split_once('=').ok_or_else(|| invalid(part))?;
            let time = match key {
                "hop" => &mut timing.hop,
                "per-peer" => &mut timing.per_peer,
                "probe" => &mut timing.probe,
                "migration" => &mut timing.migration,
                _ => return Err(invalid(part)),
            };
            let seconds = seconds.parse().ok();
            let seconds = seconds.filter(|seconds| (0.0..=MAX_SECONDS).contains(seconds));
            *time = seconds
                .map(Duration::from_secs_f64)
                .ok_or_else(|| invalid(part))?;
            if timing.hop.is_zero() {
                return Err(invalid(part));
            }
        }
        Ok(timing)
    }
}

/// The longest time that is read.
const MAX_SECONDS: f64 = 1e6;

/// A text that is not a timing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a timing; write today, thesis, or seconds from 0 to 1000000 like migration=5,hop=0.001 for some of hop (above 0), per-peer, probe, migration"
)]
pub struct InvalidTiming(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_as_text() {
        let check = |text: &str, wanted: Option<Timing>| {
            assert_eq!(text.parse().ok(), wanted, "{text}");
        };
        let today = Timing::today();
        check("today", Some(today));
        check("thesis", Some(Timing::thesis()));
        let slow = Timing {
            migration: Duration::from_secs(5),
            ..today
        };
        check("migration=5", Some(slow));
        let slow = Timing {
            hop: Duration::from_millis(1),
            probe: Duration::ZERO,
            per_peer: Duration::from_nanos(200),
            ..slow
        };
        check("hop=0.001,migration=5,probe=0,per-peer=2e-7", Some(slow));
        for bad in [
            "",
            "hop",
            "hop=",
            "hop=0",
            "hop=1e-12",
            "hop=x",
            "hop=NaN",
            "probe=-1",
            "probe=inf",
            "probe=1e7",
            "tea=5",
            "hop=1,",
            "today,hop=1",
        ] {
            check(bad, None);
        }
    }

    /// 5.2.2's runtimes of a decision, within a tenth.
    #[test]
    fn decisions_take_as_long_as_in_the_thesis() {
        for (peers, seconds) in [(10, 0.32), (100, 2.97), (1000, 30.54)] {
            let took = Timing::thesis().of_hop(peers, 0, false).as_secs_f64();
            assert!((took - seconds).abs() < 0.1 * seconds, "{peers}: {took}");
        }
    }

    #[test]
    fn a_hop_takes_the_sum_of_its_parts() {
        let timing = Timing {
            hop: Duration::from_secs(1),
            per_peer: Duration::from_secs(10),
            probe: Duration::from_secs(100),
            migration: Duration::from_secs(10_000),
        };
        for (peers, asked, migrates, seconds) in [
            (0, 0, false, 1),
            (1, 0, false, 111),
            (3, 2, false, 331),
            (3, 2, true, 10_331),
        ] {
            let took = timing.of_hop(peers, asked, migrates);
            assert_eq!(took, Duration::from_secs(seconds), "{peers} {asked}");
        }
    }
}
