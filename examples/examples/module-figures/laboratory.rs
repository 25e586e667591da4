//! A laboratory of this process's own: a host and two VMs, removed when dropped.

use s_core_lab::{LabError, LabName, Layout, Shape, down, prerequisites, up};

/// What is up.
#[derive(Debug)]
pub(crate) struct Laboratory {
    layout: Layout,
}

impl Laboratory {
    /// Why there can be none here.
    pub(crate) fn missing() -> Option<String> {
        prerequisites().err().map(|missing| missing.to_string())
    }

    /// Makes it.
    pub(crate) fn up() -> Result<Self, LabError> {
        let shape = Shape {
            hosts: 1,
            vms_per_host: 2,
            fan_out: vec![1],
            ..Shape::default()
        };
        let layout = Layout::new(name_of(std::process::id())?, shape)?;
        up(&layout)?;
        Ok(Self { layout })
    }

    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }
}

impl Drop for Laboratory {
    fn drop(&mut self) {
        if let Err(error) = down(self.layout.name()) {
            let name = self.layout.name();
            eprintln!("laboratory {name} remains ({error}); to remove it: lab down --name {name}");
        }
    }
}

/// Process ids are below 2²², which is six hexadecimal digits.
fn name_of(process: u32) -> Result<LabName, LabError> {
    format!("mf{:06x}", process & 0x00ff_ffff).parse()
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
