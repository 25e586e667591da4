//! Agents at work in laboratories of real switches: each policy to its end, and faults.
//!
//! These take minutes, so that they run only when asked for: `cargo test -p s-core-examples --test lab_run -- --ignored`,
//! as root, with Open vSwitch.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agents;
mod endings;
mod faults;
mod policies;
#[path = "../program/mod.rs"]
mod program;
#[path = "../../../crates/s-core-lab/tests/support/mod.rs"]
mod support;
mod tokens;
