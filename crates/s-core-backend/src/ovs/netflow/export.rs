//! The NetFlow record of a bridge in the database.

use std::net::SocketAddrV4;
use std::time::Duration;

use serde_json::{Value, json};

use crate::FlowSourceError;
use crate::ovs::openflow::BridgeName;
use crate::ovs::ovsdb::Ovsdb;

/// The key in `external_ids` that marks a record as this source's.
const OWNER: &str = "s-core";

/// How often the switch exports what a flow has counted, in seconds: the least that it allows.
const ACTIVE_TIMEOUT: u64 = 1;

/// Sees to it that a bridge exports to one address.
#[derive(Clone, Debug)]
pub(super) struct Export {
    ovsdb: Ovsdb,
    bridge: BridgeName,
    target: String,
}

/// What stands in the database.
enum Found {
    Nothing,
    /// A record of this source, perhaps of another process; `true` if it says what it should.
    Own(Value, bool),
}

impl Export {
    pub(super) fn new(ovsdb: Ovsdb, bridge: BridgeName, target: SocketAddrV4) -> Self {
        Self {
            ovsdb,
            bridge,
            target: target.to_string(),
        }
    }

    /// Makes the bridge export here; tells whether it did not before.
    pub(super) fn ensure(&self, deadline: Duration) -> Result<bool, FlowSourceError> {
        let operation = match self.find(deadline)? {
            Found::Own(_, true) => return Ok(false),
            Found::Own(id, false) => json!([{
                "op": "update", "table": "NetFlow", "where": [["_uuid", "==", id]], "row": self.row(),
            }]),
            Found::Nothing => json!([
                // Somebody may have set one meanwhile.
                { "op": "wait", "timeout": 0, "table": "Bridge", "where": self.this_bridge(),
                  "columns": ["netflow"], "until": "==", "rows": [{ "netflow": ["set", []] }] },
                { "op": "insert", "table": "NetFlow", "row": self.row(), "uuid-name": "record" },
                { "op": "update", "table": "Bridge", "where": self.this_bridge(),
                  "row": { "netflow": ["named-uuid", "record"] } },
            ]),
        };
        self.ovsdb.run(&operation, deadline)?;
        Ok(true)
    }

    /// Takes this source's record from the bridge. The database forgets a record that no bridge has.
    pub(super) fn remove(&self, deadline: Duration) -> Result<(), FlowSourceError> {
        let Found::Own(id, true) = self.find(deadline)? else {
            return Ok(());
        };
        let operation = json!([{
            "op": "update", "table": "Bridge",
            "where": [["name", "==", self.bridge.as_str()], ["netflow", "==", id]],
            "row": { "netflow": ["set", []] },
        }]);
        self.ovsdb.run(&operation, deadline).map(drop)
    }

    fn find(&self, deadline: Duration) -> Result<Found, FlowSourceError> {
        let columns = ["_uuid", "targets", "active_timeout", "external_ids"];
        let select = json!([
            { "op": "select", "table": "Bridge", "where": self.this_bridge(), "columns": ["netflow"] },
            { "op": "select", "table": "NetFlow", "where": [], "columns": columns },
        ]);
        let results = self.ovsdb.run(&select, deadline)?;
        let rows = |n: usize| results.get(n).and_then(|result| result["rows"].as_array());
        let Some(bridge) = rows(0).and_then(|rows| rows.first()) else {
            return Err(self.refused("there is no such bridge".to_owned()));
        };
        let id = &bridge["netflow"];
        if id[0] != "uuid" {
            return Ok(Found::Nothing);
        }
        let record = rows(1).and_then(|rows| rows.iter().find(|row| row["_uuid"] == *id));
        let owner = record.and_then(|record| record["external_ids"][1].as_array());
        let own = owner.is_some_and(|ids| ids.iter().any(|pair| pair[0] == OWNER));
        match record {
            Some(record) if own => {
                let wanted = self.row();
                let same = |column: &str| record[column] == wanted[column];
                let complete = same("targets") && same("active_timeout");
                Ok(Found::Own(id.clone(), complete))
            }
            _ => Err(self.refused(format!(
                "it has a NetFlow record that is somebody else's; take it away with ovs-vsctl clear bridge {} netflow, or \
                 read the datapath's flows instead",
                self.bridge
            ))),
        }
    }

    fn row(&self) -> Value {
        json!({
            "targets": self.target,
            "active_timeout": ACTIVE_TIMEOUT,
            "external_ids": ["map", [[OWNER, "flows"]]],
        })
    }

    fn this_bridge(&self) -> Value {
        json!([["name", "==", self.bridge.as_str()]])
    }

    fn refused(&self, message: String) -> FlowSourceError {
        FlowSourceError::Refused {
            what: format!("bridge {}", self.bridge),
            message,
        }
    }
}
