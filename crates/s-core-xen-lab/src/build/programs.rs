//! The programs that run in the hosts, compiled from this source tree without any library of the system.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use s_core_lab::{LabError, system};

use crate::cache::{Cache, file_error};

use super::compiled;

/// What they are compiled for.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Two thirds of the time and nearly all of the speed of the release profile.
const PROFILE: [&str; 3] = [
    "profile.release.lto=\"off\"",
    "profile.release.codegen-units=16",
    "profile.release.strip=\"symbols\"",
];

/// What cargo is to compile.
const AGENT: [&str; 6] = [
    "-p",
    "s-core-examples",
    "--features",
    "netlink",
    "--example",
    "dom0-agent",
];
const GUEST: [&str; 4] = ["-p", "s-core-xen-guest", "--bin", "xen-guest"];
/// What all programs depend on beside their own files.
const OF_ALL: [&str; 2] = ["Cargo.lock", "Cargo.toml"];

/// The programs, as bytes.
#[derive(Debug)]
pub(super) struct Programs {
    /// The agent.
    pub(super) agent: Vec<u8>,
    /// The VMs' init.
    pub(super) guest: Vec<u8>,
    /// The files of the source tree that they were compiled from.
    pub(super) files: BTreeSet<PathBuf>,
}

pub(super) fn make(cache: &Cache) -> Result<Programs, LabError> {
    let manifest = workspace().join("Cargo.toml");
    if !manifest.is_file() {
        return Err(LabError::Missing(format!(
            "the source tree that this program was compiled from is gone ({})",
            manifest.display()
        )));
    }
    let target = cache.path("target");
    let mut files = BTreeSet::from(OF_ALL.map(PathBuf::from));
    let mut made = |profile: &str, what: &[&str], file: &str| {
        system::run(compile(&manifest, &target, profile).args(what))?;
        let path = target.join(TARGET).join(profile).join(file);
        let written = path.with_extension("d");
        let text = fs::read_to_string(&written).map_err(|source| file_error(&written, source))?;
        let of_tree = compiled::files(&text, &workspace()).into_iter();
        files.extend(of_tree.filter(|file| !workspace().join(file).starts_with(&target)));
        fs::read(&path).map_err(|source| file_error(&path, source))
    };
    let agent = made("release", &AGENT, "examples/dom0-agent")?;
    let guest = made("guest", &GUEST, "xen-guest")?;
    Ok(Programs {
        agent,
        guest,
        files,
    })
}

fn compile(manifest: &Path, target: &Path, profile: &str) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--target", TARGET, "--profile", profile]);
    command.arg("--manifest-path").arg(manifest);
    command.args(PROFILE.iter().flat_map(|setting| ["--config", setting]));
    command.env("CARGO_TARGET_DIR", target);
    command.env("RUSTFLAGS", "-C target-feature=+crt-static");
    command.env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// Where this crate was compiled.
pub(super) fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}
