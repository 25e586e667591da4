//! A datapath flow as the kernel tells it (`linux/openvswitch.h`, `OVS_FLOW_ATTR_*`).

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use s_core_flow::MacAddr;

use super::NetlinkError;
use super::wire::{Attributes, generic, split};
use crate::ovs::matches::{Counted, Match};
use crate::{FlowCounter, NoEnds, UnattributedCounter};

/// `struct ovs_header`: the number of the datapath.
pub(super) const OVS_HEADER: usize = 4;

const FLOW_KEY: u16 = 1;
const FLOW_ACTIONS: u16 = 2;
const FLOW_STATS: u16 = 3;
const FLOW_MASK: u16 = 7;
const FLOW_UFID: u16 = 9;

const KEY_ENCAP: u16 = 1;
const KEY_ETHERNET: u16 = 4;
const KEY_IPV4: u16 = 7;
const KEY_IPV6: u16 = 8;
const KEY_TCP: u16 = 9;
const KEY_UDP: u16 = 10;
const KEY_ARP: u16 = 13;
const KEY_SCTP: u16 = 17;
/// More kinds of keys than there are.
const KEYS: usize = 64;
/// How deep a VLAN tag can stand behind others.
const TAGS: u32 = 3;

const ACTION_RECIRC: u16 = 7;
const ACTION_CLONE: u16 = 20;
/// Actions that hold lists of others (sample, check_pkt_len, dec_ttl), and in which of their attributes.
const LISTS: [(u16, &[u16]); 3] = [(6, &[2]), (21, &[2, 3]), (23, &[1])];
/// How deeply the kernel takes actions in each other.
const ACTION_DEPTH: u32 = 16;

/// A flow that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KernelFlow {
    pub(super) matches: Match,
    counted: Counted,
    /// Whether its packets come back into the datapath and are counted there again.
    recirculated: bool,
}

impl KernelFlow {
    /// Reads what a message of `ovs_flow` holds behind its header.
    ///
    /// A flow is known by its `UFID`, or where it was made without by its key and mask: by a hash of these, seeded
    /// because tenants choose part of what is hashed.
    pub(super) fn read(payload: &[u8], seed: u64) -> Result<Self, NetlinkError> {
        let (_, attributes) = split::<OVS_HEADER>(generic(payload)?, "the header of a flow")?;
        let (mut key, mut mask, mut ufid) = (None, None, None);
        let (mut stats, mut actions): ([u64; 2], &[u8]) = ([0; 2], &[]);
        for attribute in Attributes(attributes) {
            match attribute? {
                (FLOW_KEY, value) => key = Some(value),
                (FLOW_MASK, value) => mask = Some(value),
                (FLOW_UFID, value) => ufid = Some(value),
                (FLOW_ACTIONS, value) => actions = value,
                (FLOW_STATS, value) => {
                    let (packets, rest) = split::<8>(value, "a flow's packets")?;
                    let (bytes, _) = split::<8>(rest, "a flow's bytes")?;
                    stats = [packets, bytes].map(|number| u64::from_ne_bytes(*number));
                }
                _ => {}
            }
        }
        let key = key.ok_or(NetlinkError::Missing("a flow's key"))?;
        let mut matches = Match::default();
        read_key(&mut matches, key, mask, TAGS)?;
        let hash = FixedState::with_seed(seed);
        let id = match ufid {
            Some(ufid) => hash.hash_one(ufid),
            None => hash.hash_one((key, mask)),
        };
        let [packets, bytes] = stats;
        Ok(Self {
            matches,
            counted: Counted { id, packets, bytes },
            recirculated: recirculates(actions, ACTION_DEPTH)?,
        })
    }

    /// Its counter with its two ends, or why it has none.
    pub(super) fn counter(&self) -> Result<FlowCounter, UnattributedCounter> {
        let ends = if self.recirculated {
            Err(NoEnds::Recirculated)
        } else {
            self.matches.ends()
        };
        let Counted { id, packets, bytes } = self.counted;
        ends.map(|ends| self.matches.counter(ends, self.counted))
            .map_err(|reason| UnattributedCounter {
                id,
                reason,
                packets,
                bytes,
            })
    }
}

/// Reads the attributes of a key. Without a mask all is exact; a mask that lacks an attribute leaves it open.
fn read_key(
    found: &mut Match,
    key: &[u8],
    mask: Option<&[u8]>,
    tags: u32,
) -> Result<(), NetlinkError> {
    let mut masks = [None; KEYS];
    for attribute in Attributes(mask.unwrap_or_default()) {
        let (kind, value) = attribute?;
        if let Some(place) = masks.get_mut(usize::from(kind)) {
            *place = Some(value);
        }
    }
    for attribute in Attributes(key) {
        let (kind, value) = attribute?;
        let under = masks.get(usize::from(kind)).copied().flatten();
        if mask.is_some() && under.is_none() {
            continue;
        }
        if kind == KEY_ENCAP {
            // What is behind a VLAN tag is read as if it stood outside.
            let tags = tags.checked_sub(1).ok_or(NetlinkError::Nested)?;
            read_key(found, value, under, tags)?;
        } else {
            read_field(found, kind, Field { value, mask: under })?;
        }
    }
    Ok(())
}

fn read_field(found: &mut Match, kind: u16, field: Field<'_>) -> Result<(), NetlinkError> {
    match kind {
        KEY_ETHERNET => {
            field.check("an Ethernet key", 12)?;
            found.eth_src = field.exact(0).map(MacAddr::new);
            found.eth_dst = field.exact(6).map(MacAddr::new);
            found.to_group = field.under_mask(6) & 1 == 1;
        }
        KEY_IPV4 => {
            field.check("an IPv4 key", 12)?;
            found.ipv4_src = field.exact::<4>(0).map(Into::into);
            found.ipv4_dst = field.exact::<4>(4).map(Into::into);
            found.protocol = field.exact(8).map(|[protocol]| protocol);
            found.fragment = field.under_mask(11) != 0;
        }
        KEY_IPV6 => {
            field.check("an IPv6 key", 40)?;
            found.ipv6_src = field.exact::<16>(0).map(Into::into);
            found.ipv6_dst = field.exact::<16>(16).map(Into::into);
            found.protocol = field.exact(36).map(|[protocol]| protocol);
            found.fragment = field.under_mask(39) != 0;
        }
        KEY_TCP | KEY_UDP | KEY_SCTP => {
            field.check("a key of ports", 4)?;
            found.src_port = field.exact(0).map(u16::from_be_bytes);
            found.dst_port = field.exact(2).map(u16::from_be_bytes);
        }
        KEY_ARP => {
            field.check("an ARP key", 4)?;
            found.arp_sender = field.exact::<4>(0).map(Into::into);
        }
        _ => {}
    }
    Ok(())
}

/// The value of a key's attribute and its mask; none is a full one.
#[derive(Clone, Copy)]
struct Field<'a> {
    value: &'a [u8],
    mask: Option<&'a [u8]>,
}

impl Field<'_> {
    /// Whether value and mask hold all that is asked of them.
    fn check(&self, what: &'static str, wanted: usize) -> Result<(), NetlinkError> {
        let mask = self.mask.map_or(usize::MAX, <[u8]>::len);
        let there = self.value.len().min(mask);
        if there < wanted {
            return Err(NetlinkError::Short {
                what,
                there,
                wanted,
            });
        }
        Ok(())
    }

    /// The bytes from `at` on, if all of them are matched.
    fn exact<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let full = match self.mask {
            None => true,
            Some(mask) => mask.get(at..)?.first_chunk::<N>()? == &[0xff; N],
        };
        self.value
            .get(at..)?
            .first_chunk()
            .copied()
            .filter(|_| full)
    }

    /// What is matched of the byte at `at`.
    fn under_mask(&self, at: usize) -> u8 {
        let byte = |of: &[u8]| of.get(at).copied().unwrap_or(0);
        byte(self.value) & self.mask.map_or(0xff, byte)
    }
}

/// Whether one of these actions, or of those within them, sends packets through the datapath once more.
fn recirculates(actions: &[u8], depth: u32) -> Result<bool, NetlinkError> {
    let depth = depth.checked_sub(1).ok_or(NetlinkError::Nested)?;
    for action in Attributes(actions) {
        let (kind, value) = action?;
        let within = match kind {
            ACTION_RECIRC => true,
            ACTION_CLONE => recirculates(value, depth)?,
            _ => match LISTS.iter().find(|(holder, _)| *holder == kind) {
                Some((_, lists)) => any_recirculates(value, lists, depth)?,
                None => false,
            },
        };
        if within {
            return Ok(true);
        }
    }
    Ok(false)
}

fn any_recirculates(holder: &[u8], lists: &[u16], depth: u32) -> Result<bool, NetlinkError> {
    for attribute in Attributes(holder) {
        let (kind, value) = attribute?;
        if lists.contains(&kind) && recirculates(value, depth)? {
            return Ok(true);
        }
    }
    Ok(false)
}
