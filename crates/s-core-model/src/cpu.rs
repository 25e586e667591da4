//! What a host's processor offers, and whether a VM from another host can go on there.

use core::fmt;

/// What the processors of a host offer to VMs.
///
/// A VM that has booted uses what it found. It runs on elsewhere if the vendor is the same and the other host
/// [offers](Self::offers) all features of this one. That asks for more than a VM may use; where it keeps VMs apart that could
/// change hosts, the hosts' features are to be levelled, which Xen does with `cpuid=` on its command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuModel {
    /// Who made it.
    pub vendor: CpuVendor,
    /// Which kinds of VM the host can run.
    pub guests: GuestKinds,
    /// What the bits of [`features`](Self::features) stand for: those of two hosts compare only if it is the same.
    pub layout: u8,
    /// One bit per feature, in the words of Xen's `hw_caps`: not all that Xen knows.
    pub features: [u32; Self::WORDS],
}

impl CpuModel {
    /// How many words of features there are: as many as Xen has in `hw_caps`.
    pub const WORDS: usize = 8;
    /// The length of [`to_bytes`](Self::to_bytes).
    pub const LEN: usize = CpuVendor::LEN + 2 + 4 * Self::WORDS;

    /// Whether a VM of a host with the processor `source` can go on here.
    ///
    /// # Errors
    ///
    /// [`CpuMismatch`]: the first thing that is in the way.
    pub fn offers(&self, source: &Self) -> Result<(), CpuMismatch> {
        if self.vendor != source.vendor {
            return Err(CpuMismatch::Vendor {
                wanted: source.vendor,
                found: self.vendor,
            });
        }
        let guests = source.guests.without(self.guests);
        if guests != GuestKinds::default() {
            return Err(CpuMismatch::Guests(guests));
        }
        if self.layout != source.layout {
            return Err(CpuMismatch::Layout);
        }
        let mut lacking = source.features;
        for (wanted, offered) in lacking.iter_mut().zip(self.features) {
            *wanted &= !offered;
        }
        if lacking == [0; Self::WORDS] {
            Ok(())
        } else {
            Err(CpuMismatch::Features(lacking))
        }
    }

    /// As the wire has it: vendor (12), guests (1), layout (1), features (8 words of 4, big-endian).
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (head, words) = bytes.split_at_mut(CpuVendor::LEN + 2);
        head[..CpuVendor::LEN].copy_from_slice(&self.vendor.0);
        head[CpuVendor::LEN] = self.guests.0;
        head[CpuVendor::LEN + 1] = self.layout;
        for (bytes, word) in words.chunks_exact_mut(4).zip(self.features) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// From what [`to_bytes`](Self::to_bytes) made; any bytes are a model.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let (head, words) = bytes.split_at(CpuVendor::LEN + 2);
        let mut vendor = [0; CpuVendor::LEN];
        vendor.copy_from_slice(&head[..CpuVendor::LEN]);
        let mut features = [0; Self::WORDS];
        for (word, bytes) in features.iter_mut().zip(words.chunks_exact(4)) {
            *word = bytes
                .iter()
                .fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        Self {
            vendor: CpuVendor(vendor),
            guests: GuestKinds(head[CpuVendor::LEN]),
            layout: head[CpuVendor::LEN + 1],
            features,
        }
    }
}

/// The vendor of a processor as CPUID spells it, e.g. `GenuineIntel`; nothing if it is not known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CpuVendor([u8; Self::LEN]);

impl CpuVendor {
    /// The length of the name that CPUID gives, in bytes.
    pub const LEN: usize = 12;

    /// The vendor of this name, of which no more than 12 bytes count.
    pub fn new(name: &str) -> Self {
        let mut vendor = [0; Self::LEN];
        for (to, from) in vendor.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        Self(vendor)
    }
}

/// Printable ASCII alone: it may come from the network.
impl fmt::Display for CpuVendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == [0; Self::LEN] {
            return f.write_str("unknown");
        }
        let shown = self.0.iter().filter(|byte| byte.is_ascii_graphic());
        shown
            .map(|byte| char::from(*byte))
            .try_for_each(|c| write!(f, "{c}"))
    }
}

impl fmt::Debug for CpuVendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuVendor({self})")
    }
}

/// Kinds of VM that a host can run, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GuestKinds(u8);

impl GuestKinds {
    /// Paravirtualized.
    pub const PV: Self = Self(1);
    /// With hardware support.
    pub const HVM: Self = Self(2);
    /// With hardware support for nested page tables, which a VM that has begun with it cannot do without.
    pub const HAP: Self = Self(4);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// The names that `xl info` has for them in `virt_caps`.
impl fmt::Display for GuestKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(Self::PV, "pv"), (Self::HVM, "hvm"), (Self::HAP, "hap")];
        let mut before = "";
        for (kind, name) in names {
            if self.0 & kind.0 != 0 {
                write!(f, "{before}{name}")?;
                before = " ";
            }
        }
        let known = Self::PV.and(Self::HVM).and(Self::HAP);
        match self.without(known) {
            Self(0) => Ok(()),
            Self(rest) => write!(f, "{before}{rest:#x}"),
        }
    }
}

/// Why a VM cannot go on at a host: its processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CpuMismatch {
    /// The target does not tell what its processor offers.
    #[error(
        "the target does not tell what its CPU offers; run the same version of the agent on all hosts"
    )]
    Unknown,
    /// The target refuses the VM for its processor; what is missing its own log says.
    #[error(
        "the target says that its CPU does not offer what the source's does; its log says what is missing"
    )]
    Refused,
    /// Another vendor.
    #[error("the target's CPU is of vendor {found}, the source's of {wanted}")]
    Vendor {
        /// Of the VM's host.
        wanted: CpuVendor,
        /// Of the host that it would go to.
        found: CpuVendor,
    },
    /// The target cannot run all kinds of VM that the source can; those.
    #[error("the target runs no VMs of kind {0}; compare virt_caps of xl info on both hosts")]
    Guests(GuestKinds),
    /// The two hosts' features do not compare.
    #[error(
        "the hosts' CPU features are in different forms; run the same version of Xen on all hosts"
    )]
    Layout,
    /// The target lacks features of the source; those.
    #[error(
        "the target's CPU lacks features {words}; compare hw_caps of xl info on both hosts, and level them with Xen's cpuid= option",
        words = Words(.0)
    )]
    Features([u32; CpuModel::WORDS]),
}

/// Words as `xl info` prints them.
struct Words<'a>(&'a [u32; CpuModel::WORDS]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            let before = if index == 0 { "" } else { ":" };
            write!(f, "{before}{word:08x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    fn cpu(vendor: &str, guests: GuestKinds, layout: u8, word: u32) -> CpuModel {
        let mut features = [7; CpuModel::WORDS];
        features[5] = word;
        CpuModel {
            vendor: CpuVendor::new(vendor),
            guests,
            layout,
            features,
        }
    }

    #[test]
    fn a_vm_goes_on_where_nothing_is_missing() {
        let all = GuestKinds::PV.and(GuestKinds::HVM).and(GuestKinds::HAP);
        let source = cpu("GenuineIntel", all, 1, 0b0110);
        let check = |target: CpuModel, wanted: Option<&str>| {
            let said = target.offers(&source).err().map(|why| why.to_string());
            match (said, wanted) {
                (None, None) => {}
                (Some(said), Some(wanted)) => assert!(said.contains(wanted), "{said}"),
                (said, wanted) => panic!("{said:?}, not {wanted:?}"),
            }
        };
        check(source, None);
        check(cpu("GenuineIntel", all, 1, 0b1111), None);
        check(
            cpu("GenuineIntel", all, 1, 0b1010),
            Some("00000000:00000000:00000000:00000000:00000000:00000004:00000000:00000000"),
        );
        check(
            cpu("AuthenticAMD", all, 1, 0b1111),
            Some("vendor AuthenticAMD, the source's of GenuineIntel"),
        );
        check(cpu("", all, 1, 0b1111), Some("vendor unknown"));
        check(
            cpu("GenuineIntel", GuestKinds::PV, 1, 0b1111),
            Some("kind hvm hap;"),
        );
        check(cpu("GenuineIntel", all, 0, 0b1111), Some("different forms"));
    }

    #[test]
    fn bytes_come_back_and_are_those_of_the_wire() {
        let cpu = cpu("AuthenticAMD", GuestKinds::PV, 1, 0x0102_0304);
        let bytes = cpu.to_bytes();
        assert_eq!(&bytes[..14], b"AuthenticAMD\x01\x01");
        assert_eq!(&bytes[34..38], &[1, 2, 3, 4]);
        assert_eq!(CpuModel::from_bytes(&bytes), cpu);
        let any = core::array::from_fn(|i| 0xff - i as u8);
        assert_eq!(CpuModel::from_bytes(&any).to_bytes(), any);
    }

    #[test]
    fn what_the_network_brings_is_shown_without_control_characters() {
        let vendor = CpuVendor::new("Evil\n\x1b[2J");
        assert_eq!(vendor.to_string(), "Evil[2J");
        assert_eq!(GuestKinds(0xff).to_string(), "pv hvm hap 0xf8");
    }
}
