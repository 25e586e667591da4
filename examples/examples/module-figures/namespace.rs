//! Network namespaces of this process's own.

use std::path::Path;
use std::process::Command;

use s_core_lab::system;
use s_core_lab::{LabError, LabName, Layout, Shape};

/// A network namespace; removed when dropped.
#[derive(Debug)]
pub(crate) struct Namespace(String);

impl Namespace {
    pub(crate) fn new(name: String) -> Result<Self, LabError> {
        system::run(Command::new("ip").args(["netns", "add", &name]))?;
        let this = Self(name);
        system::ip_batch(this.name(), &["link set lo up".into()])?;
        Ok(this)
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nothing better can be done with a failure.
        drop(system::run(
            Command::new("ip").args(["netns", "del", &self.0]),
        ));
    }
}

/// Names and addresses of a host with two VMs that no other process uses.
pub(crate) fn layout() -> Result<Layout, LabError> {
    let shape = Shape {
        hosts: 1,
        vms_per_host: 2,
        fan_out: vec![1],
        ..Shape::default()
    };
    Layout::new(name_of(std::process::id())?, shape)
}

/// Process ids are below 2²², which is six hexadecimal digits.
fn name_of(process: u32) -> Result<LabName, LabError> {
    format!("mf{:06x}", process & 0x00ff_ffff).parse()
}

/// What is needed for namespaces and these programs and not there.
pub(crate) fn missing(programs: &[&str]) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it needs root, for network namespaces".into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = |program: &str| {
        std::env::split_paths(&path)
            .any(|dir: std::path::PathBuf| Path::new(&dir).join(program).is_file())
    };
    let program = programs.iter().find(|program| !installed(program))?;
    Some(format!("{program} is not installed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_has_a_name_of_its_own() {
        let check = |process, wanted: &str| {
            assert_eq!(name_of(process).unwrap().as_str(), wanted);
        };
        check(1, "mf000001");
        check(4_194_304, "mf400000");
    }
}
