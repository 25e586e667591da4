//! Identities: virtual machines, servers and their dense indices.

use core::fmt;
use core::net::{AddrParseError, Ipv4Addr};
use core::str::FromStr;

macro_rules! address_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(try_from = "alloc::string::String", into = "alloc::string::String"))]
        pub struct $name(u32);

        impl $name {
            /// The id with this 32-bit value: the address's four octets, most significant first.
            pub const fn new(bits: u32) -> Self {
                Self(bits)
            }

            /// The 32-bit value, as it stands in a token slot in network byte order.
            pub const fn get(self) -> u32 {
                self.0
            }

            /// The id as the IPv4 address that it is.
            pub const fn addr(self) -> Ipv4Addr {
                Ipv4Addr::from_bits(self.0)
            }
        }

        impl From<Ipv4Addr> for $name {
            fn from(addr: Ipv4Addr) -> Self {
                Self(addr.to_bits())
            }
        }

        impl From<$name> for Ipv4Addr {
            fn from(id: $name) -> Self {
                id.addr()
            }
        }

        impl FromStr for $name {
            type Err = AddrParseError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse::<Ipv4Addr>().map(Self::from)
            }
        }

        impl TryFrom<alloc::string::String> for $name {
            type Error = AddrParseError;

            fn try_from(text: alloc::string::String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for alloc::string::String {
            fn from(id: $name) -> Self {
                alloc::format!("{id}")
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.addr(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.addr())
            }
        }
    };
}

address_id! {
    /// ID_u of Table 3.1: a virtual machine, named by its IPv4 address (thesis 4.2.3).
    ///
    /// ```
    /// use s_core_model::VmId;
    ///
    /// let vm: VmId = "10.0.1.11".parse()?;
    /// assert_eq!(vm.get(), 0x0a00_010b);
    /// assert_eq!(vm.to_string(), "10.0.1.11");
    /// # Ok::<(), core::net::AddrParseError>(())
    /// ```
    VmId
}

address_id! {
    /// A server x̂ of Table 3.1, named by the fixed IPv4 address of its control domain (dom0).
    ServerId
}

macro_rules! dense_index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(u32);

        impl $name {
            /// The index with this value.
            pub const fn new(index: u32) -> Self {
                Self(index)
            }

            /// The value as stored.
            pub const fn get(self) -> u32 {
                self.0
            }

            /// The value as an array subscript.
            pub const fn usize(self) -> usize {
                self.0 as usize
            }
        }
    };
}

dense_index! {
    /// The position of a VM in the ascending list of all VM ids of an [`Allocation`](crate::Allocation).
    VmIndex
}

dense_index! {
    /// The position of a server in the ascending list of all server ids of a data centre.
    ///
    /// An [`Allocation`](crate::Allocation) and the [`Levels`](crate::Levels) it is used with
    /// must list the same servers.
    ServerIndex
}
