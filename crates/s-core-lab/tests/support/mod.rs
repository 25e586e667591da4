//! A laboratory for a test, removed when dropped, also by a panic.

#![allow(dead_code, reason = "each test uses its part")]

use std::io::{self, Write as _};

use s_core_lab::{LabName, Layout, Shape, down, prerequisites, up};

/// Whether the tests with real Open vSwitch can run; says on standard error why not.
///
/// # Panics
///
/// If they cannot run although `S_CORE_REQUIRE_OVS=1` says that they must.
pub(crate) fn is_possible(test: &str) -> bool {
    let Err(missing) = prerequisites() else {
        return true;
    };
    if std::env::var_os("S_CORE_REQUIRE_OVS").is_some_and(|value| value == "1") {
        panic!("{test} must run (S_CORE_REQUIRE_OVS=1), but {missing}");
    }
    // Past the test harness, which shows nothing of tests that pass.
    let _ = writeln!(io::stderr(), "SKIPPED: {test}: {missing}");
    false
}

/// The layout of a laboratory of this process.
pub(crate) fn layout(suffix: char, shape: Shape) -> Layout {
    // Process ids have up to seven digits.
    let name = format!("{}{suffix}", std::process::id());
    Layout::new(name.parse().unwrap(), shape).unwrap()
}

/// Takes a laboratory down at the end of a test.
pub(crate) struct TakenDown(pub(crate) LabName);

impl TakenDown {
    /// Makes a laboratory.
    pub(crate) fn up(layout: &Layout) -> Self {
        let this = Self(layout.name().clone());
        up(layout).unwrap();
        this
    }
}

impl Drop for TakenDown {
    fn drop(&mut self) {
        // Nothing better can be done with a failure while a panic is on its way.
        let _ = down(&self.0);
    }
}
