//! The database of Open vSwitch: which interface is which VM's.
//!
//! `ovsdb-server` listens at `/run/openvswitch/db.sock` and speaks the OVSDB protocol (RFC 7047):
//! JSON-RPC objects without framing. This client asks one question, [`Ovsdb::interfaces`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use s_core_flow::MacAddr;
use serde_json::{Value, json};

use super::socket::Connection;
use crate::{FlowSourceError, Uuid};

/// How long one message of the server may be unless told otherwise, in bytes: 16 MiB, some 20,000 interfaces.
pub const REPLY_LIMIT: usize = 16 << 20;

/// The database server of one host.
///
/// ```no_run
/// use std::time::Duration;
/// use s_core_backend::ovs::ovsdb::Ovsdb;
///
/// for interface in Ovsdb::new("/run/openvswitch/db.sock").interfaces(Duration::from_secs(5))? {
///     println!("{} {:?}", interface.name, interface.attached_mac);
/// }
/// # Ok::<(), s_core_backend::FlowSourceError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ovsdb {
    path: PathBuf,
    reply_limit: usize,
}

/// An interface of the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, such as `vif4.0`; on Xen it changes when the VM moves.
    pub name: String,
    /// Its OpenFlow port number; `None` if the switch could not attach it.
    pub ofport: Option<u32>,
    /// The VM's own MAC address (`external_ids:attached-mac`); it survives a migration. `None`
    /// also if what stands there is no MAC address.
    pub attached_mac: Option<MacAddr>,
    /// The VM (`external_ids:xen-vm-uuid`); it survives a migration, unlike `xen-vm-name`. `None`
    /// also if what stands there is no UUID.
    pub vm_uuid: Option<Uuid>,
    /// The bridge that it is a port of.
    pub bridge: Option<String>,
}

impl Ovsdb {
    /// The server that listens at `path`. Nothing is opened yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            reply_limit: REPLY_LIMIT,
        }
    }

    /// Sets how many bytes a message may have; [`REPLY_LIMIT`] to begin with.
    #[must_use]
    pub fn with_reply_limit(mut self, bytes: usize) -> Self {
        self.reply_limit = bytes;
        self
    }

    /// All interfaces of all bridges, by name.
    ///
    /// # Errors
    ///
    /// [`FlowSourceError`]: the socket cannot be reached, the whole answer is not there within
    /// `deadline`, the server refuses, or the answer is not of the form of RFC 7047.
    pub fn interfaces(&self, deadline: Duration) -> Result<Vec<Interface>, FlowSourceError> {
        let mut connection = Connection::open(&self.path, deadline, self.reply_limit)?;
        let select = |table, columns: &[&str]| json!({ "op": "select", "table": table, "where": [], "columns": columns });
        let params = json!([
            "Open_vSwitch",
            select("Interface", &["_uuid", "name", "ofport", "external_ids"]),
            select("Port", &["_uuid", "interfaces"]),
            select("Bridge", &["name", "ports"]),
        ]);
        let results = transact(&mut connection, &params)?;
        let [interfaces, ports, bridges] = results.as_slice() else {
            let message = format!("{} results for 3 operations", results.len());
            return Err(connection.malformed(message));
        };
        let interfaces = rows(interfaces).and_then(|interfaces| {
            let bridge_of = bridge_of_interfaces(rows(ports)?, rows(bridges)?)?;
            let read = |row| interface(row, &bridge_of);
            interfaces.iter().map(read).collect::<Result<Vec<_>, _>>()
        });
        let mut interfaces = interfaces.map_err(|missing| {
            connection.malformed(format!("a row lacks {missing} in the form of RFC 7047"))
        })?;
        interfaces.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(interfaces)
    }
}

/// Runs a transaction and returns the result of each operation; answers the server's `echo`
/// calls meanwhile, without which it hangs up.
fn transact(connection: &mut Connection, params: &Value) -> Result<Vec<Value>, FlowSourceError> {
    let request = json!({ "id": 0, "method": "transact", "params": params });
    connection.send(request.to_string().as_bytes())?;
    let mut reply = loop {
        let bytes = connection.receive()?;
        let mut message: Value = serde_json::from_slice(&bytes)
            .map_err(|error| connection.malformed(error.to_string()))?;
        if message["method"] == "echo" {
            let answer =
                json!({ "id": message["id"], "result": message["params"].take(), "error": null });
            connection.send(answer.to_string().as_bytes())?;
        } else if message["id"] == 0 {
            break message;
        }
    };
    let refused = |message: String| FlowSourceError::Refused {
        what: format!("{} (transact)", connection.what()),
        message,
    };
    if !reply["error"].is_null() {
        return Err(refused(reply["error"].to_string()));
    }
    let Value::Array(results) = reply["result"].take() else {
        return Err(connection.malformed("it has no result and no error".into()));
    };
    // An operation's error stands in its place among the results; those after it are null.
    match results.iter().find(|result| !result["error"].is_null()) {
        None => Ok(results),
        Some(result) => {
            let text = |key: &str| result[key].as_str().unwrap_or_default();
            Err(refused(format!("{}: {}", text("error"), text("details"))))
        }
    }
}

/// The name of what is missing or of another form.
type Missing = &'static str;

fn rows(result: &Value) -> Result<&[Value], Missing> {
    result["rows"].as_array().map(Vec::as_slice).ok_or("rows")
}

fn interface(row: &Value, bridge_of: &BTreeMap<&str, &str>) -> Result<Interface, Missing> {
    let id = uuid(&row["_uuid"]).ok_or("_uuid")?;
    let external_ids = map(&row["external_ids"]).ok_or("external_ids")?;
    Ok(Interface {
        name: row["name"].as_str().ok_or("name")?.to_owned(),
        ofport: row["ofport"].as_u64().and_then(|port| port.try_into().ok()),
        attached_mac: external_ids
            .get("attached-mac")
            .and_then(|mac| unquoted(mac).parse().ok()),
        vm_uuid: external_ids
            .get("xen-vm-uuid")
            .and_then(|uuid| uuid.parse().ok()),
        bridge: bridge_of.get(id).map(|name| (*name).to_owned()),
    })
}

/// A MAC address as it was meant: `ovs-vsctl` needs the colons escaped or the whole quoted, and
/// some who write through it leave the escapes in the value.
fn unquoted(mac: &str) -> String {
    mac.trim_matches('"').replace('\\', "")
}

fn bridge_of_interfaces<'a>(
    ports: &'a [Value],
    bridges: &'a [Value],
) -> Result<BTreeMap<&'a str, &'a str>, Missing> {
    let mut bridge_of_port = BTreeMap::new();
    for bridge in bridges {
        let name = bridge["name"].as_str().ok_or("name")?;
        for port in set(&bridge["ports"]) {
            bridge_of_port.insert(uuid(port).ok_or("ports")?, name);
        }
    }
    let mut bridge_of = BTreeMap::new();
    for port in ports {
        let id = uuid(&port["_uuid"]).ok_or("_uuid")?;
        for interface in set(&port["interfaces"]) {
            let interface = uuid(interface).ok_or("interfaces")?;
            if let Some(bridge) = bridge_of_port.get(id) {
                bridge_of.insert(interface, *bridge);
            }
        }
    }
    Ok(bridge_of)
}

/// `["uuid", "…"]`.
fn uuid(value: &Value) -> Option<&str> {
    (value[0] == "uuid").then_some(())?;
    value[1].as_str()
}

/// `["set", […]]`, or the only element as it is.
fn set(value: &Value) -> &[Value] {
    match value[1].as_array() {
        Some(elements) if value[0] == "set" => elements,
        _ => std::slice::from_ref(value),
    }
}

/// `["map", [[key, value], …]]` of strings.
fn map(value: &Value) -> Option<BTreeMap<&str, &str>> {
    (value[0] == "map").then_some(())?;
    value[1]
        .as_array()?
        .iter()
        .map(|pair| Some((pair[0].as_str()?, pair[1].as_str()?)))
        .collect()
}
