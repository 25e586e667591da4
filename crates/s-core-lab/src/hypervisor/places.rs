//! Which VMs have something to do with this host. Pure; the truth about it is in the host's namespace.

use std::collections::{BTreeMap, BTreeSet};

use crate::layout::VmNumber;

/// What a VM is to this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It runs here.
    Home,
    /// It is being migrated away and its interface is still here.
    Leaving,
    /// Room is kept for it; the gate was not asked yet.
    Expected,
    /// It was let in, or its interface has come and is not connected yet.
    Arriving,
}

/// What every VM is to this host, of which something is known.
///
/// A VM's interface is in the namespace of exactly one host at any time, and that is its home. What is here beyond that
/// is only what this process is doing about it.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<VmNumber, Place>);

impl Places {
    pub(super) fn get(&self, vm: VmNumber) -> Option<Place> {
        self.0.get(&vm).copied()
    }

    pub(super) fn set(&mut self, vm: VmNumber, place: Place) {
        self.0.insert(vm, place);
    }

    pub(super) fn forget(&mut self, vm: VmNumber) {
        self.0.remove(&vm);
    }

    /// The VMs that are in one of these places.
    pub(super) fn which(&self, places: &[Place]) -> Vec<VmNumber> {
        let mut those = self.0.clone();
        those.retain(|_, place| places.contains(place));
        those.into_keys().collect()
    }

    /// How many VMs take up room, when the interfaces of these are here.
    pub(super) fn taken(&self, here: &BTreeSet<VmNumber>) -> u32 {
        let more = self.0.keys().filter(|vm| !here.contains(vm)).count();
        u32::try_from(here.len() + more).unwrap_or(u32::MAX)
    }

    /// Keeps room for a VM; says whether there is any, with so many slots.
    pub(super) fn expect(
        &mut self,
        vm: VmNumber,
        here: &BTreeSet<VmNumber>,
        slots: u32,
    ) -> Result<(), NoPlace> {
        if here.contains(&vm) || self.0.contains_key(&vm) {
            return Err(NoPlace::HasOne);
        }
        if self.taken(here) >= slots {
            return Err(NoPlace::Full);
        }
        self.set(vm, Place::Expected);
        Ok(())
    }

    /// Interfaces that are here and that nobody is concerned with: they are arriving from now on.
    pub(super) fn strays(&mut self, here: &BTreeSet<VmNumber>) -> Vec<VmNumber> {
        (self.0).retain(|vm, place| *place != Place::Home || here.contains(vm));
        let unknown = here.iter().filter(|vm| !self.0.contains_key(vm));
        let strays: Vec<_> = unknown.copied().collect();
        for vm in &strays {
            self.set(*vm, Place::Arriving);
        }
        strays
    }
}

/// Why no room is kept for a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// It is here already, or on its way.
    HasOne,
    /// All slots are taken.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(vms: &[u32]) -> BTreeSet<VmNumber> {
        vms.iter().map(|vm| VmNumber(*vm)).collect()
    }

    #[test]
    fn room_is_kept_once_for_each() {
        let mut places = Places::default();
        let here = set(&[1]);
        let mut expect = |vm, here: &BTreeSet<_>| places.expect(VmNumber(vm), here, 3);
        assert_eq!(expect(1, &here), Err(NoPlace::HasOne));
        assert_eq!(expect(2, &here), Ok(()));
        assert_eq!(expect(2, &here), Err(NoPlace::HasOne));
        assert_eq!(expect(3, &here), Ok(()));
        assert_eq!(expect(4, &here), Err(NoPlace::Full));
        // One whose interface has come takes no more room than before.
        assert_eq!(expect(4, &set(&[1, 2])), Err(NoPlace::Full));
        assert_eq!(expect(4, &set(&[])), Ok(()));
    }

    #[test]
    fn interfaces_without_owner_are_strays_once() {
        let mut places = Places::default();
        places.set(VmNumber(1), Place::Leaving);
        places.set(VmNumber(2), Place::Expected);
        places.set(VmNumber(3), Place::Home);
        assert_eq!(places.strays(&set(&[1, 2, 3, 4])), [VmNumber(4)]);
        assert_eq!(places.strays(&set(&[1, 2, 3, 4])), []);
        assert_eq!(places.which(&[Place::Arriving]), [VmNumber(4)]);
        // One that was at home and has gone may come back.
        assert_eq!(places.strays(&set(&[1])), []);
        assert_eq!(places.get(VmNumber(3)), None);
        assert_eq!(places.get(VmNumber(2)), Some(Place::Expected));
        assert_eq!(places.strays(&set(&[3])), [VmNumber(3)]);
    }
}
