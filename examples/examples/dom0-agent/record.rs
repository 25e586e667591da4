//! What `--out` writes: the result, and snapshots before and after.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use s_core_agent::Event;
use s_core_agent::embedded::{Account, Scenario};
use s_core_examples::Failure;
use s_core_examples::cli::print;
use s_core_model::{MigrationCost, Placement};
use s_core_proto::Report;
use s_core_sim::result::{MigrationRow, ResultDir, RunResult, SUMMARY_FILE, Summary};
use s_core_sim::snapshot::{ServerEntry, Settings, Snapshot, TrafficEntry, VmEntry};

use crate::args::DemoArgs;

const BEFORE: &str = "snapshot-before";
const AFTER: &str = "snapshot-after";

/// Keeps what happens for the files of `--out`.
pub(crate) struct Record {
    out: Option<(ResultDir, PathBuf)>,
    migration_cost: MigrationCost,
    summary: Summary,
    migrations: Vec<MigrationRow>,
}

impl Record {
    /// Looks whether the directory and those in it may be written, before anything runs.
    pub(crate) fn new(scenario: &Scenario, args: &DemoArgs) -> Result<Self, Failure> {
        let out = args.out.as_ref().map(|path| {
            let dir = ResultDir::new(path)?;
            Snapshot::check_target(path.join(BEFORE))?;
            Snapshot::check_target(path.join(AFTER))?;
            Ok::<_, Failure>((dir, path.clone()))
        });
        let cost = Account::new(scenario).total_cost();
        Ok(Self {
            out: out.transpose()?,
            migration_cost: args.migration_cost,
            summary: Summary {
                policy: args.policy,
                initial_cost: cost,
                final_cost: cost,
                token_hops: 0,
                rounds: 0,
                seconds: 0.0,
                seed: Some(args.seed),
                complete: true,
                reference: None,
            },
            migrations: Vec::new(),
        })
    }

    /// Takes note of an event; `gain` is the true gain of a migration that `account` has made.
    pub(crate) fn event(&mut self, event: &Event, gain: Option<f64>, account: &Account) {
        match event {
            Event::Node(Report::Holding { .. }) => self.summary.token_hops += 1,
            Event::Node(Report::RoundEnded { .. }) => self.summary.rounds += 1,
            Event::Node(Report::Migrated {
                vm, source, target, ..
            }) => {
                self.summary.final_cost = account.total_cost();
                self.migrations.push(MigrationRow {
                    step: self.summary.token_hops,
                    vm: *vm,
                    source: *source,
                    target: *target,
                    gain: gain.unwrap_or_default(),
                    total_cost: self.summary.final_cost,
                });
            }
            _ => {}
        }
    }

    /// Writes everything, if that was asked for.
    ///
    /// `computed` is the CPU time of the token's way.
    pub(crate) fn write(
        mut self,
        scenario: &Scenario,
        account: &Account,
        computed: Duration,
    ) -> Result<(), Failure> {
        let Some((dir, path)) = self.out else {
            return Ok(());
        };
        self.summary.seconds = computed.as_secs_f64();
        let allocation = account.allocation();
        let placement = allocation.vms().map(|vm| {
            let server = allocation.server_at(allocation.host(vm));
            (allocation.vm_at(vm), server)
        });
        let result = RunResult {
            summary: self.summary,
            placement: placement.collect(),
            migrations: self.migrations,
        };
        let before = Account::new(scenario);
        let snapshot = |account| snapshot(scenario, account, self.migration_cost);
        // A summary says that everything is there and of one run: an old one goes first, the new one comes last.
        match std::fs::remove_file(path.join(SUMMARY_FILE)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        snapshot(&before)?.write(path.join(BEFORE))?;
        snapshot(account)?.write(path.join(AFTER))?;
        dir.write(&result)?;
        print(&format!("Written to {}.\n", path.display()))
    }
}

/// A scenario with its VMs where an account has them.
fn snapshot(
    scenario: &Scenario,
    account: &Account,
    migration_cost: MigrationCost,
) -> Result<Snapshot, Failure> {
    let mut settings = Settings::new(scenario.link_weights.clone());
    settings.migration_cost = migration_cost;
    let servers = scenario.servers.iter().map(|server| ServerEntry {
        server: server.id,
        location: server.location.clone(),
        capacity: server.capacity,
    });
    let vms = scenario.vms.iter().map(|vm| VmEntry {
        placement: Placement {
            vm: vm.id,
            server: account.allocation().server_of(vm.id).unwrap_or(vm.server),
            memory_mib: vm.memory_mib,
        },
        name: vm.name.clone(),
    });
    let traffic = scenario
        .traffic
        .iter()
        .map(|(vm_a, vm_b, rate)| TrafficEntry {
            vm_a: *vm_a,
            vm_b: *vm_b,
            rate: *rate,
        });
    Ok(Snapshot::new(
        settings,
        servers.collect(),
        vms.collect(),
        traffic.collect(),
    )?)
}
