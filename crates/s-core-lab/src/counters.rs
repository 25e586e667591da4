//! What links have carried, by their own counters.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::error::LabError;
use crate::layout::{HostNumber, Layout, Link};
use crate::namespace;

/// The counters of the calling thread's namespace.
const FILE: &str = "/proc/thread-self/net/dev";

/// Bytes that a link has carried since the laboratory was made, in whole frames: with the Ethernet header, without the
/// checksum. What a full link dropped is not in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Towards the core.
    pub up: u64,
    /// Towards the racks.
    pub down: u64,
}

/// The counters of all links between switches, read at one moment.
///
/// # Errors
///
/// [`LabError::File`] if the laboratory is not there, [`LabError::Content`] if a link is missing.
pub fn link_counters(layout: &Layout) -> Result<BTreeMap<Link, LinkCounters>, LabError> {
    let links = layout.links().into_iter().map(|link| {
        let [lower, _] = layout.interfaces(link);
        (link, lower)
    });
    // What the lower end receives comes down.
    read(layout, links, |[received, sent]| LinkCounters {
        up: sent,
        down: received,
    })
}

/// The counters of the hosts' links to their racks' switches, read at one moment.
///
/// # Errors
///
/// As [`link_counters`].
pub fn host_link_counters(layout: &Layout) -> Result<BTreeMap<HostNumber, LinkCounters>, LabError> {
    let hosts = layout.hosts().map(|host| (host, layout.host_port(host)));
    // What the switch's end receives goes up.
    read(layout, hosts, |[received, sent]| LinkCounters {
        up: received,
        down: sent,
    })
}

/// The counters of the hosts' links to the management network's switch, read at one moment; `up` is what a host has sent.
///
/// # Errors
///
/// As [`link_counters`]; there is none without a management network.
pub fn management_link_counters(
    layout: &Layout,
) -> Result<BTreeMap<HostNumber, LinkCounters>, LabError> {
    let ports = layout
        .hosts()
        .map(|host| (host, layout.management_switch_port(host)));
    read(layout, ports, |[received, sent]| LinkCounters {
        up: received,
        down: sent,
    })
}

/// The counters of these interfaces of the fabric.
fn read<K: Ord>(
    layout: &Layout,
    interfaces: impl Iterator<Item = (K, String)>,
    counters: impl Fn([u64; 2]) -> LinkCounters,
) -> Result<BTreeMap<K, LinkCounters>, LabError> {
    let error = |source| LabError::File {
        path: FILE.into(),
        source,
    };
    let read = namespace::spawn_in(&layout.fabric_namespace(), || fs::read_to_string(FILE))?;
    let text = read
        .join()
        .expect("reading a file does not panic")?
        .map_err(error)?;
    let devices = devices(&text);
    let found = interfaces.map(|(of, interface)| {
        let found = devices.get(interface.as_str()).copied();
        let found = found.ok_or_else(|| LabError::Content {
            path: PathBuf::from(FILE),
            problem: format!("{} has no {interface}", layout.fabric_namespace()),
        });
        Ok((of, counters(found?)))
    });
    found.collect()
}

/// Bytes received and sent by each interface, from the text of `/proc/net/dev`.
fn devices(text: &str) -> BTreeMap<&str, [u64; 2]> {
    let device = |line: &'_ str| -> Option<[u64; 2]> {
        let mut fields = line.split_ascii_whitespace();
        let received = fields.next()?.parse().ok()?;
        let sent = fields.nth(7)?.parse().ok()?;
        Some([received, sent])
    };
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter_map(|(name, counters)| Some((name.trim(), device(counters)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_interfaces() {
        let text = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
 l1.1u: 1234567    1000    0    0    0     0          0         0   765432     500    0    3    0     0       0          0
 l1.2u:18446744073709551615 1 0 0 0 0 0 0 1
 l1.3u: 1 2 3
";
        let devices = devices(text);
        for (name, wanted) in [
            ("lo", Some([0, 0])),
            ("l1.1u", Some([1_234_567, 765_432])),
            ("l1.2u", Some([u64::MAX, 1])),
            ("l1.3u", None),
            ("face", None),
        ] {
            assert_eq!(devices.get(name).copied(), wanted, "{name}");
        }
    }
}
