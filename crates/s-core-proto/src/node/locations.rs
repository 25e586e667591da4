//! Where VMs were last known to be.

use alloc::collections::BTreeMap;

use s_core_model::{ServerId, VmId};

/// A bounded memory of VMs' servers. What it says is a hint: the server is asked before it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Locations {
    /// The server, and when it was last confirmed, as a count of confirmations.
    by_vm: BTreeMap<VmId, (ServerId, u64)>,
    by_age: BTreeMap<u64, VmId>,
    confirmations: u64,
}

impl Locations {
    /// Remembers a location and forgets the one that was confirmed longest ago if there are more than `bound`.
    pub(super) fn learn(&mut self, vm: VmId, server: ServerId, bound: usize) {
        self.forget(vm);
        self.confirmations += 1;
        self.by_vm.insert(vm, (server, self.confirmations));
        self.by_age.insert(self.confirmations, vm);
        while self.by_vm.len() > bound {
            let Some((_, oldest)) = self.by_age.pop_first() else {
                break;
            };
            self.by_vm.remove(&oldest);
        }
    }

    pub(super) fn get(&self, vm: VmId) -> Option<ServerId> {
        self.by_vm.get(&vm).map(|(server, _)| *server)
    }

    pub(super) fn forget(&mut self, vm: VmId) {
        if let Some((_, age)) = self.by_vm.remove(&vm) {
            self.by_age.remove(&age);
        }
    }

    /// Forgets all that is remembered of a server that does not answer.
    pub(super) fn forget_server(&mut self, server: ServerId) {
        let by_age = &mut self.by_age;
        self.by_vm.retain(|_, (at, age)| {
            let keep = *at != server;
            if !keep {
                by_age.remove(age);
            }
            keep
        });
    }
}
