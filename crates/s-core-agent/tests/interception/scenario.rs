//! What is the same at both kinds of bridge.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use s_core_agent::{Event, lab_key};
use s_core_backend::interception::{INTERCEPT_PRIORITY, InterceptionError};
use s_core_model::VmId;
use s_core_proto::wire::{Cluster, Codec, Keyring};
use s_core_proto::{Message, QueryId, Report};

use crate::host::{Homes, Host, PORT, interception, interception_with, is_kept, wait};
use crate::lab::{Kind, Lab, server, vm};

const SOON: Duration = Duration::from_secs(20);

/// All of it, one after the other: a laboratory takes longer to set up than any of it.
pub(crate) fn run(lab: &Lab) {
    let before = [1, 2].map(|host| with_foreign_rules(lab, host));
    left_by_a_process_that_was_killed(lab, 1);
    let homes: Homes = Arc::new(Mutex::new([(vm(1), 1), (vm(2), 2)].into()));
    let hosts = [1, 2].map(|host| Host::start(lab, host, &homes));
    for host in [1, 2] {
        wait("rules", SOON, || is_kept(lab, host, [vm(host)].into()));
    }
    let mut asker = Asker::new(lab);
    for (host, vm) in [(1, vm(1)), (2, vm(2))] {
        assert_eq!(asker.ask(lab, vm, Way::Datagram), server(host), "{vm}");
        assert_eq!(asker.ask(lab, vm, Way::Connection), server(host), "{vm}");
    }
    agents_ask_each_other(&hosts);
    vms_are_kept_off(lab, &hosts);
    rules_come_back(lab, &hosts);
    homes.lock().unwrap().insert(vm(1), 2);
    lab.move_vm(1, 1, 2);
    wait("rules that follow", SOON, || {
        is_kept(lab, 1, [].into()) && is_kept(lab, 2, [vm(1), vm(2)].into())
    });
    assert_eq!(asker.ask(lab, vm(1), Way::Datagram), server(2));
    assert_eq!(asker.ask(lab, vm(1), Way::Connection), server(2));
    hosts.into_iter().for_each(Host::stop);
    assert_eq!([1, 2].map(|host| rules(lab, host)), before);
    // VM 1 comes home.
    lab.move_vm(1, 2, 1);
    vms_can_be_kept_off_alone(lab, &before[0]);
    if lab.kind == Kind::OpenVSwitch {
        a_priority_of_somebody_elses_is_left_alone(lab);
    }
}

/// Requests need not be intercepted for VMs to be kept off, and what intercepted them before goes.
fn vms_can_be_kept_off_alone(lab: &Lab, before: &[String]) {
    let [whole, drop_alone] = [true, false]
        .map(|requests| interception_with(lab, 1, |config| config.requests = requests));
    let work = move || {
        let vms = [vm(1)].into();
        whole.keep(&vms, SOON).unwrap();
        let found = drop_alone.keep(&vms, SOON).unwrap();
        assert!(found.unwanted > 0, "{found:?}");
        assert!(drop_alone.verify(&vms, SOON).unwrap().is_in_place());
        drop_alone
    };
    let drop_alone = lab.inside("h1", work).join().unwrap();
    assert_eq!(rules(lab, 1)[1..3], before[1..3], "no rule and no route");
    let said = rules(lab, 1).concat();
    assert!(!said.contains("10.79.1.1 "), "{said}");
    let send = || {
        let socket = UdpSocket::bind((vm(1).addr(), 0)).unwrap();
        socket.send_to(b"noise", (server(1), PORT)).unwrap();
    };
    lab.inside("v1", send).join().unwrap();
    let dropped = Arc::clone(&drop_alone);
    let counted = move || {
        wait("what the VM sends is counted", SOON, || {
            dropped.verify(&[].into(), SOON).unwrap().dropped > 0
        });
    };
    lab.inside("h1", counted).join().unwrap();
    let remove = move || drop_alone.remove(SOON).unwrap();
    lab.inside("h1", remove).join().unwrap();
    assert_eq!(rules(lab, 1), before);
}

fn a_priority_of_somebody_elses_is_left_alone(lab: &Lab) {
    let theirs = format!("cookie=7,priority={INTERCEPT_PRIORITY},udp,tp_dst=4747,actions=NORMAL");
    lab.ofctl(1, "add-flow", &[&theirs]);
    let before = rules(lab, 1);
    let ours = interception(lab, 1);
    let keep = move || ours.keep(&[vm(1)].into(), SOON).unwrap_err();
    let error = lab.inside("h1", keep).join().unwrap();
    assert!(matches!(error, InterceptionError::Taken { .. }), "{error}");
    assert_eq!(rules(lab, 1), before);
}

/// Everything that an interception may change, without counters.
fn rules(lab: &Lab, host: u8) -> Vec<String> {
    let mut all = vec![
        lab.in_host(host, "nft", &["-s", "list", "ruleset"]),
        lab.in_host(host, "ip", &["rule"]),
        lab.in_host(host, "ip", &["route", "show", "table", "all"]),
    ];
    if lab.kind == Kind::OpenVSwitch {
        all.push(lab.in_host(
            host,
            "ovs-ofctl",
            &[
                "--no-stats",
                "dump-flows",
                &format!("unix:{}/br0.mgmt", lab.run_dir(host).display()),
            ],
        ));
    }
    all
}

/// Sets rules of somebody else's, as close to ours as they may come; tells all that there are.
fn with_foreign_rules(lab: &Lab, host: u8) -> Vec<String> {
    if lab.kind == Kind::OpenVSwitch {
        lab.ofctl(
            host,
            "add-flow",
            &["cookie=7,priority=40000,udp,tp_dst=4747,actions=NORMAL"],
        );
        lab.ofctl(
            host,
            "add-flow",
            &["cookie=0x53434e0000000000,priority=40000,tcp,tp_dst=4747,actions=NORMAL"],
        );
    }
    for line in [
        "add table ip s_core_other",
        "add chain ip s_core_other prerouting { type filter hook prerouting priority -150; }",
        "add rule ip s_core_other prerouting udp dport 4747 counter",
        "add table bridge other",
    ] {
        lab.in_host(host, "nft", &[line]);
    }
    lab.in_host(
        host,
        "ip",
        &["rule", "add", "pref", "235", "fwmark", "7", "lookup", "7"],
    );
    lab.in_host(
        host,
        "ip",
        &[
            "route",
            "add",
            "local",
            "10.99.0.0/16",
            "dev",
            "lo",
            "table",
            "7",
        ],
    );
    rules(lab, host)
}

/// Rules for a VM that is not here any more.
fn left_by_a_process_that_was_killed(lab: &Lab, host: u8) {
    let left = interception(lab, host);
    let keep = move || left.keep(&[vm(77)].into(), SOON).unwrap();
    lab.inside(&format!("h{host}"), keep).join().unwrap();
    assert!(is_kept(lab, host, [vm(77)].into()));
    assert!(rules(lab, host).concat().contains("10.79.1.77"));
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Datagram,
    Connection,
}

/// Server 3, for which the test speaks.
struct Asker {
    codec: Codec,
    /// At another port than answers come to, as agents do.
    asks: Arc<UdpSocket>,
    answers: UdpSocket,
    query: u64,
}

impl Asker {
    fn new(lab: &Lab) -> Self {
        let keyring = Keyring::new(lab_key(), []).unwrap();
        let bind = || [0, PORT].map(|port| UdpSocket::bind((server(3), port)).unwrap());
        let [asks, answers] = lab.inside("h3", bind).join().unwrap();
        let limit = Some(Duration::from_secs(2));
        answers.set_read_timeout(limit).unwrap();
        Self {
            codec: Codec::new(Cluster(0), server(3).into(), keyring, 1 << 20),
            asks: Arc::new(asks),
            answers,
            query: 0,
        }
    }

    /// Asks at the VM's address which server hosts it; the answer must come from that server's own address.
    fn ask(&mut self, lab: &Lab, vm: VmId, way: Way) -> Ipv4Addr {
        // Addresses may have to be learnt first, and where a VM is now.
        (0..5)
            .find_map(|_| self.ask_once(lab, vm, way))
            .expect("an answer")
    }

    fn ask_once(&mut self, lab: &Lab, vm: VmId, way: Way) -> Option<Ipv4Addr> {
        self.query += 1;
        let request = Message::LocationRequest {
            query: QueryId::new(self.query),
            vm,
            directed: false,
        };
        let frame = self.codec.seal(None, &request);
        let (socket, to) = (Arc::clone(&self.asks), SocketAddr::from((vm.addr(), PORT)));
        let send = move || match way {
            Way::Datagram => drop(socket.send_to(&frame, to).unwrap()),
            Way::Connection => {
                let mut stream = TcpStream::connect_timeout(&to, SOON).unwrap();
                stream.write_all(&frame).unwrap();
            }
        };
        lab.inside("h3", send).join().unwrap();
        let mut datagram = [0; 2048];
        loop {
            let (length, from) = self.answers.recv_from(&mut datagram).ok()?;
            let frame = Bytes::copy_from_slice(&datagram[..length]);
            let opened = self.codec.open(&frame).unwrap();
            let Message::LocationResponse {
                query,
                vm: of,
                server,
            } = opened.message
            else {
                continue;
            };
            if (query.get(), of) != (self.query, vm) {
                continue;
            }
            let server = server.unwrap();
            assert_eq!(from, SocketAddr::from((server.addr(), PORT)));
            return Some(server.addr());
        }
    }
}

/// A token goes from one VM to the other: its host is asked at the VM's address.
fn agents_ask_each_other(hosts: &[Host; 2]) {
    let [(first, _), (second, _)] = [&hosts[0], &hosts[1]].map(Host::counts);
    hosts[0].agent.mint(vec![vm(1), vm(2)]).unwrap();
    let holds = |event: &Event| matches!(event, Event::Node(Report::Holding { vm: of, .. }) if *of == vm(2));
    while !holds(&hosts[1].events.recv_timeout(SOON).expect("the token comes")) {}
    wait("intercepted requests", SOON, || {
        hosts[1].counts().0 > second && hosts[0].counts().0 >= first
    });
}

/// Nothing that a VM sends to the agents' port arrives, whatever its address; all else does.
fn vms_are_kept_off(lab: &Lab, hosts: &[Host; 2]) {
    let refused = || hosts.each_ref().map(|host| host.status().refused);
    let (quiet, dropped) = (refused(), hosts[0].counts().1);
    let targets = [server(1), server(2), vm(2).addr(), vm(1).addr()];
    let send = move || {
        let socket = UdpSocket::bind((vm(1).addr(), 0)).unwrap();
        for to in &targets[..3] {
            for _ in 0..5 {
                socket.send_to(b"noise", (*to, PORT)).unwrap();
            }
            let to = SocketAddr::from((*to, PORT));
            let connected = TcpStream::connect_timeout(&to, Duration::from_millis(300));
            assert!(connected.is_err(), "{to}");
        }
    };
    lab.inside("v1", send).join().unwrap();
    // Five datagrams and at least one SYN to each.
    wait("what VMs send is counted", SOON, || {
        hosts[0].counts().1 >= dropped + 18
    });
    assert_eq!(refused(), quiet);
    for (to, name) in [(vm(2).addr(), "v2"), (server(1), "h1"), (server(2), "h2")] {
        let bind = move || UdpSocket::bind((to, 7000)).unwrap();
        let receiver = lab.inside(name, bind).join().unwrap();
        receiver.set_read_timeout(Some(SOON)).unwrap();
        let send = move || {
            UdpSocket::bind((vm(1).addr(), 0))
                .unwrap()
                .send_to(b"hello", (to, 7000))
        };
        lab.inside("v1", send).join().unwrap().unwrap();
        receiver
            .recv_from(&mut [0; 16])
            .expect("other traffic passes");
    }
}

/// Somebody removes everything; the agents' counts go on.
fn rules_come_back(lab: &Lab, hosts: &[Host; 2]) {
    let before = hosts[0].counts();
    match lab.kind {
        Kind::OpenVSwitch => drop(lab.ofctl(
            1,
            "del-flows",
            &["cookie=0x53434f0000000000/0xffffff0000000000"],
        )),
        Kind::LinuxBridge => drop(lab.in_host(1, "nft", &["flush chain bridge s_core prerouting"])),
    }
    lab.in_host(1, "nft", &["delete table ip s_core"]);
    if lab.kind == Kind::OpenVSwitch {
        lab.in_host(
            1,
            "ip",
            &[
                "rule", "del", "pref", "235", "fwmark", "23566", "lookup", "23566",
            ],
        );
    }
    wait("rules that were removed", SOON, || {
        is_kept(lab, 1, [vm(1)].into())
    });
    assert!(hosts[0].counts() >= before);
}
