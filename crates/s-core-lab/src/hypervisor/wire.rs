//! What two hosts say to each other during a migration, over one TCP connection.
//!
//! ```text
//! source → target   Offer: greeting, VM, UUID, MAC address, memory                   38 octets
//!        ←          Reply: Admitted, or why not                                       1 octet
//!        →          Record Page(n), 4096 octets of the page; any number of these   9 + 4096 octets
//!        →          Record RoundEnds                                                  9 octets
//!        ←          Reply: RoundIsHere, so nothing is on its way; further rounds      1 octet
//!        →          Record Whole(digest): that was all                                9 octets
//!        ←          Reply: Complete or Incomplete                                     1 octet
//!        →          Record Given: the VM's interface is yours, or KeptHere            9 octets
//!        ←          Reply: Runs                                                       1 octet
//! ```
//!
//! Numbers are big-endian. Nothing has a length of its own, so nothing can be too long.

use s_core_backend::Uuid;
use s_core_flow::MacAddr;

/// What every connection begins with; the last octet is the version.
const GREETING: [u8; 8] = *b"S-CORE \x01";

/// What the source wants to bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) vm: u32,
    pub(super) uuid: Uuid,
    pub(super) mac: MacAddr,
    pub(super) memory_mib: u32,
}

impl Offer {
    pub(super) const LENGTH: usize = 38;

    pub(super) fn encode(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&GREETING);
        bytes[8..12].copy_from_slice(&self.vm.to_be_bytes());
        bytes[12..28].copy_from_slice(&self.uuid.octets());
        bytes[28..34].copy_from_slice(&self.mac.octets());
        bytes[34..].copy_from_slice(&self.memory_mib.to_be_bytes());
        bytes
    }

    /// `None` if it does not begin with the greeting.
    pub(super) fn decode(bytes: &[u8; Self::LENGTH]) -> Option<Self> {
        let rest = bytes.strip_prefix(&GREETING)?;
        let (vm, rest) = rest.split_first_chunk()?;
        let (uuid, rest) = rest.split_first_chunk()?;
        let (mac, rest) = rest.split_first_chunk()?;
        let (memory_mib, _) = rest.split_first_chunk()?;
        Some(Self {
            vm: u32::from_be_bytes(*vm),
            uuid: Uuid::new(*uuid),
            mac: MacAddr::new(*mac),
            memory_mib: u32::from_be_bytes(*memory_mib),
        })
    }
}

/// What the target answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The VM may come.
    Admitted,
    /// There is no room for it.
    Full,
    /// The gate does not let it in.
    NotAdmitted,
    /// The target was told to refuse.
    Refuses,
    /// It is no VM of this laboratory, or is not as the layout says, or is here already.
    NotThisOne,
    /// The memory is here, every page as it was last.
    Complete,
    /// Pages are missing or differ.
    Incomplete,
    /// The VM runs at the target.
    Runs,
    /// Everything that was sent is here.
    RoundIsHere,
}

impl Reply {
    const ALL: [Self; 9] = [
        Self::Admitted,
        Self::Full,
        Self::NotAdmitted,
        Self::Refuses,
        Self::NotThisOne,
        Self::Complete,
        Self::Incomplete,
        Self::Runs,
        Self::RoundIsHere,
    ];

    pub(super) const fn encode(self) -> [u8; 1] {
        [match self {
            Self::Admitted => 1,
            Self::Full => 2,
            Self::NotAdmitted => 3,
            Self::Refuses => 4,
            Self::NotThisOne => 5,
            Self::Complete => 6,
            Self::Incomplete => 7,
            Self::Runs => 8,
            Self::RoundIsHere => 9,
        }]
    }

    pub(super) fn decode(byte: [u8; 1]) -> Option<Self> {
        Self::ALL.into_iter().find(|reply| reply.encode() == byte)
    }

    /// As the source tells it on.
    pub(super) const fn explain(self) -> &'static str {
        match self {
            Self::Admitted => "it admits the VM",
            Self::Full => "it is full",
            Self::NotAdmitted => "its gate does not admit the VM",
            Self::Refuses => "it refuses",
            Self::NotThisOne => "it does not know the VM, or has it already",
            Self::Complete => "it has the whole memory",
            Self::Incomplete => "it has not the memory that was sent",
            Self::Runs => "the VM runs there",
            Self::RoundIsHere => "it has all that was sent",
        }
    }
}

/// What the source sends once it is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// The page of this number follows.
    Page(u32),
    /// All pages were sent; the digest of the memory.
    Whole(u64),
    /// The VM's interface is in the target's namespace now.
    Given,
    /// The VM stays at the source.
    KeptHere,
    /// Every page that this round sends was sent.
    RoundEnds,
}

impl Record {
    pub(super) const LENGTH: usize = 9;

    pub(super) fn encode(self) -> [u8; Self::LENGTH] {
        let (kind, value) = match self {
            Self::Page(number) => (1, number.into()),
            Self::Whole(digest) => (2, digest),
            Self::Given => (3, 0),
            Self::KeptHere => (4, 0),
            Self::RoundEnds => (5, 0),
        };
        let mut bytes = [kind; Self::LENGTH];
        bytes[1..].copy_from_slice(&u64::to_be_bytes(value));
        bytes
    }

    pub(super) fn decode(bytes: &[u8; Self::LENGTH]) -> Option<Self> {
        let (kind, value) = bytes.split_first()?;
        let value = u64::from_be_bytes(value.try_into().ok()?);
        match (kind, value) {
            (1, number) => u32::try_from(number).ok().map(Self::Page),
            (2, digest) => Some(Self::Whole(digest)),
            (3, 0) => Some(Self::Given),
            (4, 0) => Some(Self::KeptHere),
            (5, 0) => Some(Self::RoundEnds),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_octet_by_octet() {
        let offer = Offer {
            vm: 7,
            uuid: Uuid::new([0xab; 16]),
            mac: MacAddr::new([2, 0x77, 0, 0, 0, 7]),
            memory_mib: 16,
        };
        let mut golden = b"S-CORE \x01\0\0\0\x07".to_vec();
        golden.extend([0xab; 16]);
        golden.extend([2, 0x77, 0, 0, 0, 7, 0, 0, 0, 16]);
        assert_eq!(offer.encode().as_slice(), golden);
        assert_eq!(Offer::decode(&offer.encode()), Some(offer));
        for at in 0..8 {
            let mut other = offer.encode();
            other[at] ^= 1;
            assert_eq!(Offer::decode(&other), None, "octet {at}");
        }
    }

    #[test]
    fn replies_and_records_come_back_and_nothing_else_does() {
        for byte in 0..=u8::MAX {
            let reply = Reply::decode([byte]);
            assert_eq!(reply.is_some(), (1..=9).contains(&byte), "{byte}");
            assert!(reply.is_none_or(|reply| reply.encode() == [byte]));
        }
        let check = |record: Record, golden: [u8; 9]| {
            assert_eq!(record.encode(), golden);
            assert_eq!(Record::decode(&golden), Some(record));
        };
        check(Record::Page(258), [1, 0, 0, 0, 0, 0, 0, 1, 2]);
        let digest = Record::Whole(u64::MAX - 1);
        check(digest, [2, 255, 255, 255, 255, 255, 255, 255, 254]);
        check(Record::Given, [3, 0, 0, 0, 0, 0, 0, 0, 0]);
        check(Record::KeptHere, [4, 0, 0, 0, 0, 0, 0, 0, 0]);
        check(Record::RoundEnds, [5, 0, 0, 0, 0, 0, 0, 0, 0]);
        for strange in [
            [0, 0, 0, 0, 0, 0, 0, 0, 0],
            [1, 0, 0, 0, 1, 0, 0, 0, 0],
            [3, 0, 0, 0, 0, 0, 0, 0, 1],
            [6, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(Record::decode(&strange), None, "{strange:?}");
        }
    }
}
