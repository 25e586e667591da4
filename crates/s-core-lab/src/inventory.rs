//! What the database of a host's switch tells about a VM.

use s_core_backend::Uuid;
use s_core_flow::MacAddr;

use crate::layout::{HostNumber, Layout, VmNumber};

impl Layout {
    /// The UUID of a VM: version 8 of RFC 9562, from the laboratory's name and the VM's number.
    pub fn uuid(&self, vm: VmNumber) -> Uuid {
        let mut name = [0; 8];
        let text = self.name().as_str().as_bytes();
        name[..text.len()].copy_from_slice(text);
        let [a, b, c, d, e, f, g, h] = name;
        let [w, x, y, z] = vm.0.to_be_bytes();
        let (version, variant) = (0x80, 0x80);
        Uuid::new([a, b, c, d, e, f, version, g, variant, h, 0, 0, w, x, y, z])
    }

    /// The `external_ids` of a VM's interface, by which agents know whose it is.
    pub fn external_ids(&self, vm: VmNumber) -> [(&'static str, String); 4] {
        let uuid = self.uuid(vm).to_string();
        [
            ("attached-mac", self.mac(vm).to_string()),
            ("iface-id", uuid.clone()),
            ("vm-uuid", uuid),
            ("s-core-memory-mib", self.shape().vm_memory_mib.to_string()),
        ]
    }

    /// The VM whose interface has this name on the host.
    pub fn vm_of_vif(&self, name: &str) -> Option<VmNumber> {
        let number = name.strip_prefix("vif")?.strip_suffix(".0")?;
        let vm = VmNumber(number.parse().ok()?);
        // Not `vif+1.0` or `vif01.0`.
        (self.vif(vm) == name && self.vms().any(|other| other == vm)).then_some(vm)
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
    use crate::Shape;

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
            assert_eq!(layout.vm_of_vif(name), vm, "{name}");
        }
    }

    #[test]
    fn a_uuid_is_of_one_vm_of_one_laboratory() {
        let uuid = |name: &str, vm| {
            let layout = Layout::new(name.parse().unwrap(), Shape::default()).unwrap();
            layout.uuid(VmNumber(vm)).to_string()
        };
        assert_eq!(
            uuid("abcdefgh", 258),
            "61626364-6566-8067-8068-000000000102"
        );
        assert_eq!(uuid("lab", 1), "6c616200-0000-8000-8000-000000000001");
        assert_ne!(uuid("lab", 1), uuid("lab1", 1));
    }
}
