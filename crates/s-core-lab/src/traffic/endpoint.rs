//! Where a VM's sockets are.

use std::net::Ipv4Addr;
use std::thread::{self, JoinHandle};

use super::error::TrafficError;
use crate::error::LabError;
use crate::{Layout, namespace};

/// The network that an endpoint's sockets see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// That of this process: inside a real VM.
    Here,
    /// That of a namespace of this machine.
    Namespace(String),
}

/// A VM that this process sends and receives for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address, which what it sends bears.
    pub address: Ipv4Addr,
    /// Where it is reached.
    pub network: Network,
}

impl Endpoint {
    /// This machine, which is a VM with this address.
    pub const fn here(address: Ipv4Addr) -> Self {
        Self {
            address,
            network: Network::Here,
        }
    }

    /// All VMs of a laboratory.
    pub fn all(layout: &Layout) -> Vec<Self> {
        let endpoint = |vm| Self {
            address: layout.vm(vm).addr(),
            network: Network::Namespace(layout.vm_namespace(vm)),
        };
        layout.vms().map(endpoint).collect()
    }

    /// Moves the calling thread, and those and the programs that it starts from now on, into the endpoint's network.
    ///
    /// # Errors
    ///
    /// As [`namespace::enter`].
    pub fn enter(&self) -> Result<(), LabError> {
        match &self.network {
            Network::Here => Ok(()),
            Network::Namespace(name) => namespace::enter(name),
        }
    }

    /// Does `work` in a thread in the endpoint's network.
    ///
    /// # Errors
    ///
    /// [`TrafficError::Lab`] if no thread can be started. The thread returns what `work` does, or why it could not
    /// enter the network.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, TrafficError> + Send + 'static,
    ) -> Result<JoinHandle<Result<T, TrafficError>>, TrafficError> {
        let this = self.clone();
        let thread = thread::Builder::new().name(self.address.to_string());
        let spawned = thread.spawn(move || {
            this.enter()?;
            work()
        });
        spawned.map_err(|source| {
            let program = "a thread".into();
            LabError::Program { program, source }.into()
        })
    }

    /// Does `work` in the endpoint's network and waits for it.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn) and its thread.
    ///
    /// # Panics
    ///
    /// If `work` does.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, TrafficError> + Send + 'static,
    ) -> Result<T, TrafficError> {
        match self.spawn(work)?.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
