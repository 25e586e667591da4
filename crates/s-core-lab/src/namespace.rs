//! Network namespaces.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread::{self, JoinHandle};

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::LabError;
use crate::system;

/// The variable of a process's environment that names the namespace for which it was started.
pub(crate) const MARK: &str = "S_CORE_LAB_NAMESPACE";

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
    command.env(MARK, namespace);
    command
}

/// Makes namespaces, in one process that is known as one of `owner`.
pub(crate) fn make(owner: &str, names: &[String]) -> Result<(), LabError> {
    let lines: Vec<_> = names
        .iter()
        .map(|name| format!("netns add {name}"))
        .collect();
    system::batch(&mut Command::new("ip"), owner, &lines)
}

/// The names of all network namespaces that begin so, sorted.
///
/// # Errors
///
/// [`LabError::File`] if the directory that holds them cannot be read.
pub fn with_prefix(prefix: &str) -> Result<Vec<String>, LabError> {
    let directory = path("");
    let error = |source| LabError::File {
        path: directory.clone(),
        source,
    };
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(error(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(error)?.file_name();
        names.extend(
            name.to_str()
                .filter(|name| name.starts_with(prefix))
                .map(str::to_owned),
        );
    }
    names.sort();
    Ok(names)
}

/// Takes the name from a namespace, which ends it unless processes still use it. Also removes what is left of a namespace
/// whose making was interrupted.
///
/// # Errors
///
/// [`LabError::File`] if the name remains.
pub(crate) fn remove(namespace: &str) -> Result<(), LabError> {
    let path = path(namespace);
    // A name that nothing is mounted on is an ordinary file.
    let unmounted = match unmount(&path, UnmountFlags::DETACH) {
        Err(Errno::INVAL | Errno::NOENT) | Ok(()) => Ok(()),
        Err(errno) => Err(errno.into()),
    };
    let removed = unmounted.and_then(|()| match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    });
    removed.map_err(|source| LabError::File { path, source })
}
