//! A laboratory for a test, removed when dropped, also by a panic.

#![allow(dead_code, reason = "each test uses its part")]

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::thread;

use s_core_lab::{LabName, Layout, Shape, down, namespace, prerequisites, up};

/// Whether the tests with real Open vSwitch can run; says on standard error why not.
///
/// # Panics
///
/// If they cannot run although `S_CORE_REQUIRE_OVS=1` says that they must.
pub(crate) fn is_possible(test: &str) -> bool {
    let missing = prerequisites().err().map(|missing| missing.to_string());
    let Some(missing) = missing.or_else(no_ping) else {
        return true;
    };
    if std::env::var_os("S_CORE_REQUIRE_OVS").is_some_and(|value| value == "1") {
        panic!("{test} must run (S_CORE_REQUIRE_OVS=1), but {missing}");
    }
    // Past the test harness, which shows nothing of tests that pass.
    let _ = writeln!(io::stderr(), "SKIPPED: {test}: {missing}");
    false
}

/// What VMs of tests try their network with.
fn no_ping() -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|dir| dir.join("ping").is_file());
    (!is_there).then(|| "ping is not there (Debian: apt-get install iputils-ping)".into())
}

/// The layout of a laboratory of this process.
pub(crate) fn layout(suffix: char, shape: Shape) -> Layout {
    // Process ids have up to seven digits.
    let name = format!("{}{suffix}", std::process::id());
    Layout::new(name.parse().unwrap(), shape).unwrap()
}

/// What a machine has of a laboratory: namespaces, files, and processes that were started for it or name it.
pub(crate) fn traces(name: &LabName) -> Vec<String> {
    let mut traces = namespace::with_prefix(&name.prefix()).unwrap();
    let directory = name.directory();
    traces.extend(directory.exists().then(|| directory.display().to_string()));
    let processes = fs::read_dir("/proc").unwrap().flatten();
    traces.extend(processes.filter_map(|entry| process_of(name, &entry.path())));
    traces
}

/// The command line of a process of a laboratory.
fn process_of(name: &LabName, process: &Path) -> Option<String> {
    let read = |file: &str| {
        let bytes = fs::read(process.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    };
    let (prefix, directory) = (name.prefix(), name.directory());
    let command_line = read("cmdline");
    let named = [directory.to_str().unwrap(), &prefix];
    let is_of_it = named.iter().any(|name| command_line.contains(name))
        || read("mountinfo").contains(&format!("sysfs {prefix}"))
        || read("environ").contains(&format!("S_CORE_LAB_NAMESPACE={prefix}"));
    let is_zombie = read("stat").contains(") Z ");
    (is_of_it && !is_zombie).then_some(command_line)
}

/// Takes a laboratory down at the end of a test, and sees to it that nothing is left of it.
#[derive(Debug)]
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
        let removed = down(&self.0);
        // Nothing better can be done with a failure while a panic is on its way.
        if !thread::panicking() {
            removed.unwrap();
            assert_eq!(traces(&self.0), [""; 0]);
        }
    }
}

/// Keeps the interfaces of a namespace from sending by themselves.
pub(crate) fn no_ipv6(namespace: &str) {
    let write = || {
        for whose in ["all", "default"] {
            let file = format!("/proc/sys/net/ipv6/conf/{whose}/disable_ipv6");
            if Path::new(&file).exists() {
                fs::write(file, "1").unwrap();
            }
        }
    };
    let thread = namespace::spawn_in(namespace, write).unwrap();
    thread.join().unwrap().unwrap();
}
