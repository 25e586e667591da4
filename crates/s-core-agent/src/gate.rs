//! The agent's word on VMs that are about to arrive here (rule R3).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use s_core_backend::{Domain, Gate};
use s_core_flow::MacAddr;
use s_core_model::{ServerId, VmId};

use crate::driver::Incoming;
use crate::flows::Flows;

/// Asks the node, through the main thread.
#[derive(Debug)]
pub(crate) struct NodeGate {
    pub(crate) inbox: SyncSender<Incoming>,
    pub(crate) identities: BTreeMap<MacAddr, VmId>,
    pub(crate) flows: Arc<Flows>,
}

impl NodeGate {
    /// As the inventory knows it once it runs here.
    fn vm(&self, domain: &Domain) -> Option<VmId> {
        let macs = || domain.macs.iter();
        let configured = macs().find_map(|mac| self.identities.get(mac).copied());
        let known = configured.or(domain.address.map(VmId::from));
        known.or_else(|| macs().find_map(|mac| self.flows.address_of(*mac)))
    }
}

impl Gate for NodeGate {
    fn admit(&self, domain: &Domain, deadline: Duration) -> bool {
        let Some(vm) = self.vm(domain) else {
            tracing::warn!(domain = domain.name, uuid = %domain.uuid, "not let in: its address is not known, so no room is reserved for it");
            return false;
        };
        let (answer, answered) = sync_channel(1);
        if self.inbox.send(Incoming::Arriving { vm, answer }).is_err() {
            return false;
        }
        let said = answered.recv_timeout(deadline);
        if said.is_err() {
            // It may be admitted yet, when nobody listens any more.
            self.failed(domain);
        }
        said.unwrap_or(false)
    }

    fn admit_from(&self, source: ServerId, deadline: Duration) -> Option<VmId> {
        let (answer, answered) = sync_channel(1);
        let asked = self.inbox.send(Incoming::ArrivingFrom { source, answer });
        asked.ok()?;
        match answered.recv_timeout(deadline) {
            Ok(admitted) => admitted,
            Err(_) => {
                // Whoever asked has gone; if a VM is let in yet, it does not come. The answer comes, unless the agent ends.
                if let Ok(Some(vm)) = answered.recv() {
                    self.ended(vm);
                }
                None
            }
        }
    }

    fn ended(&self, vm: VmId) {
        // It fails only when the agent has stopped.
        drop(self.inbox.send(Incoming::ArrivalEnded(vm)));
    }

    fn failed(&self, domain: &Domain) {
        if let Some(vm) = self.vm(domain) {
            // It fails only when the agent has stopped.
            drop(self.inbox.send(Incoming::ArrivalFailed(vm)));
        }
    }
}
