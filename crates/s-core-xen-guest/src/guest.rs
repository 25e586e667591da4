//! What runs in the domain.

use std::net::{SocketAddrV4, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use s_core_lab::traffic::{
    Endpoint, PairTraffic, ProbeSettings, Probes, Traffic, TrafficError, TrafficSettings,
};
use s_core_model::VmId;

use crate::command::Command;
use crate::counters::{Counters, DirtyCounters, PairCounters, PlanCounters};
use crate::dirty::{DirtyError, Dirtying, Writer};
use crate::http::{Refusal, Status};
use crate::interfaces;
use crate::server::{self, Answer, Tally};

/// The port of a guest's HTTP server.
pub const HTTP_PORT: u16 = 80;
/// For how long traffic is sent and probes are answered: the most that [`Traffic`] allows.
const LIMIT: Duration = Duration::from_secs(30 * 86_400);
/// The most pairs that [`Counters`] have.
const MOST_COUNTED: usize = 4096;

/// A guest cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuestError {
    /// Traffic or the answers to probes cannot.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    /// The HTTP server cannot.
    #[error("cannot serve HTTP at {at}: {source}")]
    Http {
        /// Its address.
        at: SocketAddrV4,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A guest that runs: until the process ends, or for 30 days.
#[derive(Debug)]
pub struct Guest {
    state: Arc<State>,
}

impl Guest {
    /// Begins to receive, to answer probes, and to listen for commands, at this address and, for the last, this port. It sends
    /// nothing yet.
    ///
    /// # Errors
    ///
    /// [`GuestError`] if the address is not this machine's, or one of the ports is taken.
    pub fn start(http: SocketAddrV4) -> Result<Self, GuestError> {
        let endpoint = [Endpoint::here(*http.ip())];
        let begin = Instant::now();
        let settings = TrafficSettings {
            limit: LIMIT,
            ..TrafficSettings::default()
        };
        let traffic = Traffic::start(&endpoint, &[], settings)?;
        let settings = ProbeSettings {
            limit: LIMIT,
            ..ProbeSettings::from(begin)
        };
        let echo = Probes::start_parts(&endpoint, &[], settings)?;
        let error = |source| GuestError::Http { at: http, source };
        let listener = TcpListener::bind(http).map_err(error)?;
        let state = Arc::new(State {
            vm: (*http.ip()).into(),
            begin,
            traffic,
            _echo: echo,
            plan: Mutex::default(),
            dirty: Mutex::default(),
            tally: Tally::default(),
        });
        server::start(&listener, &state).map_err(error)?;
        Ok(Self { state })
    }

    /// What it has counted.
    pub fn counters(&self) -> Counters {
        self.state.counters()
    }
}

/// What the threads of the server share.
#[derive(Debug)]
pub(crate) struct State {
    vm: VmId,
    begin: Instant,
    traffic: Traffic,
    /// Ends when it is dropped.
    _echo: Probes,
    plan: Mutex<PlanCounters>,
    dirty: Mutex<Option<Writer>>,
    pub(crate) tally: Tally,
}

impl State {
    /// Does what it is told.
    pub(crate) fn obey(&self, command: Command) -> Result<Answer, Refusal> {
        match command {
            Command::Page => Ok(Answer::Page(self.page())),
            Command::Counters => Ok(Answer::Counters(self.counters())),
            Command::SetPlan(pairs) => self.set_plan(&pairs),
            Command::ClearPlan => self.set_plan(&[]),
            Command::Bytes(count) => Ok(Answer::Bytes(count)),
            Command::SetDirty(dirtying) => self.set_dirty(Some(dirtying)),
            Command::StopDirty => self.set_dirty(None),
        }
    }

    fn set_plan(&self, pairs: &[PairTraffic]) -> Result<Answer, Refusal> {
        let unavailable = |reason: String| Refusal::new(Status::Unavailable, reason);
        if self.traffic.is_over() {
            return Err(unavailable("traffic has ended".into()));
        }
        // Two who set plans at the same time are counted in the order in which they do.
        let mut plan = lock(&self.plan);
        let changed = self.traffic.change(pairs);
        changed.map_err(|error| unavailable(error.to_string()))?;
        *plan = PlanCounters {
            changes: plan.changes + 1,
            pairs: pairs.len() as u64,
        };
        Ok(Answer::Done)
    }

    fn set_dirty(&self, dirtying: Option<Dirtying>) -> Result<Answer, Refusal> {
        let mut writer = lock(&self.dirty);
        let before = writer.take();
        let started = dirtying.map(|dirtying| Writer::start(dirtying, before));
        *writer = started.transpose().map_err(|error| {
            let status = match error {
                DirtyError::Memory { .. } => Status::InsufficientStorage,
                DirtyError::Thread(_) => Status::Unavailable,
            };
            Refusal::new(status, error.to_string())
        })?;
        Ok(Answer::Done)
    }

    fn counters(&self) -> Counters {
        let payload = self.traffic.payload();
        let left_out = payload.len().saturating_sub(MOST_COUNTED);
        let pairs = payload.into_iter().take(MOST_COUNTED);
        let nanoseconds = self.begin.elapsed().as_nanos();
        let dirty = lock(&self.dirty);
        Counters {
            vm: self.vm,
            nanoseconds: u64::try_from(nanoseconds).unwrap_or(u64::MAX),
            plan: *lock(&self.plan),
            pairs: pairs
                .map(|(ends, payload)| PairCounters::new(ends, payload))
                .collect(),
            pairs_left_out: left_out as u64,
            interfaces: interfaces::read(),
            dirty: dirty
                .as_ref()
                .map_or_else(DirtyCounters::default, Writer::counters),
            http: self.tally.read(),
        }
    }

    fn page(&self) -> String {
        let PlanCounters { changes, pairs } = *lock(&self.plan);
        let seconds = self.begin.elapsed().as_secs();
        format!(
            "This is VM {}, up for {seconds} s. It sends by plan {changes}, of {pairs} pairs.\n\
             GET /counters, PUT or DELETE /plan, GET /bytes/N, PUT or DELETE /dirty\n",
            self.vm.addr()
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
