//! The true traffic: frames as the sending VMs' own kernels count them.

mod netlink;
mod reading;

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

pub use reading::{Frames, Reading};

use super::endpoint::Endpoint;
use super::error::TrafficError;
use crate::system;
use netlink::SetReader;

/// The name of the table in each VM's network.
const TABLE: &str = "score_truth";
/// The name of the set of destinations.
const SET: &str = "sent";
/// How many TCP segments at a time an interface takes if it is not told otherwise.
const MOST_SEGMENTS: u32 = 65_535;
/// How many networks are entered at the same time.
const THREADS: usize = 4;

/// Counters of what VMs send.
///
/// In the network of each VM an nft table counts what it sends, by destination, where packets leave the IP layer. A
/// [`Reading`] has packets and bytes of frames (with the Ethernet header, without the check sequence) per ordered pair.
/// TCP hands several segments at once to IP and leaves it to the interface to part them, whatever `ethtool` says; then a
/// packet counted is no frame. So the VM's interface is set to take one segment at a time (`gso_max_segs 1`): it holds for
/// connections that are made from then on. Retransmissions count: they are sent.
///
/// Reading asks the kernel over a netlink socket per VM that is opened once: no program is run, and 256 VMs
/// take milliseconds.
///
/// When it is dropped it removes the counters, also those that an earlier process, which was killed, has left.
#[derive(Debug)]
pub struct Truth {
    endpoints: Vec<Endpoint>,
    readers: Vec<(Endpoint, SetReader)>,
}

impl Truth {
    /// Makes the counters of these VMs where they are not there yet, and opens them. Counters that are there go on
    /// from where they are. Open it before traffic begins.
    ///
    /// # Errors
    ///
    /// [`TrafficError`] if a network cannot be entered, a VM does not have its address, or nft or ip is missing or
    /// refuses.
    pub fn open(endpoints: Vec<Endpoint>) -> Result<Self, TrafficError> {
        let readers = for_each(&endpoints, open);
        let mut this = Self {
            endpoints,
            readers: Vec::new(),
        };
        // If one fails, the others' counters are removed with `this`.
        this.readers = readers.into_iter().collect::<Result<_, _>>()?;
        this.readers.sort_by_key(|(endpoint, _)| endpoint.address);
        Ok(this)
    }

    /// What has been sent so far between these VMs.
    ///
    /// # Errors
    ///
    /// [`TrafficError::Counters`] if a table has gone or the kernel does not answer.
    pub fn read(&mut self) -> Result<Reading, TrafficError> {
        let vms: Vec<_> = self.addresses().collect();
        let mut reading = Reading::new(Instant::now());
        for (endpoint, reader) in &mut self.readers {
            let vm = endpoint.address;
            let counters = reader.read().map_err(|problem| TrafficError::Counters {
                vm,
                problem: problem.to_string(),
            })?;
            for counter in counters {
                // Others than VMs, such as multicast groups, are nobody's peers; and what a kernel tells its own programs, as
                // that a neighbour does not answer, is not sent.
                let peer = counter.destination;
                if peer != vm && vms.binary_search(&peer).is_ok() {
                    reading.set(vm, peer, counter.packets, counter.bytes);
                }
            }
        }
        Ok(reading)
    }

    /// Removes the counters from the VMs, as dropping it does, and says what went wrong.
    ///
    /// # Errors
    ///
    /// [`TrafficError`] if nft or ip fails; the others are removed nevertheless.
    pub fn remove(mut self) -> Result<(), TrafficError> {
        let endpoints = std::mem::take(&mut self.endpoints);
        for_each(&endpoints, close).into_iter().collect()
    }

    fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.readers.iter().map(|(endpoint, _)| endpoint.address)
    }
}

impl Drop for Truth {
    fn drop(&mut self) {
        // Where it fails, the VM has gone; or a later `Truth` finds the counters and removes them.
        for_each(&self.endpoints, close);
    }
}

/// Does something in the networks of these VMs, of which a few are entered at the same time.
fn for_each<T: Send>(
    endpoints: &[Endpoint],
    work: impl Fn(&Endpoint) -> Result<T, TrafficError> + Sync,
) -> Vec<Result<T, TrafficError>> {
    let chunk = endpoints.len().div_ceil(THREADS).max(1);
    let (send, done) = mpsc::channel();
    thread::scope(|scope| {
        for endpoints in endpoints.chunks(chunk) {
            let (send, work) = (send.clone(), &work);
            scope.spawn(move || {
                for endpoint in endpoints {
                    // The other end waits for all.
                    let _ = send.send(work(endpoint));
                }
            });
        }
    });
    drop(send);
    done.into_iter().collect()
}

/// Makes the table of a VM, and opens it.
fn open(endpoint: &Endpoint) -> Result<(Endpoint, SetReader), TrafficError> {
    // The set and its counters survive a second time.
    let script = format!(
        "add table ip {TABLE}\n\
         add set ip {TABLE} {SET} {{ type ipv4_addr; size {most}; flags dynamic; }}\n\
         add chain ip {TABLE} output {{ type filter hook output priority filter; policy accept; }}\n\
         flush chain ip {TABLE} output\n\
         add rule ip {TABLE} output add @{SET} {{ ip daddr counter }}\n",
        most = netlink::MOST_COUNTERS,
    );
    let vm = endpoint.address;
    let reader = endpoint.run(move || {
        take_segments(vm, 1)?;
        nft(&script)?;
        SetReader::open(TABLE, SET).map_err(|problem| {
            let problem = problem.to_string();
            TrafficError::Counters { vm, problem }
        })
    });
    reader.map(|reader| (endpoint.clone(), reader))
}

/// Removes the table of a VM, and has its interface take as many segments as ever.
fn close(endpoint: &Endpoint) -> Result<(), TrafficError> {
    let vm = endpoint.address;
    endpoint.run(move || {
        // Added first, so that there is one to delete.
        let removed = nft(&format!("add table ip {TABLE}\ndelete table ip {TABLE}\n"));
        take_segments(vm, MOST_SEGMENTS).and(removed)
    })
}

/// Sets how many TCP segments at a time the interface with this address takes.
fn take_segments(vm: Ipv4Addr, most: u32) -> Result<(), TrafficError> {
    let shown = system::run(Command::new("ip").args([
        "-4",
        "-o",
        "address",
        "show",
        "to",
        &vm.to_string(),
    ]))?;
    // `2: eth0    inet 10.77.1.1/16 …`
    let interface = shown.split_whitespace().nth(1);
    let interface = interface.ok_or_else(|| TrafficError::Counters {
        vm,
        problem: "no interface has this address".into(),
    })?;
    let most = most.to_string();
    system::run(Command::new("ip").args(["link", "set", "dev", interface, "gso_max_segs", &most]))?;
    Ok(())
}

fn nft(script: &str) -> Result<(), TrafficError> {
    system::run_with_input(Command::new("nft").args(["-f", "-"]), script)?;
    Ok(())
}
