//! One TCP connection on which frames come.

use std::io::{self, Read as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use s_core_proto::wire::{HEADER_LEN, frame_len};

use super::refusals::Refusal;
use crate::config::NetworkLimits;

/// Bytes read from one connection before others get their turn.
const BYTES_PER_TURN: usize = 1 << 18;

/// A connection and the part of a frame that it has delivered.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// Where it comes from.
    pub(super) peer: Ipv4Addr,
    /// Whether that is a server's address.
    pub(super) known: bool,
    pub(super) opened: Instant,
    /// When something last came.
    active: Instant,
    /// When the frame that is being received began; at first, when the connection did.
    frame_began: Option<Instant>,
    /// When it last delivered a token.
    pub(super) delivered: Option<Instant>,
    /// Whether a whole frame may be among what was read already.
    pub(super) more: bool,
    /// Grows as bytes come, never because of what a header announces.
    received: BytesMut,
    /// Bytes read since the connection's turn began.
    turn: usize,
}

/// What reading has led to.
#[derive(Debug)]
pub(super) enum Progress {
    /// Nothing more has come, or it is the others' turn.
    Waiting,
    /// A whole frame, not yet authenticated.
    Frame(Bytes),
    /// The other end has closed.
    Closed,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: Ipv4Addr, known: bool) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let now = Instant::now();
        Ok(Self {
            stream,
            peer,
            known,
            opened: now,
            active: now,
            frame_began: Some(now),
            delivered: None,
            more: false,
            received: BytesMut::new(),
            turn: 0,
        })
    }

    /// Bytes held of a frame that is not complete.
    pub(super) fn held(&self) -> usize {
        self.received.len()
    }

    /// When to close it, unless something comes before.
    pub(super) fn deadline(&self, limits: &NetworkLimits) -> Instant {
        let idle = self.active + limits.idle;
        match self.frame_began {
            Some(began) => idle.min(began + limits.whole_frame),
            None => idle,
        }
    }

    /// The next frame, if all of it has come. Call it again after a frame.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        max_frame: usize,
    ) -> Result<Progress, Refusal> {
        loop {
            if let Some(frame) = self.take_frame(max_frame)? {
                return Ok(Progress::Frame(frame));
            }
            if self.turn >= BYTES_PER_TURN {
                self.turn = 0;
                return Ok(Progress::Waiting);
            }
            match self.stream.read(scratch) {
                Ok(0) if self.received.is_empty() => return Ok(Progress::Closed),
                Ok(0) => return Err(Refusal::CutOff),
                Ok(length) => {
                    self.turn += length;
                    self.active = Instant::now();
                    self.frame_began.get_or_insert(self.active);
                    self.received.extend_from_slice(&scratch[..length]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.turn = 0;
                    return Ok(Progress::Waiting);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Refusal::CutOff),
            }
        }
    }

    fn take_frame(&mut self, max_frame: usize) -> Result<Option<Bytes>, Refusal> {
        if self.received.len() < HEADER_LEN {
            return Ok(None);
        }
        let length = frame_len(&self.received, max_frame)?;
        if self.received.len() < length {
            return Ok(None);
        }
        let frame = self.received.split_to(length).freeze();
        self.frame_began = (!self.received.is_empty()).then(Instant::now);
        Ok(Some(frame))
    }
}
