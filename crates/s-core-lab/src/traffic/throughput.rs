//! What pairs send and receive over time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use s_core_model::{Rate, VmId};

use super::counts::{Count, Payload};
use super::error::TrafficError;
use super::run::{Traffic, bounded};
use crate::error::LabError;

/// The most pairs that are watched.
const MOST_PAIRS: usize = 256;
/// The most samples of a pair: a day of them, ten a second.
const MOST_SAMPLES: usize = 864_000;

/// What one VM sent to another, over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThroughputSeries {
    /// The sender.
    pub from: VmId,
    /// The receiver.
    pub to: VmId,
    /// When, since the begin that was given, and what had been sent by then.
    pub samples: Vec<(Duration, Payload)>,
}

/// How much payload passed between two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throughput {
    /// The end of the time.
    pub at: Duration,
    /// What the sender's kernel took, in bytes per second.
    pub sent: Rate,
    /// What the receiver's programs read.
    pub received: Rate,
}

impl ThroughputSeries {
    /// The throughput between each two samples.
    pub fn throughput(&self) -> impl Iterator<Item = Throughput> + '_ {
        self.samples.windows(2).map(|pair| {
            let [(before, first), (at, second)] = [pair[0], pair[1]];
            let passed = at.saturating_sub(before).as_nanos();
            let passed = u64::try_from(passed).unwrap_or(u64::MAX);
            let rate = |from: u64, to: u64| Rate::from_bytes_over(to.saturating_sub(from), passed);
            Throughput {
                at,
                sent: rate(first.sent, second.sent),
                received: rate(first.received, second.received),
            }
        })
    }
}

/// Looks at what pairs have sent, again and again, until it is dropped or told to [`stop`](Self::stop).
#[derive(Debug)]
pub struct Sampler {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<ThroughputSeries>>>,
}

impl Sampler {
    /// Looks at these ordered pairs (sender, receiver) each time `every` has passed; times are since `begin`.
    ///
    /// # Errors
    ///
    /// [`TrafficError`] if there are too many pairs, or no thread can be started.
    pub fn start(
        traffic: &Traffic,
        pairs: &[(VmId, VmId)],
        every: Duration,
        begin: Instant,
    ) -> Result<Self, TrafficError> {
        bounded("watched pairs", pairs.len(), MOST_PAIRS)?;
        let pairs = pairs.iter().map(|&(from, to)| {
            let samples = Vec::new();
            let series = ThroughputSeries { from, to, samples };
            (traffic.count(from, to), series)
        });
        let pairs: Vec<_> = pairs.collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let every = every.max(Duration::from_millis(10));
        let thread = thread::Builder::new().name("throughput".into());
        let thread = thread.spawn(move || watch(pairs, every, begin, &stopped));
        let thread = thread.map_err(|source| LabError::Program {
            program: "a thread".into(),
            source,
        })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends, and tells what was found, in the order of the pairs.
    pub fn stop(mut self) -> Vec<ThroughputSeries> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(series)) => series,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Vec::new(),
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn watch(
    mut pairs: Vec<(Arc<Count>, ThroughputSeries)>,
    every: Duration,
    begin: Instant,
    stop: &AtomicBool,
) -> Vec<ThroughputSeries> {
    let mut next = Instant::now();
    for _ in 0..MOST_SAMPLES {
        for (count, series) in &mut pairs {
            series.samples.push((begin.elapsed(), count.read()));
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        next += every;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    pairs.into_iter().map(|(_, series)| series).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throughput_is_between_samples() {
        let sample = |ms, sent, received| {
            let payload = Payload {
                sent,
                received,
                ..Payload::default()
            };
            (Duration::from_millis(ms), payload)
        };
        let series = ThroughputSeries {
            from: VmId::new(1),
            to: VmId::new(2),
            samples: vec![
                sample(100, 50, 0),
                sample(200, 150, 20),
                sample(400, 150, 150),
            ],
        };
        let found: Vec<_> = series
            .throughput()
            .map(|t| {
                let rates = [t.sent, t.received].map(Rate::bytes_per_second);
                (t.at.as_millis(), rates)
            })
            .collect();
        assert_eq!(found, [(200, [1000.0, 200.0]), (400, [0.0, 650.0])]);
    }
}
