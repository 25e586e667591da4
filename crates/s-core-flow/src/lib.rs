//! A bounded bidirectional flow table fed by counter deltas, with byte rates per peer over a stated
//! window.
//!
//! It tells who talks to whom, and how much, on one virtualisation host: section 4.2.2 of Gregg
//! Hamilton's thesis "Distributed virtual machine migration for cloud data centre environments"
//! (University of Glasgow, 2014). A virtual switch counts bytes per flow and direction and forgets
//! idle flows after seconds; this crate makes rates per pair of addresses of that.
//!
//! ```
//! use core::net::Ipv4Addr;
//! use core::time::Duration;
//! use s_core_flow::{CounterDeltas, FlowKey, FlowTable, FlowTableConfig};
//!
//! let seed = 0x5eed; // draw it at random
//! let config = FlowTableConfig {
//!     limit: 100_000,
//!     window: Duration::from_secs(60),
//!     idle_timeout: Duration::from_secs(120),
//!     seed,
//! };
//! let mut counters = CounterDeltas::new(100_000, seed);
//! let mut table = FlowTable::new(config, Duration::ZERO)?;
//!
//! let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
//! // Three polls, 5 s apart, of the two directions between a and b: (id, key, packets, bytes).
//! let polls = [
//!     (0, [(1, FlowKey::ip_pair(a, b), 10, 9_000), (2, FlowKey::ip_pair(b, a), 5, 300)]),
//!     (5, [(1, FlowKey::ip_pair(a, b), 20, 18_000), (2, FlowKey::ip_pair(b, a), 10, 600)]),
//!     (10, [(1, FlowKey::ip_pair(a, b), 30, 28_000), (2, FlowKey::ip_pair(b, a), 15, 1_000)]),
//! ];
//! for (second, flows) in polls {
//!     let now = Duration::from_secs(second);
//!     let mut poll = counters.begin_poll();
//!     for (id, key, packets, bytes) in flows {
//!         let delta = poll.delta(id, packets, bytes);
//!         table.record(now, key, delta.bytes, None);
//!     }
//!     poll.end();
//! }
//!
//! // 19,000 bytes one way and 700 the other, in 10 s.
//! assert_eq!(table.rates(a, Duration::from_secs(10)), [(b, 1_970.0)]);
//! # Ok::<(), s_core_flow::InvalidFlowTableConfig>(())
//! ```
//!
//! The types to know:
//! - [`FlowTable`]: flows by key and by address, bytes, duration, MAC addresses, and rates per
//!   peer, within [`FlowTableConfig`]'s bounds.
//! - [`CounterDeltas`]: cumulative counters in, bytes since the last poll out, whatever the switch
//!   forgets or restarts.
//! - [`FlowKey`], [`MacAddr`]: what names a flow and a network interface.
//!
//! What it does not do: it reads no switch (the crate `s-core-backend` does), knows no clock and no
//! randomness (both are arguments), keeps no packet counts and no history beyond the window, and
//! knows IPv4 addresses only.
//!
//! The feature `std`, on by default, only lets the errors' dependency use the standard library;
//! without it the crate needs `alloc` alone.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod config;
mod counters;
mod endpoint;
mod entry;
mod hash;
mod key;
mod list;
mod mac;
mod query;
mod slab;
mod table;
mod window;

pub use config::{FlowTableConfig, InvalidFlowTableConfig, MAX_LIMIT, MIN_WINDOW};
pub use counters::{CounterDeltas, Delta, OpenPoll};
pub use entry::{EachWay, Flow};
pub use key::FlowKey;
pub use mac::{InvalidMac, MacAddr};
pub use table::{Dropped, FlowTable};

/// Runs the example of the crate's front page in the repository and on the registry.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
