//! The control socket of an Open vSwitch daemon.
//!
//! `ovs-vswitchd` listens at `/run/openvswitch/ovs-vswitchd.PID.ctl` for the commands that
//! `ovs-appctl` sends: JSON-RPC objects without framing or line ends. An answer with an error
//! has no result; an unknown method is an error too.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::socket::Connection;
use crate::FlowSourceError;

/// How long an answer may be unless told otherwise, in bytes: 64 MiB, more than the 200,000 flows
/// that the switch keeps unless told otherwise.
pub const REPLY_LIMIT: usize = 64 << 20;

/// The longest file with a process id that is read, in bytes.
const PID_LIMIT: u64 = 32;

/// The control socket of one daemon.
///
/// ```no_run
/// use std::time::Duration;
/// use s_core_backend::ovs::unixctl::Unixctl;
///
/// let vswitchd = Unixctl::new("/run/openvswitch");
/// let text = vswitchd.call("dpctl/dump-flows", &[], Duration::from_secs(5))?;
/// println!("{text}");
/// # Ok::<(), s_core_backend::FlowSourceError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Unixctl {
    path: PathBuf,
    reply_limit: usize,
}

#[derive(Deserialize)]
struct Reply {
    id: u64,
    result: Option<String>,
    error: Option<String>,
}

impl Unixctl {
    /// The daemon that listens at `path`. Nothing is opened yet.
    ///
    /// A directory stands for the `ovs-vswitchd` that runs from it, usually `/run/openvswitch`: each call reads
    /// `ovs-vswitchd.pid` there and connects to `ovs-vswitchd.PID.ctl`, so a restart does no harm.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            reply_limit: REPLY_LIMIT,
        }
    }

    /// Sets how many bytes an answer may have; [`REPLY_LIMIT`] to begin with.
    #[must_use]
    pub fn with_reply_limit(mut self, bytes: usize) -> Self {
        self.reply_limit = bytes;
        self
    }

    /// How many bytes an answer may have.
    #[cfg(feature = "netlink")]
    pub(super) const fn reply_limit(&self) -> usize {
        self.reply_limit
    }

    /// Where the daemon listens, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that the daemon runs from.
    pub(super) fn run_dir(&self) -> PathBuf {
        let is_socket = self.path.extension().is_some_and(|suffix| suffix == "ctl");
        let dir = self.path.parent().filter(|_| is_socket);
        dir.unwrap_or(&self.path).into()
    }

    /// Where the daemon listens now.
    fn socket(&self) -> Result<PathBuf, FlowSourceError> {
        if !self.path.is_dir() {
            return Ok(self.path.clone());
        }
        let file = self.path.join("ovs-vswitchd.pid");
        let mut text = String::new();
        File::open(&file)
            .and_then(|open| open.take(PID_LIMIT).read_to_string(&mut text))
            .map_err(|source| FlowSourceError::Unreachable {
                what: file.display().to_string(),
                source,
            })?;
        let pid: u32 = text
            .trim()
            .parse()
            .map_err(|_| FlowSourceError::Malformed {
                what: file.display().to_string(),
                message: "it holds no process id; is ovs-vswitchd running?".to_owned(),
            })?;
        Ok(self.path.join(format!("ovs-vswitchd.{pid}.ctl")))
    }

    /// Runs a command, over a connection of its own, and returns what it printed.
    ///
    /// # Errors
    ///
    /// [`FlowSourceError`]: the socket cannot be reached, the whole answer is not there within
    /// `deadline`, the daemon refuses, or the answer is not JSON-RPC or too long.
    pub fn call(
        &self,
        method: &str,
        params: &[&str],
        deadline: Duration,
    ) -> Result<String, FlowSourceError> {
        let mut connection = Connection::open(&self.socket()?, deadline, self.reply_limit)?;
        let request = serde_json::json!({ "id": 0, "method": method, "params": params });
        connection.send(request.to_string().as_bytes())?;
        let bytes = connection.receive()?;
        let reply: Reply = serde_json::from_slice(&bytes)
            .map_err(|error| connection.malformed(error.to_string()))?;
        if reply.id != 0 {
            return Err(connection.malformed(format!("it answers call {} and not 0", reply.id)));
        }
        match (reply.result, reply.error) {
            (Some(result), None) => Ok(result),
            (_, Some(error)) => Err(FlowSourceError::Refused {
                what: format!("{} ({method})", connection.what()),
                message: error.trim().to_owned(),
            }),
            (None, None) => Err(connection.malformed("it has no result and no error".into())),
        }
    }
}
