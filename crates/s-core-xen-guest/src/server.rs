//! The HTTP server of a guest.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::command::Command;
use crate::counters::{Counters, HttpCounters};
use crate::guest::State;
use crate::http::{Refusal, Request, RequestError, Response, Status};
use crate::timed::Timed;

/// How many connections are served at a time; more wait in the kernel's queue.
const THREADS: usize = 8;
/// The stack of a thread that serves.
const STACK: usize = 256 << 10;
/// A request has come by then.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// An answer is gone by then, in whole.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// For how long, and how much of, what else a client sends is read, so that its kernel does not throw the answer away.
const LINGER: Duration = Duration::from_millis(300);
const MOST_LINGER: u64 = 256 << 10;
/// After a connection could not be taken, as when there are no more descriptors.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// What `GET /bytes/N` gives, again and again.
static OCTETS: [u8; 16 << 10] = [b'.'; 16 << 10];

/// What a request is answered with.
#[derive(Debug)]
pub(crate) enum Answer {
    Page(String),
    Counters(Counters),
    Bytes(u64),
    Done,
}

/// What has been done.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    answered: AtomicU64,
    refused: AtomicU64,
    sent: AtomicU64,
}

impl Tally {
    pub(crate) fn read(&self) -> HttpCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HttpCounters {
            answered: read(&self.answered),
            refused: read(&self.refused),
            sent: read(&self.sent),
        }
    }
}

/// Starts the threads that serve.
pub(crate) fn start(listener: &TcpListener, state: &Arc<State>) -> io::Result<()> {
    for _ in 0..THREADS {
        let (listener, state) = (listener.try_clone()?, Arc::clone(state));
        let thread = thread::Builder::new().name("http".into()).stack_size(STACK);
        thread.spawn(move || {
            loop {
                match listener.accept() {
                    Ok((stream, _)) => serve(&stream, &state),
                    Err(_) => thread::sleep(RETRY_AFTER),
                }
            }
        })?;
    }
    Ok(())
}

/// Serves one connection.
fn serve(stream: &TcpStream, state: &State) {
    let mut from = Timed::new(stream, Instant::now() + REQUEST_WITHIN);
    let answer = Request::read(&mut from).and_then(|request| {
        let command = Command::read(&request)?;
        Ok(state.obey(command)?)
    });
    let mut to = Timed::new(stream, Instant::now() + ANSWER_WITHIN);
    let written = match &answer {
        Ok(answer) => write(answer, &mut to, &state.tally.sent),
        Err(RequestError::Refused(refusal)) => write_refusal(refusal, &mut to),
        // Nobody is there to be told.
        Err(RequestError::Io(_)) => Ok(()),
    };
    let counter = match (answer, written) {
        (Ok(_), Ok(())) => &state.tally.answered,
        _ => &state.tally.refused,
    };
    counter.fetch_add(1, Ordering::Relaxed);
    // Whatever goes wrong from here on is the client's.
    let _ = stream.shutdown(Shutdown::Write);
    let rest = Timed::new(stream, Instant::now() + LINGER);
    let _ = io::copy(&mut rest.take(MOST_LINGER), &mut io::sink());
}

fn write(answer: &Answer, to: &mut Timed<'_>, sent: &AtomicU64) -> io::Result<()> {
    let (kind, body) = match answer {
        Answer::Page(text) => ("text/plain", text.clone().into_bytes()),
        Answer::Counters(counters) => ("application/json", counters.write()),
        Answer::Done => ("text/plain", Vec::new()),
        Answer::Bytes(count) => return write_octets(*count, to, sent),
    };
    Response::write_head(Status::Ok, kind, body.len() as u64, to)?;
    to.write_all(&body)?;
    sent.fetch_add(body.len() as u64, Ordering::Relaxed);
    Ok(())
}

fn write_octets(count: u64, to: &mut Timed<'_>, sent: &AtomicU64) -> io::Result<()> {
    Response::write_head(Status::Ok, "application/octet-stream", count, to)?;
    let mut left = count;
    while left > 0 {
        let piece = usize::try_from(left).map_or(OCTETS.len(), |left| left.min(OCTETS.len()));
        to.write_all(&OCTETS[..piece])?;
        sent.fetch_add(piece as u64, Ordering::Relaxed);
        left -= piece as u64;
    }
    Ok(())
}

fn write_refusal(refusal: &Refusal, to: &mut Timed<'_>) -> io::Result<()> {
    let body = format!("{}\n", refusal.reason);
    Response::write_head(refusal.status, "text/plain", body.len() as u64, to)?;
    to.write_all(body.as_bytes())
}
