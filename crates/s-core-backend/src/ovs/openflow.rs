//! OpenFlow rules of a bridge, through the program `ovs-ofctl`.
//!
//! It is run without a shell, with the bridge's own socket, so that no other switch can be meant.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::command::{Budget, Said};
use crate::{InterfaceName, ProgramError};

/// A bridge, as `ovs-ofctl` knows it.
#[derive(Clone, Debug)]
pub(crate) struct OpenFlow {
    /// The bridge's socket for OpenFlow, `unix:DIR/BRIDGE.mgmt`.
    target: OsString,
}

impl OpenFlow {
    /// The bridge of the `ovs-vswitchd` that runs from this directory. Nothing is opened yet.
    pub(crate) fn new(run_dir: &Path, bridge: &InterfaceName) -> Self {
        let mut target = OsString::from("unix:");
        target.push(run_dir.join(format!("{bridge}.mgmt")));
        Self { target }
    }

    /// Runs `ovs-ofctl` with these options and command, the bridge, and the command's arguments.
    pub(crate) fn run(
        &self,
        command: &[&str],
        arguments: &[&str],
        input: String,
        budget: &Budget,
    ) -> Result<Said, ProgramError> {
        let words = command.iter().map(OsStr::new);
        let words = words.chain([self.target.as_os_str()]);
        let words: Vec<_> = words.chain(arguments.iter().map(OsStr::new)).collect();
        budget.run("ovs-ofctl", &words, input)
    }
}
