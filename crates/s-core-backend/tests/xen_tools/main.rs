//! What Xen's tools tell beside domains and capacity: the processor, what migrations leave behind; and the thesis's `xm`.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail like the test"
)]

mod cpu;
mod leftovers;
mod receive;
#[path = "../xl_support/mod.rs"]
mod xl_support;
mod xm;

use std::time::Duration;

const AMPLE: Duration = Duration::from_secs(60);
