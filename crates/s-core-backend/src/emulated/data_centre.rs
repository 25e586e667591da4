//! The emulated data centre as its user sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s_core_model::{Rate, ServerId, VmId};

use super::state::State;
use super::{
    Clock, DataCentreError, EmulatedFlowSource, EmulatedHypervisor, EmulatedServer, EmulatedVm,
    Fault, MigrationModel, MigrationRecord, SystemClock,
};

/// A data centre in memory. Clones are handles of the same one.
///
/// ```
/// use std::time::Duration;
///
/// use s_core_backend::emulated::{DataCentre, EmulatedServer, EmulatedVm, ManualClock, uuid_of};
/// use s_core_backend::{FlowSource, Hypervisor, MigrationOutcome};
/// use s_core_model::{Rate, ServerId, VmId};
///
/// let [left, right] = [1, 2].map(ServerId::new);
/// let [u, v] = [11, 12].map(VmId::new);
/// let server = |id| EmulatedServer { id, vm_slots: 2, memory_mib: 2048 };
/// let vm = |id, server| EmulatedVm { id, server, memory_mib: 1024, name: format!("vm{id}") };
/// let clock = ManualClock::new();
/// let data_centre = DataCentre::builder().clock(clock.clone()).build(
///     [server(left), server(right)],
///     [vm(u, left), vm(v, right)],
///     [(u, v, Rate::new(1e6)?)],
/// )?;
///
/// clock.advance(Duration::from_secs(3));
/// let poll = data_centre.flows(left)?.poll(Duration::ZERO)?;
/// assert_eq!(poll.counters.iter().map(|counter| counter.bytes).sum::<u64>(), 3_000_000);
///
/// let hypervisor = data_centre.hypervisor(left)?;
/// let outcome = hypervisor.migrate(uuid_of(u), right, Duration::from_secs(60));
/// assert_eq!(outcome, MigrationOutcome::Moved);
/// assert_eq!(data_centre.placement()[&u], right);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct DataCentre(Arc<Shared>);

pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) migration: MigrationModel,
    pub(super) seed: u64,
}

/// What a [`DataCentre`] may be given beside servers, VMs and traffic.
#[derive(Clone, Debug)]
pub struct DataCentreBuilder {
    clock: Arc<dyn Clock>,
    migration: MigrationModel,
    seed: u64,
}

impl DataCentreBuilder {
    /// The clock by which bytes are counted and migrations last; the system's if none is given.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How long migrations take.
    #[must_use]
    pub fn migration(mut self, model: MigrationModel) -> Self {
        self.migration = model;
        self
    }

    /// What the ids of the flow counters are made from; 0 if none is given.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Builds a data centre of these servers and VMs, with λ(u, v) for pairs of VMs: both directions together, and
    /// a pair that is given twice, in either order, adds up.
    ///
    /// # Errors
    ///
    /// [`DataCentreError`] if an id is given twice or not known, or a server has no room for its VMs.
    pub fn build(
        self,
        servers: impl IntoIterator<Item = EmulatedServer>,
        vms: impl IntoIterator<Item = EmulatedVm>,
        traffic: impl IntoIterator<Item = (VmId, VmId, Rate)>,
    ) -> Result<DataCentre, DataCentreError> {
        let mut state = State::new(servers)?;
        for vm in vms {
            state.add_vm(vm)?;
        }
        let now = self.clock.now();
        for (a, b, rate) in traffic {
            let sum = state.rate(a, b)? + rate;
            state.set_rate(a, b, sum, now)?;
        }
        Ok(DataCentre(Arc::new(Shared {
            state: Mutex::new(state),
            clock: self.clock,
            migration: self.migration,
            seed: self.seed,
        })))
    }
}

impl DataCentre {
    /// Starts with the system's clock and the default [`MigrationModel`].
    pub fn builder() -> DataCentreBuilder {
        DataCentreBuilder {
            clock: Arc::new(SystemClock::new()),
            migration: MigrationModel::default(),
            seed: 0,
        }
    }

    /// The hypervisor of a server.
    ///
    /// # Errors
    ///
    /// [`DataCentreError::UnknownServer`].
    pub fn hypervisor(&self, server: ServerId) -> Result<EmulatedHypervisor, DataCentreError> {
        self.check_server(server)?;
        Ok(EmulatedHypervisor {
            data_centre: self.clone(),
            server,
        })
    }

    /// The switch of a server.
    ///
    /// # Errors
    ///
    /// [`DataCentreError::UnknownServer`].
    pub fn flows(&self, server: ServerId) -> Result<EmulatedFlowSource, DataCentreError> {
        self.check_server(server)?;
        Ok(EmulatedFlowSource {
            data_centre: self.clone(),
            server,
        })
    }

    /// All servers, ascending.
    pub fn servers(&self) -> Vec<EmulatedServer> {
        self.lock().servers().collect()
    }

    /// Which server each VM runs on now. A VM that is being migrated runs on its source until the end.
    pub fn placement(&self) -> BTreeMap<VmId, ServerId> {
        self.lock().placement()
    }

    /// λ(a, b) now; zero for VMs that do not talk.
    ///
    /// # Errors
    ///
    /// [`DataCentreError::SameVm`].
    pub fn rate(&self, a: VmId, b: VmId) -> Result<Rate, DataCentreError> {
        self.lock().rate(a, b)
    }

    /// Sets λ(a, b), both directions together, from now on.
    ///
    /// # Errors
    ///
    /// [`DataCentreError`] if a VM is not known, or both are the same.
    pub fn set_rate(&self, a: VmId, b: VmId, rate: Rate) -> Result<(), DataCentreError> {
        let mut state = self.lock();
        state.set_rate(a, b, rate, self.0.clock.now())
    }

    /// Starts a VM.
    ///
    /// # Errors
    ///
    /// [`DataCentreError`] if there is such a VM already, or its server is not known or has no room.
    pub fn add_vm(&self, vm: EmulatedVm) -> Result<(), DataCentreError> {
        self.lock().add_vm(vm)
    }

    /// Stops a VM; its traffic ends.
    ///
    /// # Errors
    ///
    /// [`DataCentreError`] if the VM is not known or is being migrated.
    pub fn remove_vm(&self, vm: VmId) -> Result<(), DataCentreError> {
        let mut state = self.lock();
        state.remove_vm(vm, self.0.clock.now())
    }

    /// Lets the VM's next migration go wrong. Faults that are injected before it happens wait for the ones after it.
    ///
    /// # Errors
    ///
    /// [`DataCentreError::UnknownVm`].
    pub fn inject(&self, vm: VmId, fault: Fault) -> Result<(), DataCentreError> {
        self.lock().vm_mut(vm)?.faults.push_back(fault);
        Ok(())
    }

    /// The migrations that have ended, successful or not, in the order of their ends.
    pub fn migrations(&self) -> Vec<MigrationRecord> {
        self.lock().log.clone()
    }

    fn check_server(&self, server: ServerId) -> Result<(), DataCentreError> {
        self.lock().server_mut(server).map(|_| ())
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    /// The state; whole even if a thread panicked while it held the lock, as every change is checked beforehand.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DataCentre {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataCentre").finish_non_exhaustive()
    }
}
