//! Making a consistent snapshot of its parts.

use s_core_model::{
    Allocation, AllocationError, Capacity, Levels, LinkWeights, Placement, TrafficMatrix, VmIndex,
};
use s_core_topology::LocationTable;

use super::error::{Problem, SnapshotError};
use super::names::Names;
use super::{
    DATA_CENTRE_FILE, SERVERS_FILE, ServerEntry, Settings, Snapshot, TRAFFIC_FILE, TrafficEntry,
    VMS_FILE, VmEntry,
};

/// A key of `data-centre.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    LinkWeights,
    MigrationCost,
    Limits,
}

/// Which part of a snapshot is at fault; rows are counted from 0, `None` is the part as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Settings(Key),
    Server(Option<usize>),
    Vm(Option<usize>),
    Traffic(Option<usize>),
}

/// What is wrong, and with which part.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) problem: Problem,
}

impl Fault {
    fn new(place: Place, problem: impl Into<Problem>) -> Self {
        let problem = problem.into();
        Self { place, problem }
    }

    pub(super) fn without_line(self) -> SnapshotError {
        let file = match self.place {
            Place::Settings(_) => DATA_CENTRE_FILE,
            Place::Server(_) => SERVERS_FILE,
            Place::Vm(_) => VMS_FILE,
            Place::Traffic(_) => TRAFFIC_FILE,
        };
        SnapshotError::new(file, None, self.problem)
    }
}

pub(super) fn build(
    settings: Settings,
    servers: Vec<ServerEntry>,
    vms: impl IntoIterator<Item = VmEntry>,
    traffic: impl IntoIterator<Item = TrafficEntry>,
) -> Result<Snapshot, Fault> {
    let weights = check_settings(&settings)?;
    let locations = LocationTable::new(servers.iter().map(|s| (s.server, &s.location)))
        .map_err(|error| Fault::new(Place::Server(error.entry()), error))?;
    let (weight_count, levels) = (weights.max_level().get(), locations.max_level().get());
    if weight_count < levels {
        let weights = weight_count;
        let problem = Problem::TooFewWeights { weights, levels };
        return Err(Fault::new(Place::Settings(Key::LinkWeights), problem));
    }
    let mut servers = servers;
    servers.sort_unstable_by_key(|entry| entry.server);
    let capacities: Vec<_> = servers.iter().map(|entry| entry.capacity).collect();
    let (placements, names) = check_vms(vms, &locations, capacities.clone())?;
    let rooms = servers.iter().map(|entry| (entry.server, entry.capacity));
    let allocation =
        Allocation::new(rooms, placements).map_err(|error| Fault::new(Place::Vm(None), error))?;
    Ok(Snapshot {
        traffic: traffic_matrix(&allocation, traffic)?,
        names,
        settings,
        weights,
        locations,
        capacities,
        allocation,
    })
}

fn check_settings(settings: &Settings) -> Result<LinkWeights, Fault> {
    let weights = LinkWeights::new(settings.link_weights.as_slice())
        .map_err(|error| Fault::new(Place::Settings(Key::LinkWeights), error))?;
    settings
        .migration_cost
        .checked()
        .map_err(|error| Fault::new(Place::Settings(Key::MigrationCost), error))?;
    match settings.limits.min_gain {
        Some(gain) if !gain.is_finite() || gain < 0.0 => {
            let problem = Problem::MinGain(gain);
            Err(Fault::new(Place::Settings(Key::Limits), problem))
        }
        Some(_) | None => Ok(weights),
    }
}

/// Finds the first row of `vms.csv` that is wrong, in the order of rows: `free` is what each server has room for.
/// If none is, gives the names in the order of VM indices, which is that of VM ids.
fn check_vms(
    vms: impl IntoIterator<Item = VmEntry>,
    locations: &LocationTable,
    mut free: Vec<Capacity>,
) -> Result<(Vec<Placement>, Names), Fault> {
    let mut placements = Vec::new();
    let mut names = Names::default();
    for (row, VmEntry { placement, name }) in vms.into_iter().enumerate() {
        let fault = |problem: Problem| Fault::new(Place::Vm(Some(row)), problem);
        take_room(placement, locations, &mut free).map_err(|error| fault(error.into()))?;
        let name = name.trim();
        if name.contains(char::is_control) {
            return Err(fault(Problem::Name(placement.vm)));
        }
        placements.push(placement);
        names.push(name);
    }
    let vm = |row: usize| placements[row].vm;
    let mut rows: Vec<_> = (0..placements.len()).collect();
    rows.sort_unstable_by_key(|row| (vm(*row), *row));
    match rows.windows(2).find(|pair| vm(pair[0]) == vm(pair[1])) {
        Some(twice) => {
            let error = AllocationError::DuplicateVm(vm(twice[1]));
            Err(Fault::new(Place::Vm(Some(twice[1])), error))
        }
        None => Ok((placements, names.reordered(&rows))),
    }
}

fn take_room(
    placement: Placement,
    locations: &LocationTable,
    free: &mut [Capacity],
) -> Result<(), AllocationError> {
    let Placement {
        vm,
        server,
        memory_mib,
    } = placement;
    let index = locations
        .index_of(server)
        .ok_or(AllocationError::UnknownServer { vm, server })?;
    let free = &mut free[index.usize()];
    if !free.admits(memory_mib) {
        return Err(AllocationError::OverCapacity {
            server,
            vm,
            memory_mib,
            free: *free,
        });
    }
    free.vm_slots -= 1;
    free.memory_mib -= u64::from(memory_mib);
    Ok(())
}

fn traffic_matrix(
    allocation: &Allocation,
    traffic: impl IntoIterator<Item = TrafficEntry>,
) -> Result<TrafficMatrix, Fault> {
    let traffic = traffic.into_iter();
    let mut pairs = Vec::with_capacity(traffic.size_hint().0);
    for (row, entry) in traffic.enumerate() {
        let fault = |problem| Fault::new(Place::Traffic(Some(row)), problem);
        let index = |vm| -> Result<VmIndex, Fault> {
            allocation
                .vm_index(vm)
                .ok_or_else(|| fault(Problem::UnknownVm(vm)))
        };
        let (a, b) = (index(entry.vm_a)?, index(entry.vm_b)?);
        if a == b {
            return Err(fault(Problem::SelfPair(entry.vm_a)));
        }
        pairs.push((a, b, entry.rate));
    }
    TrafficMatrix::from_pairs(allocation.vm_count(), pairs)
        .map_err(|error| Fault::new(Place::Traffic(None), error))
}
