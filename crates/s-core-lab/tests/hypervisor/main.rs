//! Live migration between real switches in network namespaces. All of it needs root and Open vSwitch.
#![expect(clippy::unwrap_used, reason = "test helpers fail the test")]

mod kills;
mod lab;
mod outcomes;
mod running;
#[path = "../support/mod.rs"]
mod support;
