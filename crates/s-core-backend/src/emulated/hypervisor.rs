//! The hypervisor of one emulated server.

use std::sync::Arc;
use std::time::Duration;

use s_core_model::ServerId;

use super::DataCentre;
use super::migration::{Journey, Order};
use crate::{Domain, FreeCapacity, Gate, Hypervisor, HypervisorError, MigrationOutcome, Uuid};

/// How long a target's gate may take.
const GATE_DEADLINE: Duration = Duration::from_secs(2);

/// The [`Hypervisor`] of one server of a [`DataCentre`].
#[derive(Clone, Debug)]
pub struct EmulatedHypervisor {
    pub(super) data_centre: DataCentre,
    pub(super) server: ServerId,
}

impl Hypervisor for EmulatedHypervisor {
    /// Never fails.
    fn domains(&self, _deadline: Duration) -> Result<Vec<Domain>, HypervisorError> {
        Ok(self.data_centre.lock().domains(self.server))
    }

    /// Never fails. A VM is arriving from when its copy begins.
    fn arriving(&self, _deadline: Duration) -> Result<Vec<Domain>, HypervisorError> {
        Ok(self.data_centre.lock().arriving(self.server))
    }

    /// Never fails. VMs that are arriving or leaving count as running here.
    fn free_capacity(&self, _deadline: Duration) -> Result<FreeCapacity, HypervisorError> {
        Ok(self.data_centre.lock().free_capacity(self.server))
    }

    /// Takes as long as the data centre's [`MigrationModel`](super::MigrationModel) says, by its clock. A VM whose
    /// memory cannot be copied by the deadline is `StayedHere` when the deadline comes.
    ///
    /// The target's [gate](Hypervisor::guard) is asked first, and told of a VM that does not come.
    fn migrate(&self, domain: Uuid, target: ServerId, deadline: Duration) -> MigrationOutcome {
        let order = Order {
            domain,
            source: self.server,
            target,
            deadline,
        };
        let passage = self.passage(domain, target);
        if let Some((gate, arriving)) = &passage
            && !gate.admit(arriving, deadline.min(GATE_DEADLINE))
        {
            return MigrationOutcome::StayedHere(format!("not begun: {target} does not admit it"));
        }
        let end = self.travel(order);
        if let Some((gate, arriving)) = &passage
            && !self.data_centre.lock().runs_on(domain, target)
        {
            gate.failed(arriving);
        }
        end
    }

    fn guard(&self, gate: Arc<dyn Gate>) -> bool {
        self.data_centre.lock().gates.insert(self.server, gate);
        true
    }
}

impl EmulatedHypervisor {
    /// The gate that a domain of this server has to pass, if the target has one.
    fn passage(&self, domain: Uuid, target: ServerId) -> Option<(Arc<dyn Gate>, Domain)> {
        let mut state = self.data_centre.lock();
        let arriving = state.resident(domain, self.server)?.domain();
        Some((Arc::clone(state.gates.get(&target)?), arriving))
    }

    fn travel(&self, order: Order) -> MigrationOutcome {
        let shared = self.data_centre.shared();
        let begun = {
            let mut state = self.data_centre.lock();
            Journey::begin(&mut state, order, shared.migration, shared.clock.now())
        };
        let journey = match begun {
            Ok(journey) => journey,
            Err(outcome) => return outcome,
        };
        shared.clock.sleep(journey.wait());
        let mut state = self.data_centre.lock();
        journey.end(&mut state, shared.clock.now())
    }
}
