//! Being told to end.

use std::io;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Calls `end` each time the process gets SIGTERM or SIGINT, which end it no more by themselves.
///
/// It is called on a thread of its own, so it may do anything; it is told how many such signals there have been.
///
/// # Errors
///
/// What the system says if a signal cannot be caught or the thread not started.
pub fn on_termination(mut end: impl FnMut(u32) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let wait = move || {
        for (count, _) in (1..).zip(signals.forever()) {
            end(count);
        }
    };
    let thread = std::thread::Builder::new().name("s-core-signals".into());
    thread.spawn(wait).map(drop)
}
