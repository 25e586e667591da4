//! UDP packets between so many pairs of addresses that the switch gets a wanted number of flows.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use s_core_examples::Failure;
use s_core_lab::{LabError, VmNumber, namespace, system};

use super::switch::Switch;

/// How many addresses send.
const SOURCES: u32 = 100;
const PORT: u16 = 7_000;
/// The first addresses of the senders, at the first VM, and of the receivers, at the second.
const SENDERS: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 0);
const RECEIVERS: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 0);
/// Packets go in groups with pauses, so that the switch keeps up.
const GROUP: u32 = 50;
const PAUSE: Duration = Duration::from_millis(3);
/// How long it may take until the switch has the flows.
const DEADLINE: Duration = Duration::from_secs(180);

/// Sockets in the VMs' namespaces.
#[derive(Debug)]
pub(crate) struct Traffic {
    senders: Vec<UdpSocket>,
    /// Nobody reads it. Without it each packet would be answered by an error, which would make flows too.
    _receiver: UdpSocket,
    /// How many flows have had a packet.
    sent: u32,
}

impl Traffic {
    /// Gives each VM as many addresses as are needed.
    pub(crate) fn new(switch: &Switch) -> Result<Self, Failure> {
        let [(first, first_address), (second, second_address)] =
            [1, 2].map(|number| switch.vm(VmNumber(number)));
        let range = |base: Ipv4Addr| format!("{base}/16");
        let routes = |own: Ipv4Addr, others: Ipv4Addr, via: Ipv4Addr| {
            [
                format!("route add local {} dev lo", range(own)),
                format!("route add {} via {via}", range(others)),
            ]
        };
        system::ip_batch(&first, &routes(SENDERS, RECEIVERS, second_address))?;
        system::ip_batch(&second, &routes(RECEIVERS, SENDERS, first_address))?;
        let bind = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT));
        let receiver = wait(namespace::spawn_in(&second, bind)?)?;
        let bind = || -> io::Result<Vec<_>> {
            let sender = |place| UdpSocket::bind((nth(SENDERS, place), 0));
            (0..SOURCES).map(sender).collect()
        };
        let senders = wait(namespace::spawn_in(&first, bind)?)?;
        Ok(Self {
            senders,
            _receiver: receiver,
            sent: 0,
        })
    }

    /// Sends until the switch has at least `wanted` flows; tells how many it has.
    pub(crate) fn fill(&mut self, switch: &Switch, wanted: u32) -> Result<u32, Failure> {
        // The limit rises by a thousand each time that the flows are looked through.
        switch.vsctl("set Open_vSwitch . other_config:max-revalidator=100")?;
        let began = Instant::now();
        let flows = loop {
            let (current, limit) = switch.flows()?;
            if current >= wanted {
                break current;
            }
            if began.elapsed() > DEADLINE {
                return Err(Failure::failed(format!(
                    "the switch has {current} of {wanted} flows after {DEADLINE:?}"
                )));
            }
            // At the limit, flows would be thrown out.
            let until = wanted.min(limit - limit / 10);
            if self.sent >= until {
                // Some packets were lost, or the limit is still low.
                self.sent = if until == wanted { 0 } else { self.sent };
                thread::sleep(Duration::from_millis(200));
            }
            self.send(self.sent..until)?;
        };
        // The packet that makes a flow is not in its counters.
        self.send(0..wanted)?;
        switch.vsctl("remove Open_vSwitch . other_config max-revalidator")?;
        Ok(flows)
    }

    /// A packet for each of these flows.
    fn send(&mut self, flows: std::ops::Range<u32>) -> Result<(), Failure> {
        for flow in flows {
            let sender = &self.senders[(flow % SOURCES) as usize];
            let to = SocketAddrV4::new(nth(RECEIVERS, flow / SOURCES), PORT);
            // A full buffer loses the packet; the next round sends it again.
            match sender.send_to(&[0; 64], to) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Err(Failure::failed(format!("a packet to {to}: {error}")));
                }
                Ok(_) | Err(_) => {}
            }
            self.sent = flow + 1;
            if flow % GROUP == GROUP - 1 {
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }
}

fn wait<T>(thread: thread::JoinHandle<Result<io::Result<T>, LabError>>) -> Result<T, Failure> {
    let ended = thread
        .join()
        .map_err(|_| Failure::failed("a thread in a namespace panicked"))?;
    Ok(ended??)
}

/// The `place`th address of a range, from 0; neither the range's own address nor any that ends in 0.
fn nth(base: Ipv4Addr, place: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(base.to_bits() + (place / 250) * 256 + place % 250 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_different_and_none_is_the_network() {
        let check = |place, wanted: [u8; 4]| assert_eq!(nth(RECEIVERS, place).octets(), wanted);
        check(0, [10, 79, 0, 1]);
        check(249, [10, 79, 0, 250]);
        check(250, [10, 79, 1, 1]);
        check(999, [10, 79, 3, 250]);
    }
}
