//! The agents' end.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use s_core_backend::{
    Domain, FlowSource, FlowSourceError, FreeCapacity, Gate, Hypervisor, HypervisorError,
    MigrationOutcome, Poll, Uuid,
};
use s_core_model::ServerId;

use super::words;

/// How long the node may take to say whether a VM may arrive.
const ADMISSION: Duration = Duration::from_secs(1);

fn ask(socket: &Path, request: &str, deadline: Duration) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(deadline))?;
    writeln!(stream, "{request}")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The hypervisor of one server.
#[derive(Debug)]
pub(crate) struct RemoteHypervisor {
    pub(crate) socket: PathBuf,
    pub(crate) server: ServerId,
}

impl RemoteHypervisor {
    fn ask(&self, verb: &str, deadline: Duration) -> Result<String, HypervisorError> {
        let request = format!("{verb} {}", self.server);
        ask(&self.socket, &request, deadline).map_err(|source| HypervisorError::Unreachable {
            what: verb.into(),
            source,
        })
    }
}

impl Hypervisor for RemoteHypervisor {
    fn domains(&self, deadline: Duration) -> Result<Vec<Domain>, HypervisorError> {
        let text = self.ask("domains", deadline)?;
        Ok(text.lines().filter_map(words::to_domain).collect())
    }

    fn arriving(&self, deadline: Duration) -> Result<Vec<Domain>, HypervisorError> {
        let text = self.ask("arriving", deadline)?;
        Ok(text.lines().filter_map(words::to_domain).collect())
    }

    fn free_capacity(&self, deadline: Duration) -> Result<FreeCapacity, HypervisorError> {
        let text = self.ask("free", deadline)?;
        let mut words = text.split_whitespace();
        Ok(FreeCapacity {
            vm_slots: words::next(&mut words).unwrap(),
            memory_mib: words::next(&mut words).unwrap(),
        })
    }

    fn migrate(&self, domain: Uuid, target: ServerId, deadline: Duration) -> MigrationOutcome {
        let server = self.server;
        let request = format!(
            "migrate {server} {domain} {target} {}",
            deadline.as_millis()
        );
        let text = match ask(&self.socket, &request, deadline + ADMISSION) {
            Ok(text) => text,
            Err(error) => return MigrationOutcome::Unknown(error.to_string()),
        };
        match text
            .trim_end()
            .split_once(' ')
            .unwrap_or((text.trim_end(), ""))
        {
            ("moved", _) => MigrationOutcome::Moved,
            ("stayed", why) => MigrationOutcome::StayedHere(why.into()),
            (_, why) => MigrationOutcome::Unknown(why.into()),
        }
    }

    fn guard(&self, gate: Arc<dyn Gate>) -> bool {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        writeln!(stream, "guard {}", self.server).unwrap();
        thread::spawn(move || stand_guard(&*gate, stream));
        true
    }
}

/// Answers the target's end of migrations as long as it asks.
fn stand_guard(gate: &dyn Gate, mut stream: UnixStream) -> io::Result<()> {
    let reader = BufReader::new(stream.try_clone()?);
    for line in reader.lines() {
        let line = line?;
        let mut words = line.splitn(3, ' ');
        let (verb, number) = (words.next(), words.next().unwrap_or_default());
        let domain = words.next().and_then(words::to_domain).unwrap();
        if verb == Some("admit") {
            let admitted = gate.admit(&domain, ADMISSION);
            let answer = if admitted { "yes" } else { "no" };
            writeln!(stream, "{number} {answer}")?;
        } else {
            gate.failed(&domain);
        }
    }
    Ok(())
}

/// The switch of one server.
#[derive(Debug)]
pub(crate) struct RemoteFlows {
    pub(crate) socket: PathBuf,
    pub(crate) server: ServerId,
}

impl FlowSource for RemoteFlows {
    fn poll(&mut self, deadline: Duration) -> Result<Poll, FlowSourceError> {
        let request = format!("poll {}", self.server);
        let text = ask(&self.socket, &request, deadline).unwrap();
        Ok(Poll {
            counters: text.lines().filter_map(words::to_counter).collect(),
            ..Poll::default()
        })
    }
}
