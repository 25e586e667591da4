//! What migrations take: bytes on the source's management link, and how long the VM does not answer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use s_core_agent::Said;
use s_core_lab::run::{Heard, Measured, Migration, RunError};
use s_core_lab::traffic::{Endpoint, ProbeSeries, ProbeSettings, Probes};
use s_core_lab::{HostNumber, Layout, management_link_counters};
use s_core_model::{ServerId, VmId};

/// How long a VM is probed after its migration.
const AFTER: Duration = Duration::from_secs(10);
/// How long before the end of a migration, as it is heard of, its VM may have gone on at the target.
const BEFORE: Duration = Duration::from_secs(1);

/// Watches migrations while they happen.
#[derive(Debug)]
pub(super) struct Watching {
    layout: Layout,
    prober: Endpoint,
    begin: Instant,
    under_way: Vec<Watched>,
    /// What the source of each migration that succeeded sent meanwhile, in the order in which they ended.
    sent: Vec<(VmId, ServerId, Option<u64>)>,
    series: BTreeMap<VmId, ProbeSeries>,
}

/// A migration that is watched.
#[derive(Debug)]
struct Watched {
    vm: VmId,
    source: HostNumber,
    /// What the source had sent when it began.
    sent: Option<u64>,
    probes: Probes,
    /// When probing ends; none while the migration is under way.
    until: Option<Instant>,
}

impl Watching {
    pub(super) fn new(layout: &Layout, prober: Endpoint, begin: Instant) -> Self {
        Self {
            layout: layout.clone(),
            prober,
            begin,
            under_way: Vec::new(),
            sent: Vec::new(),
            series: BTreeMap::new(),
        }
    }

    /// Takes note of what an agent has said.
    pub(super) fn hear(&mut self, heard: &Heard) -> Result<(), RunError> {
        match heard.said {
            Some(Said::Migrating { vm, .. }) => {
                let settings = ProbeSettings {
                    limit: Duration::from_secs(86_400),
                    ..ProbeSettings::from(self.begin)
                };
                let asking = [(self.prober.clone(), vm.addr())];
                self.under_way.push(Watched {
                    vm,
                    source: heard.host,
                    sent: self.sent_by(heard.host),
                    probes: Probes::start_parts(&[], &asking, settings)?,
                    until: None,
                });
            }
            Some(Said::Migrated { vm, target, .. }) => {
                let sent = self.end(vm);
                self.sent.push((vm, target, sent));
            }
            Some(Said::NotMoved { vm, .. }) => drop(self.end(vm)),
            _ => {}
        }
        Ok(())
    }

    /// A migration has ended; what its source has sent meanwhile.
    fn end(&mut self, vm: VmId) -> Option<u64> {
        let mut watched = self.under_way.iter();
        let at = watched.position(|of| of.vm == vm && of.until.is_none())?;
        let now = self.sent_by(self.under_way[at].source);
        let watched = &mut self.under_way[at];
        watched.until = Some(Instant::now() + AFTER);
        now.zip(watched.sent)
            .map(|(now, then)| now.saturating_sub(then))
    }

    /// Octets that a host has sent over its management link.
    fn sent_by(&self, host: HostNumber) -> Option<u64> {
        match management_link_counters(&self.layout) {
            Ok(counters) => counters.get(&host).map(|of| of.up),
            Err(error) => {
                tracing::warn!(%error, "what a migration sends is not known");
                None
            }
        }
    }

    /// Ends the probes whose time has come, or all.
    pub(super) fn end_probes(&mut self, all: bool) -> Result<(), RunError> {
        let now = Instant::now();
        let over = |of: &mut Watched| all || of.until.is_some_and(|until| until <= now);
        let over: Vec<_> = self.under_way.extract_if(.., over).collect();
        for watched in over {
            for new in watched.probes.stop()? {
                let series = self.series.entry(watched.vm).or_insert(ProbeSeries {
                    probes: Vec::new(),
                    ..new
                });
                series.probes.extend(new.probes);
                series.probes.sort_by_key(|probe| probe.sent);
            }
        }
        Ok(())
    }

    /// What a migration took.
    pub(super) fn measured(&mut self, migration: &Migration) -> Measured {
        let of = (migration.vm, migration.target);
        let mut sent = self.sent.iter();
        let found = sent.position(|(vm, target, _)| (*vm, *target) == of);
        let bytes = found.and_then(|at| self.sent.remove(at).2);
        let series = self.series.get(&migration.vm);
        Measured {
            bytes,
            downtime: series.and_then(|series| downtime(series, migration)),
        }
    }

    /// All probes, by VM.
    pub(super) fn series(self) -> Vec<ProbeSeries> {
        self.series.into_values().collect()
    }
}

/// The longest time without an answer while a VM migrated. None if it was not probed, or never answered again.
fn downtime(series: &ProbeSeries, migration: &Migration) -> Option<Duration> {
    let (from, to) = (
        migration.began.saturating_sub(BEFORE),
        migration.ended + AFTER,
    );
    let probes = series.probes.iter();
    let probes: Vec<_> = probes
        .filter(|probe| (from..to).contains(&probe.sent))
        .copied()
        .collect();
    let answered = |probe: &s_core_lab::traffic::Probe| probe.round_trip.is_some();
    if !probes.iter().any(answered) || !probes.last().is_some_and(answered) {
        return None;
    }
    let part = ProbeSeries { probes, ..*series };
    Some(part.longest_gap())
}

#[cfg(test)]
mod tests {
    use s_core_lab::traffic::Probe;

    use super::*;

    #[test]
    fn a_vm_stands_still_as_long_as_it_does_not_answer() {
        let check = |answered: &[bool], wanted: Option<u64>| {
            let probes = (0..).zip(answered).map(|(at, answered)| Probe {
                sent: Duration::from_secs(at),
                round_trip: answered.then_some(Duration::from_millis(5)),
            });
            let [vm, from] = [1, 2].map(VmId::new);
            let series = ProbeSeries {
                from,
                to: vm,
                probes: probes.collect(),
            };
            let [source, target] = [3, 4].map(ServerId::new);
            let migration = Migration {
                hop: 1,
                vm,
                source,
                target,
                gain: 1.0,
                began: Duration::from_secs(2),
                ended: Duration::from_secs(4),
                measured: None,
            };
            let wanted = wanted.map(Duration::from_secs);
            assert_eq!(downtime(&series, &migration), wanted, "{answered:?}");
        };
        check(&[], None);
        check(&[true; 9], Some(1));
        check(&[true, true, true, false, false, true, true, true], Some(3));
        check(&[true, true, true, false, false, false, false], None);
        // What was before belongs to another migration.
        check(&[false, true, true, true, true], Some(1));
    }
}
