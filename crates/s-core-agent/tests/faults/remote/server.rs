//! The data centre's end.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use s_core_backend::emulated::DataCentre;
use s_core_backend::{
    Domain, FlowSource as _, Gate, Hypervisor as _, HypervisorError, MigrationOutcome,
};
use s_core_model::ServerId;

use super::words;

/// The emulated data centre needs no deadlines.
const DEADLINE: Duration = Duration::from_secs(60);

/// How the migrations that agents asked for ended, as they were told.
pub(crate) type Ends = Arc<Mutex<Vec<MigrationOutcome>>>;

/// Serves until the process ends.
pub(crate) fn serve(data_centre: DataCentre, socket: &Path) -> Ends {
    let listener = UnixListener::bind(socket).unwrap();
    let ends = Ends::default();
    let all = Arc::clone(&ends);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (data_centre, ends) = (data_centre.clone(), Arc::clone(&all));
            // A client that was killed hears no answer.
            thread::spawn(move || answer(&data_centre, stream.unwrap(), &ends));
        }
    });
    ends
}

fn answer(data_centre: &DataCentre, stream: UnixStream, ends: &Ends) -> io::Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    reader.read_line(&mut line)?;
    let mut stream = stream;
    let mut words = line.split_whitespace();
    let verb = words.next().unwrap_or_default();
    let server: ServerId = words::next(&mut words).ok_or(io::ErrorKind::InvalidData)?;
    let hypervisor = data_centre.hypervisor(server).unwrap();
    let text = match verb {
        "domains" => domains(hypervisor.domains(DEADLINE)),
        "arriving" => domains(hypervisor.arriving(DEADLINE)),
        "free" => {
            let free = hypervisor.free_capacity(DEADLINE).unwrap();
            format!("{} {}\n", free.vm_slots, free.memory_mib)
        }
        "poll" => {
            let poll = data_centre.flows(server).unwrap().poll(DEADLINE).unwrap();
            lines(poll.counters.iter().map(words::counter))
        }
        "migrate" => {
            let mut arguments = || words.next().ok_or(io::ErrorKind::InvalidData);
            let domain = arguments()?.parse().unwrap();
            let target = arguments()?.parse().unwrap();
            let deadline = Duration::from_millis(arguments()?.parse().unwrap());
            let outcome = hypervisor.migrate(domain, target, deadline);
            ends.lock().unwrap().push(outcome.clone());
            match outcome {
                MigrationOutcome::Moved => "moved\n".into(),
                MigrationOutcome::StayedHere(why) => format!("stayed {why}\n"),
                MigrationOutcome::Unknown(why) => format!("unknown {why}\n"),
            }
        }
        "guard" => {
            hypervisor.guard(Arc::new(RemoteGate(Mutex::new((0, reader)))));
            return Ok(());
        }
        other => panic!("no such request: {other}"),
    };
    stream.write_all(text.as_bytes())
}

fn domains(listed: Result<Vec<Domain>, HypervisorError>) -> String {
    lines(listed.unwrap().iter().map(words::domain))
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

/// The connection of a server's agent, which decides who may arrive there, and the number of the last question.
#[derive(Debug)]
struct RemoteGate(Mutex<(u64, BufReader<UnixStream>)>);

impl RemoteGate {
    fn ask(&self, domain: &Domain, deadline: Duration) -> io::Result<bool> {
        let (last, reader) = &mut *self.0.lock().unwrap();
        *last += 1;
        let question = format!("admit {last} {}\n", words::domain(domain));
        reader.get_mut().write_all(question.as_bytes())?;
        reader.get_mut().set_read_timeout(Some(deadline))?;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // Others are answers that came too late.
            let answer = line.strip_prefix(&format!("{last} "));
            if let Some(answer) = answer {
                return Ok(answer == "yes\n");
            }
        }
    }
}

/// An agent that was killed or stands still lets nobody in.
impl Gate for RemoteGate {
    fn admit(&self, domain: &Domain, deadline: Duration) -> bool {
        let said = self.ask(domain, deadline);
        if said.is_err() {
            self.failed(domain);
        }
        said.unwrap_or(false)
    }

    fn failed(&self, domain: &Domain) {
        let (_, reader) = &mut *self.0.lock().unwrap();
        let told = format!("failed 0 {}\n", words::domain(domain));
        drop(reader.get_mut().write_all(told.as_bytes()));
    }
}
