//! The arithmetic that the regular topologies share: equal groups of consecutive servers.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use s_core_model::{Level, ServerId, ServerIndex};

use crate::{MAX_LEVELS, MAX_SERVERS};

/// The first server's address unless another is chosen: 10.0.0.1.
const DEFAULT_BASE: ServerId = ServerId::new(0x0a00_0001);

/// A tree in which all nodes of one level have equally many children.
///
/// Servers are numbered from left to right, so that the group of a server at a level is its
/// index divided by the size of the groups there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Hierarchy {
    base: ServerId,
    servers: u32,
    /// Entry l is the size of the groups at level l; at the highest level all are in one group.
    sizes: Box<[GroupSize]>,
    /// Letters of path components, the rack's last; the first serves all levels above as well.
    letters: &'static str,
}

impl Hierarchy {
    /// `fan_outs` from the core down to the racks, then `per_rack` servers in each rack.
    pub(crate) fn new(
        fan_outs: &[u32],
        per_rack: u32,
        letters: &'static str,
    ) -> Result<Self, ShapeError> {
        if fan_outs.is_empty() || fan_outs.len() > usize::from(MAX_LEVELS) {
            return Err(ShapeError::Levels(fan_outs.len()));
        }
        let mut sizes = Vec::with_capacity(fan_outs.len());
        let mut servers = per_rack;
        for &fan_out in fan_outs.iter().rev() {
            sizes.push(GroupSize::new(servers)?);
            servers = servers
                .checked_mul(fan_out)
                .ok_or(ShapeError::TooManyServers)?;
        }
        GroupSize::new(servers)?;
        Ok(Self {
            base: DEFAULT_BASE,
            servers,
            sizes: sizes.into_boxed_slice(),
            letters,
        })
    }

    pub(crate) fn with_base(self, base: ServerId) -> Result<Self, ShapeError> {
        match base.get().checked_add(self.servers - 1) {
            Some(_) => Ok(Self { base, ..self }),
            None => Err(ShapeError::AddressesEnd {
                base,
                servers: self.servers,
            }),
        }
    }

    pub(crate) fn server_count(&self) -> usize {
        self.servers as usize
    }

    pub(crate) fn rack_count(&self) -> u32 {
        self.servers / self.sizes[0].size
    }

    pub(crate) fn servers_per_rack(&self) -> u32 {
        self.sizes[0].size
    }

    pub(crate) fn max_level(&self) -> Level {
        Level::new(u8::try_from(self.sizes.len()).expect("at most MAX_LEVELS"))
    }

    pub(crate) fn level(&self, a: ServerIndex, b: ServerIndex) -> Level {
        let (a, b) = (a.get(), b.get());
        let mut level = 0;
        for group in &self.sizes {
            if group.divide(a) == group.divide(b) {
                break;
            }
            level += 1;
        }
        Level::new(level)
    }

    pub(crate) fn group(&self, server: ServerIndex, level: Level) -> u32 {
        self.sizes
            .get(usize::from(level.get()))
            .map_or(0, |group| group.divide(server.get()))
    }

    pub(crate) fn index_of(&self, server: ServerId) -> Option<ServerIndex> {
        let index = server.get().checked_sub(self.base.get())?;
        (index < self.servers).then_some(ServerIndex::new(index))
    }

    pub(crate) fn server_at(&self, index: ServerIndex) -> ServerId {
        assert!(
            index.get() < self.servers,
            "server index {} of {}",
            index.get(),
            self.servers
        );
        ServerId::new(self.base.get() + index.get())
    }

    pub(crate) fn location(&self, server: ServerIndex) -> Location<'_> {
        assert!(
            server.get() < self.servers,
            "server index {} of {}",
            server.get(),
            self.servers
        );
        Location {
            hierarchy: self,
            server,
        }
    }
}

/// Implements `Levels` for a tuple struct around a [`Hierarchy`].
macro_rules! impl_levels {
    ($topology:ident) => {
        impl Levels for $topology {
            fn server_count(&self) -> usize {
                self.0.server_count()
            }

            fn max_level(&self) -> Level {
                self.0.max_level()
            }

            fn level(&self, a: ServerIndex, b: ServerIndex) -> Level {
                self.0.level(a, b)
            }

            fn group(&self, server: ServerIndex, level: Level) -> Option<u32> {
                Some(self.0.group(server, level))
            }

            fn index_of(&self, server: ServerId) -> Option<ServerIndex> {
                self.0.index_of(server)
            }

            fn server_at(&self, index: ServerIndex) -> ServerId {
                self.0.server_at(index)
            }
        }
    };
}
pub(crate) use impl_levels;

/// How many servers a group has, with what it takes to divide by that without a division.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct GroupSize {
    size: u32,
    /// ⌊2⁶³ / size⌋ + 1: multiplying takes 6 ns per look-up in a tree of four levels where
    /// dividing takes 16. For n and size up to 2²⁴ the excess over 2⁶³ / size, at most 1, times
    /// n stays below 2⁶³ / size, so that it never carries a quotient over the next integer.
    reciprocal: u64,
}

impl GroupSize {
    fn new(size: u32) -> Result<Self, ShapeError> {
        match size {
            0 => Err(ShapeError::Empty),
            1..=MAX_SERVERS => Ok(Self {
                size,
                reciprocal: (1 << 63) / u64::from(size) + 1,
            }),
            _ => Err(ShapeError::TooManyServers),
        }
    }

    /// n / size, for n up to 2²⁴.
    fn divide(self, n: u32) -> u32 {
        ((u128::from(n) * u128::from(self.reciprocal)) >> 63) as u32
    }
}

/// Where a server stands, shown as the path from the core down to its rack, e.g. `a1/g2/s1/r2`.
///
/// Each component is a letter and the number, from 1, among the nodes with the same parent.
/// The text is what [`LocationTable`](crate::LocationTable) reads.
#[derive(Clone, Copy, Debug)]
pub struct Location<'a> {
    hierarchy: &'a Hierarchy,
    server: ServerIndex,
}

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hierarchy { sizes, letters, .. } = self.hierarchy;
        let mut first_in_parent = 0;
        for (level, group) in sizes.iter().enumerate().rev() {
            let letter = letters
                .chars()
                .rev()
                .nth(level)
                .or_else(|| letters.chars().next())
                .unwrap_or('n');
            let number = group.divide(self.server.get());
            let separator = if level == 0 { "" } else { "/" };
            write!(f, "{letter}{}{separator}", number - first_in_parent + 1)?;
            if let Some(below) = level.checked_sub(1) {
                first_in_parent = number * (group.size / sizes[below].size);
            }
        }
        Ok(())
    }
}

/// Numbers that do not describe a data centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// No level of links at all, or too many.
    #[error("{0} levels of links given; 1 to {MAX_LEVELS} are wanted")]
    Levels(usize),
    /// A fan-out or a number of servers is zero.
    #[error("a fan-out or a number of servers is 0; each must be at least 1")]
    Empty,
    /// More servers than [`MAX_SERVERS`].
    #[error("more than {MAX_SERVERS} servers; make the fan-outs or the racks smaller")]
    TooManyServers,
    /// A fat tree of switches with an odd number of ports, or none.
    #[error("a fat tree's switches have an even number of ports, at least 2, not {0}")]
    OddPorts(u32),
    /// The addresses from `base` on end before every server has one.
    #[error("{servers} servers from address {base} on pass 255.255.255.255; choose a lower base")]
    AddressesEnd {
        /// The first server's address.
        base: ServerId,
        /// How many servers there are.
        servers: u32,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn divides_like_the_processor(n in 0..=MAX_SERVERS, size in 1..=MAX_SERVERS) {
            let group = GroupSize::new(size).unwrap();
            prop_assert_eq!(group.divide(n), n / size);
        }

        /// Quotients change at multiples, where a rounding error would show.
        #[test]
        fn divides_exactly_around_multiples(quotient in 0..=4096u32, size in 1..=4096u32) {
            let group = GroupSize::new(size).unwrap();
            let n = quotient * size;
            prop_assert_eq!(group.divide(n), quotient);
            prop_assert_eq!(group.divide(n.saturating_sub(1)), n.saturating_sub(1) / size);
        }
    }

    #[test]
    fn divides_at_the_limits() {
        for size in [1, 2, 3, MAX_SERVERS - 1, MAX_SERVERS] {
            for n in [0, 1, size - 1, size, MAX_SERVERS - 1, MAX_SERVERS] {
                assert_eq!(GroupSize::new(size).unwrap().divide(n), n / size);
            }
        }
    }
}
