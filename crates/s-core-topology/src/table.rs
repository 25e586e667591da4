//! The pre-computed location mapping of thesis 4.2.5.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use s_core_model::{Level, Levels, ServerId, ServerIndex};

use crate::MAX_LEVELS;

/// The location cost mapping of thesis 4.2.5: a table of servers and where they stand.
///
/// A location is the path from the core down to the rack, with `/` between its components, e.g.
/// `a1/g2/s1/r17`. The level of two servers is the number of components less the length of
/// the paths' common prefix: 0 in one rack, and one more for each component that they do not share.
///
/// Takes 8 bytes per server, and per rack 4 bytes per level besides its text. Two tables with
/// the same servers at the same locations are equal, in whatever order they were given.
///
/// ```
/// use s_core_model::{Level, Levels, ServerId};
/// use s_core_topology::LocationTable;
///
/// let [x, y, z] = [1, 2, 3].map(ServerId::new);
/// let table = LocationTable::new([(x, "a1/g1/r1"), (y, "a1/g2/r1"), (z, "a1/g2/r1")])?;
/// let [x, y, z] = [x, y, z].map(|server| table.index_of(server).unwrap());
/// assert_eq!(table.level(x, y), Level::new(2));
/// assert_eq!(table.level(y, z), Level::ZERO);
/// assert_eq!(table.location(z), "a1/g2/r1");
/// # Ok::<(), s_core_topology::LocationError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LocationTable {
    /// Ascending.
    servers: Vec<ServerId>,
    /// The rack of each server. Racks are numbered as they first appear in `servers`.
    racks: Vec<u32>,
    /// The location of each rack.
    paths: Vec<Box<str>>,
    /// Row by row, for each rack the number of its group at levels 1 to `max_level` − 1; at level 0
    /// the group is the rack, at the highest level there is one.
    groups: Vec<u32>,
    max_level: u8,
}

impl LocationTable {
    /// The table of these servers and their locations, in any order.
    ///
    /// Takes O(servers × (log servers + path length)).
    ///
    /// # Errors
    ///
    /// [`LocationError`] if there is no server, a server comes twice, a location has an empty
    /// component or white space, or more than [`MAX_LEVELS`] components, or locations have
    /// different numbers of components. [`LocationError::entry`] tells which entry is at fault.
    pub fn new<P: AsRef<str>>(
        entries: impl IntoIterator<Item = (ServerId, P)>,
    ) -> Result<Self, LocationError> {
        let mut paths = PathTable::default();
        let mut servers = Vec::new();
        for (entry, (server, path)) in entries.into_iter().enumerate() {
            servers.push((server, entry, paths.intern(entry, path.as_ref())?));
        }
        if servers.is_empty() {
            return Err(LocationError::NoServers);
        }
        servers.sort_unstable();
        if let Some(twice) = servers.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(LocationError::DuplicateServer {
                entry: twice[1].1,
                first: twice[0].1,
                server: twice[0].0,
            });
        }
        Ok(Self::build(&servers, paths))
    }

    /// Numbers racks and groups in the order of the servers, so that equal tables are equal.
    fn build(servers: &[(ServerId, usize, u32)], paths: PathTable) -> Self {
        let max_level = paths.depth;
        let mut texts = paths.into_order_of_numbers();
        let mut rack_of_path: Vec<Option<u32>> = alloc::vec![None; texts.len()];
        let mut table = Self {
            servers: Vec::with_capacity(servers.len()),
            racks: Vec::with_capacity(servers.len()),
            paths: Vec::with_capacity(texts.len()),
            groups: Vec::new(),
            max_level,
        };
        for &(server, _, path) in servers {
            let rack = *rack_of_path[path as usize].get_or_insert_with(|| {
                table.paths.push(core::mem::take(&mut texts[path as usize]));
                u32::try_from(table.paths.len() - 1).expect("no more racks than server ids")
            });
            table.servers.push(server);
            table.racks.push(rack);
        }
        table.groups = table.number_groups();
        table
    }

    fn number_groups(&self) -> Vec<u32> {
        let stored = self.stored_levels();
        let mut groups = alloc::vec![0; self.paths.len() * stored];
        let mut numbers = BTreeMap::new();
        for column in 0..stored {
            numbers.clear();
            for (rack, path) in self.paths.iter().enumerate() {
                // The group at level l is named by the path without its last l components.
                let prefix = path
                    .rmatch_indices('/')
                    .nth(column)
                    .map_or("", |(end, _)| &path[..end]);
                let next = u32::try_from(numbers.len()).expect("no more groups than racks");
                groups[rack * stored + column] = *numbers.entry(prefix).or_insert(next);
            }
        }
        groups
    }

    /// How many levels have group numbers of their own in `groups`.
    fn stored_levels(&self) -> usize {
        usize::from(self.max_level) - 1
    }

    /// The location of a server, as it was given.
    ///
    /// # Panics
    ///
    /// If the index is not below [`server_count`](Levels::server_count).
    pub fn location(&self, server: ServerIndex) -> &str {
        &self.paths[self.racks[server.usize()] as usize]
    }

    /// How many racks there are: different locations.
    pub fn rack_count(&self) -> usize {
        self.paths.len()
    }

    fn row(&self, rack: u32) -> &[u32] {
        let stored = self.stored_levels();
        &self.groups[rack as usize * stored..][..stored]
    }
}

impl Levels for LocationTable {
    fn server_count(&self) -> usize {
        self.servers.len()
    }

    fn max_level(&self) -> Level {
        Level::new(self.max_level)
    }

    fn level(&self, a: ServerIndex, b: ServerIndex) -> Level {
        let (a, b) = (self.racks[a.usize()], self.racks[b.usize()]);
        if a == b {
            return Level::ZERO;
        }
        let mut level = 1;
        for (x, y) in self.row(a).iter().zip(self.row(b)) {
            if x == y {
                break;
            }
            level += 1;
        }
        Level::new(level)
    }

    fn group(&self, server: ServerIndex, level: Level) -> Option<u32> {
        let rack = self.racks[server.usize()];
        Some(match level.below() {
            None => rack,
            Some(below) => *self.row(rack).get(usize::from(below.get())).unwrap_or(&0),
        })
    }

    fn index_of(&self, server: ServerId) -> Option<ServerIndex> {
        let index = self.servers.binary_search(&server).ok()?;
        u32::try_from(index).ok().map(ServerIndex::new)
    }

    fn server_at(&self, index: ServerIndex) -> ServerId {
        self.servers[index.usize()]
    }
}

/// The different paths met so far, numbered as they come.
#[derive(Default)]
struct PathTable {
    numbers: BTreeMap<Box<str>, u32>,
    /// How many components each path has; 0 before the first.
    depth: u8,
}

impl PathTable {
    /// The number of a path; checks a path that is new.
    fn intern(&mut self, entry: usize, path: &str) -> Result<u32, LocationError> {
        if let Some(number) = self.numbers.get(path) {
            return Ok(*number);
        }
        let depth = depth(entry, path)?;
        if self.depth == 0 {
            self.depth = depth;
        }
        if depth != self.depth {
            return Err(LocationError::UnequalDepth {
                entry,
                path: path.into(),
                depth,
                wanted: self.depth,
            });
        }
        let number = u32::try_from(self.numbers.len())
            .map_err(|_| LocationError::TooManyLocations { entry })?;
        self.numbers.insert(path.into(), number);
        Ok(number)
    }

    fn into_order_of_numbers(self) -> Vec<Box<str>> {
        let mut paths: Vec<_> = self.numbers.into_iter().collect();
        paths.sort_unstable_by_key(|(_, number)| *number);
        paths.into_iter().map(|(path, _)| path).collect()
    }
}

/// How many components a path has, all of them well-formed.
fn depth(entry: usize, path: &str) -> Result<u8, LocationError> {
    let mut depth = 0;
    for component in path.split('/') {
        let blank = |c: char| c.is_whitespace() || c.is_control();
        if component.is_empty() || component.contains(blank) {
            let path = path.into();
            return Err(LocationError::BadComponent { entry, path });
        }
        depth += 1;
        if depth > MAX_LEVELS {
            let path = path.into();
            return Err(LocationError::TooManyLevels { entry, path });
        }
    }
    Ok(depth)
}

/// Entries that do not make a location table.
///
/// `entry` is the position, from 0, of the entry at fault, so that a file reader can name the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// There is no entry.
    #[error("there is no server; a data centre has at least one")]
    NoServers,
    /// A server has two entries.
    #[error("server {server} is listed twice; remove one of the two entries")]
    DuplicateServer {
        /// The later entry.
        entry: usize,
        /// The earlier entry.
        first: usize,
        /// The server.
        server: ServerId,
    },
    /// A location has an empty component, or one with white space or control characters.
    #[error(
        "location {path:?} has a component that is empty or has white space; write it like a1/g2/r17"
    )]
    BadComponent {
        /// The entry.
        entry: usize,
        /// Its location.
        path: String,
    },
    /// A location has more components than [`MAX_LEVELS`].
    #[error("location {path:?} has more than {MAX_LEVELS} components; leave some out")]
    TooManyLevels {
        /// The entry.
        entry: usize,
        /// Its location.
        path: String,
    },
    /// A location has more or fewer components than those before it.
    #[error(
        "location {path:?} has {depth} components and those before it {wanted}; all must have as many"
    )]
    UnequalDepth {
        /// The entry.
        entry: usize,
        /// Its location.
        path: String,
        /// How many components it has.
        depth: u8,
        /// How many the first location has.
        wanted: u8,
    },
    /// More different locations than 32 bits can number.
    #[error("there are more than 4294967295 different locations; put servers together in racks")]
    TooManyLocations {
        /// The first entry too many.
        entry: usize,
    },
}

impl LocationError {
    /// The position, from 0, of the entry at fault; `None` if there is no entry at all.
    pub fn entry(&self) -> Option<usize> {
        match self {
            Self::NoServers => None,
            Self::DuplicateServer { entry, .. }
            | Self::BadComponent { entry, .. }
            | Self::TooManyLevels { entry, .. }
            | Self::UnequalDepth { entry, .. }
            | Self::TooManyLocations { entry } => Some(*entry),
        }
    }
}
