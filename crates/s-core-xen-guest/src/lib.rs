//! The only process of a small Xen domain: it sends and counts traffic, answers probes, and writes memory when told to.
//!
//! [`Guest`] is what runs in the domain; the program `xen-guest` is little more, and is the domain's `/init` ([`init`]). It
//! knows its own address ([`address_of`]) and waits to be told the rest, over HTTP ([`Command`]):
//!
//! | request | does |
//! |---|---|
//! | `GET /` | a page that says who this is |
//! | `GET /counters` | [`Counters`] as JSON: what was sent and received, by peer and by interface, and when |
//! | `PUT /plan` | sends by these pairs from now on; JSON, at most [`MOST_PAIRS`] |
//! | `DELETE /plan` | sends nothing |
//! | `GET /bytes/N` | N octets, at most [`MOST_BYTES`] |
//! | `PUT /dirty` | writes memory at a rate over a working set ([`Dirtying`]); JSON |
//! | `DELETE /dirty` | writes none, and gives the working set back |
//!
//! [`GuestClient`] is the other side. Traffic and its counts are those of [`s_core_lab::traffic`], at its ports, and so
//! are probes: a [`Probes`](s_core_lab::traffic::Probes) anywhere in the network gets its answers.
//!
//! Nothing is authenticated: this is for testbeds, where every VM is the tester's own.

mod address;
mod client;
mod command;
mod counters;
mod dirty;
mod guest;
pub mod http;
pub mod init;
mod interfaces;
mod plan;
mod server;
mod timed;

pub use address::{AddressError, address_of};
pub use client::{ClientError, GuestClient};
pub use command::{Command, MOST_BYTES};
pub use counters::{Counters, DirtyCounters, HttpCounters, PairCounters, PlanCounters, payload};
pub use dirty::{DirtyError, Dirtying};
pub use guest::{Guest, GuestError, HTTP_PORT};
pub use interfaces::InterfaceCounters;
pub use plan::MOST_PAIRS;
