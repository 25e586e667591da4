//! How far the program is, and an early end.

use indicatif::{ProgressBar, ProgressStyle};
use s_core_examples::Failure;
use s_core_examples::watch::Interrupt;

/// A line on standard error, if that is a terminal, that says what is being measured.
#[derive(Debug)]
pub(crate) struct Progress {
    line: ProgressBar,
    interrupt: Interrupt,
}

impl Progress {
    pub(crate) fn new(interrupt: Interrupt) -> Self {
        let style = ProgressStyle::with_template("{spinner} {elapsed:>4}  {msg}");
        let style = style.expect("the template is well-formed");
        // Hidden by itself where standard error is no terminal. No thread of its own moves it: the allocator is watched.
        let line = ProgressBar::new_spinner().with_style(style);
        Self { line, interrupt }
    }

    /// The next thing is measured, unless the user has asked for an end.
    pub(crate) fn step(&self, what: &str) -> Result<(), Failure> {
        self.line.set_message(what.to_owned());
        self.line.tick();
        if self.interrupt.is_caught() {
            return Err(Failure::failed("interrupted: no report was written"));
        }
        Ok(())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}
