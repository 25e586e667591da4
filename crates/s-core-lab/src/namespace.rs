//! Network namespaces.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread::{self, JoinHandle};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::LabError;

/// Where `ip netns` keeps a namespace.
pub fn path(namespace: &str) -> PathBuf {
    PathBuf::from("/run/netns").join(namespace)
}

/// Moves the calling thread, and those that it starts from now on, into a network namespace. Sockets that exist
/// stay where they are.
///
/// # Errors
///
/// [`LabError::File`] if there is no such namespace or this process may not enter it.
pub fn enter(namespace: &str) -> Result<(), LabError> {
    let path = path(namespace);
    let error = |source| LabError::File {
        path: path.clone(),
        source,
    };
    let file = File::open(&path).map_err(error)?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| error(errno.into()))
}

/// Does `work` in a thread that sees this namespace's network.
///
/// # Errors
///
/// As [`enter`], or if no thread can be started.
pub fn spawn_in<T: Send + 'static>(
    namespace: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<Result<T, LabError>>, LabError> {
    let name = namespace.to_owned();
    thread::Builder::new()
        .name(name.clone())
        .spawn(move || enter(&name).map(|()| work()))
        .map_err(|source| LabError::Program {
            program: "a thread".into(),
            source,
        })
}

/// A command that runs a program in a namespace; what it mounts, only it sees.
pub fn command(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}
