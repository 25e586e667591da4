//! The NetFlow record of a bridge in the database.

use std::net::SocketAddrV4;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::FlowSourceError;
use crate::InterfaceName;
use crate::ovs::ovsdb::{Json, Missing, Ovsdb, map, read, rows, uuid};

/// The key in `external_ids` that marks a record as this source's.
const OWNER: &str = "s-core";

/// How often the switch exports what a flow has counted, in seconds: the least that it allows.
const ACTIVE_TIMEOUT: u64 = 1;

/// Sees to it that a bridge exports to one address.
#[derive(Clone, Debug)]
pub(super) struct Export {
    ovsdb: Ovsdb,
    bridge: InterfaceName,
    target: String,
}

/// What stands in the database.
enum Found {
    NoBridge,
    NoRecord,
    Foreign,
    /// A record of this source, perhaps of another process; whether it says what it should.
    Own {
        id: String,
        complete: bool,
    },
}

/// A row of the table `Bridge`.
#[derive(Deserialize)]
struct BridgeRow<'a> {
    #[serde(borrow)]
    netflow: Json<'a>,
}

/// A row of the table `NetFlow`.
#[derive(Deserialize)]
struct RecordRow<'a> {
    #[serde(rename = "_uuid", borrow)]
    id: Json<'a>,
    targets: Json<'a>,
    active_timeout: Json<'a>,
    external_ids: Json<'a>,
}

impl Export {
    pub(super) fn new(ovsdb: Ovsdb, bridge: InterfaceName, target: SocketAddrV4) -> Self {
        Self {
            ovsdb,
            bridge,
            target: target.to_string(),
        }
    }

    /// Makes the bridge export here; tells whether it did not before.
    pub(super) fn ensure(&self, deadline: Duration) -> Result<bool, FlowSourceError> {
        let operations = match self.find(deadline)? {
            Found::NoBridge => return Err(self.refused("there is no such bridge".to_owned())),
            Found::Foreign => {
                return Err(self.refused(format!(
                    "it has a NetFlow record that is somebody else's; take it away with ovs-vsctl clear bridge {} netflow, \
                     or read the datapath's flows instead",
                    self.bridge
                )));
            }
            Found::Own { complete: true, .. } => return Ok(false),
            Found::Own { id, .. } => json!([{
                "op": "update", "table": "NetFlow", "where": [["_uuid", "==", ["uuid", id]]], "row": self.row(),
            }]),
            Found::NoRecord => json!([
                // Somebody may have set one meanwhile.
                { "op": "wait", "timeout": 0, "table": "Bridge", "where": self.this_bridge(),
                  "columns": ["netflow"], "until": "==", "rows": [{ "netflow": ["set", []] }] },
                { "op": "insert", "table": "NetFlow", "row": self.row(), "uuid-name": "record" },
                { "op": "update", "table": "Bridge", "where": self.this_bridge(),
                  "row": { "netflow": ["named-uuid", "record"] } },
            ]),
        };
        self.ovsdb.run(&operations, deadline, |_| Ok(true))
    }

    /// Takes this source's record from the bridge. The database forgets a record that no bridge has.
    pub(super) fn remove(&self, deadline: Duration) -> Result<(), FlowSourceError> {
        let Found::Own { id, complete: true } = self.find(deadline)? else {
            return Ok(());
        };
        let operations = json!([{
            "op": "update", "table": "Bridge",
            "where": [["name", "==", self.bridge.as_str()], ["netflow", "==", ["uuid", id]]],
            "row": { "netflow": ["set", []] },
        }]);
        self.ovsdb.run(&operations, deadline, |_| Ok(()))
    }

    fn find(&self, deadline: Duration) -> Result<Found, FlowSourceError> {
        let columns = ["_uuid", "targets", "active_timeout", "external_ids"];
        let select = json!([
            { "op": "select", "table": "Bridge", "where": self.this_bridge(), "columns": ["netflow"] },
            { "op": "select", "table": "NetFlow", "where": [], "columns": columns },
        ]);
        self.ovsdb.run(&select, deadline, |results| {
            let [bridges, records] = results else {
                return Err("the results of two operations");
            };
            self.look(&rows(bridges)?, &rows(records)?)
        })
    }

    fn look(&self, bridges: &[Json<'_>], records: &[Json<'_>]) -> Result<Found, Missing> {
        let Some(bridge) = bridges.first() else {
            return Ok(Found::NoBridge);
        };
        let bridge: BridgeRow<'_> = read(bridge).ok_or("netflow")?;
        let Some(wanted) = uuid(bridge.netflow) else {
            return Ok(Found::NoRecord);
        };
        for record in records {
            let record: RecordRow<'_> = read(record).ok_or("columns")?;
            if uuid(record.id).ok_or("_uuid")? != wanted {
                continue;
            }
            let ids = map(record.external_ids).ok_or("external_ids")?;
            if !ids.iter().any(|(key, _)| key == OWNER) {
                break;
            }
            let target: Option<String> = read(record.targets);
            let timeout: Option<u64> = read(record.active_timeout);
            return Ok(Found::Own {
                id: wanted.to_owned(),
                complete: target.as_ref() == Some(&self.target) && timeout == Some(ACTIVE_TIMEOUT),
            });
        }
        Ok(Found::Foreign)
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
