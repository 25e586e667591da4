//! What can go wrong with traffic.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::error::LabError;

/// Traffic could not be made or measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrafficError {
    /// A mix is none.
    #[error(
        "{0:?} is not a mix: weights such as bulk=8,short=1,udp=1 are wanted, from 0 up, one of them above 0"
    )]
    Mix(String),
    /// A setting does not do.
    #[error("{what}: {problem}")]
    Setting {
        /// Which.
        what: &'static str,
        /// What is wrong, and what would do.
        problem: String,
    },
    /// A socket could not be opened.
    #[error("cannot open {protocol} {at}: {source}")]
    Socket {
        /// TCP or UDP.
        protocol: &'static str,
        /// Its own address.
        at: SocketAddrV4,
        /// What the system said.
        source: io::Error,
    },
    /// A VM's sockets could not be waited for.
    #[error("cannot wait for the sockets of {vm}: {source}")]
    Wait {
        /// The VM.
        vm: Ipv4Addr,
        /// What the system said.
        source: io::Error,
    },
    /// The counters of a VM's kernel could not be read.
    #[error("cannot read the frame counters of {vm}: {problem}")]
    Counters {
        /// The VM.
        vm: Ipv4Addr,
        /// What went wrong.
        problem: String,
    },
    /// A file could not be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A namespace or a program failed.
    #[error(transparent)]
    Lab(#[from] LabError),
}
