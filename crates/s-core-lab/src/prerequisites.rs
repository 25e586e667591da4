//! What a machine needs for a laboratory.

use std::env;
use std::path::Path;

use crate::error::LabError;

/// The scheme of the switches' databases, as Debian packages it.
pub(crate) const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// Programs, each with its package of Debian.
const PROGRAMS: [(&str, &str); 9] = [
    ("ovs-vswitchd", "openvswitch-switch"),
    ("ovsdb-server", "openvswitch-switch"),
    ("ovsdb-tool", "openvswitch-switch"),
    ("ovs-vsctl", "openvswitch-switch"),
    ("ovs-ofctl", "openvswitch-switch"),
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("nft", "nftables"),
    ("ethtool", "ethtool"),
];

/// Whether this process can make and remove laboratories here.
///
/// # Errors
///
/// [`LabError::Missing`] names in one line all that is missing, with the packages that bring it.
pub fn prerequisites() -> Result<(), LabError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_there = |file: &str| {
        let mut directories = env::split_paths(&path);
        Path::new(file).is_file() || directories.any(|directory| directory.join(file).is_file())
    };
    match missing(is_root(), is_there) {
        Some(missing) => Err(LabError::Missing(missing)),
        None => Ok(()),
    }
}

/// Whether this process may ask about and remove laboratories.
///
/// # Errors
///
/// [`LabError::Missing`] without root.
pub fn privilege() -> Result<(), LabError> {
    match missing(is_root(), |_| true) {
        Some(missing) => Err(LabError::Missing(missing)),
        None => Ok(()),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn missing(is_root: bool, is_there: impl Fn(&str) -> bool) -> Option<String> {
    let schema = (SCHEMA, "openvswitch-switch");
    let needed = PROGRAMS.into_iter().chain([schema]);
    let absent: Vec<_> = needed.filter(|(file, _)| !is_there(file)).collect();
    let files: Vec<_> = absent.iter().map(|(file, _)| *file).collect();
    let mut packages: Vec<_> = absent.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    let privilege =
        (!is_root).then(|| "a laboratory needs root, for network namespaces".to_owned());
    let installation = (!files.is_empty()).then(|| {
        let [files, packages] = [files.join(", "), packages.join(" ")];
        format!("not found in PATH: {files} (Debian: apt-get install {packages})")
    });
    let parts: Vec<_> = privilege.into_iter().chain(installation).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_in_one_line() {
        let check = |is_root, absent: &[&str], says: Option<&str>| {
            let said = missing(is_root, |file| !absent.contains(&file));
            assert_eq!(said.as_deref(), says);
        };
        check(true, &[], None);
        let root = "a laboratory needs root, for network namespaces";
        check(false, &[], Some(root));
        let tc = "not found in PATH: tc (Debian: apt-get install iproute2)";
        check(true, &["tc"], Some(tc));
        check(
            true,
            &["ovsdb-tool", "ovs-vsctl", "ip", "ethtool"],
            Some(
                "not found in PATH: ovsdb-tool, ovs-vsctl, ip, ethtool \
                 (Debian: apt-get install openvswitch-switch iproute2 ethtool)",
            ),
        );
        check(false, &["tc"], Some(&format!("{root}; {tc}")));
    }
}
