//! How migrations go, and where they are made to fail.

use std::time::Duration;

use super::image::PAGES_PER_MIB;
use crate::error::LabError;

/// The most rounds of pre-copy: with the size of the memory it bounds what a target takes in.
pub(super) const MOST_ROUNDS: u8 = 30;

/// How the memory of a VM is copied.
///
/// The rounds are those of pre-copy migration (Clark et al., "Live migration of virtual machines", NSDI 2005): all
/// pages, then those that were written meanwhile, again and again; and a last time while the VM stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationSettings {
    /// The TCP port at which hosts take VMs in.
    pub port: u16,
    /// How many pages of 4 KiB a running VM writes in a second.
    pub dirty_pages_per_second: u32,
    /// After how many rounds the VM is paused though many pages are left, 1 to 30. Xen's tools do 5.
    pub most_rounds: u8,
    /// With how many pages left, or fewer, the VM is paused. Xen's tools take 50.
    pub few_pages: u32,
    /// How long one step may take, 100 ms to 60 s: to connect, to be admitted, to get some pages through, to hand the VM over,
    /// to hear that it runs.
    pub step: Duration,
}

impl Default for MigrationSettings {
    /// Port 8002, 500 pages (2 MiB) a second, 5 rounds, 50 pages, 5 s.
    fn default() -> Self {
        Self {
            port: 8002,
            dirty_pages_per_second: 500,
            most_rounds: 5,
            few_pages: 50,
            step: Duration::from_secs(5),
        }
    }
}

impl MigrationSettings {
    pub(super) fn check(&self) -> Result<(), LabError> {
        let wrong = |what, problem: String| Err(LabError::Layout { what, problem });
        if self.port == 0 {
            return wrong("port", "0 is not a port".into());
        }
        if !(1..=MOST_ROUNDS).contains(&self.most_rounds) {
            let problem = format!("{} is not 1 to {MOST_ROUNDS}", self.most_rounds);
            return wrong("most_rounds", problem);
        }
        let steps = Duration::from_millis(100)..=Duration::from_secs(60);
        if !steps.contains(&self.step) {
            let problem = format!("{:?} is not 100ms to 60s", self.step);
            return wrong("step", problem);
        }
        Ok(())
    }

    /// How many pages a target takes of a memory, before it takes the source for broken.
    pub(super) fn most_pages(memory_mib: u32) -> u64 {
        u64::from(memory_mib) * u64::from(PAGES_PER_MIB) * (u64::from(MOST_ROUNDS) + 1)
    }
}

/// Where migrations fail on request. All of it is off by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// As a target: refuses every VM.
    pub refuse: bool,
    /// As a target: says that there is no room.
    pub full: bool,
    /// As a target: cuts the connection once this many octets of a memory have come.
    pub cut_after: Option<u64>,
    /// As a source: sends this many octets of memory in a second at most, so that it gets late.
    pub bytes_per_second: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_do_is_named() {
        let check = |change: fn(&mut MigrationSettings), says: Option<&str>| {
            let mut settings = MigrationSettings::default();
            change(&mut settings);
            let said = settings.check().err().map(|error| error.to_string());
            assert_eq!(said.as_deref(), says);
        };
        check(|_| {}, None);
        check(|of| of.port = 0, Some("port: 0 is not a port"));
        check(
            |of| of.most_rounds = 31,
            Some("most_rounds: 31 is not 1 to 30"),
        );
        check(
            |of| of.step = Duration::ZERO,
            Some("step: 0ns is not 100ms to 60s"),
        );
    }
}
