//! What the database of a host's switch tells about a VM.

use s_core_backend::Uuid;
use s_core_flow::MacAddr;

use crate::layout::{HostNumber, Layout, VmNumber};

impl Layout {
    /// What identifies a VM on every host: a UUID of version 8 (RFC 9562) that holds its number and the laboratory's name.
    pub fn vm_uuid(&self, vm: VmNumber) -> Uuid {
        let mut octets = [0; 16];
        octets[..4].copy_from_slice(&vm.0.to_be_bytes());
        // Version and variant, each in an octet that holds nothing else.
        octets[6] = 0x80;
        octets[8] = 0x80;
        let free = [4, 5, 7, 9, 10, 11, 12, 13];
        for (at, letter) in free.into_iter().zip(self.name().as_str().bytes()) {
            octets[at] = letter;
        }
        Uuid::new(octets)
    }

    /// The VM with this UUID.
    pub fn vm_with_uuid(&self, uuid: Uuid) -> Option<VmNumber> {
        let [a, b, c, d, ..] = uuid.octets();
        let vm = VmNumber(u32::from_be_bytes([a, b, c, d]));
        (self.has_vm(vm) && self.vm_uuid(vm) == uuid).then_some(vm)
    }

    /// The VM whose interface's end at its host has this name.
    pub fn vm_with_vif(&self, name: &str) -> Option<VmNumber> {
        let number = name.strip_prefix("vif")?.strip_suffix(".0")?;
        let vm = VmNumber(number.parse().ok()?);
        (self.has_vm(vm) && self.vif(vm) == name).then_some(vm)
    }

    fn has_vm(&self, vm: VmNumber) -> bool {
        let count = u32::from(self.shape().hosts) * u32::from(self.shape().vms_per_host);
        (1..=count).contains(&vm.0)
    }

    /// What a VM's interface says about it in the switch's database (`external_ids`).
    pub fn external_ids(&self, vm: VmNumber) -> [(&'static str, String); 4] {
        [
            ("attached-mac", self.mac(vm).to_string()),
            ("iface-id", self.vm_uuid(vm).to_string()),
            ("vm-uuid", self.vm_uuid(vm).to_string()),
            ("s-core-memory-mib", self.shape().vm_memory_mib.to_string()),
        ]
    }

    /// The MAC address of a host's bridge, and so of its control domain. It stays when the switch restarts.
    pub const fn bridge_mac(&self, host: HostNumber) -> MacAddr {
        let [high, low] = host.0.to_be_bytes();
        MacAddr::new([0x02, 0x77, 1, 0, high, low])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LabName, Shape};

    #[test]
    fn interfaces_tell_their_vm() {
        let layout = Layout::new("abcdefgh".parse().unwrap(), Shape::default()).unwrap();
        for (name, vm) in [
            ("vif7.0", Some(VmNumber(7))),
            ("vif16.0", Some(VmNumber(16))),
            ("vif17.0", None),
            ("vif0.0", None),
            ("vif07.0", None),
            ("vif+7.0", None),
            ("vif7.1", None),
            ("up0", None),
        ] {
            assert_eq!(layout.vm_with_vif(name), vm, "{name}");
        }
    }

    #[test]
    fn a_uuid_is_of_one_vm_of_one_laboratory() {
        let layout = Layout::new(LabName::default(), Shape::default()).unwrap();
        let uuid = layout.vm_uuid(VmNumber(7));
        assert_eq!(uuid.to_string(), "00000007-6c61-8062-8000-000000000000");
        assert_eq!(layout.vm_with_uuid(uuid), Some(VmNumber(7)));
        let other = Layout::new("laa".parse().unwrap(), Shape::default()).unwrap();
        assert_eq!(other.vm_with_uuid(uuid), None);
        let longest = Layout::new("abcdefgh".parse().unwrap(), Shape::default()).unwrap();
        let uuid = longest.vm_uuid(VmNumber(16));
        assert_eq!(longest.vm_with_uuid(uuid), Some(VmNumber(16)));
    }
}
