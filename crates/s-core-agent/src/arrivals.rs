//! VMs that arrive here though this agent let none of them in: one before it did, or the hypervisor asks nobody.

use std::collections::BTreeSet;

use s_core_model::VmId;
use s_core_proto::{Action, Arrival, Input, Message};

use crate::inventory::Inventory;

/// Which of them the node was told of.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    told: BTreeSet<VmId>,
    /// Whether every domain that was arriving at the last listing is a VM that the node knows of.
    all_known: bool,
}

impl Arrivals {
    /// What to tell a node that `knows` of some VMs that they are arriving, before it is told what runs here.
    pub(crate) fn listed(
        &mut self,
        inventory: &Inventory,
        knows: impl Fn(VmId) -> bool,
    ) -> Vec<Input> {
        self.all_known = inventory.arriving_unknown == 0;
        let comes = |vm: &VmId| inventory.arriving.contains_key(vm);
        let ended = self.told.extract_if(.., |vm| !comes(vm));
        // One that runs here has not failed, and the node will see it listed.
        let failed = ended.filter(|vm| !inventory.vms.contains_key(vm));
        let mut inputs: Vec<_> = failed.map(|vm| Input::ArrivalFailed { vm }).collect();
        for (&vm, &memory_mib) in &inventory.arriving {
            if !knows(vm) {
                self.told.insert(vm);
                inputs.push(Input::StillArriving { vm, memory_mib });
            }
        }
        inputs
    }

    /// Whether the action says of a VM that it is neither here nor on its way, when nobody can know that: its source
    /// would take it for its own again. It will ask once more.
    pub(crate) fn leaves_open(&self, action: &Action) -> bool {
        let absent = |message: &Message| {
            let arrival = Arrival::Absent;
            matches!(message, Message::OutcomeResponse { arrival: said, .. } if *said == arrival)
        };
        !self.all_known && matches!(action, Action::Send { message, .. } if absent(message))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use s_core_backend::Uuid;
    use s_core_model::{Capacity, ServerId};
    use s_core_proto::{Destination, QueryId};

    use super::*;

    const VM: VmId = VmId::new(1);

    /// A listing with VM arriving or running here, and some domains that nobody knows.
    fn listing(arriving: bool, here: bool, arriving_unknown: usize) -> Inventory {
        Inventory {
            generation: 0,
            vms: here
                .then_some((VM, (Uuid::new([1; 16]), 64)))
                .into_iter()
                .collect(),
            arriving: arriving.then_some((VM, 64)).into_iter().collect(),
            arriving_domains: BTreeMap::new(),
            arriving_unknown,
            free: Capacity::default(),
            cpu: None,
            leftovers: Vec::new(),
            unattached: None,
        }
    }

    #[test]
    fn the_node_is_told_once_that_a_vm_comes_and_once_that_it_does_not() {
        let still = || {
            vec![Input::StillArriving {
                vm: VM,
                memory_mib: 64,
            }]
        };
        let failed = || vec![Input::ArrivalFailed { vm: VM }];
        let check = |knows: bool, ends_here: bool, begins: Vec<Input>, ends: Vec<Input>| {
            let mut arrivals = Arrivals::default();
            assert_eq!(arrivals.listed(&listing(true, false, 0), |_| knows), begins);
            assert_eq!(arrivals.listed(&listing(true, false, 0), |_| true), []);
            assert_eq!(
                arrivals.listed(&listing(false, ends_here, 0), |_| true),
                ends
            );
            assert_eq!(arrivals.listed(&listing(false, ends_here, 0), |_| true), []);
        };
        check(false, true, still(), vec![]);
        check(false, false, still(), failed());
        // It was let in by this agent, which will be told how it ends.
        check(true, true, vec![], vec![]);
        check(true, false, vec![], vec![]);
    }

    #[test]
    fn nobody_is_absent_while_somebody_unknown_comes() {
        let says = |arrival| Action::Send {
            to: Destination::Server(ServerId::new(2)),
            message: Message::OutcomeResponse {
                query: QueryId::new(1),
                vm: VM,
                arrival,
            },
        };
        let mut arrivals = Arrivals::default();
        let mut check = |listed: Option<usize>, open: bool| {
            if let Some(unknown) = listed {
                arrivals.listed(&listing(true, false, unknown), |_| true);
            }
            assert_eq!(
                arrivals.leaves_open(&says(Arrival::Absent)),
                open,
                "{listed:?}"
            );
            assert!(!arrivals.leaves_open(&says(Arrival::Hosted)));
            assert!(!arrivals.leaves_open(&says(Arrival::Arriving)));
        };
        check(None, true);
        check(Some(1), true);
        check(Some(0), false);
        check(Some(2), true);
    }
}
