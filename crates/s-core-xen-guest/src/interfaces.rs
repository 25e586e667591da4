//! What the interfaces have carried.

use std::fs;

use serde::{Deserialize, Serialize};

/// The counters of this process's network.
const FILE: &str = "/proc/net/dev";
/// The most interfaces that are told of.
const MOST_INTERFACES: usize = 64;

/// What an interface has carried, as its own driver counts: frames with the Ethernet header, without the check sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceCounters {
    /// Its name.
    pub name: String,
    /// Bytes received.
    pub received_bytes: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Packets received and dropped.
    pub received_dropped: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets sent: with segmentation offload, one may be several frames.
    pub sent_packets: u64,
    /// Packets that were to be sent and were dropped.
    pub sent_dropped: u64,
}

/// All interfaces; none where the system does not tell.
pub(crate) fn read() -> Vec<InterfaceCounters> {
    fs::read_to_string(FILE).map_or_else(|_| Vec::new(), |text| parse(&text))
}

/// The interfaces in the text of `/proc/net/dev`: eight columns received, eight sent.
fn parse(text: &str) -> Vec<InterfaceCounters> {
    let rows = text.lines().filter_map(|line| {
        let (name, columns) = line.split_once(':')?;
        let columns: Result<Vec<u64>, _> =
            columns.split_ascii_whitespace().map(str::parse).collect();
        let columns = columns.ok()?;
        let column = |at: usize| columns.get(at).copied();
        Some(InterfaceCounters {
            name: name.trim().to_owned(),
            received_bytes: column(0)?,
            received_packets: column(1)?,
            received_dropped: column(3)?,
            sent_bytes: column(8)?,
            sent_packets: column(9)?,
            sent_dropped: column(11)?,
        })
    });
    rows.take(MOST_INTERFACES).collect()
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
  eth0: 1234567    1000    1    2    0     0          0         0   765432     500    0    3    0     0       0          0
  bad0: 1 2 3
  bad1: 1 2 3 4 5 6 7 8 9 10 11 x
";
        let found = parse(text);
        let names: Vec<_> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["lo", "eth0"]);
        let wanted = InterfaceCounters {
            name: "eth0".into(),
            received_bytes: 1_234_567,
            received_packets: 1000,
            received_dropped: 2,
            sent_bytes: 765_432,
            sent_packets: 500,
            sent_dropped: 3,
        };
        assert_eq!(found[1], wanted);
        assert_eq!(parse(""), []);
        assert_eq!(
            parse(&format!("{}\n", "e: 0 0 0 0 0 0 0 0 0 0 0 0\n".repeat(100))).len(),
            64
        );
    }
}
