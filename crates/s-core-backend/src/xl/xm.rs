//! `xm` and `xend`, Xen's tools up to 4.4, which the thesis used: where they differ from `xl`.

use std::net::Ipv4Addr;

use s_core_flow::MacAddr;

use super::error::{field, shortened};
use super::list::{INCOMING, MIGRATED_AWAY};
use super::outcome::{Sighting, reason};
use super::sxp::{self, Piece};
use super::{DomainConfig, DomainState, ListedDomain, ParseError};
use crate::command::Exit;
use crate::{MigrationOutcome, Uuid};

/// What `xend` puts before the name of a domain that it migrates away, until it is gone or has come to nothing.
const MIGRATING: &str = "migrating-";

/// Reads the output of `xm list -l`: each domain that runs, as `xl list -v` and as `xl list -l` would show it.
///
/// Domains that `xend` manages and that do not run have no number, and are left out. One that is being migrated away, which `xend`
/// calls `migrating-NAME`, bears the name that `xl` would give it, `NAME--migratedaway`; and one that is paused `NAME--incoming`, since
/// what `xend` still receives has no other sign.
///
/// # Errors
///
/// [`ParseError`] if the text is not a sequence of lists `(domain …)`, or a field in one is missing or not of its form; it names the line.
pub fn parse_xm_list_long(text: &str) -> Result<Vec<(ListedDomain, DomainConfig)>, ParseError> {
    let mut domains = Vec::new();
    let mut fields = Fields::default();
    sxp::read(text, |path, line, piece| {
        let mut names = [""; DEPTH];
        for (name, part) in names.iter_mut().zip(path) {
            *name = part;
        }
        match (names, piece) {
            ([first, "", ..], Piece::List) if path.len() == 1 && first != "domain" => {
                return Err(ParseError::Sxp {
                    line,
                    message: format!("a list (domain …) is wanted; found {:?}", shortened(first)),
                });
            }
            (["domain", "", ..], Piece::End) if path.len() == 1 => {
                domains.extend(std::mem::take(&mut fields).read(line)?);
            }
            (["domain", "device", "vif", ""], Piece::List) if path.len() == 3 => {
                fields.macs.push(None);
            }
            (names, Piece::Value(value)) if path.len() <= DEPTH => {
                fields.note(names, line, value)?;
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(domains)
}

/// How deep a field may be that is read.
const DEPTH: usize = 4;

/// What a domain's list has said so far.
#[derive(Default)]
struct Fields {
    domid: Option<u32>,
    uuid: Option<Uuid>,
    name: String,
    memory_mib: Option<u32>,
    most_memory_mib: Option<u32>,
    vcpus: Option<u32>,
    state: Option<DomainState>,
    cpu_seconds: f64,
    macs: Vec<Option<MacAddr>>,
    address: Option<Ipv4Addr>,
}

impl Fields {
    fn note(&mut self, path: [&str; DEPTH], line: usize, value: &str) -> Result<(), ParseError> {
        let value_of = Some(value);
        match path {
            ["domain", "domid", "", ""] => {
                self.domid = Some(field(line, "domid", "a number", value_of)?);
            }
            ["domain", "uuid", "", ""] => {
                self.uuid = Some(field(line, "uuid", "32 hexadecimal digits", value_of)?);
            }
            ["domain", "name", "", ""] => self.name = value.to_owned(),
            ["domain", "memory", "", ""] => {
                self.memory_mib = Some(field(line, "memory", "a number of MiB", value_of)?);
            }
            ["domain", "maxmem", "", ""] => {
                self.most_memory_mib = Some(field(line, "maxmem", "a number of MiB", value_of)?);
            }
            ["domain", "online_vcpus", "", ""] => {
                self.vcpus = Some(field(line, "online_vcpus", "a number", value_of)?);
            }
            ["domain", "cpu_time", "", ""] => {
                self.cpu_seconds = field(line, "cpu_time", "a number", value_of)?;
            }
            ["domain", "state", "", ""] => {
                let state = DomainState::from_flags(value).ok_or_else(|| ParseError::Field {
                    line,
                    field: "state",
                    wanted: "six flags",
                    found: shortened(value),
                })?;
                self.state = Some(state);
            }
            ["domain", "device", "vif", "mac"] => {
                let mac = field(line, "mac", "six pairs of hexadecimal digits", value_of)?;
                if let Some(last) = self.macs.last_mut() {
                    *last = Some(mac);
                }
            }
            ["domain", "device", "vif", "ip"] => {
                let known = || value.split_whitespace().find_map(|word| word.parse().ok());
                self.address = self.address.or_else(known);
            }
            _ => {}
        }
        Ok(())
    }

    /// At the end of the list, in `line`.
    fn read(self, line: usize) -> Result<Option<(ListedDomain, DomainConfig)>, ParseError> {
        let Some(domid) = self.domid else {
            return Ok(None);
        };
        let missing = |field, wanted| ParseError::Field {
            line,
            field,
            wanted,
            found: String::new(),
        };
        let state = self.state.ok_or_else(|| missing("state", "six flags"))?;
        let name = match self.name.strip_prefix(MIGRATING) {
            Some(name) => format!("{name}{MIGRATED_AWAY}"),
            None if domid != 0 && state == DomainState::Paused => {
                format!("{}{INCOMING}", self.name)
            }
            None => self.name,
        };
        let uuid = self
            .uuid
            .ok_or_else(|| missing("uuid", "32 hexadecimal digits"))?;
        let memory = self.memory_mib.or(self.most_memory_mib);
        let listed = ListedDomain {
            name: name.clone(),
            domid,
            memory_mib: memory.ok_or_else(|| missing("memory", "a number of MiB"))?,
            vcpus: self.vcpus.unwrap_or(0),
            state,
            cpu_seconds: self.cpu_seconds,
            uuid: Some(uuid),
        };
        let config = DomainConfig {
            domid,
            uuid,
            name,
            memory_mib: self.most_memory_mib.or(self.memory_mib),
            macs: self.macs,
            address: self.address,
        };
        Ok(Some((listed, config)))
    }
}

/// What became of a domain, by how `xm migrate` ended and what is seen here afterwards.
///
/// `xm` only passes on what `xend` says, and ending `xm` does not end the migration. So a domain has stayed only if `xm` has ended by
/// itself and the domain is seen here with its own name. Everything else is unknown, exit code 0 too: `xend` destroys its domain as soon as
/// all is sent, and does not hear from the target whether it runs there.
pub(super) fn outcome(exit: Exit, stderr: &str, seen: &Sighting) -> MigrationOutcome {
    let why = reason(exit, stderr);
    match (seen, exit) {
        (Sighting::Listed(domain), Exit::Code(0)) if domain.is_at_home() => {
            MigrationOutcome::StayedHere(format!(
                "{why}; xm says nothing of a failure, and it is still here"
            ))
        }
        (Sighting::Listed(domain), Exit::Code(_)) if domain.is_at_home() => {
            MigrationOutcome::StayedHere(why)
        }
        _ => MigrationOutcome::Unknown(format!("{why}; {}", seen.told())),
    }
}
