//! The network between the agents: it loses, doubles, delays and damages frames, and falls apart.

use std::time::Duration;

use bytes::Bytes;
use s_core_proto::{Destination, Message};

use super::agenda::Event;
use super::clock::Time;
use super::draw::Draw;
use super::tally::Harm;
use super::world::World;

/// Which paths are cut, and which are clogged.
#[derive(Clone, Debug)]
pub(super) struct Network {
    servers: usize,
    /// How many partitions cut the path, row by row from a server to each.
    cuts: Vec<u32>,
    /// Frames on this path come through then.
    clogged_until: Vec<Time>,
    partitions: Vec<(u64, Vec<usize>)>,
    partitions_begun: u64,
}

impl Network {
    pub(super) fn new(servers: usize) -> Self {
        Self {
            servers,
            cuts: vec![0; servers * servers],
            clogged_until: vec![Time::ZERO; servers * servers],
            partitions: Vec::new(),
            partitions_begun: 0,
        }
    }

    pub(super) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts[from * self.servers + to] > 0
    }

    pub(super) fn clog(&mut self, from: usize, to: usize, until: Time) {
        let path = &mut self.clogged_until[from * self.servers + to];
        *path = until.max(*path);
    }

    /// One isolated, two halves, or any path by itself; both ways or one way. Its number.
    pub(super) fn partition(&mut self, draw: &mut Draw) -> u64 {
        let side: Vec<bool> = match draw.below(3) {
            0 => {
                let alone = draw.below(self.servers);
                (0..self.servers).map(|server| server == alone).collect()
            }
            1 => {
                let half = 1 + draw.below(self.servers - 1);
                (0..self.servers).map(|server| server < half).collect()
            }
            _ => (0..self.servers).map(|_| draw.chance(500)).collect(),
        };
        let one_way = draw.chance(300);
        let mut paths = Vec::new();
        for from in 0..self.servers {
            for to in 0..self.servers {
                if side[from] != side[to] && (side[from] || !one_way) {
                    paths.push(from * self.servers + to);
                }
            }
        }
        for path in &paths {
            self.cuts[*path] += 1;
        }
        self.partitions_begun += 1;
        self.partitions.push((self.partitions_begun, paths));
        self.partitions_begun
    }

    /// Whether there was something to heal.
    pub(super) fn heal(&mut self, number: u64) -> bool {
        let Some(place) = self.partitions.iter().position(|(n, _)| *n == number) else {
            return false;
        };
        for path in self.partitions.remove(place).1 {
            self.cuts[path] -= 1;
        }
        true
    }

    pub(super) fn heal_all(&mut self) -> bool {
        let cut = !self.partitions.is_empty();
        self.partitions.clear();
        self.cuts.fill(0);
        self.clogged_until.fill(Time::ZERO);
        cut
    }
}

impl World {
    /// Seals a message and puts it on its way to whomever it is for.
    pub(super) fn send(&mut self, from: usize, to: Destination, message: &Message) {
        let receiver = match to {
            Destination::Server(server) => Some(server),
            Destination::HostOf(_) | Destination::Everybody => None,
        };
        let Some(running) = &mut self.hosts[from].running else {
            return;
        };
        let frame = running.codec.seal(receiver, message);
        for host in self.receivers(from, to) {
            self.carry(from, host, &frame, message);
        }
    }

    fn receivers(&self, from: usize, to: Destination) -> Vec<usize> {
        let everybody = 0..self.hosts.len();
        let chosen = |host: &usize| match to {
            Destination::Server(server) => self.hosts[*host].id == server,
            Destination::HostOf(vm) if self.knobs.interception => {
                self.truth.vms.get(&vm).is_some_and(|vm| vm.home == *host)
            }
            Destination::HostOf(_) | Destination::Everybody => true,
        };
        let others = everybody.filter(|host| *host != from);
        others.filter(chosen).collect()
    }

    fn carry(&mut self, from: usize, to: usize, frame: &Bytes, message: &Message) {
        let weather = self.weather;
        if self.net.is_cut(from, to) {
            return self.tally.add(Harm::Cut);
        }
        if self.draw.chance(weather.loss) {
            return self.tally.add(Harm::Lost);
        }
        let send = |world: &mut Self, late: Duration| {
            let at = world.arrives_at(from, to) + late;
            let damaged = world.draw.chance(weather.flips);
            let frame = if damaged {
                world.tally.add(Harm::Damaged);
                flip_a_bit(&mut world.draw, frame)
            } else {
                frame.clone()
            };
            let sent = message.clone();
            let event = Event::Frame {
                from,
                to,
                frame,
                sent,
                damaged,
            };
            world.put(at, event);
        };
        send(self, Duration::ZERO);
        if self.draw.chance(weather.duplication) {
            self.tally.add(Harm::Doubled);
            send(self, Duration::ZERO);
        }
        if self.draw.chance(weather.stragglers) {
            self.tally.add(Harm::Straggling);
            let late = self.draw.milliseconds(500, 8_000);
            send(self, late);
        }
    }

    fn arrives_at(&mut self, from: usize, to: usize) -> Time {
        let path = from * self.net.servers + to;
        let mut takes = Duration::from_micros(self.draw.between(50, 1_000));
        if self.draw.chance(self.weather.slow) {
            self.tally.add(Harm::Delayed);
            takes += self.draw.up_to(self.weather.delay);
        }
        self.now.max(self.net.clogged_until[path]) + takes
    }
}

fn flip_a_bit(draw: &mut Draw, frame: &Bytes) -> Bytes {
    let mut bytes = frame.to_vec();
    let bit = draw.below(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes.into()
}
