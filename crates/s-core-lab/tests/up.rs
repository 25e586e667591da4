//! Laboratories of real Open vSwitch: what is up works, and what is down is gone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use s_core_lab::{
    Cable, DaemonState, HostNumber, LabError, Layout, Link, Shape, VmNumber, namespace, system,
};
use support::{TakenDown, is_possible, layout, traces};

const SECOND: Duration = Duration::from_secs(1);

fn of_vm(layout: &Layout, vm: u32) -> (String, Ipv4Addr) {
    let vm = VmNumber(vm);
    (layout.vm_namespace(vm), layout.vm(vm).into())
}

fn of_host(layout: &Layout, host: u16) -> (String, Ipv4Addr) {
    let host = HostNumber(host);
    (layout.host_namespace(host), layout.fabric_address(host))
}

fn inside<T: Send + 'static>(namespace: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    namespace::spawn_in(namespace, work)
        .unwrap()
        .join()
        .unwrap()
        .unwrap()
}

/// Whether a datagram gets there and an answer comes back, within a second.
fn reaches((from, source): (String, Ipv4Addr), (to, target): (String, Ipv4Addr)) -> bool {
    let server = inside(&to, move || UdpSocket::bind((target, 0)).unwrap());
    let address = server.local_addr().unwrap();
    server.set_read_timeout(Some(SECOND)).unwrap();
    let answer = thread::spawn(move || {
        let mut buffer = [0; 16];
        if let Ok((length, peer)) = server.recv_from(&mut buffer) {
            server.send_to(&buffer[..length], peer).unwrap();
        }
    });
    let client = inside(&from, move || UdpSocket::bind((source, 0)).unwrap());
    client.set_read_timeout(Some(SECOND)).unwrap();
    let sent = client.send_to(b"ping", address);
    let received = sent.and_then(|_| client.recv(&mut [0; 16]));
    answer.join().unwrap();
    received.is_ok()
}

/// Sends over one TCP connection for a while; how many Mbit/s arrived.
fn mbit_per_second(from: String, (to, target): (String, Ipv4Addr), lasts: Duration) -> f64 {
    let listener = inside(&to, move || TcpListener::bind((target, 0)).unwrap());
    let address: SocketAddr = listener.local_addr().unwrap();
    let receiver = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.set_read_timeout(Some(5 * SECOND)).unwrap();
        let (mut bytes, mut buffer) = (0, vec![0; 1 << 16]);
        let begun = Instant::now();
        loop {
            match connection.read(&mut buffer) {
                Ok(0) => return bytes as f64 * 8e-6 / begun.elapsed().as_secs_f64(),
                Ok(length) => bytes += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    inside(&from, move || {
        let mut connection = TcpStream::connect_timeout(&address, 5 * SECOND).unwrap();
        connection.set_write_timeout(Some(5 * SECOND)).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < lasts {
            connection.write_all(&[7; 1 << 14]).unwrap();
        }
    });
    receiver.join().unwrap()
}

#[test]
fn a_laboratory_carries_traffic_at_its_links_rates() {
    if !is_possible("a_laboratory_carries_traffic_at_its_links_rates") {
        return;
    }
    let shape = Shape {
        host_mbit: 100,
        ..Shape::default()
    };
    let layout = layout('a', shape);
    let lab = TakenDown::up(&layout);
    // A VM of the same host, of the host in the other rack below the same switch, of the other side of the core.
    for vm in [2, 5, 16] {
        assert!(reaches(of_vm(&layout, 1), of_vm(&layout, vm)), "VM {vm}");
        assert!(reaches(of_vm(&layout, vm), of_vm(&layout, 1)), "VM {vm}");
    }
    assert!(reaches(of_host(&layout, 1), of_host(&layout, 4)));
    assert!(reaches(of_vm(&layout, 16), of_host(&layout, 1)));
    // Only the bridge answers for the control domain, not the ports that the kernel sees too.
    let (vm, host) = (of_vm(&layout, 16).0, of_host(&layout, 1).1.to_string());
    let known = system::run(Command::new("ip").args(["-n", &vm, "neigh", "show", &host]));
    let mac = layout.bridge_mac(HostNumber(1)).to_string();
    assert!(known.unwrap().contains(&mac));

    let before = s_core_lab::link_counters(&layout).unwrap();
    let across = mbit_per_second(of_vm(&layout, 1).0, of_vm(&layout, 16), 2 * SECOND);
    let after = s_core_lab::link_counters(&layout).unwrap();
    // Racks have 50 up, aggregation switches 50: what two racks have, halved.
    let [rack, top] = [1, 2].map(|level| layout.link_mbit(level));
    assert_eq!([rack, top], [50.0, 50.0]);
    assert!((0.7 * top..=top).contains(&across), "{across} Mbit/s");
    let moved: BTreeMap<_, _> = after
        .iter()
        .map(|(link, after)| {
            (
                *link,
                [after.up - before[link].up, after.down - before[link].down],
            )
        })
        .collect();
    // The sender's rack and aggregation switch carry it up, the receiver's down; no other does.
    let bytes = (across * 1e6 / 8.0 * 2.0) as u64;
    let carried = |level, number| moved[&Link { level, number }];
    for (link, direction) in [((1, 1), 0), ((2, 1), 0), ((1, 4), 1), ((2, 2), 1)] {
        let carried = carried(link.0, link.1)[direction];
        assert!(
            (bytes * 9 / 10..bytes * 13 / 10).contains(&carried),
            "{link:?}: {carried} of {bytes}"
        );
    }
    for other in [2, 3] {
        assert!(
            carried(1, other).iter().sum::<u64>() < bytes / 50,
            "{moved:?}"
        );
    }

    let within = mbit_per_second(of_vm(&layout, 1).0, of_vm(&layout, 2), SECOND / 2);
    assert!(within > 1.5 * top, "{within} Mbit/s on one host");
    let removed = s_core_lab::down(&lab.0).unwrap();
    assert_eq!([removed.namespaces, removed.processes], [21, 8]);
    assert_eq!(traces(layout.name()), [""; 0]);
    let again = s_core_lab::down(&lab.0).unwrap();
    assert_eq!(again.to_string(), "nothing, for nothing was there");
}

#[test]
fn faults_are_made_and_mended() {
    if !is_possible("faults_are_made_and_mended") {
        return;
    }
    let shape = Shape {
        hosts: 2,
        vms_per_host: 2,
        fan_out: vec![2],
        management: true,
        ..Shape::default()
    };
    let layout = layout('f', shape);
    let lab = TakenDown::up(&layout);
    let host = HostNumber(2);
    let reached = || reaches(of_vm(&layout, 1), of_vm(&layout, 3));
    let state = || s_core_lab::status(&lab.0).unwrap().hosts.remove(1);
    assert!(reached());
    for cable in [
        Cable::Link(Link {
            level: 1,
            number: 2,
        }),
        Cable::Uplink(host),
    ] {
        s_core_lab::cut(&layout, cable).unwrap();
        assert!(!reached(), "{cable:?}");
        s_core_lab::mend(&layout, cable).unwrap();
        // The bridges learn of it from the kernel in their own time.
        let mended = (0..10).any(|_| reached());
        assert!(mended, "{cable:?}");
    }
    let management = |host| {
        let host = HostNumber(host);
        (layout.host_namespace(host), layout.management_address(host))
    };
    assert!(reaches(management(1), management(2)));

    s_core_lab::hang_switch(&layout, host).unwrap();
    assert!(matches!(state().switch, DaemonState::Hanging(_)));
    assert!(!reached());
    s_core_lab::resume_switch(&layout, host).unwrap();
    assert!(matches!(state().switch, DaemonState::Running(_)));
    assert!(reached());

    s_core_lab::restart_switch(&layout, host).unwrap();
    assert!(reached());
    assert!(reaches(of_host(&layout, 1), of_host(&layout, 2)));
    let shaped = system::run(Command::new("tc").args([
        "-n",
        &layout.host_namespace(host),
        "qdisc",
        "show",
        "dev",
        "up0",
    ]));
    assert!(shaped.unwrap().contains("tbf"));

    s_core_lab::kill_host(&layout, host).unwrap();
    let killed = state();
    assert_eq!([killed.switch, killed.database], [DaemonState::Ended; 2]);
    assert!(killed.vms.is_err());
    assert!(!reached());
    let refused = s_core_lab::hang_switch(&layout, host).unwrap_err();
    assert!(
        refused.to_string().ends_with("its switch does not run"),
        "{refused}"
    );
    s_core_lab::restart_switch(&layout, host).unwrap();
    assert!(reached());
    assert_eq!(state().vms.unwrap(), [VmNumber(3), VmNumber(4)]);
}

#[test]
fn what_is_left_of_a_crash_is_removed_and_two_laboratories_do_not_meet() {
    if !is_possible("what_is_left_of_a_crash_is_removed_and_two_laboratories_do_not_meet") {
        return;
    }
    let shape = Shape {
        hosts: 2,
        vms_per_host: 1,
        fan_out: vec![2],
        ..Shape::default()
    };
    let [one, other] = ['x', 'y'].map(|suffix| layout(suffix, shape.clone()));
    let [one_lab, _other] = [&one, &other].map(TakenDown::up);
    let refused = s_core_lab::up(&one).unwrap_err();
    assert!(matches!(refused, LabError::Exists(_)), "{refused}");
    let other_process = fs::File::open(one.directory()).unwrap();
    other_process.lock().unwrap();
    let refused = s_core_lab::down(&one_lab.0).unwrap_err();
    assert!(matches!(refused, LabError::Busy(_)), "{refused}");
    drop(other_process);
    assert!(reaches(of_vm(&one, 1), of_vm(&one, 2)));
    assert!(reaches(of_vm(&other, 1), of_vm(&other, 2)));

    // A switch is killed, another hangs, a namespace and the files are gone; a process of a user runs in a VM.
    let switch = |host| match s_core_lab::status(&one_lab.0)
        .unwrap()
        .hosts
        .remove(host)
        .switch
    {
        DaemonState::Running(pid) => rustix::process::Pid::from_raw(pid).unwrap(),
        state => panic!("{state:?}"),
    };
    let switches = [switch(0), switch(1)];
    rustix::process::kill_process(switches[0], rustix::process::Signal::KILL).unwrap();
    rustix::process::kill_process(switches[1], rustix::process::Signal::STOP).unwrap();
    let mut user = namespace::command(&one.vm_namespace(VmNumber(1)), "sleep")
        .arg("600")
        .spawn()
        .unwrap();
    while !traces(one.name())
        .iter()
        .any(|trace| trace.contains("sleep 600"))
    {
        thread::sleep(SECOND / 100);
    }
    let gone = ["netns", "del", &one.host_namespace(HostNumber(2))];
    system::run(Command::new("ip").args(gone)).unwrap();
    fs::remove_dir_all(one.directory()).unwrap();
    let refused = s_core_lab::up(&one).unwrap_err();
    assert!(matches!(refused, LabError::Exists(_)), "{refused}");

    let removed = s_core_lab::down(&one_lab.0).unwrap();
    assert_eq!([removed.processes, removed.namespaces], [4, 4]);
    user.wait().unwrap();
    assert_eq!(traces(one.name()), [""; 0]);
    assert!(reaches(of_vm(&other, 1), of_vm(&other, 2)));
    assert!(matches!(
        s_core_lab::status(&one_lab.0),
        Err(LabError::Unknown(_))
    ));
}

/// Not a test of its own: makes the laboratory that another test names, in a process that it can kill.
#[test]
#[ignore = "started by other tests"]
fn up_for_another_test() {
    let layout = layout_of(std::env::var("S_CORE_LAB_TEST").unwrap().parse().unwrap());
    match s_core_lab::up(&layout) {
        Ok(()) => println!("up"),
        Err(error) => println!("failed: {error}"),
    }
}

fn layout_of(name: s_core_lab::LabName) -> Layout {
    Layout::new(name, Shape::default()).unwrap()
}

fn up_in_a_child(layout: &Layout) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "up_for_another_test", "--ignored", "--nocapture"])
        .env("S_CORE_LAB_TEST", layout.name().as_str())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

#[test]
fn up_that_is_killed_or_fails_leaves_nothing_that_down_does_not_remove() {
    if !is_possible("up_that_is_killed_or_fails_leaves_nothing_that_down_does_not_remove") {
        return;
    }
    let layout = layout('k', Shape::default());
    let lab = TakenDown(layout.name().clone());
    let namespaces = || namespace::with_prefix(&layout.prefix()).unwrap().len();
    for (made, then) in [(1, 0), (5, 0), (21, 0), (21, 100), (21, 300)] {
        let mut child = up_in_a_child(&layout).spawn().unwrap();
        let begun = Instant::now();
        while namespaces() < made && begun.elapsed() < 10 * SECOND {
            thread::sleep(SECOND / 2000);
        }
        thread::sleep(Duration::from_millis(then));
        child.kill().unwrap();
        child.wait().unwrap();
        s_core_lab::down(&lab.0).unwrap();
        assert_eq!(
            traces(layout.name()),
            [""; 0],
            "{made} namespaces and {then} ms"
        );
    }

    // A switch that does not start, found first in the path.
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("ovs-vswitchd");
    fs::write(&program, "#!/bin/sh\necho no switch today >&2\nexit 1\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", programs.path().display());
    let output = up_in_a_child(&layout).env("PATH", path).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("ovs-vswitchd") && said.contains("no switch today"),
        "{said}"
    );
    assert_eq!(traces(layout.name()), [""; 0]);
}

/// `down` twice and `up` at once, in any order: what comes to be is whole, or gone.
#[test]
fn who_makes_and_who_removes_do_not_meet() {
    if !is_possible("who_makes_and_who_removes_do_not_meet") {
        return;
    }
    let shape = Shape {
        hosts: 1,
        vms_per_host: 2,
        fan_out: vec![1],
        ..Shape::default()
    };
    let layout = layout('m', shape);
    let lab = TakenDown(layout.name().clone());
    for delay in (0..6).map(|n| Duration::from_millis(60 * n)) {
        s_core_lab::down(&lab.0).unwrap();
        s_core_lab::up(&layout).unwrap();
        let [made, removed] = thread::scope(|scope| {
            let removing = [(); 2].map(|()| scope.spawn(|| s_core_lab::down(&lab.0).map(drop)));
            thread::sleep(delay);
            let made = s_core_lab::up(&layout);
            let removed = removing.map(|thread| thread.join().unwrap());
            [made, removed.into_iter().collect()]
        });
        let busy = |error: &LabError| matches!(error, LabError::Busy(_) | LabError::Exists(_));
        assert!(removed.as_ref().err().is_none_or(busy), "{removed:?}");
        match made {
            Ok(()) if traces(&lab.0).is_empty() => {}
            Ok(()) => assert!(reaches(of_vm(&layout, 1), of_vm(&layout, 2)), "{delay:?}"),
            Err(error) => assert!(busy(&error), "{delay:?}: {error}"),
        }
    }
}

/// Alone on a machine of two cores it takes 1 s and 3 s.
#[test]
#[ignore = "measures time: to be run alone"]
fn laboratories_are_up_in_time() {
    if !is_possible("laboratories_are_up_in_time") {
        return;
    }
    for (hosts, fan_out, limit) in [(4, [2, 2], 5 * SECOND), (16, [2, 4], 30 * SECOND)] {
        let shape = Shape {
            hosts,
            vms_per_host: hosts,
            vm_slots: 2 * hosts,
            fan_out: fan_out.into(),
            ..Shape::default()
        };
        let layout = layout('t', shape);
        let begun = Instant::now();
        let _lab = TakenDown::up(&layout);
        let took = begun.elapsed();
        println!("{hosts} hosts of {hosts} VMs: {took:.1?}");
        assert!(took < limit, "{hosts} hosts: {took:?}");
        let last = layout.vms().last().unwrap().0;
        assert!(reaches(of_vm(&layout, 1), of_vm(&layout, last)));
    }
}
