//! The examples' programs, called as their users call them.
#![allow(dead_code, reason = "each test file calls programs in its way")]

use std::process::{Command, Output};

/// An example's program, which cargo has built beside this test.
pub(crate) fn program(name: &str) -> Command {
    let test = std::env::current_exe().expect("a running test has a path");
    let profile = test.ancestors().nth(2).expect("tests are in PROFILE/deps");
    Command::new(profile.join("examples").join(name))
}

/// What a successful call prints.
pub(crate) fn succeed(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.as_ref()), (Some(0), ""));
    String::from_utf8(output.stdout).expect("programs print UTF-8")
}
