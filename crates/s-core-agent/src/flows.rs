//! The thread that reads the switch, and what it has measured (thesis 4.2.2).

use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use s_core_backend::{End, FlowCounter, FlowSource, FlowSourceError};
use s_core_flow::{
    CounterDeltas, FlowKey, FlowTable, FlowTableConfig, InvalidFlowTableConfig, MacAddr,
};
use s_core_model::{Rate, VmId};

use crate::clock::Clock;
use crate::config::FlowSettings;

/// Counters remembered per flow of the table: two directions, each in this poll and the one before.
const COUNTERS: usize = 4;

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
        let rates = measured.table.rates(vm.addr(), until);
        let rate = |(peer, rate): (Ipv4Addr, f64)| Some((peer.into(), Rate::new(rate).ok()?));
        Some(rates.into_iter().filter_map(rate).collect())
    }

    /// The address that a network interface was last seen to send from.
    pub(crate) fn address_of(&self, mac: MacAddr) -> Option<VmId> {
        self.lock().table.ip_of(mac).map(VmId::from)
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
        self.record(counters, &poll.counters);
        Ok(())
    }

    fn record(&self, counters: &mut CounterDeltas, flows: &[FlowCounter]) {
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
        let mut poll = counters.begin_poll();
        for flow in flows {
            let delta = poll.delta(flow.id, flow.packets, flow.bytes);
            if let (End::Ipv4(src), End::Ipv4(dst)) = (flow.src, flow.dst) {
                let bytes = if fresh { delta.bytes } else { 0 };
                let key = key_of(flow, src, dst);
                measured.table.record(now, key, bytes, flow.src_mac);
            }
        }
        poll.end();
        measured.table.expire(now);
        measured.polled = Some(now);
    }
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
