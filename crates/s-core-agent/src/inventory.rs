//! What runs on this host and what there is room for (thesis 4.2.4).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use s_core_backend::{Domain, Hypervisor, HypervisorError, Uuid};
use s_core_flow::MacAddr;
use s_core_model::{Capacity, VmId};

use crate::driver::Incoming;
use crate::flows::Flows;

/// What the hypervisor said.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// How many migrations had ended when it was asked.
    pub(crate) generation: u64,
    /// The domain and memory in MiB of each VM.
    pub(crate) vms: BTreeMap<VmId, (Uuid, u32)>,
    pub(crate) free: Capacity,
}

/// The thread that asks the hypervisor.
#[derive(Debug)]
pub(crate) struct Inventories {
    pub(crate) hypervisor: Arc<dyn Hypervisor>,
    pub(crate) flows: Arc<Flows>,
    pub(crate) identities: BTreeMap<MacAddr, VmId>,
    pub(crate) interval: Duration,
    pub(crate) deadline: Duration,
    pub(crate) migrations_ended: Arc<AtomicU64>,
    /// The address of each domain that has shown one, as long as it runs here.
    pub(crate) learnt: BTreeMap<Uuid, VmId>,
}

impl Inventories {
    /// Asks at every interval and whenever `requests` says so, until its other end is dropped.
    pub(crate) fn run(mut self, requests: &Receiver<()>, inbox: &SyncSender<Incoming>) {
        let mut failing = false;
        loop {
            match self.take() {
                Ok(inventory) => {
                    failing = false;
                    if inbox.send(Incoming::Hosted(inventory)).is_err() {
                        return;
                    }
                }
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(%error, "cannot ask the hypervisor what runs here");
                }
                Err(error) => tracing::debug!(%error, "cannot ask the hypervisor"),
            }
            match requests.recv_timeout(self.interval) {
                // Requests that came while the hypervisor was asked are answered by one listing.
                Ok(()) => while requests.try_recv().is_ok() {},
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    pub(crate) fn take(&mut self) -> Result<Inventory, HypervisorError> {
        let generation = self.migrations_ended.load(Ordering::SeqCst);
        let domains = self.hypervisor.domains(self.deadline)?;
        let free = self.hypervisor.free_capacity(self.deadline)?;
        self.learnt
            .retain(|uuid, _| domains.iter().any(|domain| domain.uuid == *uuid));
        let mut vms = BTreeMap::new();
        for domain in &domains {
            let Some(vm) = self.identify(domain) else {
                tracing::debug!(domain = domain.name, "no address is known yet");
                continue;
            };
            if let Some((other, _)) = vms.insert(vm, (domain.uuid, domain.memory_mib)) {
                tracing::warn!(%vm, domain = %domain.uuid, %other, "two domains have the same address");
            }
        }
        Ok(Inventory {
            generation,
            vms,
            free: Capacity {
                vm_slots: free.vm_slots,
                memory_mib: free.memory_mib.into(),
            },
        })
    }

    /// Configured, else as the hypervisor knows it, else the first address that the domain's flows showed:
    /// a VM that later sends with another's address does not become that other.
    fn identify(&mut self, domain: &Domain) -> Option<VmId> {
        let configured = domain.macs.iter().find_map(|mac| self.identities.get(mac));
        let known = configured.copied().or(domain.address.map(VmId::from));
        if known.is_some() {
            return known;
        }
        if let Some(vm) = self.learnt.get(&domain.uuid) {
            return Some(*vm);
        }
        let mut macs = domain.macs.iter();
        let vm = macs.find_map(|mac| self.flows.address_of(*mac))?;
        self.learnt.insert(domain.uuid, vm);
        Some(vm)
    }
}
