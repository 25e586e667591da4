//! All that a frame has to pass before the node hears of it, in one place.

use alloc::collections::BTreeMap;
use core::net::Ipv4Addr;

use bytes::Bytes;
use s_core_model::{Levels, ServerId};

use super::frame::{Codec, FrameError, Opened, Sealed};
use super::replay::ReplayWindow;

/// Opens the frames that come to one server, each once: a [`Codec`] and a [`ReplayWindow`] per sender.
///
/// One opener serves all ways by which frames come, datagrams and streams, since a sender counts them together.
/// There are never more windows than servers in the location table.
///
/// ```
/// use s_core_model::ServerId;
/// use s_core_proto::wire::{Cluster, Codec, FrameError, Key, KeyId, Keyring, Opener};
/// use s_core_proto::{Message, QueryId};
/// # use s_core_model::{Level, Levels, ServerIndex, VmId};
/// # struct Racks;
/// # impl Levels for Racks {
/// #     fn server_count(&self) -> usize { 2 }
/// #     fn max_level(&self) -> Level { Level::new(1) }
/// #     fn level(&self, a: ServerIndex, b: ServerIndex) -> Level { Level::new((a != b).into()) }
/// #     fn index_of(&self, s: ServerId) -> Option<ServerIndex> { Some(ServerIndex::new(s.get() - 1)) }
/// #     fn server_at(&self, s: ServerIndex) -> ServerId { ServerId::new(s.get() + 1) }
/// # }
///
/// let keyring = Keyring::new(Key::new(KeyId(1), [7; 32]), [])?;
/// let [alice, bob] = [1, 2].map(ServerId::new);
/// let mut codec = Codec::new(Cluster(1), alice, keyring.clone(), 1 << 20);
/// let mut opener = Opener::new(Codec::new(Cluster(1), bob, keyring, 1 << 20), Racks);
///
/// let question = Message::LocationRequest { query: QueryId::new(1), vm: VmId::new(9), directed: false };
/// let frame = codec.seal(Some(bob), &question);
/// assert_eq!(opener.open(alice.addr(), &frame)?.message, question);
/// assert!(matches!(opener.open(alice.addr(), &frame), Err(FrameError::Replayed { .. })));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opener<L> {
    codec: Codec,
    servers: L,
    windows: BTreeMap<ServerId, ReplayWindow>,
}

impl<L: Levels> Opener<L> {
    /// An opener that has heard nobody yet, and hears the servers of the location table `servers`.
    ///
    /// The first frame that it accepts of a server may be any that this server ever sealed: after a restart,
    /// marks (rules R1, R3, R4) and query numbers are what stops a replay.
    pub const fn new(codec: Codec, servers: L) -> Self {
        Self {
            codec,
            servers,
            windows: BTreeMap::new(),
        }
    }

    /// The longest frame that is accepted, in bytes.
    pub const fn max_frame(&self) -> usize {
        self.codec.max_frame()
    }

    /// Opens a frame that came from the network address `from`.
    ///
    /// The tag comes before all else; then whether the frame is for this server, whether its sender is one and sent it
    /// itself, whether it is new; and only then what it says. A stranger who passes on a frame that he has caught
    /// changes no window: the frame itself is still accepted when it comes.
    ///
    /// # Errors
    ///
    /// [`FrameError`]. Nothing changes then, but that a frame which bears the right tag and whose body makes no sense
    /// counts as having come.
    pub fn open(&mut self, from: Ipv4Addr, frame: &Bytes) -> Result<Opened, FrameError> {
        let sealed = self.codec.authenticate(frame)?;
        self.check_sender(from, &sealed)?;
        self.check_new(&sealed)?;
        sealed.decode()
    }

    /// Whether a known server sent the frame from its own address.
    fn check_sender(&self, from: Ipv4Addr, sealed: &Sealed) -> Result<(), FrameError> {
        let sender = sealed.sender;
        if self.servers.index_of(sender).is_none() {
            return Err(FrameError::UnknownSender(sender));
        }
        if from != sender.addr() {
            return Err(FrameError::OtherSource { sender, from });
        }
        Ok(())
    }

    fn check_new(&mut self, sealed: &Sealed) -> Result<(), FrameError> {
        let (sender, counter) = (sealed.sender, sealed.counter);
        let window = self.windows.entry(sender).or_default();
        if window.accept(counter) {
            return Ok(());
        }
        let highest = window.highest().unwrap_or(counter);
        Err(FrameError::Replayed {
            sender,
            counter,
            highest,
        })
    }
}
