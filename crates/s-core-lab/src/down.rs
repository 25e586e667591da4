//! Removes a laboratory, or what is left of one.

use std::fmt;

use crate::error::LabError;
use crate::layout::LabName;
use crate::prerequisites::privilege;
use crate::process::{self, Members};
use crate::record::Claim;
use crate::{namespace, record};

/// What [`down`] has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Processes that used one of the namespaces, the switches' daemons and all others.
    pub processes: usize,
    /// Network namespaces.
    pub namespaces: usize,
    /// Whether there was a directory with anything in it.
    pub directory: bool,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("nothing, for nothing was there");
        }
        let plural = |number, ending| if number == 1 { "" } else { ending };
        let (processes, namespaces) = (self.processes, self.namespaces);
        let files = if self.directory {
            "its files"
        } else {
            "no files"
        };
        write!(
            f,
            "{processes} process{}, {namespaces} namespace{} and {files}",
            plural(processes, "es"),
            plural(namespaces, "s")
        )
    }
}

/// Removes all that bears the name of a laboratory: processes that use its namespaces, be it with one thread
/// (SIGTERM, then SIGKILL; never this process), the namespaces with all that is in them, the directory with all files. It needs no layout, so it does
/// so also for a laboratory that was never finished. Where nothing is, it does nothing.
///
/// # Errors
///
/// [`LabError::Missing`] without root; [`LabError::Busy`] while another process makes or removes the laboratory; any
/// other if something remains, after all else was removed.
pub fn down(name: &LabName) -> Result<Removed, LabError> {
    privilege()?;
    let _claim = Claim::of(name)?;
    remove(name)
}

pub(crate) fn remove(name: &LabName) -> Result<Removed, LabError> {
    let prefix = name.prefix();
    // Where something fails, what comes after is removed all the same.
    let processes = Members::new(|name: &str| name.starts_with(&prefix))
        .and_then(|members| process::end(|| members.all()));
    let mut removed = Removed::default();
    let mut namespaces = Ok(());
    for name in namespace::with_prefix(&prefix)? {
        match namespace::remove(&name) {
            Ok(()) => removed.namespaces += 1,
            Err(error) => namespaces = Err(error),
        }
    }
    removed.directory = record::remove(name)?;
    removed.processes = processes?;
    namespaces.map(|()| removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_is_said() {
        for (processes, namespaces, directory, says) in [
            (0, 0, false, "nothing, for nothing was there"),
            (8, 21, true, "8 processes, 21 namespaces and its files"),
            (1, 1, false, "1 process, 1 namespace and no files"),
            (0, 0, true, "0 processes, 0 namespaces and its files"),
        ] {
            let removed = Removed {
                processes,
                namespaces,
                directory,
            };
            assert_eq!(removed.to_string(), says);
        }
    }
}
