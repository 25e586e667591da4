//! The options that say which data centre.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use s_core_examples::Failure;
use s_core_examples::cli::{at_least_one, count, whole_number};
use s_core_sim::snapshot::{Snapshot, VMS_FILE};
use s_core_sim::traffic::Pattern;
use s_core_sim::{DataCentre, GenerateError, InitialPlacement, Topology};

/// A data centre given, or one to be made up.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data centre")]
pub(crate) struct DataCentreArgs {
    /// Take this snapshot instead of making a data centre up
    #[arg(long, value_name = "DIR", conflicts_with_all = GENERATOR_OPTIONS)]
    snapshot: Option<PathBuf>,
    /// How servers are linked: tree:N,N,..xSERVERS with the fan-outs from the core down to the racks,
    /// fat-tree:PORTS, or leaf-spine:LEAVESxSERVERS; by default tree:4,4,4,2x20
    #[arg(long, value_name = "T", conflicts_with_all = ["fan_out", "servers_per_rack"])]
    topology: Option<Topology>,
    /// The fan-outs of a tree, from the core down to the racks
    #[arg(
        long,
        value_name = "N,N,..",
        value_delimiter = ',',
        default_value = "4,4,4,2",
        value_parser = at_least_one,
        allow_negative_numbers = true
    )]
    fan_out: Vec<u32>,
    /// Servers per rack of a tree
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = at_least_one, allow_negative_numbers = true)]
    servers_per_rack: u32,
    /// VMs that a server has room for
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = at_least_one, allow_negative_numbers = true)]
    vm_slots: u32,
    /// VMs in all; by default four for every five VM slots
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    vms: Option<u32>,
    /// c_1, c_2, ..: rising, at least one per level; by default e^0, e^1, e^3, e^5
    #[arg(
        long,
        value_name = "C,C,..",
        value_delimiter = ',',
        allow_negative_numbers = true
    )]
    link_weights: Option<Vec<f64>>,
    /// Active flows of a VM, on average
    #[arg(long, value_name = "N", default_value_t = Pattern::default().flows_per_vm, value_parser = at_least_one, allow_negative_numbers = true)]
    flows_per_vm: u32,
    /// Over how many windows of 10 s rates are averaged; more make the traffic denser
    #[arg(long, value_name = "N", default_value_t = Pattern::default().windows, value_parser = at_least_one, allow_negative_numbers = true)]
    windows: u32,
    /// VMs that belong together and talk with each other; by default all of a rack
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    vms_per_application: Option<u32>,
    /// Where the VMs are to begin with
    #[arg(long, value_enum, default_value = "random")]
    placement: PlacementArg,
    /// What random numbers begin with, those of references included; 1 by default
    #[arg(long, value_name = "N", value_parser = whole_number, allow_negative_numbers = true)]
    seed: Option<u64>,
}

const GENERATOR_OPTIONS: [&str; 10] = [
    "topology",
    "fan_out",
    "servers_per_rack",
    "vm_slots",
    "vms",
    "link_weights",
    "flows_per_vm",
    "windows",
    "vms_per_application",
    "placement",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PlacementArg {
    /// Anywhere: all VM slots are equally likely
    Random,
    /// VMs that talk most are in the same rack
    RackLocal,
}

impl DataCentreArgs {
    /// The snapshot to be read, or a data centre made up.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, Failure> {
        match &self.snapshot {
            Some(dir) => read(dir),
            None => (self.data_centre()?.generate()).map_err(|error| usage(&error)),
        }
    }

    /// What is to be made up; `None` if the data centre is given.
    pub(crate) fn made_up(&self) -> Result<Option<DataCentre>, Failure> {
        match self.snapshot {
            Some(_) => Ok(None),
            None => self.data_centre().map(Some),
        }
    }

    fn data_centre(&self) -> Result<DataCentre, Failure> {
        let topology = self.topology.clone().unwrap_or_else(|| Topology::Tree {
            fan_outs: self.fan_out.clone(),
            servers_per_rack: self.servers_per_rack,
        });
        let placement = match self.placement {
            PlacementArg::Random => InitialPlacement::Random,
            PlacementArg::RackLocal => InitialPlacement::RackLocal,
        };
        Ok(DataCentre {
            link_weights: self.link_weights(&topology)?,
            vm_slots: self.vm_slots,
            vms: self.vms.unwrap_or_else(|| self.four_fifths(&topology)),
            topology,
            pattern: Pattern {
                flows_per_vm: self.flows_per_vm,
                windows: self.windows,
                vms_per_application: self.vms_per_application,
                ..Pattern::default()
            },
            placement,
            seed: self.seed(),
        })
    }

    fn link_weights(&self, topology: &Topology) -> Result<Vec<f64>, Failure> {
        let weights = (self.link_weights.as_deref()).or_else(|| topology.link_weights());
        weights.map(<[f64]>::to_vec).ok_or_else(|| {
            Failure::usage(format!(
                "{topology} has more than 4 levels; give --link-weights as well"
            ))
        })
    }

    /// Four for every five VM slots, but at least one; too many where the slots are too many to be made up.
    fn four_fifths(&self, topology: &Topology) -> u32 {
        // Numbers that make no topology are refused when it is made.
        let servers = topology.server_count().unwrap_or(1);
        let slots = u64::from(servers) * u64::from(self.vm_slots);
        u32::try_from((slots / 5 * 4 + slots % 5 * 4 / 5).max(1)).unwrap_or(u32::MAX)
    }

    /// Whether it is not read.
    pub(crate) fn is_made_up(&self) -> bool {
        self.snapshot.is_none()
    }

    /// Whether there is a seed, and a data centre that needs none.
    pub(crate) fn seed_for_nothing(&self) -> bool {
        self.snapshot.is_some() && self.seed.is_some()
    }

    /// What random numbers begin with.
    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }
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
        GenerateError::Shape(error) => (
            "--topology, --fan-out, --servers-per-rack",
            error.to_string(),
        ),
        GenerateError::TooManyVms { vms, slots } => {
            let (vms, slots) = (count((*vms).into(), "VM"), count(*slots, "VM slot"));
            let why = format!(
                "{vms} do not fit into {slots}; give fewer VMs, or room by --topology or --vm-slots"
            );
            ("--vms", why)
        }
        GenerateError::TooLarge => ("--topology, --vm-slots, --vms", error.to_string()),
        GenerateError::Traffic(error) => (
            "--flows-per-vm, --windows, --vms-per-application",
            error.to_string(),
        ),
        // There are no files whose name the error could mean.
        GenerateError::Snapshot(error) => ("--link-weights", error.problem().to_string()),
        error => return Failure::usage(error),
    };
    Failure::usage(format!("{options}: {why}"))
}
