//! How migrations go, and where they are made to fail.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

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
///
/// ```
/// use s_core_lab::hypervisor::Faults;
///
/// let faults: Faults = "refuse,bytes-per-second=100000".parse()?;
/// assert!(faults.refuse && faults.bytes_per_second == Some(100_000));
/// # Ok::<(), s_core_lab::LabError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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

impl FromStr for Faults {
    type Err = LabError;

    /// One or more of `refuse`, `full`, `cut-after=OCTETS` and `bytes-per-second=OCTETS`, with commas between.
    fn from_str(text: &str) -> Result<Self, LabError> {
        let mut faults = Self::default();
        for word in text.split(',') {
            let octets = |number: &str| {
                // TOML, in which an agent is told, has no larger numbers.
                let number: Option<i64> = number.parse().ok().filter(|octets| *octets > 0);
                let number = number.and_then(|octets| u64::try_from(octets).ok());
                number.ok_or_else(|| wrong(word, "wants a number of octets, from 1"))
            };
            match word.split_once('=').unwrap_or((word, "")) {
                ("refuse", "") => faults.refuse = true,
                ("full", "") => faults.full = true,
                ("cut-after", number) => faults.cut_after = Some(octets(number)?),
                ("bytes-per-second", number) => faults.bytes_per_second = Some(octets(number)?),
                _ => {
                    let known = "is none of refuse, full, cut-after=N and bytes-per-second=N";
                    return Err(wrong(word, known));
                }
            }
        }
        Ok(faults)
    }
}

fn wrong(word: &str, problem: &str) -> LabError {
    LabError::Layout {
        what: "fault",
        problem: format!("{word:?} {problem}"),
    }
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

    #[test]
    fn faults_are_read() {
        let check = |text: &str, wanted: Result<Faults, &str>| {
            let read = text.parse::<Faults>().map_err(|error| error.to_string());
            assert_eq!(read, wanted.map_err(str::to_owned), "{text:?}");
        };
        let refuse = Faults {
            refuse: true,
            ..Faults::default()
        };
        check("refuse", Ok(refuse));
        let slow = Faults {
            full: true,
            cut_after: Some(4096),
            bytes_per_second: Some(1),
            ..Faults::default()
        };
        check("full,cut-after=4096,bytes-per-second=1", Ok(slow));
        let wanted = "wants a number of octets, from 1";
        for number in ["", "0", "-1", "1e9", "9223372036854775808"] {
            let text = format!("cut-after={number}");
            check(&text, Err(&format!("fault: {text:?} {wanted}")));
        }
        let known = "is none of refuse, full, cut-after=N and bytes-per-second=N";
        for word in ["", "late", "refuse=1", "Full"] {
            check(word, Err(&format!("fault: {word:?} {known}")));
        }
    }
}
