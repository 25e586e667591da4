//! NetFlow version 5, as Open vSwitch writes it: a header of 24 bytes and at most 30 records of 48, big-endian.
//!
//! Open vSwitch departs from Cisco's format in two fields: `dOctets` counts whole Ethernet frames, and `flow_sequence`
//! is the number of the datagram's last record, from 0, not that of its first.

use std::net::Ipv4Addr;

/// The length of the header, in bytes.
const HEADER: usize = 24;
/// The length of a record, in bytes.
const RECORD: usize = 48;
/// The most records in a datagram.
const MOST_RECORDS: usize = 30;
/// The longest datagram, in bytes.
pub const LONGEST: usize = HEADER + MOST_RECORDS * RECORD;

/// A datagram that was found to be whole.
///
/// ```
/// use s_core_backend::ovs::netflow::Datagram;
///
/// let mut bytes = vec![0; 24 + 48];
/// bytes[..4].copy_from_slice(&[0, 5, 0, 1]);
/// bytes[24..32].copy_from_slice(&[10, 9, 0, 1, 10, 9, 0, 2]);
/// bytes[24 + 23] = 98;
/// let record = Datagram::read(&bytes)?.records().next().ok_or("no record")?;
/// assert_eq!((record.dst, record.bytes), ([10, 9, 0, 2].into(), 98));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    sequence: u32,
    records: &'a [u8],
}

/// What one conversation sent in one direction since it was last exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where the packets come from.
    pub src: Ipv4Addr,
    /// Where the packets go.
    pub dst: Ipv4Addr,
    /// The OpenFlow port that they came in by, modulo 2^16.
    pub input: u16,
    /// The OpenFlow port that they leave by; 65535 if by all, 65534 if by several or the bridge's own.
    pub output: u16,
    /// How many there were.
    pub packets: u32,
    /// Their bytes, Ethernet headers included.
    pub bytes: u32,
}

/// The bytes are no datagram of NetFlow version 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNetFlow5 {
    /// It is shorter than a header, or says that it is of another version.
    #[error("it is not NetFlow version 5")]
    Version,
    /// Its length is not that of the records that it says are in it, 1 to 30.
    #[error("it says {count} records and has {length} bytes")]
    Length {
        /// The records that it says it has.
        count: u16,
        /// Its length in bytes.
        length: usize,
    },
}

impl<'a> Datagram<'a> {
    /// Checks the version and that the length is that of the records; after that no accessor can fail.
    ///
    /// # Errors
    ///
    /// [`NotNetFlow5`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, NotNetFlow5> {
        let (header, records) = bytes.split_at_checked(HEADER).ok_or(NotNetFlow5::Version)?;
        if half(header, 0) != 5 {
            return Err(NotNetFlow5::Version);
        }
        let count = half(header, 2);
        let whole = usize::from(count) * RECORD == records.len();
        if !whole || !(1..=MOST_RECORDS).contains(&usize::from(count)) {
            return Err(NotNetFlow5::Length {
                count,
                length: bytes.len(),
            });
        }
        let sequence = word(header, 16);
        Ok(Self { sequence, records })
    }

    /// The number of its first record since the exporter began, modulo 2^32.
    pub fn first(&self) -> u32 {
        // No more than 30.
        let count = (self.records.len() / RECORD) as u32;
        self.sequence.wrapping_add(1).wrapping_sub(count)
    }

    /// The number of the record after its last.
    pub fn next(&self) -> u32 {
        self.sequence.wrapping_add(1)
    }

    /// Its records.
    pub fn records(&self) -> impl Iterator<Item = Record> + use<'a> {
        self.records.chunks_exact(RECORD).map(|record| Record {
            src: word(record, 0).into(),
            dst: word(record, 4).into(),
            input: half(record, 12),
            output: half(record, 14),
            packets: word(record, 16),
            bytes: word(record, 20),
        })
    }
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Three datagrams of Open vSwitch 3.1.0: pings of 98 bytes between ports 1 and 2, and one to all.
    const RECORDED: [&str; 3] = [
        "0005000200000bb86b0442791f8b630a000000052fd10000\
         0a0900020a090001000000000002000100000003000001260000041a00000816000000000000010000000000000000000a0900010a\
         090002000000000001000200000003000001260000041a0000081600000800000001000000000000000000",
        "0005000100000fa06b04427a1f8e0e09000000062fd10000\
         0a0900010a0900ff000000000001ffff0000000100000062000008240000082400000800000001000000000000000000",
        "0005000200000bb86b0442791f8b630a000000012fd10000\
         0a0900020a090001000000000002000100000003000001260000041a00000816000000000000010000000000000000000a0900010a\
         090002000000000001000200000003000001260000041a0000081600000800000001000000000000000000",
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |c: u8| char::from(c).to_digit(16).unwrap() as u8;
        let digits: Vec<u8> = hex
            .bytes()
            .filter(|c| !c.is_ascii_whitespace())
            .map(digit)
            .collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }

    #[test]
    fn what_open_vswitch_exports() {
        let record = |src, dst, input, output, packets| Record {
            src: Ipv4Addr::new(10, 9, 0, src),
            dst: Ipv4Addr::new(10, 9, 0, dst),
            input,
            output,
            packets,
            bytes: packets * 98,
        };
        let pings = vec![record(2, 1, 2, 1, 3), record(1, 2, 1, 2, 3)];
        let rows = [
            (4, 6, pings.clone()),
            (6, 7, vec![record(1, 255, 1, 0xffff, 1)]),
            (0, 2, pings),
        ];
        for (hex, (first, next, records)) in RECORDED.into_iter().zip(rows) {
            let bytes = bytes(hex);
            let datagram = Datagram::read(&bytes).unwrap();
            assert_eq!((datagram.first(), datagram.next()), (first, next));
            assert_eq!(datagram.records().collect::<Vec<_>>(), records);
        }
    }

    #[test]
    fn what_is_refused() {
        let good = bytes(RECORDED[1]);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let length = |count, length| NotNetFlow5::Length { count, length };
        let rows: [(Vec<u8>, NotNetFlow5); 7] = [
            (vec![], NotNetFlow5::Version),
            (good[..23].to_vec(), NotNetFlow5::Version),
            (with(1, 9), NotNetFlow5::Version),
            (good[..24].to_vec(), length(1, 24)),
            (good[..71].to_vec(), length(1, 71)),
            (with(3, 0), length(0, 72)),
            (with(2, 0xff), length(0xff01, 72)),
        ];
        for (bytes, expected) in rows {
            assert_eq!(Datagram::read(&bytes).unwrap_err(), expected, "{bytes:?}");
        }
        let mut long = good;
        long.extend([0; 30 * RECORD]);
        long[3] = 31;
        assert_eq!(
            Datagram::read(&long).unwrap_err(),
            length(31, HEADER + 31 * RECORD)
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..LONGEST + 9), set in any::<bool>()) {
            if set && bytes.len() > 4 {
                let count = ((bytes.len() - 4) / RECORD) as u16;
                bytes[..2].copy_from_slice(&5_u16.to_be_bytes());
                bytes[2..4].copy_from_slice(&count.to_be_bytes());
                bytes.truncate(HEADER + usize::from(count) * RECORD);
            }
            if let Ok(datagram) = Datagram::read(&bytes) {
                prop_assert!(datagram.records().count() <= MOST_RECORDS);
                prop_assert_eq!(datagram.next().wrapping_sub(datagram.first()) as usize, datagram.records().count());
            }
        }
    }
}
