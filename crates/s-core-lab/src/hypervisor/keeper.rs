//! The thread of a host that takes connections and VMs in.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::arrival;
use super::host::Host;
use super::places::Place;
use crate::layout::VmNumber;

/// How often to look for interfaces that nobody takes care of.
const LOOK: Duration = Duration::from_millis(100);
/// How long to wait before a VM is tried again that could not be connected.
const RETRY: Duration = Duration::from_secs(1);
/// The most VMs that are taken in, or ask for it, at the same time.
const MOST_CONNECTIONS: usize = 32;

/// Takes VMs in until the hypervisor is given up.
pub(super) fn keep(host: &Arc<Host>, door: &TcpListener) {
    let mut next_look = Instant::now();
    while !host.ends.load(Ordering::Relaxed) {
        if Instant::now() >= next_look {
            next_look = Instant::now() + if adopt(host) { LOOK } else { RETRY };
        }
        let wait = Timespec::try_from(LOOK).expect("a tenth of a second fits");
        let mut waiting = [PollFd::new(door, PollFlags::IN)];
        if let Err(error) = poll(&mut waiting, Some(&wait)) {
            tracing::debug!(%error, "did not wait");
        }
        while let Ok((stream, from)) = door.accept() {
            let_in(host, stream, from);
        }
    }
    // Those that are arriving look through this thread at the interfaces.
    while host.connections.load(Ordering::Relaxed) > 0 {
        thread::sleep(LOOK);
    }
}

/// Connects the VMs whose interfaces are here though nobody takes care of them: after a restart, and when a source gave
/// them too late. Says whether all of them are connected now.
pub(super) fn adopt(host: &Host) -> bool {
    let strays = match host.look() {
        Ok((mut places, here)) => places.strays(&here),
        Err(error) => {
            tracing::warn!(%error, "cannot look for VMs");
            return false;
        }
    };
    if strays.is_empty() {
        return true;
    }
    // A switch that hangs takes all the time for the first: the others' turn comes when it answers again.
    let until = Instant::now() + host.settings.step;
    let connected = host.ports.connected(host.settings.step);
    let mut all = true;
    for vm in strays {
        let left = until.saturating_duration_since(Instant::now());
        let done = match &connected {
            Err(error) => Err(error.to_string()),
            Ok(_) if left.is_zero() => Err("the switch is slow".into()),
            Ok(connected) => adopt_one(host, vm, connected, left),
        };
        let mut places = host.places();
        match done {
            Ok(()) => places.set(vm, Place::Home),
            Err(error) => {
                tracing::warn!(vm = vm.0, error, "cannot be connected yet");
                places.forget(vm);
                all = false;
            }
        }
    }
    all
}

fn adopt_one(
    host: &Host,
    vm: VmNumber,
    connected: &BTreeSet<VmNumber>,
    time: Duration,
) -> Result<(), String> {
    let done = if connected.contains(&vm) {
        // Whoever connected it may not have come to announce it; and only a switch that has the port can do that.
        host.ports.announce(vm, time)
    } else {
        tracing::info!(vm = vm.0, "is here and not connected");
        host.ports.attach(vm, time)
    };
    done.map_err(|error| error.to_string())
}

/// Hears a host of the laboratory out, on a thread of its own.
fn let_in(host: &Arc<Host>, stream: TcpStream, from: SocketAddr) {
    let IpAddr::V4(address) = from.ip() else {
        return;
    };
    if host.neighbour(address).is_none() {
        tracing::warn!(%from, "no host of this laboratory: not heard");
        return;
    }
    if host.connections.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
        host.connections.fetch_sub(1, Ordering::Relaxed);
        tracing::warn!(%from, "too many VMs want to come at once");
        return;
    }
    let visit = Visit(Arc::clone(host));
    let receive = move || {
        if let Err(error) = arrival::receive(&visit.0, stream) {
            tracing::warn!(%from, %error, "a VM does not come");
        }
    };
    let name = format!("h{}-arrival", host.number.0);
    let started: io::Result<_> = thread::Builder::new().name(name).spawn(receive);
    if let Err(error) = started {
        tracing::warn!(%from, %error, "no thread to take a VM in");
    }
}

/// A connection that is counted until it ends, also by a panic.
struct Visit(Arc<Host>);

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
