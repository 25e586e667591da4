//! VMs that run on while they are moved.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use s_core_backend::{Hypervisor as _, MigrationOutcome};
use s_core_lab::hypervisor::{Ended, MigrationReport, Observer};
use s_core_lab::{VmNumber, namespace};

use crate::lab::{DEADLINE, FIRST, Lab, SECOND, VM, eventually};

/// Keeps what it hears.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<MigrationReport>>);

impl Observer for Notes {
    fn ended(&self, report: &MigrationReport) {
        self.0.lock().unwrap().push(report.clone());
    }
}

impl Notes {
    fn last(&self) -> MigrationReport {
        self.0.lock().unwrap().last().unwrap().clone()
    }
}

/// Of pings every 10 ms no more are lost than while the VM stood still, and until the switches know where it is.
#[test]
fn pings_survive_a_migration_there_and_back() {
    let Some(lab) = Lab::new("pings_survive_a_migration_there_and_back", 16) else {
        return;
    };
    let notes = Arc::new(Notes::default());
    let [first, second] = [FIRST, SECOND].map(|host| lab.patient(host, notes.clone()));
    for (source, target) in [(&first, SECOND), (&second, FIRST)] {
        let mut ping = namespace::command(&lab.layout.vm_namespace(VmNumber(3)), "ping");
        let address = lab.layout.vm(VM).to_string();
        ping.args(["-i0.01", "-w3", "-q", &address]);
        let ping = ping.stdout(Stdio::piped()).spawn().unwrap();
        thread::sleep(Duration::from_millis(500));
        assert_eq!(lab.migrate(source, target), MigrationOutcome::Moved);
        lab.assert_home(target, "moved");
        let said = ping.wait_with_output().unwrap().stdout;
        let said = String::from_utf8(said).unwrap();
        // "400 packets transmitted, 391 received, 2.25% packet loss, time 3990ms"
        let line = said.lines().find(|line| line.contains("transmitted"));
        let numbers = line.unwrap().split_whitespace();
        let numbers: Vec<u32> = numbers.filter_map(|word| word.parse().ok()).collect();
        let lost = f64::from(numbers[0] - numbers[1]) * 0.01;
        let report = notes.last();
        eprintln!("{lost:.2} s of pings lost; {report:?}");
        // A busy machine sends fewer pings than were asked for, and takes longer to let the next one through.
        assert!(
            lost < report.downtime_seconds + 1.0,
            "{lost} s lost; {report:?}"
        );
        assert!(0.0 < report.downtime_seconds && report.downtime_seconds < report.seconds);
    }
    let log = fs::read_to_string(lab.layout.directory().join("migrations.jsonl")).unwrap();
    let reports = notes.0.lock().unwrap();
    let lines = reports.iter().map(serde_json::to_string);
    let lines: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(log.lines().collect::<Vec<_>>(), lines);
    for report in &*reports {
        assert_eq!(report.ended, Ended::Moved);
        // All of the memory, and what was written meanwhile.
        assert!(report.bytes > 16 << 20 && report.rounds > 1, "{report:?}");
    }
}

/// A TCP connection goes on, and what it carries makes the next migration over the same link slower.
#[test]
fn a_stream_survives_and_slows_the_copy() {
    let Some(lab) = Lab::new("a_stream_survives_and_slows_the_copy", 16) else {
        return;
    };
    let notes = Arc::new(Notes::default());
    let [first, second] = [FIRST, SECOND].map(|host| lab.patient(host, notes.clone()));
    let migrate = |vm: VmNumber, target| {
        let from = if target == SECOND { &first } else { &second };
        let target = lab.layout.server(target);
        let outcome = from.migrate(lab.layout.vm_uuid(vm), target, DEADLINE);
        assert_eq!(outcome, MigrationOutcome::Moved);
        notes.last().seconds
    };
    // The machine may have other work: it makes one slower, seldom both.
    let idle = migrate(VM, SECOND).min(migrate(VM, FIRST));
    let stop = Arc::new(AtomicBool::new(false));
    let received = stream(&lab, VmNumber(2), VmNumber(3), &stop);
    assert!(eventually(|| received.load(Ordering::Relaxed) > 1 << 20));
    let loaded = migrate(VM, SECOND);
    migrate(VM, FIRST);
    eprintln!("alone {idle:.2} s, beside a stream {loaded:.2} s");
    assert!(loaded > idle * 1.2, "{idle} s alone, {loaded} s beside");

    // Now the sender itself, and it goes on sending.
    migrate(VmNumber(2), SECOND);
    let before = received.load(Ordering::Relaxed);
    assert!(eventually(
        || received.load(Ordering::Relaxed) > before + (4 << 20)
    ));
    stop.store(true, Ordering::Relaxed);
}

/// Sends from one VM to another over TCP until told to stop; how many octets have come.
fn stream(lab: &Lab, from: VmNumber, to: VmNumber, stop: &Arc<AtomicBool>) -> Arc<AtomicU64> {
    let received = Arc::new(AtomicU64::new(0));
    let (count, address) = (received.clone(), Ipv4Addr::from(lab.layout.vm(to)));
    let listening = namespace::spawn_in(&lab.layout.vm_namespace(to), move || {
        TcpListener::bind((address, 5000)).unwrap()
    });
    let listener = listening.unwrap().join().unwrap().unwrap();
    thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        let mut buffer = [0; 65536];
        while let Ok(read @ 1..) = peer.read(&mut buffer) {
            count.fetch_add(read as u64, Ordering::Relaxed);
        }
    });
    let stop = stop.clone();
    let send = move || {
        let mut stream = TcpStream::connect((address, 5000)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        while !stop.load(Ordering::Relaxed) && stream.write_all(&[1; 65536]).is_ok() {}
    };
    drop(namespace::spawn_in(&lab.layout.vm_namespace(from), send).unwrap());
    received
}
