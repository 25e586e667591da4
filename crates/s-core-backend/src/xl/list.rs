//! The table of `xl list` and `xl list -v`.

use super::ParseError;
use super::error::{check_length, field, shortened};
use crate::{LeftoverKind, Uuid};

/// One line of `xl list`.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedDomain {
    /// The domain's name.
    pub name: String,
    /// Its number on this host; 0 is the control domain. A migration changes it.
    pub domid: u32,
    /// The memory that it has now, in MiB.
    pub memory_mib: u32,
    /// How many virtual processors are online.
    pub vcpus: u32,
    /// Whether it can run.
    pub state: DomainState,
    /// Processor time that it has used, in seconds.
    pub cpu_seconds: f64,
    /// Its UUID; only `xl list -v` shows it.
    pub uuid: Option<Uuid>,
}

impl ListedDomain {
    /// Whether this host is the domain's home, where it runs: it has its own name, and neither has been suspended or
    /// shut down nor is being destroyed.
    ///
    /// `xl` renames a domain before it allows the target to start it. So a domain that is at home here
    /// runs nowhere else.
    pub(super) fn is_at_home(&self) -> bool {
        !is_half_migrated(&self.name)
            && self.name != "(null)"
            && matches!(self.state, DomainState::Runnable | DomainState::Paused)
    }

    /// Whether it is what a migration has left here half done; a domain that is being destroyed is not.
    pub(super) fn leftover(&self) -> Option<LeftoverKind> {
        match self.state {
            DomainState::Suspended | DomainState::ShutDown
                if self.name.ends_with(MIGRATED_AWAY) =>
            {
                Some(LeftoverKind::MigratedAway)
            }
            DomainState::Suspended => Some(LeftoverKind::Suspended),
            DomainState::Paused if self.name.ends_with(INCOMING) => Some(LeftoverKind::Incoming),
            _ => None,
        }
    }

    /// Whether it comes by migration and has not been started yet.
    pub(super) fn is_arriving(&self) -> bool {
        self.name.ends_with(INCOMING) && self.state != DomainState::Dying
    }
}

/// Whether the name is one that `xl` gives for the time of a migration.
pub(super) fn is_half_migrated(name: &str) -> bool {
    name.ends_with(INCOMING) || name.ends_with(MIGRATED_AWAY)
}

/// What `xl` adds to the name of a domain that it builds from a migration, until it may start it.
pub(super) const INCOMING: &str = "--incoming";
/// And to that of one that it has suspended and the target may start.
pub(super) const MIGRATED_AWAY: &str = "--migratedaway";

/// What the flags of `xl list` say about a domain, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainState {
    /// `d`: it is being destroyed.
    Dying,
    /// `ss`: it was suspended, to be moved or saved.
    Suspended,
    /// `s` with another letter or none behind it: it has shut down or crashed.
    ShutDown,
    /// `p`: it was paused.
    Paused,
    /// `r`, `b` or no flag: it runs, or waits for an event or for a processor.
    Runnable,
}

impl DomainState {
    /// Reads the six flags of the column `State`, for instance `-b----`; `None` if they are none.
    pub fn from_flags(flags: &str) -> Option<Self> {
        let [running, blocked, paused, shutdown, reason, dying] = flags.as_bytes() else {
            return None;
        };
        let flag = |found: &u8, letter: u8| match *found {
            b'-' => Some(false),
            f if f == letter => Some(true),
            _ => None,
        };
        flag(running, b'r')?;
        flag(blocked, b'b')?;
        let (paused, shutdown) = (flag(paused, b'p')?, flag(shutdown, b's')?);
        Some(match (flag(dying, b'd')?, shutdown, paused) {
            (true, ..) => Self::Dying,
            (_, true, _) if *reason == b's' => Self::Suspended,
            (_, true, _) => Self::ShutDown,
            // `xm` shows this alone of a domain that has crashed.
            _ if *reason == b'c' => Self::ShutDown,
            (.., true) => Self::Paused,
            _ => Self::Runnable,
        })
    }
}

/// Reads the output of `xl list` or `xl list -v`, the control domain included.
///
/// A name may contain spaces: the other columns are found from the right.
///
/// # Errors
///
/// [`ParseError`] if the header is missing or a line lacks a column; it names the line and the column.
pub fn parse_list(text: &str) -> Result<Vec<ListedDomain>, ParseError> {
    const HEADER: &str = "Name";
    check_length(text)?;
    let mut lines = text.lines().enumerate();
    let header = lines.next().map_or("", |(_, line)| line);
    if !header.starts_with(HEADER) {
        return Err(ParseError::NoHeader {
            wanted: HEADER,
            found: shortened(header),
        });
    }
    let verbose = header.contains("UUID");
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| parse_line(index + 1, line, verbose))
        .collect()
}

fn parse_line(line: usize, text: &str, verbose: bool) -> Result<ListedDomain, ParseError> {
    let mut rest = text;
    // Columns are ASCII, and so is what stands between them; a name may hold any other white space, and end with it.
    let mut last = || {
        rest = rest.trim_ascii_end();
        let start = rest.rfind(|c: char| c.is_ascii_whitespace())? + 1;
        let (before, word) = rest.split_at(start);
        rest = before;
        Some(word)
    };
    let uuid = if verbose {
        let (_label, _reason) = (last(), last());
        Some(field(line, "UUID", "32 hexadecimal digits", last())?)
    } else {
        None
    };
    let time = last();
    let state = last();
    let vcpus = last();
    let memory = last();
    let domid = last();
    Ok(ListedDomain {
        cpu_seconds: field(line, "Time(s)", "a number", time)?,
        state: state
            .and_then(DomainState::from_flags)
            .ok_or_else(|| ParseError::Field {
                line,
                field: "State",
                wanted: "six flags",
                found: shortened(state.unwrap_or_default()),
            })?,
        vcpus: field(line, "VCPUs", "a number", vcpus)?,
        memory_mib: field(line, "Mem", "a number of MiB", memory)?,
        domid: field(line, "ID", "a number", domid)?,
        name: rest.trim_ascii().to_owned(),
        uuid,
    })
}
