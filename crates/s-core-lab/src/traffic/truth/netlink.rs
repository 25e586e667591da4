//! The counters of an nft set, asked from the kernel in the nfnetlink format (linux/netlink.h, linux/netfilter/nfnetlink.h,
//! linux/netfilter/nf_tables.h).

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
    sockopt,
};

/// The most destinations of a VM that are counted.
pub(super) const MOST_COUNTERS: u32 = 16_384;
/// The kernel answers in pieces of at most 32 KiB.
const PIECE: usize = 1 << 16;
/// How often a set is asked again when it has changed meanwhile.
const ATTEMPTS: u32 = 5;

const HEADER: usize = 16;
const NFGENMSG: usize = 4;
const NFPROTO_IPV4: u8 = 2;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
const NFNL_SUBSYS_NFTABLES: u16 = 10 << 8;
const NFT_MSG_NEWSETELEM: u16 = NFNL_SUBSYS_NFTABLES | 12;
const NFT_MSG_GETSETELEM: u16 = NFNL_SUBSYS_NFTABLES | 13;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_EXPR: u16 = 7;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_COUNTER_BYTES: u16 = 1;
const NFTA_COUNTER_PACKETS: u16 = 2;
/// The upper bits of an attribute's type say that it is nested and in network byte order.
const TYPE_MASK: u16 = 0x3fff;

/// A counter of a set of IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Counter {
    pub(super) destination: Ipv4Addr,
    pub(super) packets: u64,
    /// Of IP packets.
    pub(super) bytes: u64,
}

/// Asks for the counters of one set, in the network that its thread was in when it was opened.
#[derive(Debug)]
pub(super) struct SetReader {
    socket: OwnedFd,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl SetReader {
    pub(super) fn open(table: &str, set: &str) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let protocol = Some(netlink::NETFILTER);
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        let patience = Some(std::time::Duration::from_secs(2));
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, patience)?;
        Ok(Self {
            socket,
            request: request(table, set),
            buffer: vec![0; PIECE],
        })
    }

    /// All counters, ascending by destination.
    pub(super) fn read(&mut self) -> io::Result<Vec<Counter>> {
        for _ in 0..ATTEMPTS {
            let (mut counters, consistent) = self.dump()?;
            if consistent {
                // While the kernel's table grows it may list one twice: the later, larger one counts.
                counters.sort_unstable();
                counters.reverse();
                counters.dedup_by_key(|counter| counter.destination);
                counters.reverse();
                return Ok(counters);
            }
        }
        Err(io::Error::other("the set does not stay as it is"))
    }

    /// All counters, and whether none was changed by nft meanwhile.
    fn dump(&mut self) -> io::Result<(Vec<Counter>, bool)> {
        send(&self.socket, &self.request, SendFlags::empty())?;
        let (mut counters, mut consistent) = (Vec::new(), true);
        loop {
            let (length, _) = recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty())?;
            let part = self.buffer.get(..length).unwrap_or(&self.buffer);
            let piece = parse(part, &mut counters)?;
            consistent &= piece.consistent;
            if piece.last {
                return Ok((counters, consistent));
            }
        }
    }
}

/// The request for all elements of a set of the `ip` family.
fn request(table: &str, set: &str) -> Vec<u8> {
    let mut body = vec![NFPROTO_IPV4, 0, 0, 0];
    for (kind, name) in [
        (NFTA_SET_ELEM_LIST_TABLE, table),
        (NFTA_SET_ELEM_LIST_SET, set),
    ] {
        // Names are constants of a few letters.
        let length = (4 + name.len() + 1) as u16;
        body.extend(length.to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(name.as_bytes());
        body.push(0);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(((HEADER + body.len()) as u32).to_ne_bytes());
    message.extend(NFT_MSG_GETSETELEM.to_ne_bytes());
    message.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    // Sequence number, and the port that the kernel chooses.
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// What a piece of an answer said beside its counters.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    last: bool,
    consistent: bool,
}

/// Reads the messages of one piece of an answer.
fn parse(mut piece: &[u8], counters: &mut Vec<Counter>) -> io::Result<Piece> {
    let mut consistent = true;
    while !piece.is_empty() {
        let length = piece.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        let length = usize::try_from(length.unwrap_or(0)).unwrap_or(0);
        if length < HEADER || length > piece.len() {
            return Err(bad("a message has a wrong length"));
        }
        let (message, rest) = piece.split_at(length);
        piece = rest
            .get(length.next_multiple_of(4) - length..)
            .unwrap_or(&[]);
        let field = |at: usize| u16::from_ne_bytes([message[at], message[at + 1]]);
        consistent &= field(6) & NLM_F_DUMP_INTR == 0;
        let body = &message[HEADER..];
        match field(4) {
            NLMSG_DONE => {
                let last = true;
                return Ok(Piece { last, consistent });
            }
            NLMSG_ERROR => {
                let errno = body.first_chunk().map_or(0, |raw| i32::from_ne_bytes(*raw));
                return Err(io::Error::from_raw_os_error(errno.saturating_neg()));
            }
            NFT_MSG_NEWSETELEM => elements(body.get(NFGENMSG..).unwrap_or(&[]), counters)?,
            _ => {}
        }
    }
    Ok(Piece {
        last: false,
        consistent,
    })
}

/// Reads the elements that a message lists.
fn elements(body: &[u8], counters: &mut Vec<Counter>) -> io::Result<()> {
    for list in Attributes(body).filter(|(kind, _)| *kind == NFTA_SET_ELEM_LIST_ELEMENTS) {
        for (_, element) in Attributes(list.1) {
            if counters.len() > 2 * MOST_COUNTERS as usize {
                return Err(bad("the set is larger than it can be"));
            }
            counters.push(counter(element).ok_or_else(|| bad("an element has no counter"))?);
        }
    }
    Ok(())
}

fn counter(element: &[u8]) -> Option<Counter> {
    let value = find(find(element, NFTA_SET_ELEM_KEY)?, NFTA_DATA_VALUE)?;
    let data = find(find(element, NFTA_SET_ELEM_EXPR)?, NFTA_EXPR_DATA)?;
    let number = |kind| Some(u64::from_be_bytes(find(data, kind)?.try_into().ok()?));
    Some(Counter {
        destination: <[u8; 4]>::try_from(value).ok()?.into(),
        packets: number(NFTA_COUNTER_PACKETS)?,
        bytes: number(NFTA_COUNTER_BYTES)?,
    })
}

fn find(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut found = Attributes(attributes).filter(|(kind, _)| *kind == wanted);
    found.next().map(|(_, value)| value)
}

/// Attributes, one after the other; ends at the first that is cut off.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    /// Type and value.
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let &[a, b, c, d] = self.0.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((u16::from_ne_bytes([c, d]) & TYPE_MASK, value))
    }
}

fn bad(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Linux 6.18 (little-endian) answered for a set with two elements, two packets of 48 bytes each.
    const ELEMENTS: &str = "ac0000000c0a020000000000646f0000020000021000010073636f72655f7472757468000900020073656e7400000000\
        7c0003003c0001000c000100080001000a0707082c0007000c000100636f756e746572001c0002000c0001000000000000000060\
        0c00020000000000000000023c0001000c000100080001000a0707072c0007000c000100636f756e746572001c0002000c000100\
        00000000000000600c0002000000000000000002";
    const DONE: &str = "340000000c0a020000000000646f0000020000021000010073636f72655f7472757468000900020073656e7400000000\
        0400030014000000030002000000000064 6f000000000000";
    /// What it answered for a set that is not there.
    const REFUSED: &str = "440000000200000000000000646f0000feffffff300000000d0a01030000000000000000020000001000010073636f72\
        655f7472757478000900020073656e7400000000";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
        let byte = |pair: &[u32]| u8::try_from(pair[0] << 4 | pair[1]).unwrap();
        digits.chunks_exact(2).map(byte).collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn an_answer_of_the_kernel_is_read() {
        let mut counters = Vec::new();
        let piece = |last| Piece {
            last,
            consistent: true,
        };
        let elements = parse(&bytes(ELEMENTS), &mut counters).unwrap();
        assert_eq!(elements, piece(false));
        assert_eq!(parse(&bytes(DONE), &mut counters).unwrap(), piece(true));
        let counter = |last| Counter {
            destination: Ipv4Addr::new(10, 7, 7, last),
            packets: 2,
            bytes: 96,
        };
        assert_eq!(counters, [counter(8), counter(7)]);
        let mut interrupted = bytes(ELEMENTS);
        interrupted[6] |= 0x10;
        let interrupted = parse(&interrupted, &mut counters).unwrap();
        assert!(!interrupted.consistent);
        let refused = parse(&bytes(REFUSED), &mut counters).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
        // The kernel repeats the request behind its refusal.
        let asked = request("score_trutx", "sent");
        assert_eq!(asked[20..], bytes(REFUSED)[40..]);
    }

    proptest! {
        /// Whatever comes is read or refused; nothing is read beyond its end.
        #[test]
        fn damaged_answers_do_no_harm(cut in 0..172usize, at in 0..172usize, value: u8) {
            let mut answer = bytes(ELEMENTS);
            answer[at] = value;
            let mut counters = Vec::new();
            // Neither result is wrong.
            let _ = parse(&answer, &mut counters);
            let whole = parse(&answer[..cut], &mut counters);
            prop_assert!(cut == 0 || at < 4 || whole.is_err());
        }
    }
}
