//! Which VM is at home in which rack.

use std::ops::Range;

/// VMs divided evenly among home racks, in the order of their numbers.
///
/// A VM's *home rack* says whom it talks to and not where it is: in a rack-local placement it is there,
/// in a random placement it may be anywhere. With fewer VMs than racks, only as many racks as VMs are homes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HomeRacks {
    vms: u32,
    racks: u32,
}

impl HomeRacks {
    /// `vms` VMs in up to `racks` racks; in one if `racks` is 0, as every VM has a home.
    pub fn new(vms: u32, racks: u32) -> Self {
        let racks = racks.max(1).min(vms);
        Self { vms, racks }
    }

    /// How many racks are homes.
    pub fn rack_count(self) -> u32 {
        self.racks
    }

    /// How many VMs there are.
    pub fn vm_count(self) -> u32 {
        self.vms
    }

    /// The numbers of the VMs that are at home in a rack; at least one.
    ///
    /// # Panics
    ///
    /// If the rack is not below [`rack_count`](Self::rack_count).
    pub fn vms_of(self, rack: u32) -> Range<u32> {
        assert!(rack < self.racks, "rack {rack} of {}", self.racks);
        let start = |rack| (u64::from(rack) * u64::from(self.vms) / u64::from(self.racks)) as u32;
        start(rack)..start(rack + 1)
    }

    /// The home rack of a VM.
    ///
    /// # Panics
    ///
    /// If the VM is not below [`vm_count`](Self::vm_count).
    pub fn rack_of(self, vm: u32) -> u32 {
        assert!(vm < self.vms, "VM {vm} of {}", self.vms);
        // The last rack whose first VM is not beyond this one.
        ((u64::from(vm + 1) * u64::from(self.racks) - 1) / u64::from(self.vms)) as u32
    }

    /// The VMs of a VM's home rack; with applications of `size` VMs, those of its application. A rack's VMs
    /// are divided into applications in the order of their numbers, the last of which may be smaller.
    pub(super) fn neighbourhood(self, vm: u32, size: Option<u32>) -> Range<u32> {
        let rack = self.vms_of(self.rack_of(vm));
        let Some(size) = size else { return rack };
        let start = vm - (vm - rack.start) % size;
        start..start.saturating_add(size).min(rack.end)
    }
}
