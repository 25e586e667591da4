//! How much the agents say to each other, counted where it enters the network between the hosts.

use std::process::Command;

use crate::error::LabError;
use crate::layout::Layout;
use crate::{namespace, system};

/// The name of the table in the fabric's network.
const TABLE: &str = "score_control";

/// Counts the IP packets that agents send to each other, by an nft table at the switches' ports to hosts; migrations are not
/// in it. The table goes with it; what a process that was killed has left is replaced at the next opening.
#[derive(Debug)]
pub struct ControlTraffic {
    fabric: String,
}

impl ControlTraffic {
    /// Begins to count what goes to and comes from the agents' port, from zero.
    ///
    /// # Errors
    ///
    /// [`LabError`] if there is no such laboratory, or nft is missing or refuses.
    pub fn open(layout: &Layout, port: u16) -> Result<Self, LabError> {
        let ports: Vec<_> = (layout.hosts())
            .flat_map(|host| [layout.host_port(host), layout.management_switch_port(host)])
            .map(|port| format!("\"{port}\""))
            .collect();
        let ports = ports.join(", ");
        let script = format!(
            "add table bridge {TABLE}\n\
             delete table bridge {TABLE}\n\
             add table bridge {TABLE}\n\
             add counter bridge {TABLE} sent\n\
             add chain bridge {TABLE} entering {{ type filter hook prerouting priority 0; policy accept; }}\n\
             add rule bridge {TABLE} entering iifname {{ {ports} }} meta protocol ip meta l4proto {{ tcp, udp }} th dport {port} counter name sent\n\
             add rule bridge {TABLE} entering iifname {{ {ports} }} meta protocol ip tcp sport {port} counter name sent\n"
        );
        // From here on whatever has been made is removed.
        let this = Self {
            fabric: layout.fabric_namespace(),
        };
        system::run_with_input(this.nft().args(["-f", "-"]), &script)?;
        Ok(this)
    }

    /// Bytes of IP packets that agents have sent so far.
    ///
    /// # Errors
    ///
    /// [`LabError`] if the table has gone.
    pub fn bytes(&self) -> Result<u64, LabError> {
        let said = system::run(
            self.nft()
                .args(["list", "counter", "bridge", TABLE, "sent"]),
        )?;
        counted(&said).ok_or_else(|| LabError::Failed {
            command: "nft list counter".into(),
            message: format!("no count in {said:?}"),
        })
    }

    fn nft(&self) -> Command {
        namespace::command(&self.fabric, "nft")
    }
}

impl Drop for ControlTraffic {
    fn drop(&mut self) {
        // The laboratory may have gone.
        let _ = system::run(self.nft().args(["delete", "table", "bridge", TABLE]));
    }
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
        let said =
            "table bridge score_control {\n\tcounter sent {\n\t\tpackets 3 bytes 180\n\t}\n}\n";
        assert_eq!(counted(said), Some(180));
        assert_eq!(counted("table bridge score_control {\n}\n"), None);
    }
}
