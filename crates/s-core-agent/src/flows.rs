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
use crate::status::{FlowTotals, SwitchStatus};

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
    switch: SwitchStatus,
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
            switch: SwitchStatus::default(),
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

    /// How the switch has answered, as of now.
    pub(crate) fn switch(&self) -> SwitchStatus {
        let measured = self.lock();
        let age = |polled| self.clock.now().saturating_sub(polled);
        SwitchStatus {
            last_answer: measured.polled.map(age),
            ..measured.switch
        }
    }

    /// Reads the switch until the other end of `stop` is dropped.
    ///
    /// One poll at a time: where one takes longer than the interval, the next comes later.
    pub(crate) fn run(self: Arc<Self>, mut source: Box<dyn FlowSource>, stop: &Receiver<()>) {
        let mut counters = self.counters();
        let mut said = Said::default();
        loop {
            let started = self.clock.now();
            let polled = self.poll(&mut *source, &mut counters);
            let spent = self.clock.now().saturating_sub(started);
            self.account(&polled, spent, &mut said);
            let pause = pause(self.settings.interval, spent);
            if stop.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// Counts a poll that took this long, and says what has changed.
    fn account(&self, polled: &Result<(), FlowSourceError>, spent: Duration, said: &mut Said) {
        let interval = self.settings.interval;
        let slow = spent > interval;
        let mut measured = self.lock();
        let switch = &mut measured.switch;
        switch.latest = spent;
        switch.slow += u64::from(slow);
        match polled {
            Ok(()) => switch.answered += 1,
            Err(_) => switch.failed += 1,
        }
        drop(measured);
        match polled {
            Ok(()) if said.failing => tracing::info!("the switch answers again"),
            Ok(()) => {}
            Err(error) if said.failing => tracing::debug!(%error, "cannot read flows"),
            Err(error) => {
                let outdated_after = self.outdated_after();
                tracing::error!(%error, ?outdated_after, "cannot read flows; what was measured counts for so long, then VMs stay where they are until this works again");
            }
        }
        said.failing = polled.is_err();
        if slow && !said.slow && !said.failing {
            tracing::warn!(
                ?spent,
                ?interval,
                "the switch takes longer than flows.interval to tell its flows; it is asked less often, so that it has as much time for others; choose a longer interval, or see that it keeps fewer flows"
            );
        }
        // Not to be said again and again where polls take about as long as the interval.
        said.slow = slow || (said.slow && spent > interval / 2);
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

/// What has been said of the switch and still holds.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    failing: bool,
    slow: bool,
}

/// How long to leave the switch alone after a poll: it tells its flows from its main thread, which is to be free
/// for half of the time at least.
fn pause(interval: Duration, spent: Duration) -> Duration {
    interval.saturating_sub(spent).max(spent)
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
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc::sync_channel;

    use tracing::span::{Attributes, Id, Record};
    use tracing::{Level, Metadata, Subscriber};

    use super::*;

    /// A switch that takes its time.
    #[derive(Debug)]
    struct Slow {
        takes: Duration,
        polls: Arc<AtomicU32>,
    }

    impl FlowSource for Slow {
        fn poll(&mut self, _: Duration) -> Result<Poll, FlowSourceError> {
            std::thread::sleep(self.takes);
            self.polls.fetch_add(1, Ordering::Relaxed);
            Ok(Poll::default())
        }
    }

    #[test]
    fn polls_that_take_longer_than_their_interval_do_not_pile_up() {
        let settings = FlowSettings {
            interval: Duration::from_millis(10),
            ..FlowSettings::default()
        };
        let flows = Flows::new(settings, 7, Clock::start()).expect("the settings do");
        let flows = Arc::new(flows);
        let polls = Arc::<AtomicU32>::default();
        let source = Slow {
            takes: Duration::from_millis(50),
            polls: Arc::clone(&polls),
        };
        let (stop, stopped) = sync_channel::<()>(0);
        let thread = {
            let flows = Arc::clone(&flows);
            std::thread::spawn(move || flows.run(Box::new(source), &stopped))
        };
        std::thread::sleep(Duration::from_millis(550));
        drop(stop);
        thread.join().expect("it ends");
        let switch = flows.switch();
        // Half of the time at most: 5 polls, and one begun.
        let polls = u64::from(polls.load(Ordering::Relaxed));
        assert!((2..=6).contains(&polls), "{polls}");
        assert_eq!((switch.answered, switch.slow), (polls, polls));
        assert!(switch.latest >= Duration::from_millis(50));
    }

    #[test]
    fn what_is_wrong_is_said_once() {
        let flows = Flows::new(FlowSettings::default(), 7, Clock::start());
        let flows = flows.expect("the default settings do");
        let error = || FlowSourceError::DeadlineExceeded {
            what: "it".to_owned(),
            after: Duration::ZERO,
        };
        let lines = Lines::default();
        let [quick, middle, slow] = [1, 1500, 2500].map(Duration::from_millis);
        let mut said = Said::default();
        let mut check = |failed: bool, spent: Duration, total: u32| {
            let polled = if failed { Err(error()) } else { Ok(()) };
            tracing::subscriber::with_default(lines.clone(), || {
                flows.account(&polled, spent, &mut said);
            });
            let lines = lines.0.load(Ordering::Relaxed);
            assert_eq!(lines, total, "{failed} {spent:?}");
        };
        check(false, quick, 0);
        check(false, slow, 1);
        check(false, middle, 1);
        check(false, slow, 1);
        check(false, quick, 1);
        check(false, slow, 2);
        check(true, slow, 3);
        check(true, slow, 3);
        check(false, quick, 4);
    }

    /// Counts what is logged for people to read.
    #[derive(Clone, Default)]
    struct Lines(Arc<AtomicU32>);

    impl Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= Level::INFO
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &tracing::Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn polls_keep_their_distance() {
        let check = |spent: u64, expected: u64| {
            let [interval, spent, expected] = [2000, spent, expected].map(Duration::from_millis);
            assert_eq!(pause(interval, spent), expected, "{spent:?}");
        };
        check(0, 2000);
        check(3, 1997);
        check(1000, 1000);
        check(1500, 1500);
        check(5000, 5000);
    }

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
