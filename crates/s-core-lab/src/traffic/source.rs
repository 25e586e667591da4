//! What sends one [`Stream`].

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use rustix::event::PollFlags;

use super::connection::{Connection, Progress};
use super::counts::{Count, add};
use super::mix::{Kind, Stream};
use super::pace::Pace;
use super::sizes::FlowSizes;
use super::wire;

/// What a datagram carries.
pub(super) const DATAGRAM: u32 = 1200;
/// How many short flows of a stream there are at a time.
const MOST_SHORT: usize = 16;
/// After a connection that could not be made.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// For how long what could not be sent by TCP is made up for; UDP has a constant rate.
const TCP_MAKES_UP: f64 = 1.0;
const UDP_MAKES_UP: f64 = 0.1;
/// How much bulk is sent at once: what its rate gives in this time, in full segments.
const PIECE_SECONDS: f64 = 0.01;
const MOST_SEGMENTS: f64 = 40.0;

/// What all sources of a VM share.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    /// The port of receivers.
    pub(super) port: u16,
    /// Sends datagrams.
    pub(super) udp: &'a UdpSocket,
    pub(super) sizes: FlowSizes,
}

/// Sends one stream: what, whereto, how much of it there may be by now, and its connections.
#[derive(Debug)]
pub(super) struct Source {
    stream: Stream,
    pace: Pace,
    /// How many bytes of payload make a piece (bulk), or has the next flow (short) or datagram.
    next: u32,
    connections: Vec<Connection>,
    not_before: Duration,
    random: Pcg64Mcg,
    count: Arc<Count>,
}

impl Source {
    pub(super) fn new(
        stream: Stream,
        seed: u64,
        count: Arc<Count>,
        sizes: &FlowSizes,
        now: Duration,
    ) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let next = match stream.kind {
            Kind::Bulk => bulk_piece(stream.rate),
            Kind::Short => sizes.draw_small(&mut random),
            Kind::Udp => DATAGRAM,
        };
        Self {
            pace: Pace::new(stream.rate, most_credit(&stream, sizes), now),
            stream,
            next,
            connections: Vec::new(),
            not_before: now,
            random,
            count,
        }
    }

    /// Where it sends to, and how.
    pub(super) const fn key(&self) -> (Ipv4Addr, Kind) {
        (self.stream.to, self.stream.kind)
    }

    /// Goes on at another rate.
    pub(super) fn change(&mut self, stream: Stream, sizes: &FlowSizes, now: Duration) {
        self.stream = stream;
        if stream.kind == Kind::Bulk {
            self.next = bulk_piece(stream.rate);
        }
        self.pace
            .change(stream.rate, most_credit(&stream, sizes), now);
    }

    /// Sends what may be sent by now and can be sent without waiting.
    pub(super) fn advance(&mut self, now: Duration, sender: &Sender<'_>) {
        match self.stream.kind {
            Kind::Bulk => self.advance_bulk(now, sender),
            Kind::Short => self.advance_short(now, sender),
            Kind::Udp => self.advance_udp(now, sender),
        }
    }

    /// When it has something to do if nothing happens before.
    pub(super) fn due(&self) -> Option<Duration> {
        let deadlines = self.connections.iter().filter_map(Connection::deadline);
        let blocked = match self.stream.kind {
            Kind::Bulk => {
                (self.connections.iter()).any(|connection| !connection.interest().1.is_empty())
            }
            Kind::Short => self.connections.len() >= MOST_SHORT,
            Kind::Udp => false,
        };
        let next = if blocked {
            None
        } else {
            self.pace.due(self.cost()).map(|at| at.max(self.not_before))
        };
        deadlines.chain(next).min()
    }

    /// The connections, and what they wait for.
    pub(super) fn interests(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        self.connections.iter().map(Connection::interest)
    }

    /// What the next piece, flow or datagram takes of the pace.
    fn cost(&self) -> f64 {
        match self.stream.kind {
            Kind::Bulk => f64::from(self.next) * wire::bulk_factor(),
            Kind::Short => wire::short_flow(self.next),
            Kind::Udp => wire::datagram(self.next),
        }
    }

    fn advance_udp(&mut self, now: Duration, sender: &Sender<'_>) {
        let payload = [0; DATAGRAM as usize];
        let to = SocketAddrV4::new(self.stream.to, sender.port);
        while self.pace.credit(now) >= self.cost() {
            match sender.udp.send_to(&payload, to) {
                Ok(sent) => add(&self.count.sent, sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.not_before = now + Duration::from_millis(5);
                    return;
                }
                // The network is away: the datagram is lost.
                Err(_) => {}
            }
            self.pace.spend(self.cost());
        }
    }

    fn advance_bulk(&mut self, now: Duration, sender: &Sender<'_>) {
        let credit = self.pace.credit(now);
        if self.connections.is_empty() && now >= self.not_before && credit >= self.cost() {
            let bytes = sender.sizes.draw_large(&mut self.random);
            self.connect(now, sender, bytes);
        }
        let Some(mut connection) = self.connections.pop() else {
            return;
        };
        match self.send_bulk(&mut connection, now) {
            Ok(()) if connection.left() > 0 => self.connections.push(connection),
            // All is sent; the next begins when there is credit.
            Ok(()) => {}
            Err(_) => self.broken(now),
        }
    }

    /// Sends piece by piece as credit allows; a connection that is not there yet is not waited for.
    fn send_bulk(&mut self, connection: &mut Connection, now: Duration) -> io::Result<()> {
        connection.error()?;
        while connection.left() > 0 {
            let credit = self.pace.credit(now);
            let most = if credit >= self.cost() { self.next } else { 0 };
            match connection.advance(now, most)? {
                Progress::Connected => add(&self.count.connections, 1),
                Progress::Connecting | Progress::Sent(0) => break,
                Progress::Sent(sent) => self.sent(sent, f64::from(sent) * wire::bulk_factor()),
            }
        }
        Ok(())
    }

    fn advance_short(&mut self, now: Duration, sender: &Sender<'_>) {
        while self.connections.len() < MOST_SHORT
            && now >= self.not_before
            && self.pace.credit(now) >= self.cost()
        {
            self.pace.spend(self.cost());
            self.connect(now, sender, self.next);
            self.next = sender.sizes.draw_small(&mut self.random);
        }
        for mut connection in std::mem::take(&mut self.connections) {
            match self.send_all(&mut connection, now) {
                Ok(()) if connection.left() > 0 => self.connections.push(connection),
                Ok(()) => {}
                Err(_) => self.broken(now),
            }
        }
    }

    fn send_all(&self, connection: &mut Connection, now: Duration) -> io::Result<()> {
        while connection.left() > 0 {
            match connection.advance(now, connection.left())? {
                Progress::Connected => add(&self.count.connections, 1),
                Progress::Connecting | Progress::Sent(0) => break,
                Progress::Sent(sent) => self.count_sent(sent),
            }
        }
        Ok(())
    }

    fn connect(&mut self, now: Duration, sender: &Sender<'_>, bytes: u32) {
        let to = SocketAddrV4::new(self.stream.to, sender.port);
        match Connection::open(to, bytes, now) {
            Ok(connection) => self.connections.push(connection),
            Err(_) => self.broken(now),
        }
    }

    fn broken(&mut self, now: Duration) {
        add(&self.count.broken, 1);
        self.not_before = now + RETRY_AFTER;
    }

    fn sent(&mut self, payload: u32, frames: f64) {
        self.pace.spend(frames);
        self.count_sent(payload);
    }

    fn count_sent(&self, payload: u32) {
        add(
            &self.count.sent,
            usize::try_from(payload).unwrap_or(usize::MAX),
        );
    }
}

/// How many bytes of payload are sent at once at a rate of frames.
fn bulk_piece(rate: f64) -> u32 {
    let segment = f64::from(wire::SEGMENT);
    let segments = (rate * PIECE_SECONDS / segment).clamp(1.0, MOST_SEGMENTS);
    // At most 40.
    wire::SEGMENT * segments as u32
}

/// How much credit a stream may have: what it makes up for, and at least its next piece.
fn most_credit(stream: &Stream, sizes: &FlowSizes) -> f64 {
    let (seconds, largest) = match stream.kind {
        Kind::Bulk => (
            TCP_MAKES_UP,
            f64::from(bulk_piece(stream.rate)) * wire::bulk_factor(),
        ),
        Kind::Short => (TCP_MAKES_UP, wire::short_flow(sizes.most_small())),
        Kind::Udp => (UDP_MAKES_UP, wire::datagram(DATAGRAM)),
    };
    stream.rate * seconds + largest
}
