//! What was found, as files.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use s_core_model::{Capacity, Placement};
use s_core_sim::snapshot::{ServerEntry, Settings, Snapshot, SnapshotError, TrafficEntry, VmEntry};

use super::error::TrafficError;
use super::probe::ProbeSeries;
use super::throughput::ThroughputSeries;
use crate::layout::{HostNumber, Layout, VmNumber};

/// The laboratory as a snapshot: with the VMs where `home` says, and this traffic.
///
/// # Errors
///
/// [`SnapshotError`] if these do not fit together: a host with more VMs than it can run, traffic of others, or too few
/// link weights.
pub fn snapshot(
    layout: &Layout,
    home: impl Fn(VmNumber) -> HostNumber,
    traffic: Vec<TrafficEntry>,
    settings: Settings,
) -> Result<Snapshot, SnapshotError> {
    let shape = layout.shape();
    let servers = layout.hosts().map(|host| ServerEntry {
        server: layout.server(host),
        location: layout.location(host),
        capacity: Capacity {
            vm_slots: shape.vm_slots.into(),
            memory_mib: u64::from(shape.vm_slots) * u64::from(shape.vm_memory_mib),
        },
    });
    let vms = layout.vms().map(|vm| VmEntry {
        placement: Placement {
            vm: layout.vm(vm),
            server: layout.server(home(vm)),
            memory_mib: shape.vm_memory_mib,
        },
        name: format!("v{}", vm.0),
    });
    Snapshot::new(settings, servers.collect(), vms.collect(), traffic)
}

/// Writes all probes: `seconds,from,to,round_trip_us`; the last is empty if the probe was lost.
///
/// # Errors
///
/// [`TrafficError::File`] if the file cannot be written.
pub fn write_probes(path: &Path, series: &[ProbeSeries]) -> Result<(), TrafficError> {
    let mut text = String::from("seconds,from,to,round_trip_us\n");
    for ProbeSeries { from, to, probes } in series {
        for probe in probes {
            let (from, to) = (from.addr(), to.addr());
            let took = probe.round_trip.map(|took| took.as_micros().to_string());
            let took = took.unwrap_or_default();
            line(
                &mut text,
                format_args!("{:.4},{from},{to},{took}", probe.sent.as_secs_f64()),
            );
        }
    }
    write(path, &text)
}

/// Writes all throughput: `seconds,from,to,sent_bytes_per_second,received_bytes_per_second`, of payload, each at
/// the end of its time.
///
/// # Errors
///
/// [`TrafficError::File`] if the file cannot be written.
pub fn write_throughput(path: &Path, series: &[ThroughputSeries]) -> Result<(), TrafficError> {
    let mut text =
        String::from("seconds,from,to,sent_bytes_per_second,received_bytes_per_second\n");
    for one in series {
        let (from, to) = (one.from.addr(), one.to.addr());
        for sample in one.throughput() {
            let [sent, received] =
                [sample.sent, sample.received].map(|rate| rate.bytes_per_second());
            let at = sample.at.as_secs_f64();
            line(
                &mut text,
                format_args!("{at:.3},{from},{to},{sent:.0},{received:.0}"),
            );
        }
    }
    write(path, &text)
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes everything");
}

fn write(path: &Path, text: &str) -> Result<(), TrafficError> {
    fs::write(path, text).map_err(|source| TrafficError::File {
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use s_core_model::{Rate, VmId};

    use super::*;
    use crate::Shape;
    use crate::traffic::{Payload, Probe};

    #[test]
    fn a_snapshot_has_the_vms_where_they_are() {
        let layout = Layout::new("lab".parse().unwrap(), Shape::default()).unwrap();
        let traffic = vec![TrafficEntry {
            vm_a: layout.vm(VmNumber(1)),
            vm_b: layout.vm(VmNumber(16)),
            rate: Rate::new(5e5).unwrap(),
        }];
        let home = |vm| match vm {
            VmNumber(16) => HostNumber(3),
            vm => layout.first_host(vm),
        };
        let settings = Settings::new([1.0, 2.0]);
        let snapshot = snapshot(&layout, home, traffic, settings).unwrap();
        let dir = tempfile::tempdir().unwrap();
        snapshot.write(dir.path()).unwrap();
        assert_eq!(Snapshot::read(dir.path()).unwrap(), snapshot);
        // Hosts 1 and 3 are below different aggregation switches: both ends count both levels.
        let cost = (snapshot.cost_model()).total_cost(snapshot.allocation(), snapshot.traffic());
        assert_eq!(cost, 2.0 * 5e5 * 3.0);
        let rows = fs::read_to_string(dir.path().join("vms.csv")).unwrap();
        assert!(rows.contains("\n10.77.1.16,10.77.0.3,16,v16\n"), "{rows}");
    }

    #[test]
    fn series_are_rows() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("series.csv");
        let [from, to] = [1, 2].map(|n| VmId::new(0x0a4d_0100 + n));
        let probe = |ms, took: Option<u64>| Probe {
            sent: Duration::from_millis(ms),
            round_trip: took.map(Duration::from_micros),
        };
        let probes = vec![probe(10, Some(250)), probe(20, None)];
        write_probes(&file, &[ProbeSeries { from, to, probes }]).unwrap();
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            "seconds,from,to,round_trip_us\n\
             0.0100,10.77.1.1,10.77.1.2,250\n\
             0.0200,10.77.1.1,10.77.1.2,\n"
        );
        let sample = |ms, sent| {
            let payload = Payload {
                sent,
                ..Payload::default()
            };
            (Duration::from_millis(ms), payload)
        };
        let samples = vec![sample(100, 0), sample(200, 1500)];
        write_throughput(&file, &[ThroughputSeries { from, to, samples }]).unwrap();
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            "seconds,from,to,sent_bytes_per_second,received_bytes_per_second\n\
             0.200,10.77.1.1,10.77.1.2,15000,0\n"
        );
        assert!(write_probes(&dir.path().join("no/such"), &[]).is_err());
    }
}
