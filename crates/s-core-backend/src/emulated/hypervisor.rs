//! The hypervisor of one emulated server.

use std::time::Duration;

use s_core_model::ServerId;

use super::DataCentre;
use super::migration::{Journey, Order};
use crate::{Domain, FreeCapacity, Hypervisor, HypervisorError, MigrationOutcome, Uuid};

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

    /// Never fails. VMs that are arriving or leaving count as running here.
    fn free_capacity(&self, _deadline: Duration) -> Result<FreeCapacity, HypervisorError> {
        Ok(self.data_centre.lock().free_capacity(self.server))
    }

    /// Takes as long as the data centre's [`MigrationModel`](super::MigrationModel) says, by its clock. A VM whose
    /// memory cannot be copied by the deadline is `StayedHere` when the deadline comes.
    fn migrate(&self, domain: Uuid, target: ServerId, deadline: Duration) -> MigrationOutcome {
        let shared = self.data_centre.shared();
        let order = Order {
            domain,
            source: self.server,
            target,
            deadline,
        };
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
