//! The database of Open vSwitch: which interface is which VM's.
//!
//! `ovsdb-server` listens at `/run/openvswitch/db.sock` and speaks the OVSDB protocol (RFC 7047):
//! JSON-RPC objects without framing. This client asks one question, [`Ovsdb::interfaces`]; the
//! [NetFlow source](super::netflow) also writes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use s_core_flow::MacAddr;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::socket::Connection;
use crate::{FlowSourceError, Uuid};

/// How long one message of the server may be unless told otherwise, in bytes: 16 MiB, some 20,000 interfaces.
pub const REPLY_LIMIT: usize = 16 << 20;

/// The longest name of a bridge, in bytes. A network device's has 15 at most; every interface gets a copy.
const LONGEST_NAME: usize = 255;

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
        let reply = transact(&mut connection, &params.to_string())?;
        let results = results(&reply, &connection)?;
        let [interfaces, ports, bridges] = results.as_slice() else {
            let message = format!("{} results for 3 operations", results.len());
            return Err(connection.malformed(message));
        };
        let interfaces = rows(interfaces).and_then(|interfaces| {
            let bridge_of = bridge_of_interfaces(&rows(ports)?, &rows(bridges)?)?;
            let read = |row| interface(row, &bridge_of);
            interfaces
                .into_iter()
                .map(read)
                .collect::<Result<Vec<_>, _>>()
        });
        let mut interfaces = interfaces.map_err(|missing| unlike(&connection, missing))?;
        interfaces.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(interfaces)
    }

    /// Runs these operations, an array, as one transaction of `Open_vSwitch`, and has `read` look at the result of each.
    pub(super) fn run<T>(
        &self,
        operations: &Value,
        deadline: Duration,
        read: impl FnOnce(&[Json<'_>]) -> Result<T, Missing>,
    ) -> Result<T, FlowSourceError> {
        let mut connection = Connection::open(&self.path, deadline, self.reply_limit)?;
        let operations = operations.as_array().into_iter().flatten().cloned();
        let params: Vec<Value> = std::iter::once("Open_vSwitch".into())
            .chain(operations)
            .collect();
        let reply = transact(&mut connection, &Value::from(params).to_string())?;
        read(&results(&reply, &connection)?).map_err(|missing| unlike(&connection, missing))
    }
}

/// The error for rows that lack something.
fn unlike(connection: &Connection, missing: Missing) -> FlowSourceError {
    connection.malformed(format!("a row lacks {missing} in the form of RFC 7047"))
}

/// A piece of the server's text that is JSON. All is read in place and piece by piece: a tree of values would
/// take a hundred times the memory of the text.
pub(super) type Json<'a> = &'a RawValue;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<Json<'a>>,
    method: Option<Json<'a>>,
    params: Option<Json<'a>>,
    result: Option<Json<'a>>,
    error: Option<Json<'a>>,
}

impl<'a> Message<'a> {
    fn read(bytes: &'a [u8], connection: &Connection) -> Result<Self, FlowSourceError> {
        serde_json::from_slice(bytes).map_err(|error| connection.malformed(error.to_string()))
    }
}

/// Runs a transaction and returns the message that answers it; answers the server's `echo`
/// calls meanwhile, without which it hangs up.
fn transact(connection: &mut Connection, params: &str) -> Result<Vec<u8>, FlowSourceError> {
    let request = format!(r#"{{"id":0,"method":"transact","params":{params}}}"#);
    connection.send(request.as_bytes())?;
    loop {
        let bytes = connection.receive()?;
        let message = Message::read(&bytes, connection)?;
        let id = message.id.map_or("null", RawValue::get);
        if message.method.map(RawValue::get) == Some(r#""echo""#) {
            let params = message.params.map_or("null", RawValue::get);
            let answer = format!(r#"{{"id":{id},"result":{params},"error":null}}"#);
            connection.send(answer.as_bytes())?;
        } else if id == "0" {
            return Ok(bytes);
        }
    }
}

/// The result of each operation of a transaction.
fn results<'a>(reply: &'a [u8], connection: &Connection) -> Result<Vec<Json<'a>>, FlowSourceError> {
    #[derive(Deserialize)]
    struct Failure {
        error: Option<String>,
        details: Option<String>,
    }

    let reply = Message::read(reply, connection)?;
    let refused = |message: String| FlowSourceError::Refused {
        what: format!("{} (transact)", connection.what()),
        message,
    };
    if let Some(error) = reply.error {
        return Err(refused(error.get().to_owned()));
    }
    let results: Option<Vec<Json<'a>>> = reply.result.and_then(read);
    let results =
        results.ok_or_else(|| connection.malformed("it has no result and no error".into()))?;
    // An operation's error stands in its place among the results; those after it are null.
    let failure = results.iter().find_map(|result| match read(result)? {
        Failure {
            error: Some(error),
            details,
        } => Some(format!("{error}: {}", details.unwrap_or_default())),
        Failure { error: None, .. } => None,
    });
    match failure {
        None => Ok(results),
        Some(failure) => Err(refused(failure)),
    }
}

/// Reads a piece of JSON as what it should be.
pub(super) fn read<'a, T: Deserialize<'a>>(json: Json<'a>) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

/// The name of what is missing or of another form.
pub(super) type Missing = &'static str;

/// A row of any of the three tables.
#[derive(Deserialize)]
struct Row<'a> {
    #[serde(rename = "_uuid", borrow)]
    uuid: Option<Json<'a>>,
    name: Option<Json<'a>>,
    ofport: Option<Json<'a>>,
    external_ids: Option<Json<'a>>,
    interfaces: Option<Json<'a>>,
    ports: Option<Json<'a>>,
}

impl<'a> Row<'a> {
    fn id(&self) -> Result<&'a str, Missing> {
        self.uuid.and_then(uuid).ok_or("_uuid")
    }

    fn name(&self) -> Result<String, Missing> {
        self.name.and_then(read).ok_or("name")
    }
}

pub(super) fn rows<'a>(result: Json<'a>) -> Result<Vec<Json<'a>>, Missing> {
    #[derive(Deserialize)]
    struct Table<'a> {
        #[serde(borrow)]
        rows: Vec<Json<'a>>,
    }
    read(result)
        .map(|table: Table<'a>| table.rows)
        .ok_or("rows")
}

fn row(json: Json<'_>) -> Result<Row<'_>, Missing> {
    read(json).ok_or("columns")
}

fn interface(json: Json<'_>, bridge_of: &BridgeOf<'_>) -> Result<Interface, Missing> {
    let row = row(json)?;
    let id = row.id()?;
    let external_ids = row.external_ids.and_then(map).ok_or("external_ids")?;
    let external_id = |wanted: &str| {
        let mut pairs = external_ids.iter();
        pairs.find_map(|(key, value)| (key == wanted).then_some(value))
    };
    Ok(Interface {
        name: row.name()?,
        ofport: row.ofport.and_then(read),
        attached_mac: external_id("attached-mac").and_then(|mac| unquoted(mac).parse().ok()),
        vm_uuid: external_id("xen-vm-uuid").and_then(|uuid| uuid.parse().ok()),
        bridge: bridge_of.get(id).map(|name| name.as_ref().to_owned()),
    })
}

/// A MAC address as it was meant: `ovs-vsctl` needs the colons escaped or the whole quoted, and
/// some who write through it leave the escapes in the value.
fn unquoted(mac: &str) -> String {
    mac.trim_matches('"').replace('\\', "")
}

/// The name of the bridge, by the id of an interface or a port.
type BridgeOf<'a> = BTreeMap<&'a str, Rc<str>>;

fn bridge_of_interfaces<'a>(
    ports: &[Json<'a>],
    bridges: &[Json<'a>],
) -> Result<BridgeOf<'a>, Missing> {
    let mut bridge_of_port = BridgeOf::new();
    for bridge in bridges {
        let bridge = row(bridge)?;
        let name: Rc<str> = bridge.name()?.into();
        if name.len() > LONGEST_NAME {
            return Err("a name of at most 255 bytes");
        }
        for port in set(bridge.ports.ok_or("ports")?) {
            bridge_of_port.insert(uuid(port).ok_or("ports")?, name.clone());
        }
    }
    let mut bridge_of = BridgeOf::new();
    for port in ports {
        let port = row(port)?;
        let id = port.id()?;
        for interface in set(port.interfaces.ok_or("interfaces")?) {
            let interface = uuid(interface).ok_or("interfaces")?;
            if let Some(bridge) = bridge_of_port.get(id) {
                bridge_of.insert(interface, bridge.clone());
            }
        }
    }
    Ok(bridge_of)
}

/// `["uuid", "…"]`.
pub(super) fn uuid(json: Json<'_>) -> Option<&str> {
    let (tag, id): (&str, &str) = read(json)?;
    (tag == "uuid").then_some(id)
}

/// `["set", […]]`, or the only element as it is.
fn set(json: Json<'_>) -> Vec<Json<'_>> {
    match read(json) {
        Some(("set", elements)) => elements,
        Some(_) | None => vec![json],
    }
}

/// `["map", [[key, value], …]]` of strings.
pub(super) fn map(json: Json<'_>) -> Option<Vec<(String, String)>> {
    let (tag, pairs): (&str, Vec<(String, String)>) = read(json)?;
    (tag == "map").then_some(pairs)
}
