//! A look at one host without an agent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use s_core_backend::{FlowSource, FlowSourceError, Hypervisor, HypervisorError};
use s_core_flow::InvalidFlowTableConfig;
use s_core_model::{Capacity, Rate, VmId};

use crate::agent::random_seed;
use crate::clock::{Clock, Throttle};
use crate::config::AgentConfig;
use crate::flows::Flows;
use crate::inventory::Inventories;

/// What a host's hypervisor and switch show.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The VMs that run here and whose addresses are known, ascending.
    pub vms: Vec<ObservedVm>,
    /// The names of the domains whose addresses are not known.
    pub nameless: Vec<String>,
    /// What there is room for beside all of them.
    pub free: Capacity,
}

/// A VM that runs on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedVm {
    /// Its address.
    pub vm: VmId,
    /// The name of its domain.
    pub name: String,
    /// Its memory in MiB.
    pub memory_mib: u32,
    /// λ to every address that it exchanges data with, ascending; not all of them need be VMs.
    pub peers: Vec<(VmId, Rate)>,
}

/// Measures a host for as long as the window of its configuration, and then lists what runs there.
///
/// Opens no port and writes nothing, so that an agent may run on the host meanwhile.
///
/// # Errors
///
/// [`ObserveError`] if the hypervisor or the switch does not answer.
pub fn observe(
    config: &AgentConfig,
    hypervisor: Arc<dyn Hypervisor>,
    mut source: Box<dyn FlowSource>,
) -> Result<Observation, ObserveError> {
    let clock = Clock::start();
    let flows = Arc::new(Flows::new(config.flows, random_seed(), clock)?);
    let mut counters = flows.counters();
    // Asked first, so that a host without a hypervisor is told at once.
    let domains = hypervisor.domains(config.hypervisor_deadline)?;
    while clock.now() < config.flows.window {
        flows.poll(&mut *source, &mut counters)?;
        std::thread::sleep(config.flows.interval);
    }
    flows.poll(&mut *source, &mut counters)?;
    let mut inventories = Inventories {
        hypervisor,
        flows: Arc::clone(&flows),
        identities: config.identities.clone(),
        interval: Duration::MAX,
        deadline: config.hypervisor_deadline,
        migrations_ended: Arc::default(),
        attachments: None,
        cpu: None,
        learnt: BTreeMap::new(),
        warnings: Throttle::new(Duration::ZERO),
    };
    let inventory = inventories.take()?;
    let named: BTreeMap<_, _> = inventory
        .vms
        .iter()
        .map(|(vm, (uuid, _))| (*uuid, *vm))
        .collect();
    let mut names: BTreeMap<VmId, String> = BTreeMap::new();
    let mut nameless = Vec::new();
    for domain in domains {
        match named.get(&domain.uuid) {
            Some(vm) => drop(names.insert(*vm, domain.name)),
            None => nameless.push(domain.name),
        }
    }
    let mut vms = Vec::new();
    for (vm, (_, memory_mib)) in inventory.vms {
        vms.push(ObservedVm {
            vm,
            name: names.remove(&vm).unwrap_or_default(),
            memory_mib,
            // They are those of the last poll, unless it is too long ago.
            peers: flows.rates(vm).ok_or(ObserveError::Outdated)?,
        });
    }
    Ok(Observation {
        vms,
        nameless,
        free: inventory.free,
    })
}

/// A host that cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// The hypervisor does not answer.
    #[error(transparent)]
    Hypervisor(#[from] HypervisorError),
    /// The switch does not answer.
    #[error(transparent)]
    Flows(#[from] FlowSourceError),
    /// The hypervisor took so long that the rates measured before say nothing any more.
    #[error("the hypervisor took so long to answer that what was measured is outdated; try again")]
    Outdated,
    /// The window, limit or idle timeout does not do.
    #[error("flow settings: {0}")]
    Settings(#[from] InvalidFlowTableConfig),
}
