//! Round-trip times and losses between VMs.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use s_core_model::VmId;

use super::endpoint::Endpoint;
use super::error::TrafficError;
use super::run::bounded;

/// The port of those who answer.
pub const ECHO_PORT: u16 = 7702;
/// The most pairs that are probed.
const MOST_PAIRS: usize = 64;
/// The most probes of a pair: a day of them, ten a second.
const MOST_PROBES: usize = 864_000;
/// How long after the last probe its answer may come.
const LAST_ANSWER: Duration = Duration::from_millis(300);
/// At the latest then a thread looks whether it is to end.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// A question or an answer: which, the magic number, the sequence number.
const LENGTH: usize = 16;
const QUESTION: [u8; 8] = *b"s-core ?";
const ANSWER: [u8; 8] = *b"s-core !";

/// A probe: when it was sent, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// When it was sent, since the begin that was given.
    pub sent: Duration,
    /// How long its answer took; none if it was lost.
    pub round_trip: Option<Duration>,
}

/// The probes between two VMs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSeries {
    /// Who asks.
    pub from: VmId,
    /// Who answers.
    pub to: VmId,
    /// All probes, as they were sent.
    pub probes: Vec<Probe>,
}

impl ProbeSeries {
    /// How many were lost.
    pub fn lost(&self) -> usize {
        let lost = self
            .probes
            .iter()
            .filter(|probe| probe.round_trip.is_none());
        lost.count()
    }

    /// The round-trip time that this share, 0 to 1, of the answered probes did not exceed.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let answered = self.probes.iter().filter_map(|probe| probe.round_trip);
        let mut answered: Vec<_> = answered.collect();
        answered.sort_unstable();
        let last = answered.len().checked_sub(1)?;
        let at = (last as f64 * share.clamp(0.0, 1.0)).round() as usize;
        answered.get(at).copied()
    }

    /// The longest time between two probes that were answered, with none in between that was; also before the first
    /// and after the last.
    pub fn longest_gap(&self) -> Duration {
        let [Some(first), Some(last)] = [self.probes.first(), self.probes.last()] else {
            return Duration::ZERO;
        };
        let answered = (self.probes.iter())
            .filter(|probe| probe.round_trip.is_some())
            .map(|probe| probe.sent)
            .chain([last.sent]);
        let mut before = first.sent;
        let gaps = answered.map(|sent| {
            let gap = sent.saturating_sub(before);
            before = sent;
            gap
        });
        gaps.max().unwrap_or_default()
    }
}

/// How VMs are probed.
#[derive(Clone, Copy, Debug)]
pub struct ProbeSettings {
    /// A probe is sent each time this has passed; at least 1 ms. Of 10 ms, they are 12 kB/s of frames.
    pub every: Duration,
    /// The port of those who answer.
    pub port: u16,
    /// What times are counted from.
    pub begin: Instant,
    /// After this time since the begin no more are sent.
    pub limit: Duration,
}

impl ProbeSettings {
    /// Every 10 ms at [`ECHO_PORT`], for an hour from `begin`.
    pub const fn from(begin: Instant) -> Self {
        Self {
            every: Duration::from_millis(10),
            port: ECHO_PORT,
            begin,
            limit: Duration::from_secs(3600),
        }
    }
}

/// Datagrams between VMs that are answered at once, a thread per pair and per VM that answers.
///
/// Ends when it is dropped, told to [`stop`](Self::stop), or at its limit.
#[derive(Debug)]
pub struct Probes {
    stop: Arc<AtomicBool>,
    echoes: Vec<JoinHandle<Result<(), TrafficError>>>,
    probes: Vec<JoinHandle<Result<ProbeSeries, TrafficError>>>,
}

impl Probes {
    /// Begins to answer at the second of each pair, and to ask from the first.
    ///
    /// # Errors
    ///
    /// [`TrafficError`] if there are too many pairs, a network cannot be entered, or a socket not opened.
    pub fn start(
        pairs: &[(Endpoint, Endpoint)],
        settings: ProbeSettings,
    ) -> Result<Self, TrafficError> {
        let mut answering: Vec<_> = pairs.iter().map(|(_, to)| to.clone()).collect();
        answering.sort_unstable_by_key(|to| to.address);
        answering.dedup();
        let asking: Vec<_> = (pairs.iter())
            .map(|(from, to)| (from.clone(), to.address))
            .collect();
        Self::start_parts(&answering, &asking, settings)
    }

    /// As [`start`](Self::start), for who answers and who asks whom in this process: inside real VMs, each has its part.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_parts(
        answering: &[Endpoint],
        asking: &[(Endpoint, Ipv4Addr)],
        settings: ProbeSettings,
    ) -> Result<Self, TrafficError> {
        bounded(
            "probed pairs",
            asking.len().max(answering.len()),
            MOST_PAIRS,
        )?;
        let mut this = Self {
            stop: Arc::default(),
            echoes: Vec::new(),
            probes: Vec::new(),
        };
        for endpoint in answering {
            let at = SocketAddrV4::new(endpoint.address, settings.port);
            let socket = endpoint.run(move || bind(at))?;
            let stop = Arc::clone(&this.stop);
            let until = settings.begin + settings.limit + LAST_ANSWER;
            let vm = endpoint.address;
            let echo = move || answer(&socket, &stop, until).map_err(waiting(vm));
            this.echoes.push(endpoint.spawn(echo)?);
        }
        for (endpoint, to) in asking {
            let at = SocketAddrV4::new(endpoint.address, 0);
            let socket = endpoint.run(move || bind(at))?;
            let (from, to) = (endpoint.address, *to);
            let stop = Arc::clone(&this.stop);
            this.probes.push(endpoint.spawn(move || {
                let to_port = SocketAddrV4::new(to, settings.port);
                let probes = ask(&socket, to_port, settings, &stop).map_err(waiting(from))?;
                let (from, to) = (from.into(), to.into());
                Ok(ProbeSeries { from, to, probes })
            })?);
        }
        Ok(this)
    }

    /// Ends, and tells what was found, in the order of the pairs.
    ///
    /// # Errors
    ///
    /// The first error of a pair.
    pub fn stop(mut self) -> Result<Vec<ProbeSeries>, TrafficError> {
        self.stop.store(true, Ordering::Relaxed);
        let probes = self.probes.drain(..).map(join);
        let probes: Result<Vec<_>, _> = probes.collect();
        for echo in self.echoes.drain(..) {
            join(echo)?;
        }
        probes
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn join<T>(thread: JoinHandle<Result<T, TrafficError>>) -> Result<T, TrafficError> {
    match thread.join() {
        Ok(ended) => ended,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn waiting(vm: Ipv4Addr) -> impl FnOnce(io::Error) -> TrafficError {
    move |source| TrafficError::Wait { vm, source }
}

fn bind(at: SocketAddrV4) -> Result<UdpSocket, TrafficError> {
    let socket = UdpSocket::bind(at).and_then(|socket| {
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    socket.map_err(|source| TrafficError::Socket {
        protocol: "UDP",
        at,
        source,
    })
}

/// Waits until there is something to read, or `wait` is over.
fn wait(socket: &UdpSocket, wait: Duration) -> io::Result<()> {
    let wait = wait.min(LONGEST_WAIT);
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: wait.subsec_nanos().into(),
    };
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn answer(socket: &UdpSocket, stop: &AtomicBool, until: Instant) -> io::Result<()> {
    let mut datagram = [0; LENGTH + 1];
    while !stop.load(Ordering::Relaxed) && Instant::now() < until {
        wait(socket, LONGEST_WAIT)?;
        while let Ok((length, from)) = socket.recv_from(&mut datagram) {
            // Only questions: two who answer must not answer each other for ever.
            if length == LENGTH && datagram.starts_with(&QUESTION) {
                datagram[..ANSWER.len()].copy_from_slice(&ANSWER);
                // What cannot be sent is lost, as on any network.
                let _ = socket.send_to(&datagram[..LENGTH], from);
            }
        }
    }
    Ok(())
}

fn ask(
    socket: &UdpSocket,
    to: SocketAddrV4,
    settings: ProbeSettings,
    stop: &AtomicBool,
) -> io::Result<Vec<Probe>> {
    let every = settings.every.max(Duration::from_millis(1));
    let mut probes = Vec::new();
    let mut next = settings.begin.elapsed();
    loop {
        let now = settings.begin.elapsed();
        let over = stop.load(Ordering::Relaxed) || now >= settings.limit;
        if over || probes.len() >= MOST_PROBES {
            break;
        }
        if now >= next {
            send(socket, to, &mut probes, now);
            // Those that were missed are not sent in a burst.
            next = (next + every).max(now);
        }
        wait(socket, next.saturating_sub(now))?;
        receive(socket, to, settings.begin, &mut probes);
    }
    let until = settings.begin.elapsed() + LAST_ANSWER;
    while settings.begin.elapsed() < until && probes.iter().any(|one| one.round_trip.is_none()) {
        wait(socket, LONGEST_WAIT)?;
        receive(socket, to, settings.begin, &mut probes);
    }
    Ok(probes)
}

fn send(socket: &UdpSocket, to: SocketAddrV4, probes: &mut Vec<Probe>, now: Duration) {
    let mut datagram = [0; LENGTH];
    let (magic, sequence) = datagram.split_at_mut(QUESTION.len());
    magic.copy_from_slice(&QUESTION);
    sequence.copy_from_slice(&(probes.len() as u64).to_be_bytes());
    probes.push(Probe {
        sent: now,
        round_trip: None,
    });
    // What cannot be sent, as while the network is away, is lost.
    let _ = socket.send_to(&datagram, to);
}

fn receive(socket: &UdpSocket, to: SocketAddrV4, begin: Instant, probes: &mut [Probe]) {
    let mut datagram = [0; LENGTH + 1];
    while let Ok((length, from)) = socket.recv_from(&mut datagram) {
        if from != to.into() || length != LENGTH || !datagram.starts_with(&ANSWER) {
            continue;
        }
        let sequence = datagram[ANSWER.len()..].first_chunk();
        let sequence = sequence.map_or(u64::MAX, |bytes| u64::from_be_bytes(*bytes));
        let index = usize::try_from(sequence).unwrap_or(usize::MAX);
        if let Some(probe) = probes.get_mut(index) {
            let passed = begin.elapsed().saturating_sub(probe.sent);
            probe.round_trip.get_or_insert(passed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_quantiles() {
        let check = |round_trips: &[u64], lost, median: Option<u64>, gap| {
            let probes = round_trips.iter().zip(0..).map(|(ms, n)| Probe {
                sent: Duration::from_millis(10 * n),
                round_trip: (*ms > 0).then(|| Duration::from_millis(*ms)),
            });
            let series = ProbeSeries {
                from: VmId::new(1),
                to: VmId::new(2),
                probes: probes.collect(),
            };
            assert_eq!(series.lost(), lost, "{round_trips:?}");
            assert_eq!(series.quantile(0.5), median.map(Duration::from_millis));
            assert_eq!(series.longest_gap(), Duration::from_millis(gap));
        };
        check(&[], 0, None, 0);
        check(&[0], 1, None, 0);
        check(&[1, 3, 2], 0, Some(2), 10);
        check(&[1, 0, 0, 2, 5], 2, Some(2), 30);
        check(&[0, 0, 1, 0], 3, Some(1), 20);
        check(&[4, 0, 0], 2, Some(4), 20);
    }

    #[test]
    fn questions_are_answered_and_answers_are_not() {
        let here = Endpoint::here(Ipv4Addr::LOCALHOST);
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let begin = Instant::now();
        let settings = ProbeSettings {
            port: free.local_addr().unwrap().port(),
            every: Duration::from_millis(2),
            limit: Duration::from_millis(100),
            ..ProbeSettings::from(begin)
        };
        drop(free);
        let probes = Probes::start(&[(here.clone(), here)], settings).unwrap();
        let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        stranger
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let mut answer = [0; LENGTH];
        answer[..8].copy_from_slice(&ANSWER);
        for bytes in [&answer[..], b"", b"s-core ?", &[0xff; 100]] {
            let to = (Ipv4Addr::LOCALHOST, settings.port);
            stranger.send_to(bytes, to).unwrap();
        }
        assert!(stranger.recv_from(&mut answer).is_err());
        std::thread::sleep(settings.limit.saturating_sub(begin.elapsed()));
        let found = probes.stop().unwrap();
        let [series] = &found[..] else {
            panic!("{found:?}")
        };
        assert!(series.probes.len() > 10, "{series:?}");
        assert_eq!(series.lost(), 0, "{series:?}");
    }
}
