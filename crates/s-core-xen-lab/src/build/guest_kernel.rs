//! The VMs' kernel: small enough that a VM of 40 MiB starts, in a third of the time that a packaged one takes.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use s_core_lab::{LabError, system};

use crate::cache::{Cache, file_error, remove};
use crate::files::GUEST_KERNEL;
use crate::progress::BuildStep;

use super::system::System;
use super::{find, recipe, write};

/// The kernel in the directory that is made.
const KERNEL: &str = "vmlinux";

/// The kernel, an ELF file without symbols: Xen's tools take it as it is, and nothing has to be unpacked.
pub(super) fn make(
    cache: &Cache,
    from: &System,
    tell: &dyn Fn(BuildStep),
) -> Result<PathBuf, LabError> {
    let source = from.source.file_name().unwrap_or_default();
    let key = recipe("guest-kernel", 1)
        .with(GUEST_KERNEL)
        .with(source.as_encoded_bytes());
    let directory = cache.stage("guest-kernel", &key, |at| {
        tell(BuildStep::GuestKernel);
        compile(&from.source, at)
    })?;
    Ok(directory.join(KERNEL))
}

fn compile(package: &Path, at: &Path) -> Result<(), LabError> {
    let [unpacked, source, objects] = ["package", "source", "objects"].map(|name| at.join(name));
    system::run(
        Command::new("dpkg-deb")
            .arg("-x")
            .args([package, &unpacked]),
    )?;
    let archive = find(&unpacked.join("usr/src"), "linux-source-", ".tar.xz")?;
    for directory in [&source, &objects] {
        fs::create_dir(directory).map_err(|error| file_error(directory, error))?;
    }
    let mut tar = Command::new("tar");
    tar.arg("-C")
        .arg(&source)
        .args(["--strip-components=1", "-xf"])
        .arg(archive);
    system::run(&mut tar)?;
    let jobs = thread::available_parallelism().map_or(1, NonZero::get);
    let make = |target: &str| {
        let mut make = Command::new("make");
        make.arg("-s")
            .arg(format!("-j{jobs}"))
            .arg("-C")
            .arg(&source);
        make.arg(format!("O={}", objects.display()))
            .args(["ARCH=x86_64", target]);
        system::run(&mut make)
    };
    make("tinyconfig")?;
    let configuration = objects.join(".config");
    let read =
        || fs::read_to_string(&configuration).map_err(|error| file_error(&configuration, error));
    write(&configuration, read()? + GUEST_KERNEL)?;
    make("olddefconfig")?;
    let lost = lost(&read()?);
    if !lost.is_empty() {
        return Err(LabError::Content {
            path: configuration,
            problem: format!("this kernel does not take {}", lost.join(", ")),
        });
    }
    make(KERNEL)?;
    let mut strip = Command::new("objcopy");
    strip
        .arg("-S")
        .args([objects.join(KERNEL), at.join(KERNEL)]);
    system::run(&mut strip)?;
    [unpacked, source, objects]
        .iter()
        .try_for_each(|directory| remove(directory))
}

/// What the finished configuration does not have although it was asked for.
fn lost(configuration: &str) -> Vec<&'static str> {
    let wanted = GUEST_KERNEL
        .lines()
        .filter(|line| line.starts_with("CONFIG_"));
    let is_lost = |line: &&str| match line.strip_suffix("=n") {
        Some(name) => configuration
            .lines()
            .any(|line| line == format!("{name}=y")),
        None => configuration.lines().all(|of| of != *line),
    };
    wanted.filter(is_lost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_compared_with_what_was_asked_for() {
        let whole = GUEST_KERNEL.replace("=n", " is not set");
        assert_eq!(lost(&whole), [""; 0]);
        let pv = whole.replace("CONFIG_XEN_PV=y\n", "");
        assert_eq!(lost(&pv), ["CONFIG_XEN_PV=y"]);
        assert_eq!(lost(&(whole + "CONFIG_IPV6=y\n")), ["CONFIG_IPV6=n"]);
    }
}
