//! The file system of the control domains, and the packages of which only parts are used.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use s_core_lab::{LabError, system};

use crate::cache::{Cache, Key, file_error, remove};
use crate::progress::BuildStep;

use super::sources::{SUITE, sources};
use super::{find, recipe, write};

/// The hypervisor. It must be one with shadow paging: without it, as in later updates, no PV domain is migrated live.
const HYPERVISOR: [&str; 2] = ["xen-hypervisor-4.17-amd64", "4.17.5+72-g01140da4e8-1"];
/// What a control domain has.
const PACKAGES: [&str; 17] = [
    "busybox-static",
    "ethtool",
    "iperf3",
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "nftables",
    "openssh-client",
    "openssh-server",
    "openvswitch-switch",
    "procps",
    "socat",
    "tcpdump",
    "xen-utils-4.17",
    "xen-utils-common",
    "xenstore-utils",
];
/// Packages of which only parts are used: the one that names the kernel's, and the VMs' kernel's source.
const KERNEL: &str = "linux-image-amd64";
const SOURCE: &str = "linux-source-6.1";
/// What of packages is left out.
const EXCLUDED: [&str; 4] = ["man", "doc", "locale", "info"];
/// What a control domain never needs of what came with its packages.
const LEFT_OVER: [&str; 3] = [
    "var/cache/apt",
    "var/lib/apt/lists",
    "etc/ssh/ssh_host_rsa_key",
];
/// Brings packages without installing them, with the image's own apt: the directory is the first argument.
const HOOK: &str = r#"#!/bin/sh
set -e
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
mkdir "$1/packages"
cd "$1/packages"
kernel=$(apt-cache depends META | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p')
apt-get download -o APT::Sandbox::User=root HYPERVISOR SOURCE "$kernel"
"#;

/// The parts of the made directory.
#[derive(Debug)]
pub(super) struct System {
    /// Of all the following.
    pub(super) directory: PathBuf,
    /// The file system's root.
    pub(super) root: PathBuf,
    /// The hypervisor's package, unpacked.
    pub(super) hypervisor: PathBuf,
    /// The kernel's package, unpacked.
    pub(super) kernel: PathBuf,
    /// The package of the kernel's source.
    pub(super) source: PathBuf,
}

pub(super) fn key() -> Key {
    let words = PACKAGES.into_iter().chain(EXCLUDED).chain(HYPERVISOR);
    let words = words.chain([KERNEL, SOURCE, SUITE, HOOK]);
    words.fold(recipe("system", 1), Key::with)
}

/// Takes minutes, most of them for the mirror and the disk.
pub(super) fn make(cache: &Cache, tell: &dyn Fn(BuildStep)) -> Result<System, LabError> {
    let directory = cache.stage("system", &key(), |at| {
        tell(BuildStep::System);
        bring(at)?;
        tell(BuildStep::Kernel);
        unpack(at)
    })?;
    let packages = directory.join("packages");
    Ok(System {
        root: directory.join("root"),
        hypervisor: directory.join("hypervisor"),
        kernel: directory.join("kernel"),
        source: find(&packages, SOURCE, ".deb")?,
        directory,
    })
}

fn bring(at: &Path) -> Result<(), LabError> {
    let (root, hook, list) = (at.join("root"), at.join("hook"), at.join("sources.list"));
    write(&list, sources())?;
    let [name, version] = HYPERVISOR;
    let script = HOOK.replace("META", KERNEL).replace("SOURCE", SOURCE);
    write(
        &hook,
        script.replace("HYPERVISOR", &format!("{name}={version}")),
    )?;
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755))
        .map_err(|source| file_error(&hook, source))?;
    let mut command = Command::new("mmdebstrap");
    command.args(["--mode=root", "--variant=minbase", "--quiet"]);
    command.arg("--aptopt=APT::Install-Recommends \"false\"");
    command.args(EXCLUDED.map(|of| format!("--dpkgopt=path-exclude=/usr/share/{of}/*")));
    command.arg(format!("--include={}", PACKAGES.join(",")));
    command.arg(format!("--customize-hook={}", hook.display()));
    command.args([Path::new(SUITE), &root, &list]);
    system::run(&mut command)?;
    let (inside, packages) = (root.join("packages"), at.join("packages"));
    fs::rename(&inside, &packages).map_err(|source| file_error(&inside, source))?;
    LEFT_OVER
        .iter()
        .try_for_each(|path| remove(&root.join(path)))
}

fn unpack(at: &Path) -> Result<(), LabError> {
    let packages = at.join("packages");
    for (begins, to) in [(HYPERVISOR[0], "hypervisor"), ("linux-image-", "kernel")] {
        let package = find(&packages, begins, ".deb")?;
        system::run(
            Command::new("dpkg-deb")
                .arg("-x")
                .args([package, at.join(to)]),
        )?;
    }
    let configuration = find(&at.join("hypervisor/boot"), "xen-", ".config")?;
    let text =
        fs::read_to_string(&configuration).map_err(|source| file_error(&configuration, source))?;
    if text.lines().any(|line| line == "CONFIG_SHADOW_PAGING=y") {
        return Ok(());
    }
    Err(LabError::Content {
        path: configuration,
        problem: "has no CONFIG_SHADOW_PAGING=y, so that PV domains cannot be migrated live".into(),
    })
}
