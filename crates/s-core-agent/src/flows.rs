//! The thread that reads the switch, and what it has measured (thesis 4.2.2).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use s_core_backend::{End, FlowCounter, FlowSource, FlowSourceError, Poll};
use s_core_flow::{
    CounterDeltas, EachWay, FlowKey, FlowTable, FlowTableConfig, InvalidFlowTableConfig, MacAddr,
};
use s_core_model::{Rate, VmId};

use crate::clock::{Clock, Throttle};
use crate::config::FlowSettings;
use crate::status::FlowTotals;

/// Counters remembered per flow of the table: two directions, each in this poll and the one before.
const COUNTERS: usize = 4;
/// How often it is said that bytes belong to no pair of VMs.
const WARNINGS: Duration = Duration::from_secs(600);

/// The rates of this host's VMs, shared between the thread that measures and those that ask.
#[derive(Debug)]
pub(crate) struct Flows {
    settings: FlowSettings,
    seed: u64,
    clock: Clock,
    measured: Mutex<Measured>,
}

#[derive(Debug)]
struct Measured {
    table: FlowTable,
    /// When the switch last answered.
    polled: Option<Duration>,
    /// Which VM each network interface is, where that is known otherwise than by flows.
    known: BTreeMap<MacAddr, VmId>,
    totals: FlowTotals,
    warnings: Throttle,
}

impl Flows {
    /// Nothing is measured yet. `seed` seeds the hashes of what tenants choose.
    pub(crate) fn new(
        settings: FlowSettings,
        seed: u64,
        clock: Clock,
    ) -> Result<Self, InvalidFlowTableConfig> {
        let measured = Measured {
            table: FlowTable::new(table_config(&settings, seed), clock.now())?,
            polled: None,
            known: BTreeMap::new(),
            totals: FlowTotals::default(),
            warnings: Throttle::new(WARNINGS),
        };
        Ok(Self {
            settings,
            seed,
            clock,
            measured: Mutex::new(measured),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Measured> {
        // Records are whole: a thread that panicked left at worst a poll half recorded.
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After so long without an answer, what was measured says nothing about now.
    fn outdated_after(&self) -> Duration {
        (3 * self.settings.interval).max(self.settings.window / 2)
    }

    /// Whether rates are known: the switch answers and has been measured for half a window.
    pub(crate) fn is_measured(&self) -> bool {
        self.measured_until(&self.lock()).is_some()
    }

    /// When the switch last answered, if what it said then still counts.
    fn measured_until(&self, measured: &Measured) -> Option<Duration> {
        let polled = measured.polled?;
        let current = self.clock.now().saturating_sub(polled) <= self.outdated_after();
        let covered = measured.table.covered(polled) >= self.settings.window / 2;
        (current && covered).then_some(polled)
    }

    /// λ of a VM to each of its peers, or `None` if rates are not known.
    ///
    /// What a VM that has come in the window exchanged before counts as none, except with those that were here
    /// already. A gain elsewhere is then measured too small, never too large: it may come later, and is not wrong.
    pub(crate) fn rates(&self, vm: VmId) -> Option<Vec<(VmId, Rate)>> {
        let measured = self.lock();
        // As of the last poll: what came since then is not in the table.
        let until = self.measured_until(&measured)?;
        let rates = if self.settings.answered_only {
            let rates = measured.table.rates_each_way(vm.addr(), until);
            rates.into_iter().map(answered).collect()
        } else {
            measured.table.rates(vm.addr(), until)
        };
        let rate = |(peer, rate): (Ipv4Addr, f64)| Some((peer.into(), Rate::new(rate).ok()?));
        Some(rates.into_iter().filter_map(rate).collect())
    }

    /// The address that a network interface was last seen to send from.
    pub(crate) fn address_of(&self, mac: MacAddr) -> Option<VmId> {
        self.lock().table.ip_of(mac).map(VmId::from)
    }

    /// Whether the flow table holds this address as sent with one of these MAC addresses.
    pub(crate) fn shows(&self, vm: VmId, macs: &[MacAddr]) -> bool {
        let mac = self.lock().table.mac_of(vm.addr());
        mac.is_some_and(|mac| macs.contains(&mac))
    }

    /// Says which VM each of these network interfaces is, whatever flows show.
    pub(crate) fn know(&self, interfaces: BTreeMap<MacAddr, VmId>) {
        self.lock().known = interfaces;
    }

    /// What became of the bytes that the switch counted.
    pub(crate) fn totals(&self) -> FlowTotals {
        self.lock().totals
    }

    /// Reads the switch until the other end of `stop` is dropped.
    pub(crate) fn run(self: Arc<Self>, mut source: Box<dyn FlowSource>, stop: &Receiver<()>) {
        let mut counters = self.counters();
        let mut failing = false;
        loop {
            let started = self.clock.now();
            match self.poll(&mut *source, &mut counters) {
                Ok(()) => {
                    if failing {
                        tracing::info!("the switch answers again");
                    }
                    failing = false;
                }
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(%error, "cannot read flows; VMs stay where they are until this works again");
                }
                Err(error) => tracing::debug!(%error, "cannot read flows"),
            }
            let spent = self.clock.now().saturating_sub(started);
            let pause = self.settings.interval.saturating_sub(spent);
            if stop.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// What [`poll`](Self::poll) remembers of the switch's counters.
    pub(crate) fn counters(&self) -> CounterDeltas {
        CounterDeltas::new(self.settings.limit.saturating_mul(COUNTERS), self.seed)
    }

    /// Reads the switch once.
    pub(crate) fn poll(
        &self,
        source: &mut dyn FlowSource,
        counters: &mut CounterDeltas,
    ) -> Result<(), FlowSourceError> {
        let poll = source.poll(self.settings.deadline)?;
        self.record(counters, &poll);
        Ok(())
    }

    fn record(&self, counters: &mut CounterDeltas, poll: &Poll) {
        let now = self.clock.now();
        let mut measured = self.lock();
        let fresh = measured
            .polled
            .is_some_and(|polled| now.saturating_sub(polled) <= self.outdated_after());
        if !fresh {
            // Bytes of a time longer than the window: they become the baseline, and measuring begins here.
            let config = table_config(&self.settings, self.seed);
            match FlowTable::new(config, now) {
                Ok(table) => measured.table = table,
                Err(error) => tracing::error!(%error, "the flow table cannot begin anew"),
            }
        }
        let Measured {
            table,
            known,
            totals,
            warnings,
            ..
        } = &mut *measured;
        let mut new = FlowTotals::default();
        let unattributed = poll.count(counters, |flow, delta| {
            let bytes = if fresh { delta.bytes } else { 0 };
            let src = address(flow.src, flow.src_mac, known);
            let dst = address(flow.dst, flow.dst_mac, known);
            match src.zip(dst).filter(|(src, dst)| src != dst) {
                Some((src, dst)) => {
                    new.attributed = new.attributed.saturating_add(bytes);
                    table.record(now, key_of(flow, src, dst), bytes, flow.src_mac);
                }
                None => new.unresolved = new.unresolved.saturating_add(bytes),
            }
        });
        if fresh {
            new.no_addresses = unattributed.no_addresses.bytes;
            new.multicast = unattributed.multicast.bytes;
        }
        new.malformed_lines = unattributed.malformed.flows;
        totals.add(new);
        if new.is_worth_a_warning() && warnings.permits() {
            tracing::warn!(
                attributed = new.attributed,
                unresolved = new.unresolved,
                no_addresses = new.no_addresses,
                malformed_lines = new.malformed_lines,
                "bytes of this poll are not known to be between two VMs, so what they cost is measured too small; is the IP-pair rule set, or flows.ovsdb?"
            );
        }
        table.expire(now);
        measured.polled = Some(now);
    }
}

/// Bytes count only as far as the other side answers. Both ends of a pair come to the same rate.
const fn answered((peer, rate): (Ipv4Addr, EachWay<f64>)) -> (Ipv4Addr, f64) {
    (peer, 2.0 * rate.sent.min(rate.received))
}

/// The IPv4 address of an end: that of its network interface where it is known, else as the switch tells it.
fn address(end: End, mac: Option<MacAddr>, known: &BTreeMap<MacAddr, VmId>) -> Option<Ipv4Addr> {
    let own = mac.and_then(|mac| known.get(&mac));
    own.map(|vm| vm.addr()).or(match end {
        End::Ipv4(address) => Some(address),
        End::Ipv6(_) | End::Mac(_) => None,
    })
}

const fn key_of(flow: &FlowCounter, src: Ipv4Addr, dst: Ipv4Addr) -> FlowKey {
    match flow.transport {
        None => FlowKey::ip_pair(src, dst),
        Some(transport) => FlowKey {
            src,
            dst,
            protocol: transport.protocol,
            src_port: transport.src_port,
            dst_port: transport.dst_port,
        },
    }
}

const fn table_config(settings: &FlowSettings, seed: u64) -> FlowTableConfig {
    FlowTableConfig {
        limit: settings.limit,
        window: settings.window,
        idle_timeout: settings.idle_timeout,
        seed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_counts_as_far_as_both_sides_send() {
        let check = |sent: f64, received: f64, wanted: f64| {
            let [a, b] = [(sent, received), (received, sent)].map(|(sent, received)| {
                let each_way = EachWay { sent, received };
                answered((Ipv4Addr::LOCALHOST, each_way)).1
            });
            assert_eq!([a, b], [wanted; 2], "{sent} sent, {received} received");
        };
        check(5.0, 5.0, 10.0);
        check(1e9, 3.0, 6.0);
        check(1e9, 0.0, 0.0);
    }
}
