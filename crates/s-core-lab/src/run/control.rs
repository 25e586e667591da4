//! How much the agents say to each other, counted where it leaves their hosts.

use std::process::Command;

use crate::error::LabError;
use crate::layout::Layout;
use crate::{namespace, system};

/// The name of the table in each host's network.
const TABLE: &str = "score_control";

/// Counts the frames that agents send, by an nft table in each control domain; migrations are not in it. The tables go
/// with it; what a process that was killed has left is replaced at the next opening.
#[derive(Debug)]
pub(super) struct ControlTraffic {
    hosts: Vec<String>,
}

impl ControlTraffic {
    /// Begins to count what goes to and comes from the agents' port, from zero.
    pub(super) fn open(layout: &Layout, port: u16) -> Result<Self, LabError> {
        let hosts: Vec<_> = (layout.hosts())
            .map(|host| layout.host_namespace(host))
            .collect();
        let script = format!(
            "add table ip {TABLE}\n\
             delete table ip {TABLE}\n\
             add table ip {TABLE}\n\
             add counter ip {TABLE} sent\n\
             add chain ip {TABLE} output {{ type filter hook output priority filter; policy accept; }}\n\
             add rule ip {TABLE} output meta l4proto {{ tcp, udp }} th dport {port} counter name sent\n\
             add rule ip {TABLE} output tcp sport {port} counter name sent\n"
        );
        // From here on whatever has been made is removed.
        let this = Self { hosts };
        for host in &this.hosts {
            system::run_with_input(namespace::command(host, "nft").args(["-f", "-"]), &script)?;
        }
        Ok(this)
    }

    /// Bytes of IP packets that agents have sent so far.
    pub(super) fn bytes(&self) -> Result<u64, LabError> {
        let mut sum = 0;
        for host in &self.hosts {
            let mut command = namespace::command(host, "nft");
            command.args(["list", "counter", "ip", TABLE, "sent"]);
            sum += bytes_of(&mut command)?;
        }
        Ok(sum)
    }
}

impl Drop for ControlTraffic {
    fn drop(&mut self) {
        for host in &self.hosts {
            // The laboratory may have gone.
            let mut command = namespace::command(host, "nft");
            let _ = system::run(command.args(["delete", "table", "ip", TABLE]));
        }
    }
}

fn bytes_of(command: &mut Command) -> Result<u64, LabError> {
    let said = system::run(command)?;
    counted(&said).ok_or_else(|| LabError::Failed {
        command: "nft list counter".into(),
        message: format!("no count in {said:?}"),
    })
}

/// The bytes in what `nft list counter` says: `… packets 3 bytes 180 …`.
fn counted(said: &str) -> Option<u64> {
    let mut words = said.split_ascii_whitespace();
    words.find(|word| *word == "bytes")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read() {
        let said = "table ip score_control {\n\tcounter sent {\n\t\tpackets 3 bytes 180\n\t}\n}\n";
        assert_eq!(counted(said), Some(180));
        assert_eq!(counted("table ip score_control {\n}\n"), None);
    }
}
