//! Who tells and asks guests.

use std::io;
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use s_core_lab::traffic::PairTraffic;
use s_core_model::VmId;

use crate::command::Command;
use crate::counters::Counters;
use crate::dirty::Dirtying;
use crate::guest::HTTP_PORT;
use crate::http::{Response, ResponseError, Status};
use crate::timed::Timed;

/// The longest answer: [`Counters`] of 4096 pairs take less.
const MOST_ANSWER: usize = 2 << 20;
/// Until when an answer is there.
const DEADLINE: Duration = Duration::from_secs(5);

/// A guest did not do what it was told, or what it did is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There was no answer in time: it may have done it or not.
    #[error("no answer from the guest at {at}: {source}")]
    Io {
        /// Whom was asked.
        at: SocketAddrV4,
        /// What the system said.
        source: io::Error,
    },
    /// It refused, and has done nothing.
    #[error("the guest at {at} refused: {status}: {reason}")]
    Refused {
        /// Whom was asked.
        at: SocketAddrV4,
        /// Of which kind the refusal is.
        status: Status,
        /// What it said.
        reason: String,
    },
    /// Its answer is not one of a guest.
    #[error("the guest at {at}: {problem}")]
    Malformed {
        /// Whom was asked.
        at: SocketAddrV4,
        /// What is wrong with the answer.
        problem: String,
    },
}

/// Tells a guest what to do, a connection for each command, in the network of the calling thread.
///
/// Every method waits at most for the deadline, also while the guest is being migrated. All may be repeated.
#[derive(Clone, Copy, Debug)]
pub struct GuestClient {
    vm: VmId,
    port: u16,
    deadline: Duration,
}

impl GuestClient {
    /// Of this guest, at [`HTTP_PORT`], with a deadline of 5 s.
    pub const fn new(vm: VmId) -> Self {
        Self {
            vm,
            port: HTTP_PORT,
            deadline: DEADLINE,
        }
    }

    /// At another port.
    pub const fn with_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// With another deadline, for each command as a whole.
    pub const fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Lets it send by those of these pairs to which it belongs, and no others. So all guests can be told the same.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; it refuses more than [`MOST_PAIRS`](crate::MOST_PAIRS) of its own, and more than 10 Gbit/s for one.
    pub fn plan(&self, pairs: &[PairTraffic]) -> Result<(), ClientError> {
        let mine = pairs
            .iter()
            .filter(|pair| [pair.a, pair.b].contains(&self.vm));
        self.tell(&Command::SetPlan(mine.copied().collect()))
    }

    /// Lets it send nothing. What is on its way still arrives.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn clear_plan(&self) -> Result<(), ClientError> {
        self.tell(&Command::ClearPlan)
    }

    /// What it has counted.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn counters(&self) -> Result<Counters, ClientError> {
        let body = self.ask(&Command::Counters)?;
        Counters::read(&body).map_err(|problem| self.malformed(problem))
    }

    /// Lets it write memory, or with `None` write none and give it back.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; it refuses rates that are out of their bounds, and a working set for which it has no memory. In the latter
    /// case it writes none afterwards.
    pub fn dirty(&self, dirtying: Option<Dirtying>) -> Result<(), ClientError> {
        self.tell(&dirtying.map_or(Command::StopDirty, Command::SetDirty))
    }

    fn tell(&self, command: &Command) -> Result<(), ClientError> {
        self.ask(command).map(drop)
    }

    /// The body of the answer to a command.
    fn ask(&self, command: &Command) -> Result<Vec<u8>, ClientError> {
        let at = self.at();
        let response = self.exchange(command).map_err(|error| match error {
            ResponseError::Io(source) => ClientError::Io { at, source },
            ResponseError::Malformed(problem) => self.malformed(problem),
        })?;
        let Response { status, body } = response;
        if status == Status::Ok {
            return Ok(body);
        }
        let reason = String::from_utf8_lossy(&body);
        let reason = reason.trim_end().chars().take(300).collect();
        Err(ClientError::Refused { at, status, reason })
    }

    fn exchange(&self, command: &Command) -> Result<Response, ResponseError> {
        let until = Instant::now() + self.deadline;
        // The system refuses a timeout of zero.
        let wait = self.deadline.max(Duration::from_millis(1));
        let stream = TcpStream::connect_timeout(&self.at().into(), wait)?;
        let mut timed = Timed::new(&stream, until);
        let written = command.request().write(&mut timed);
        // A guest that refuses may do so before it has read everything: then the answer counts.
        let read = Response::read(&mut timed, MOST_ANSWER);
        match (written, read) {
            (Err(error), Err(_)) => Err(error.into()),
            (_, read) => read,
        }
    }

    const fn at(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.vm.addr(), self.port)
    }

    const fn malformed(&self, problem: String) -> ClientError {
        let at = self.at();
        ClientError::Malformed { at, problem }
    }
}
