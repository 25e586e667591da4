//! The command line.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use s_core_examples::Failure;
use s_core_examples::cli::{PolicyArg, TargetChoiceArg, at_least_one, count, whole_number};
use s_core_model::MigrationCost;
use s_core_sim::snapshot::{Snapshot, VMS_FILE};
use s_core_sim::{DataCentre, GenerateError, InitialPlacement, Rules, Topology};

/// Runs S-CORE's token over a data centre until nothing more is to be gained, and compares the policies.
///
/// Without options: the data centre of the thesis's section 5.1, 2560 servers in 128 racks, with
/// 32,768 VMs at random.
#[derive(Debug, Parser)]
#[command(name = "simulate", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Take this snapshot instead of making a data centre up
    #[arg(long, value_name = "DIR", conflicts_with_all = GENERATOR_OPTIONS)]
    snapshot: Option<PathBuf>,
    /// The tree's fan-outs, from the core down to the racks
    #[arg(
        long,
        value_name = "N,N,..",
        value_delimiter = ',',
        default_value = "4,4,4,2",
        value_parser = at_least_one,
        allow_negative_numbers = true
    )]
    fan_out: Vec<u32>,
    /// Servers per rack
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = at_least_one, allow_negative_numbers = true)]
    servers_per_rack: u32,
    /// VMs that a server has room for
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = at_least_one, allow_negative_numbers = true)]
    vm_slots: u32,
    /// VMs in all; by default four for every five VM slots
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    vms: Option<u32>,
    /// c_1, c_2, ..: rising, at least one per fan-out; by default e^0, e^1, e^3, e^5
    #[arg(
        long,
        value_name = "C,C,..",
        value_delimiter = ',',
        allow_negative_numbers = true
    )]
    link_weights: Option<Vec<f64>>,
    /// Where the VMs are to begin with
    #[arg(long, value_enum, default_value = "random")]
    placement: PlacementArg,
    /// What random numbers begin with
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole_number, allow_negative_numbers = true)]
    seed: u64,
    /// Which VM decides next
    #[arg(long, value_enum, default_value = "all")]
    pub(crate) policy: PolicyArg,
    /// c_m: what a migration's gain must exceed, in bytes per second times link weight, or as a part of
    /// what the VM's own traffic costs, like 10%; by default the snapshot's, else 0
    #[arg(long, value_name = "C", value_parser = migration_cost, allow_negative_numbers = true)]
    migration_cost: Option<MigrationCost>,
    /// Which of the servers that are worth a migration is taken
    #[arg(long, value_enum, default_value = "first-fit")]
    target_choice: TargetChoiceArg,
    /// The optimum to compare with
    #[arg(long, value_enum, default_value = "none")]
    reference: Reference,
    /// Write placement.csv, migrations.csv and summary.json there; with all policies, a directory each
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Write the data centre as a snapshot, which `plan` reads
    #[arg(long, value_name = "DIR")]
    pub(crate) write_snapshot: Option<PathBuf>,
}

const GENERATOR_OPTIONS: [&str; 7] = [
    "fan_out",
    "servers_per_rack",
    "vm_slots",
    "vms",
    "link_weights",
    "placement",
    "seed",
];

const EXAMPLES: &str = "\
Examples:
  simulate
  simulate --fan-out 2,2,4 --servers-per-rack 4 --vms 500 --placement rack-local --seed 7
  simulate --policy distributed --migration-cost 10% --out /tmp/result
  simulate --vms 500 --fan-out 2,2,4 --servers-per-rack 4 --write-snapshot /tmp/data-centre
  simulate --snapshot /tmp/data-centre

From the source tree: cargo run --release --example simulate -- --policy all

Exit codes: 0 success, 1 failure, 2 wrong call.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PlacementArg {
    /// Anywhere: all VM slots are equally likely
    Random,
    /// VMs that talk most are in the same rack
    RackLocal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Reference {
    /// No comparison
    None,
    /// A genetic algorithm; not available yet
    Genetic,
    /// Multilevel partitioning; not available yet
    Multilevel,
    /// The true optimum of small data centres; not available yet
    Exact,
}

fn migration_cost(text: &str) -> Result<MigrationCost, String> {
    let hint = "write an absolute cost like 5000 or a part of the VM's own cost like 10%";
    let (number, percent) = match text.strip_suffix('%') {
        Some(number) => (number, true),
        None => (text, false),
    };
    let number: f64 = number.parse().map_err(|_| hint)?;
    let cost = if percent {
        MigrationCost::RelativeToVm(number / 100.0)
    } else {
        MigrationCost::Absolute(number)
    };
    cost.checked().map_err(|error| error.to_string())
}

fn read(dir: &Path) -> Result<Snapshot, Failure> {
    let snapshot = Snapshot::read(dir)?;
    if snapshot.allocation().vm_count() == 0 {
        let file = dir.join(VMS_FILE);
        return Err(Failure::failed(format!(
            "{}: lists no VM, so there is nothing to simulate; add the VMs",
            file.display()
        )));
    }
    Ok(snapshot)
}

/// The options that made a data centre impossible, and why.
fn usage(error: &GenerateError) -> Failure {
    let (options, why) = match error {
        GenerateError::Shape(error) => ("--fan-out, --servers-per-rack", error.to_string()),
        GenerateError::TooManyVms { vms, slots } => {
            let (vms, slots) = (count((*vms).into(), "VM"), count(*slots, "VM slot"));
            let why = format!(
                "{vms} do not fit into {slots}; give fewer VMs, or room by --fan-out, --servers-per-rack or --vm-slots"
            );
            ("--vms", why)
        }
        GenerateError::TooLarge | GenerateError::Traffic(_) => (
            "--fan-out, --servers-per-rack, --vm-slots, --vms",
            error.to_string(),
        ),
        // There are no files whose name the error could mean.
        GenerateError::Snapshot(error) => ("--link-weights", error.problem().to_string()),
        error => return Failure::usage(error),
    };
    Failure::usage(format!("{options}: {why}"))
}

impl Args {
    /// Checks what clap cannot say, and exits with code 2 if it is wrong.
    pub(crate) fn parse_checked() -> Self {
        let args = Self::parse();
        if args.reference != Reference::None {
            let value = args.reference.to_possible_value();
            let name = value.as_ref().map_or("", |value| value.get_name());
            let message = format!("--reference {name} is not available yet; only none is");
            Self::command()
                .error(ErrorKind::InvalidValue, message)
                .exit();
        }
        args
    }

    /// The snapshot to be read, or a data centre made up.
    pub(crate) fn data_centre(&self) -> Result<Snapshot, Failure> {
        if let Some(dir) = &self.snapshot {
            return read(dir);
        }
        let topology = Topology::Tree {
            fan_outs: self.fan_out.clone(),
            servers_per_rack: self.servers_per_rack,
        };
        let placement = match self.placement {
            PlacementArg::Random => InitialPlacement::Random,
            PlacementArg::RackLocal => InitialPlacement::RackLocal,
        };
        let data_centre = DataCentre {
            link_weights: self.link_weights(&topology)?,
            topology,
            vm_slots: self.vm_slots,
            vms: self.vms.unwrap_or_else(|| self.four_fifths()),
            ..DataCentre::thesis(placement, self.seed)
        };
        data_centre.generate().map_err(|error| usage(&error))
    }

    fn link_weights(&self, topology: &Topology) -> Result<Vec<f64>, Failure> {
        let weights = (self.link_weights.as_deref()).or_else(|| topology.link_weights());
        weights.map(<[f64]>::to_vec).ok_or_else(|| {
            Failure::usage("--fan-out has more than 4 levels; give --link-weights as well")
        })
    }

    /// Four for every five VM slots, but at least one; too many where the slots are too many to be made up.
    fn four_fifths(&self) -> u32 {
        let slots = self
            .fan_out
            .iter()
            .chain([&self.servers_per_rack, &self.vm_slots]);
        let slots = slots.fold(1u64, |slots, factor| {
            slots.saturating_mul(u64::from(*factor))
        });
        u32::try_from((slots / 5 * 4 + slots % 5 * 4 / 5).max(1)).unwrap_or(u32::MAX)
    }

    pub(crate) fn rules(&self, snapshot: &Snapshot) -> Rules {
        Rules {
            migration_cost: self.migration_cost.unwrap_or(snapshot.migration_cost()),
            target_choice: self.target_choice.into(),
            min_gain: 0.0,
        }
    }

    /// The seed, if random numbers made the data centre.
    pub(crate) fn seed_used(&self) -> Option<u64> {
        self.snapshot.is_none().then_some(self.seed)
    }
}
