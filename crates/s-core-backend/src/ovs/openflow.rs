//! OpenFlow rules of a bridge, through the program `ovs-ofctl`.
//!
//! It is run without a shell, with the bridge's own socket, so that no other switch can be meant.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::FlowSourceError;
use crate::command::{Exit, RunError, run};

/// The longest name of a network device, in bytes.
const LONGEST_NAME: usize = 15;

/// The name of a bridge: one to 15 letters, digits and `._-`, the first a letter or digit.
///
/// ```
/// use s_core_backend::ovs::BridgeName;
///
/// assert_eq!("xenbr0".parse::<BridgeName>()?.as_str(), "xenbr0");
/// assert!("../br0".parse::<BridgeName>().is_err());
/// # Ok::<(), s_core_backend::ovs::InvalidBridgeName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeName(String);

impl BridgeName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BridgeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BridgeName {
    type Err = InvalidBridgeName;

    fn from_str(name: &str) -> Result<Self, InvalidBridgeName> {
        let good = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
        let first = name.bytes().next();
        let valid = first.is_some_and(|c| c.is_ascii_alphanumeric())
            && name.len() <= LONGEST_NAME
            && name.bytes().all(good);
        valid
            .then(|| Self(name.to_owned()))
            .ok_or(InvalidBridgeName)
    }
}

/// The text is no name of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is no name of a bridge: write 1 to 15 letters, digits, '.', '_' or '-', the first a letter or digit"
)]
pub struct InvalidBridgeName;

/// The rules of one bridge.
#[derive(Clone, Debug)]
pub(crate) struct OpenFlow {
    /// The bridge's socket for OpenFlow, `unix:DIR/BRIDGE.mgmt`.
    target: OsString,
}

impl OpenFlow {
    /// The bridge of the `ovs-vswitchd` that runs from this directory. Nothing is opened yet.
    pub(crate) fn new(run_dir: &Path, bridge: &BridgeName) -> Self {
        let mut target = OsString::from("unix:");
        target.push(run_dir.join(format!("{bridge}.mgmt")));
        Self { target }
    }

    /// Adds a rule, or replaces the one of the same table, priority and match.
    pub(crate) fn add(&self, rule: &str, deadline: Duration) -> Result<(), FlowSourceError> {
        self.ofctl("add-flow", rule, deadline).map(drop)
    }

    /// Deletes all rules that match `filter`.
    pub(crate) fn delete(&self, filter: &str, deadline: Duration) -> Result<(), FlowSourceError> {
        self.ofctl("del-flows", filter, deadline).map(drop)
    }

    /// The rules that match `filter`, one a line, without their counters.
    pub(crate) fn rules(
        &self,
        filter: &str,
        deadline: Duration,
    ) -> Result<Vec<String>, FlowSourceError> {
        let text = self.ofctl("dump-flows", filter, deadline)?;
        let lines = text.lines().map(|line| line.trim().to_owned());
        Ok(lines.filter(|line| !line.is_empty()).collect())
    }

    fn ofctl(
        &self,
        command: &str,
        argument: &str,
        deadline: Duration,
    ) -> Result<String, FlowSourceError> {
        let what = || format!("ovs-ofctl {command} {}", self.target.to_string_lossy());
        let args = [
            "--no-stats".into(),
            command.into(),
            self.target.clone(),
            argument.into(),
        ];
        let finished = run(&PathBuf::from("ovs-ofctl"), &args, deadline).map_err(|error| {
            let (RunError::NotStarted(source) | RunError::Lost(source)) = error;
            FlowSourceError::Unreachable {
                what: what(),
                source,
            }
        })?;
        match finished.exit {
            Exit::Code(0) if finished.stdout_dropped == 0 => Ok(finished.stdout),
            Exit::Code(0) => Err(FlowSourceError::Malformed {
                what: what(),
                message: "it is too long".to_owned(),
            }),
            Exit::DeadlineExceeded => Err(FlowSourceError::DeadlineExceeded {
                what: what(),
                after: deadline,
            }),
            exit => {
                let said: Vec<_> = finished.stderr.lines().map(str::trim).collect();
                Err(FlowSourceError::Refused {
                    what: what(),
                    message: format!("{exit}: {}", said.join("; ")),
                })
            }
        }
    }
}
