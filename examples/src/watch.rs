//! Long work: a bar that shows how far it is, and an early end when the user asks for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{io, process, thread};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use s_core_sim::Watch;
use signal_hook::consts::TERM_SIGNALS;
use signal_hook::iterator::Signals;

use crate::cli::si;

/// Whether the user has asked for an end: SIGINT (Ctrl-C), SIGTERM or SIGQUIT.
///
/// The first one lets the work end with what it has so far; another, half a second later or more, ends the process at once.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

/// Signals within this time are one: `timeout` sends its signal twice, and a terminal's reaches a whole group.
const SAME_SIGNAL: Duration = Duration::from_millis(500);

impl Interrupt {
    /// Catches the signals from now on.
    ///
    /// # Errors
    ///
    /// What the system says if they cannot be caught.
    pub fn catch() -> io::Result<Self> {
        let caught = Arc::new(AtomicBool::new(false));
        let mut signals = Signals::new(TERM_SIGNALS)?;
        let interrupt = Self(Arc::clone(&caught));
        thread::Builder::new().spawn(move || {
            let mut first: Option<Instant> = None;
            for signal in signals.forever() {
                let first = *first.get_or_insert_with(Instant::now);
                caught.store(true, Ordering::Relaxed);
                if first.elapsed() > SAME_SIGNAL {
                    process::exit(128 + signal);
                }
            }
        })?;
        Ok(interrupt)
    }

    /// Whether there was one.
    pub fn is_caught(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A bar for work of which it says how far it is; it goes away with the work.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    interrupt: Interrupt,
}

/// How finely the bar is divided.
const STEPS: u64 = 1000;

/// Bars below each other on standard error, if that is a terminal.
#[derive(Debug)]
pub struct Bars {
    bars: MultiProgress,
    interrupt: Interrupt,
}

impl Bars {
    /// No bar yet; `interrupt` ends the work of all.
    pub fn new(interrupt: &Interrupt) -> Self {
        Self {
            bars: MultiProgress::new(),
            interrupt: interrupt.clone(),
        }
    }

    /// One more bar, for work of this name.
    pub fn add(&self, name: impl Into<String>) -> Bar {
        let style = "{prefix:>20} {bar:30} {percent:>3} %  {elapsed:>4}  {msg}";
        let style = ProgressStyle::with_template(style).expect("the template is well-formed");
        // Hidden by itself where standard error is no terminal.
        let bar = ProgressBar::new(STEPS).with_style(style);
        let bar = self.bars.add(bar);
        bar.set_prefix(name.into());
        Bar {
            bar,
            interrupt: self.interrupt.clone(),
        }
    }
}

impl Watch for Bar {
    fn progress(&self, done: f64, cost: f64) {
        self.bar.set_position((done * STEPS as f64) as u64);
        self.bar.set_message(format!("cost {}", si(cost)));
    }

    fn is_stopped(&self) -> bool {
        self.interrupt.is_caught()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
