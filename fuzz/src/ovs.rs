//! What Open vSwitch says: flow dumps, NetFlow, and answers on its two sockets.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use s_core_backend::ovs::MacTable;
use s_core_backend::ovs::dump::{flows, read_dump};
use s_core_backend::ovs::netflow::Datagram;
use s_core_backend::ovs::netlink;
use s_core_backend::ovs::ovsdb::Ovsdb;
use s_core_backend::ovs::unixctl::Unixctl;
use tempfile::TempDir;

use crate::memory::bounded;

/// Longer than any answer takes.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long an answer may be: longer than any input, so that the limit on the answer is not what ends it.
const REPLY_LIMIT: usize = 1 << 20;
/// The longest input: more would not fit into a socket's buffer, and a server that hangs up is not the matter here.
const LONGEST_REPLY: usize = 64 << 10;
const SEED: u64 = 7;
/// The shortest message of a flow, in bytes: three headers, and a key that holds nothing.
const LEAST_FLOW: usize = 28;

/// Reads a flow dump.
pub fn flow_dump(data: &[u8]) {
    let Some(text) = crate::text(data) else {
        return;
    };
    let mut stations = MacTable::new(100, SEED);
    let reading = bounded(data.len(), || read_dump(text, SEED, &mut stations));
    let Ok(reading) = reading else {
        return;
    };
    let (poll, lines) = (&reading.poll, flows(text).count());
    let malformed = flows(text).filter(Result::is_err).count();
    assert_eq!(
        poll.counters.len() + poll.without_ends.len() + malformed,
        lines,
        "every line is counted once"
    );
    assert_eq!(poll.unattributed.malformed.flows, malformed as u64);
    assert!(poll.counters.iter().all(|flow| flow.src != flow.dst));
    let names_its_line = |error: &s_core_backend::ovs::dump::LineError| {
        let line = text.lines().nth(error.line - 1);
        line.is_some_and(|line| error.column <= line.len() + 1)
    };
    assert!(reading.errors.iter().all(names_its_line));
}

/// Reads a datagram of NetFlow version 5.
pub fn netflow(data: &[u8]) {
    let Ok(datagram) = bounded(data.len(), || Datagram::read(data)) else {
        return;
    };
    let records = datagram.records().count();
    assert!((1..=30).contains(&records));
    assert_eq!(data.len(), 24 + records * 48, "nothing is left out");
    let numbers = datagram.next().wrapping_sub(datagram.first());
    assert_eq!(numbers as usize, records);
}

/// Reads the messages with which the kernel lists its flows.
pub fn netlink(data: &[u8]) {
    let mut stations = MacTable::new(100, SEED);
    let Ok(poll) = bounded(data.len(), || netlink::read_dump(data, SEED, &mut stations)) else {
        return;
    };
    let flows = poll.counters.len() + poll.without_ends.len();
    assert!(flows * LEAST_FLOW <= data.len(), "no flow comes of nothing");
    assert!(poll.counters.iter().all(|flow| flow.src != flow.dst));
    let again = netlink::read_dump(data, SEED, &mut MacTable::new(100, SEED));
    assert_eq!(again.ok(), Some(poll), "a flow keeps its id");
}

/// Reads an answer of a daemon's control socket.
pub fn unixctl_reply(data: &[u8]) {
    DAEMON.with(|daemon| {
        let Some(path) = daemon.will_answer(data) else {
            return;
        };
        let unixctl = Unixctl::new(path).with_reply_limit(REPLY_LIMIT);
        if let Ok(result) = bounded(data.len(), || unixctl.call("x", &[], DEADLINE)) {
            assert!(
                result.len() <= data.len(),
                "no answer is longer than its JSON"
            );
        }
    });
}

/// Reads what the database server says to the query for interfaces.
pub fn ovsdb_reply(data: &[u8]) {
    DAEMON.with(|daemon| {
        let Some(path) = daemon.will_answer(data) else {
            return;
        };
        let ovsdb = Ovsdb::new(path).with_reply_limit(REPLY_LIMIT);
        if let Ok(interfaces) = bounded(data.len(), || ovsdb.interfaces(DEADLINE)) {
            assert!(interfaces.is_sorted_by_key(|interface| interface.name.as_str()));
        }
    });
}

thread_local! {
    static DAEMON: Daemon = Daemon::start();
}

/// A thread that listens on a socket and says to each client what it was told to.
struct Daemon {
    answers: Sender<Vec<u8>>,
    dir: TempDir,
}

impl Daemon {
    fn start() -> Self {
        let dir = crate::scratch();
        let listener = UnixListener::bind(dir.path().join(SOCKET)).expect("a fresh directory");
        let (answers, wanted) = mpsc::channel::<Vec<u8>>();
        thread::spawn(move || {
            for answer in wanted {
                // A client that hangs up has found the answer wanting.
                drop(
                    listener
                        .accept()
                        .and_then(|(client, _)| serve(client, &answer)),
                );
            }
        });
        Self { answers, dir }
    }

    /// Where to ask for this answer, unless it is too long.
    fn will_answer(&self, answer: &[u8]) -> Option<PathBuf> {
        if answer.len() > LONGEST_REPLY {
            return None;
        }
        let sent = self.answers.send(answer.to_vec());
        sent.expect("the thread ends with this end of the channel");
        Some(self.dir.path().join(SOCKET))
    }
}

const SOCKET: &str = "socket";

/// Answers one client's request, which comes in one piece, and waits until it hangs up.
fn serve(mut client: UnixStream, answer: &[u8]) -> io::Result<()> {
    let mut request = [0; 4096];
    let _ = client.read(&mut request)?;
    client.write_all(answer)?;
    client.shutdown(Shutdown::Write)?;
    io::copy(&mut client, &mut io::sink())?;
    Ok(())
}
