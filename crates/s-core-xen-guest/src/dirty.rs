//! Memory that is written, so that a migration has to copy it again.

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::counters::DirtyCounters;

/// A page of memory, in bytes.
const PAGE: usize = 4096;
/// The largest working set, in MiB.
const MOST_MIB: u32 = 4096;
/// The highest rate, in 10⁶ bytes per second.
const MOST_RATE: f64 = 100_000.0;
/// What has to stay free, in KiB.
const RESERVE_KIB: u64 = 4 << 10;
/// Between two looks at the clock: far less than a round of pre-copy takes.
const TICK: Duration = Duration::from_millis(5);
/// What could not be written in this time, as while the domain stood still, is not made up for.
const MAKES_UP: Duration = Duration::from_millis(100);

/// Pages of a working set that are written one after the other, round and round, at a constant rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dirtying {
    /// The rate, in 10⁶ bytes of pages per second: 0 to 100,000. One byte of each page is written.
    pub mb_per_second: f64,
    /// The working set, in MiB: 1 to 4096, and at most what is free but for 4 MiB. No more than this is dirty at any time.
    pub working_set_mib: u32,
}

/// Memory cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirtyError {
    /// There is not so much.
    #[error(
        "{wanted_mib} MiB of working set are not free: {free_kib} KiB are, and 4 MiB of them stay so"
    )]
    Memory {
        /// How much was wanted.
        wanted_mib: u32,
        /// How much is free, in KiB.
        free_kib: u64,
    },
    /// No thread can be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl Dirtying {
    /// From JSON, or what is wrong with it.
    pub(crate) fn read(json: &[u8]) -> Result<Self, String> {
        let this: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if !(0.0..=MOST_RATE).contains(&this.mb_per_second) {
            return Err(format!("mb_per_second is not from 0 to {MOST_RATE}"));
        }
        if !(1..=MOST_MIB).contains(&this.working_set_mib) {
            return Err(format!("working_set_mib is not from 1 to {MOST_MIB}"));
        }
        Ok(this)
    }

    /// As JSON.
    pub(crate) fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers have a form in JSON")
    }

    /// How many pages are to be written in this time.
    fn pages_in(&self, time: Duration) -> u64 {
        // A float becomes the nearest integer that there is.
        (self.mb_per_second * 1e6 * time.as_secs_f64() / PAGE as f64) as u64
    }
}

/// A thread that writes. It ends, and its memory is free again, when this is dropped.
#[derive(Debug)]
pub(crate) struct Writer {
    dirtying: Dirtying,
    pages: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<u8>>>,
}

impl Writer {
    /// Begins to write, in the memory of the writer before if it is of the same size: whoever changes only the rate has no need
    /// of memory that is free. Memory of another size is given back before the new is taken.
    pub(crate) fn start(dirtying: Dirtying, before: Option<Self>) -> Result<Self, DirtyError> {
        let mib = dirtying.working_set_mib;
        let kept = before
            .filter(|before| before.dirtying.working_set_mib == mib)
            .and_then(|mut before| before.end());
        let memory = kept.map_or_else(|| allocate(mib), Ok)?;
        let (pages, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let thread = thread::Builder::new().name("dirty".into()).spawn({
            let (pages, stop) = (Arc::clone(&pages), Arc::clone(&stop));
            move || write(memory, dirtying, &pages, &stop)
        })?;
        Ok(Self {
            dirtying,
            pages,
            stop,
            thread: Some(thread),
        })
    }

    pub(crate) fn counters(&self) -> DirtyCounters {
        DirtyCounters {
            mb_per_second: self.dirtying.mb_per_second,
            working_set_mib: self.dirtying.working_set_mib,
            pages: self.pages.load(Ordering::Relaxed),
        }
    }

    /// Stops writing; returns the memory. Nothing if it has ended before.
    fn end(&mut self) -> Option<Vec<u8>> {
        self.stop.store(true, Ordering::Relaxed);
        // It does not panic; if it did, its memory would be free as well.
        self.thread.take()?.join().ok()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// Memory of this size, all of it there.
fn allocate(mib: u32) -> Result<Vec<u8>, DirtyError> {
    let free_kib = free_kib().unwrap_or(u64::MAX);
    let error = || DirtyError::Memory {
        wanted_mib: mib,
        free_kib,
    };
    if u64::from(mib) * 1024 + RESERVE_KIB > free_kib {
        return Err(error());
    }
    let bytes = usize::try_from(mib)
        .unwrap_or(usize::MAX)
        .saturating_mul(1 << 20);
    let mut memory = Vec::new();
    memory.try_reserve_exact(bytes).map_err(|_| error())?;
    // Zeros would be pages that a migration need not copy.
    memory.resize(bytes, 1);
    Ok(memory)
}

/// How much memory can be taken, in KiB; none where the system does not tell.
fn free_kib() -> Option<u64> {
    available(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// `MemAvailable` of the text of `/proc/meminfo`.
fn available(meminfo: &str) -> Option<u64> {
    let mut lines = meminfo.lines();
    let value = lines.find_map(|line| line.strip_prefix("MemAvailable:"))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn write(mut memory: Vec<u8>, dirtying: Dirtying, pages: &AtomicU64, stop: &AtomicBool) -> Vec<u8> {
    let (mut begin, mut written) = (Instant::now(), 0);
    let mut at = 0;
    while !stop.load(Ordering::Relaxed) {
        let passed = begin.elapsed();
        let due = dirtying.pages_in(passed).saturating_sub(written);
        let most = dirtying.pages_in(MAKES_UP).max(1);
        for _ in 0..due.min(most) {
            at = if at < memory.len() { at } else { 0 };
            memory[at] = memory[at].wrapping_add(1);
            at += PAGE;
        }
        black_box(&mut memory);
        pages.fetch_add(due.min(most), Ordering::Relaxed);
        if due > most {
            (begin, written) = (Instant::now(), 0);
        } else {
            written += due;
        }
        thread::sleep(TICK);
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_refused() {
        let check = |json: &str, wanted: Option<(f64, u32)>| {
            let wanted = wanted.map(|(mb_per_second, working_set_mib)| Dirtying {
                mb_per_second,
                working_set_mib,
            });
            let found = Dirtying::read(json.as_bytes()).ok();
            assert_eq!(found, wanted, "{json}");
            assert_eq!(
                found.map(|found| Dirtying::read(&found.write()).unwrap()),
                wanted
            );
        };
        let with = |rate, set| format!(r#"{{"mb_per_second": {rate}, "working_set_mib": {set}}}"#);
        check(&with("2.5", "8"), Some((2.5, 8)));
        check(&with("0", "4096"), Some((0.0, 4096)));
        for (rate, set) in [
            ("-1", "8"),
            ("1e6", "8"),
            ("1e999", "8"),
            ("null", "8"),
            ("1", "0"),
            ("1", "4097"),
            ("1", "-1"),
            ("1", "1.5"),
            ("1", "99999999999"),
            ("1", "1, \"x\": 1"),
        ] {
            check(&with(rate, set), None);
        }
        check(r#"{"mb_per_second": 1}"#, None);
    }

    #[test]
    fn free_memory_is_read() {
        let check = |text, wanted| assert_eq!(available(text), wanted, "{text}");
        check(
            "MemTotal:  40000 kB\nMemFree: 1 kB\nMemAvailable:   31000 kB\n",
            Some(31_000),
        );
        check("MemTotal:  40000 kB\n", None);
        check("MemAvailable: x kB\n", None);
        check("MemAvailable: 5", None);
    }

    #[test]
    fn pages_are_written_at_their_rate() {
        let begin = Instant::now();
        let (mb_per_second, working_set_mib) = (40.96, 2);
        let dirtying = Dirtying {
            mb_per_second,
            working_set_mib,
        };
        let writer = Writer::start(dirtying, None).unwrap();
        thread::sleep(Duration::from_millis(500));
        let counters = writer.counters();
        let most = begin.elapsed().as_secs_f64() * 10_000.0;
        let pages = counters.pages as f64;
        // More than the 512 pages of the set: they are written again.
        assert!(
            pages <= most + 1.0 && pages > 1000.0,
            "{counters:?}, at most {most}"
        );
        assert_eq!(
            (counters.mb_per_second, counters.working_set_mib),
            (40.96, 2)
        );
    }

    #[test]
    fn another_rate_needs_no_other_memory() {
        let with = |mb_per_second, working_set_mib| Dirtying {
            mb_per_second,
            working_set_mib,
        };
        let first = Writer::start(with(100.0, 1), None).unwrap();
        while first.counters().pages == 0 {
            thread::sleep(TICK);
        }
        let after = |before, dirtying| {
            let mut writer = Writer::start(dirtying, Some(before)).unwrap();
            let memory = writer.end().unwrap();
            (memory.len() >> 20, memory.iter().any(|byte| *byte != 1))
        };
        assert_eq!(after(first, with(0.0, 1)), (1, true));
        let first = Writer::start(with(0.0, 1), None).unwrap();
        assert_eq!(after(first, with(0.0, 2)), (2, false));
    }

    #[test]
    fn what_is_not_there_is_not_taken() {
        let Some(free) = free_kib().filter(|free| free / 1024 < u64::from(MOST_MIB)) else {
            return;
        };
        let mib = u32::try_from(free / 1024).unwrap();
        assert!(matches!(allocate(mib), Err(DirtyError::Memory { .. })));
    }
}
