//! The JSON of `xl list -l`.

use std::net::Ipv4Addr;

use s_core_flow::MacAddr;
use serde::Deserialize;

use super::ParseError;
use super::error::{check_length, shortened};
use crate::Uuid;

/// What S-CORE needs of one guest in `xl list -l`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainConfig {
    /// The domain's number on this host.
    pub domid: u32,
    /// Its UUID, which it keeps when it migrates.
    pub uuid: Uuid,
    /// Its name; empty if it has none.
    pub name: String,
    /// The most memory that it may have (`max_memkb`), in MiB, rounded up; `None` where `xl` leaves it out.
    pub memory_mib: Option<u32>,
    /// The MAC address of each interface; `None` where `xl` leaves it out ([`parse_network_list`] has it).
    ///
    /// [`parse_network_list`]: super::parse_network_list
    pub macs: Vec<Option<MacAddr>>,
    /// The first IPv4 address that the configuration gives an interface (`ip`), if it gives any.
    pub address: Option<Ipv4Addr>,
}

/// Reads the output of `xl list -l`.
///
/// An entry without a UUID is left out: the control domain, which `xl` shows as a stub. A domain that `xl`
/// could not read is absent from its output, so it is absent here.
///
/// # Errors
///
/// [`ParseError`] if the text is not a JSON list of domains, or a field that is there is not of its form.
pub fn parse_list_long(text: &str) -> Result<Vec<DomainConfig>, ParseError> {
    check_length(text)?;
    let entries: Vec<Entry> = serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        // The message ends with the position, which stands in front here.
        let what = message.split(" at line ").next().unwrap_or_default();
        ParseError::Json {
            line: error.line(),
            column: error.column(),
            message: shortened(what),
        }
    })?;
    entries.into_iter().filter_map(Entry::read).collect()
}

#[derive(Deserialize)]
struct Entry {
    domid: u32,
    #[serde(default)]
    config: Config,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Config {
    c_info: CreateInfo,
    b_info: BuildInfo,
    nics: Vec<Nic>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CreateInfo {
    name: String,
    uuid: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct BuildInfo {
    max_memkb: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Nic {
    mac: Option<String>,
    /// Free text for xl, which hands it to the vif script: usually addresses with blanks between them.
    ip: Option<String>,
}

impl Entry {
    fn read(self) -> Option<Result<DomainConfig, ParseError>> {
        let domid = self.domid;
        let uuid = self.config.c_info.uuid?;
        let wrong = |field, wanted, found: String| ParseError::DomainField {
            domid,
            field,
            wanted,
            found: shortened(&found),
        };
        let read = || {
            let uuid = uuid
                .parse()
                .map_err(|_| wrong("uuid", "32 hexadecimal digits", uuid))?;
            let memory_mib = match self.config.b_info.max_memkb {
                None => None,
                Some(kib) => Some(u32::try_from(kib.div_ceil(1024)).map_err(|_| {
                    wrong("max_memkb", "a number of KiB below 2^42", kib.to_string())
                })?),
            };
            let addresses = self.config.nics.iter().filter_map(|nic| nic.ip.as_deref());
            let address = addresses
                .flat_map(str::split_whitespace)
                .find_map(|word| word.parse().ok());
            let macs = self.config.nics.into_iter().map(|nic| match nic.mac {
                None => Ok(None),
                Some(mac) => mac
                    .parse()
                    .map(Some)
                    .map_err(|_| wrong("mac", "six pairs of hexadecimal digits", mac)),
            });
            Ok(DomainConfig {
                domid,
                uuid,
                name: self.config.c_info.name,
                memory_mib,
                macs: macs.collect::<Result<_, _>>()?,
                address,
            })
        };
        Some(read())
    }
}
