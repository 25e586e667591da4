//! Long work: a bar that shows how far it is, and an early end when the user asks for one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use s_core_sim::Watch;
use signal_hook::consts::TERM_SIGNALS;
use signal_hook::flag;

use crate::cli::si;

/// Whether the user has asked for an end: SIGINT (Ctrl-C), SIGTERM or SIGQUIT.
///
/// The first one lets the work end with what it has so far; a second ends the process at once.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches the signals from now on.
    ///
    /// # Errors
    ///
    /// What the system says if they cannot be caught.
    pub fn catch() -> io::Result<Self> {
        let caught = Arc::new(AtomicBool::new(false));
        for signal in TERM_SIGNALS {
            // In this order: the second signal finds the first one noted.
            flag::register_conditional_shutdown(*signal, 128 + signal, Arc::clone(&caught))?;
            flag::register(*signal, Arc::clone(&caught))?;
        }
        Ok(Self(caught))
    }

    /// Whether there was one.
    pub fn is_caught(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A bar on standard error, if that is a terminal, for work of which it says how far it is.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    interrupt: Interrupt,
}

/// How finely the bar is divided.
const STEPS: u64 = 1000;

impl Bar {
    /// A bar for work of this name.
    pub fn new(name: impl Into<String>, interrupt: &Interrupt) -> Self {
        let style = "{prefix:>20} {bar:30} {percent:>3} %  {elapsed:>4}  {msg}";
        let style = ProgressStyle::with_template(style).expect("the template is well-formed");
        // Hidden by itself where standard error is no terminal.
        let bar = ProgressBar::new(STEPS).with_style(style);
        bar.set_prefix(name.into());
        Self {
            bar,
            interrupt: interrupt.clone(),
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
