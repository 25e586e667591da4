//! A network namespace for each server, and one with the bridge that connects them.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use s_core_model::ServerId;

/// The address of a host on the bridge that is no server.
pub(crate) const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

/// The address of server `number`, from 1.
pub(crate) fn server_id(number: u8) -> ServerId {
    Ipv4Addr::new(10, 77, 0, number).into()
}

/// The number of a server.
pub(crate) fn number_of(server: ServerId) -> u8 {
    server.addr().octets()[3]
}

/// Removed when it is dropped, also by a panic.
pub(crate) struct Network {
    prefix: String,
    namespaces: Vec<String>,
}

impl Network {
    /// Why it cannot be made here, if it cannot.
    pub(crate) fn missing() -> Option<&'static str> {
        if !rustix::process::geteuid().is_root() {
            return Some("it needs root");
        }
        let version = Command::new("ip").arg("-V").output();
        if !version.is_ok_and(|output| output.status.success()) {
            return Some("it needs iproute2");
        }
        None
    }

    pub(crate) fn new(servers: u8) -> Self {
        let mut network = Self {
            prefix: format!("score-f{}", std::process::id()),
            namespaces: Vec::new(),
        };
        let hub = network.add_namespace("hub");
        network.hub("link add bridge type bridge");
        network.hub(&format!("addr add {STRANGER}/24 dev bridge"));
        network.hub("link set bridge up");
        network.hub("link set lo up");
        for number in 1..=servers {
            let server = network.add_namespace(&number.to_string());
            let there = format!("link add port{number} type veth peer name eth0 netns {server}");
            network.hub(&there);
            network.hub(&format!("link set port{number} master bridge up"));
            let address = server_id(number).addr();
            ip(&format!("-n {server} addr add {address}/24 dev eth0"));
            ip(&format!("-n {server} link set eth0 up"));
            ip(&format!("-n {server} link set lo up"));
        }
        debug_assert_eq!(hub, network.hub_name());
        network
    }

    fn add_namespace(&mut self, name: &str) -> String {
        let name = format!("{}-{name}", self.prefix);
        ip(&format!("netns add {name}"));
        self.namespaces.push(name.clone());
        name
    }

    fn hub_name(&self) -> String {
        format!("{}-hub", self.prefix)
    }

    fn hub(&self, command: &str) {
        ip(&format!("-n {} {command}", self.hub_name()));
    }

    /// Cuts a server off, or connects it again.
    pub(crate) fn link(&self, server: u8, up: bool) {
        let state = if up { "up" } else { "down" };
        self.hub(&format!("link set port{server} {state}"));
    }

    /// A command that runs on a server, or on a host that is none. What it mounts, only it sees.
    pub(crate) fn command(&self, server: Option<u8>, program: &Path) -> Command {
        let name = server.map_or_else(|| self.hub_name(), |n| format!("{}-{n}", self.prefix));
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &name]).arg(program);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.namespaces {
            drop(Command::new("ip").args(["netns", "del", name]).status());
        }
    }
}

fn ip(args: &str) {
    let output = Command::new("ip").args(args.split(' ')).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {args}: {said}");
}
