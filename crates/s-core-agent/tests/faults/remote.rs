//! Hypervisors and switches that outlive the agents: an emulated data centre behind a Unix socket, on which no cut
//! link has an effect. Each request is a line on a connection of its own.

mod client;
mod server;
mod words;

pub(crate) use client::{RemoteFlows, RemoteHypervisor};
pub(crate) use server::{Ends, serve};
