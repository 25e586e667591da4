//! The authenticated frame around every message.
//!
//! All numbers are big-endian.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | magic `SCOR` |
//! | 4 | 1 | version, 1 |
//! | 5 | 1 | message kind |
//! | 6 | 1 | key id |
//! | 7 | 1 | reserved, 0 |
//! | 8 | 8 | cluster id |
//! | 16 | 4 | sender: the server's address |
//! | 20 | 4 | receiver: the server's address, or 0 for whoever it reaches |
//! | 24 | 8 | counter: rises with every frame of a sender, whoever it is for |
//! | 32 | 4 | length n of the body |
//! | 36 | n | body: fields as type, length, value |
//! | 36 + n | 32 | tag: keyed BLAKE3 over all bytes before it |
//!
//! The tag is checked before anything but the length is looked at.

use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;

use bytes::{BufMut, Bytes, BytesMut};
use s_core_model::ServerId;

use super::body::{self, BodyError};
use crate::message::Message;

const MAGIC: [u8; 4] = *b"SCOR";
const VERSION: u8 = 1;
/// In the place of a receiver's address.
const ANYBODY: u32 = 0;

/// Length of the part of a frame that comes before the body.
pub const HEADER_LEN: usize = 36;
/// Length of the tag that ends a frame.
pub const TAG_LEN: usize = 32;
/// What a frame adds to the body of its message.
pub const FRAME_OVERHEAD: usize = HEADER_LEN + TAG_LEN;

/// The name of one data centre's agents among others that use the same network: frames of another cluster are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cluster(pub u64);

/// Tells the keys of a [`Keyring`] apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u8);

/// A secret that all agents of a cluster share: 256 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    id: KeyId,
    secret: [u8; 32],
}

impl Key {
    /// The key with this id and secret.
    pub const fn new(id: KeyId, secret: [u8; 32]) -> Self {
        Self { id, secret }
    }

    /// The key's id.
    pub const fn id(&self) -> KeyId {
        self.id
    }
}

/// Shows the id, never the secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The key to seal with, and the keys to accept: two of them while keys are being changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    accepted: Vec<Key>,
}

impl Keyring {
    /// Seals with `active` and accepts it and `others`.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if two keys have the same id.
    pub fn new(active: Key, others: impl IntoIterator<Item = Key>) -> Result<Self, KeyringError> {
        let mut accepted = alloc::vec![active];
        for key in others {
            if accepted.iter().any(|known| known.id == key.id) {
                return Err(KeyringError(key.id));
            }
            accepted.push(key);
        }
        Ok(Self { accepted })
    }

    fn active(&self) -> &Key {
        &self.accepted[0]
    }

    fn get(&self, id: KeyId) -> Option<&Key> {
        self.accepted.iter().find(|key| key.id == id)
    }
}

/// Two keys of a keyring have the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two keys have the id {}; give each key an id of its own", .0.0)]
pub struct KeyringError(pub KeyId);

/// Seals and opens frames for one server of one cluster.
///
/// Seal with one codec per server: a clone goes on counting from where it was cloned. A codec opens a frame as
/// often as it comes; an [`Opener`](super::Opener) opens it once.
///
/// ```
/// use s_core_model::{ServerId, VmId};
/// use s_core_proto::wire::{Cluster, Codec, Key, KeyId, Keyring};
/// use s_core_proto::{Message, QueryId};
///
/// let keyring = Keyring::new(Key::new(KeyId(1), [7; 32]), [])?;
/// let mut alice = Codec::new(Cluster(1), ServerId::new(1), keyring.clone(), 1 << 20);
/// let bob = Codec::new(Cluster(1), ServerId::new(2), keyring, 1 << 20);
///
/// let question = Message::LocationRequest { query: QueryId::new(1), vm: VmId::new(9), directed: false };
/// let frame = alice.seal(None, &question); // to whoever it reaches
/// let opened = bob.open(&frame)?;
/// assert_eq!((opened.sender, opened.message), (ServerId::new(1), question));
///
/// let mut forged = frame.to_vec();
/// forged[40] ^= 1;
/// assert!(bob.open(&forged.into()).is_err());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec {
    cluster: Cluster,
    server: ServerId,
    keyring: Keyring,
    max_frame: usize,
    counter: u64,
}

/// A frame whose tag was right and that is for this server; its body has not been looked at.
pub(super) struct Sealed {
    pub(super) sender: ServerId,
    pub(super) counter: u64,
    kind: u8,
    body: Bytes,
}

impl Sealed {
    pub(super) fn decode(self) -> Result<Opened, FrameError> {
        Ok(Opened {
            sender: self.sender,
            counter: self.counter,
            message: body::decode(self.kind, &self.body)?,
        })
    }
}

/// A frame whose tag was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The server that sealed it.
    pub sender: ServerId,
    /// The sender's frame counter.
    pub counter: u64,
    /// What it says.
    pub message: Message,
}

impl Codec {
    /// A codec that refuses frames longer than `max_frame` bytes.
    pub const fn new(
        cluster: Cluster,
        server: ServerId,
        keyring: Keyring,
        max_frame: usize,
    ) -> Self {
        Self {
            cluster,
            server,
            keyring,
            max_frame,
            counter: 0,
        }
    }

    /// Starts the frame counter at this value, which should be above all that this server used
    /// before, for instance the time in nanoseconds.
    #[must_use]
    pub const fn with_counter(mut self, counter: u64) -> Self {
        self.counter = counter;
        self
    }

    /// The longest frame that is accepted, in bytes.
    pub const fn max_frame(&self) -> usize {
        self.max_frame
    }

    /// Encodes a message and adds header and tag; `receiver` is the one server that shall accept it, if it is one.
    ///
    /// The counter stays at 2⁶⁴ − 1 when it gets there, so that receivers refuse what comes then: a server that began
    /// with the time in nanoseconds does not get there before the year 2554.
    ///
    /// # Panics
    ///
    /// If a token message is longer than 4 GiB, which no token is.
    pub fn seal(&mut self, receiver: Option<ServerId>, message: &Message) -> Bytes {
        self.counter = self.counter.saturating_add(1);
        let key = self.keyring.active();
        let mut frame = BytesMut::with_capacity(FRAME_OVERHEAD + body::encoded_len(message));
        frame.put_slice(&MAGIC);
        frame.put_u8(VERSION);
        frame.put_u8(body::kind(message));
        frame.put_u8(key.id.0);
        frame.put_u8(0);
        frame.put_u64(self.cluster.0);
        frame.put_u32(self.server.get());
        frame.put_u32(receiver.map_or(ANYBODY, ServerId::get));
        frame.put_u64(self.counter);
        let length = u32::try_from(body::encoded_len(message)).expect("a message is below 4 GiB");
        frame.put_u32(length);
        body::encode(message, &mut frame);
        let tag = blake3::keyed_hash(&key.secret, &frame);
        frame.put_slice(tag.as_bytes());
        frame.freeze()
    }

    /// Checks a frame's tag and decodes its message; a token stays in the frame's own memory.
    ///
    /// # Errors
    ///
    /// [`FrameError`]; nothing of a frame whose tag is wrong has been looked at but its length and key id.
    pub fn open(&self, frame: &Bytes) -> Result<Opened, FrameError> {
        self.authenticate(frame)?.decode()
    }

    /// Checks that a frame bears the tag of a key that is known here, and then that it is for this server.
    pub(super) fn authenticate(&self, frame: &Bytes) -> Result<Sealed, FrameError> {
        let length = frame_len(frame, self.max_frame)?;
        if frame.len() != length {
            return Err(FrameError::WrongLength {
                length: frame.len(),
                wanted: length,
            });
        }
        let (signed, tag) = frame.split_at(length - TAG_LEN);
        let key_id = KeyId(signed[6]);
        let key = self
            .keyring
            .get(key_id)
            .ok_or(FrameError::UnknownKey(key_id))?;
        let mut wanted = [0; TAG_LEN];
        wanted.copy_from_slice(tag);
        // `blake3::Hash` compares in constant time.
        if blake3::keyed_hash(&key.secret, signed) != blake3::Hash::from_bytes(wanted) {
            return Err(FrameError::WrongTag);
        }
        let cluster = Cluster(be_u64(&signed[8..16]));
        if cluster != self.cluster {
            return Err(FrameError::OtherCluster(cluster));
        }
        if signed[7] != 0 {
            return Err(FrameError::ReservedByte(signed[7]));
        }
        let sender = ServerId::new(be_u32(&signed[16..20]));
        if sender == self.server {
            return Err(FrameError::OwnFrame);
        }
        let receiver = be_u32(&signed[20..24]);
        if receiver != ANYBODY && receiver != self.server.get() {
            return Err(FrameError::OtherReceiver(ServerId::new(receiver)));
        }
        Ok(Sealed {
            sender,
            counter: be_u64(&signed[24..32]),
            kind: signed[5],
            body: frame.slice(HEADER_LEN..length - TAG_LEN),
        })
    }
}

/// The length of the whole frame that begins with `start`, tag included: how much to read from a stream.
///
/// # Errors
///
/// [`FrameError`] if `start` is shorter than [`HEADER_LEN`], is not the start of a frame of this
/// version, or announces more than `max_frame` bytes.
pub fn frame_len(start: &[u8], max_frame: usize) -> Result<usize, FrameError> {
    let Some(header) = start.first_chunk::<HEADER_LEN>() else {
        return Err(FrameError::Truncated(start.len()));
    };
    if header[..4] != MAGIC {
        return Err(FrameError::NotAFrame);
    }
    if header[4] != VERSION {
        return Err(FrameError::UnknownVersion(header[4]));
    }
    let length = be_u32(&header[32..36]) as usize;
    match length.checked_add(FRAME_OVERHEAD) {
        Some(length) if length <= max_frame => Ok(length),
        _ => Err(FrameError::TooLong { length, max_frame }),
    }
}

fn be_u32(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn be_u64(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// A frame that is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Fewer bytes than a header has.
    #[error("{0} bytes are not a whole frame header")]
    Truncated(usize),
    /// The first bytes are not the magic number.
    #[error("not a frame of this protocol")]
    NotAFrame,
    /// A version that this codec does not speak.
    #[error("frame version {0} is not known; version 1 is")]
    UnknownVersion(u8),
    /// A body longer than allowed.
    #[error("a frame with a body of {length} bytes is longer than the {max_frame} bytes allowed")]
    TooLong {
        /// The announced length of the body.
        length: usize,
        /// The limit for the whole frame.
        max_frame: usize,
    },
    /// The frame is shorter or longer than it says.
    #[error("a frame of {length} bytes says that it has {wanted}")]
    WrongLength {
        /// Its length.
        length: usize,
        /// The length that its header announces.
        wanted: usize,
    },
    /// Sealed with a key that is not on the keyring.
    #[error("sealed with key {}, which is not known here", .0.0)]
    UnknownKey(KeyId),
    /// The tag is not that of the frame: forged, damaged, or sealed with another secret.
    #[error("the tag is wrong")]
    WrongTag,
    /// Properly sealed, for another cluster.
    #[error("sealed for cluster {}", .0.0)]
    OtherCluster(Cluster),
    /// Properly sealed, by this very server: a frame that came back.
    #[error("sealed by this server itself")]
    OwnFrame,
    /// Properly sealed, for another server.
    #[error("sealed for server {0}")]
    OtherReceiver(ServerId),
    /// Properly sealed, by a server that is not in the location table.
    #[error("sealed by {0}, which is not in the location table")]
    UnknownSender(ServerId),
    /// Properly sealed, and sent by somebody else than who sealed it.
    #[error("sealed by server {sender} and sent from {from}")]
    OtherSource {
        /// The server that sealed it.
        sender: ServerId,
        /// The address that it came from.
        from: Ipv4Addr,
    },
    /// Properly sealed, and it came before, or so long ago was its turn that this is not known any more.
    #[error(
        "frame {counter} of server {sender} came before, or is too far behind its frame {highest}; \
         was that server's clock set back?"
    )]
    Replayed {
        /// The server that sealed it.
        sender: ServerId,
        /// The frame's counter.
        counter: u64,
        /// The highest counter that has come from this server.
        highest: u64,
    },
    /// A reserved byte is not zero.
    #[error("reserved byte is {0}, not 0")]
    ReservedByte(u8),
    /// Properly sealed, and the body makes no sense.
    #[error(transparent)]
    Body(#[from] BodyError),
}
