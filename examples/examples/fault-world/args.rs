//! The command line.

use clap::Parser;
use s_core_examples::cli::{at_least_one, whole_number};
#[cfg(feature = "mutations")]
use s_core_sim::fault_world::Defect;
use s_core_sim::fault_world::{Options, Size};

/// Runs real nodes in a world where everything goes wrong that can, and checks the protocol's invariants after every event.
///
/// One seed decides all. Without options: 2,000 seeds. A seed that breaks an invariant is named, with the command that
/// shows what happened; so is everything that has to happen in a batch and did not.
#[derive(Debug, Parser)]
#[command(name = "fault-world", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How many seeds, from the first one up
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = at_least_one, conflicts_with = "seed", allow_negative_numbers = true)]
    pub(crate) seeds: u32,
    /// The first of them
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = whole_number, conflicts_with = "seed", allow_negative_numbers = true)]
    pub(crate) first: u64,
    /// This seed alone
    #[arg(long, value_name = "S", value_parser = whole_number, allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,
    /// How many servers, 2 to 64; drawn from 3 to 8 otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=64))]
    servers: Option<u64>,
    /// How many VMs at the begin, 2 to 1,000; drawn from 4 to 40 otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=1000))]
    vms: Option<u64>,
    /// Print what happens: seconds, server, event
    #[arg(long, requires = "seed")]
    pub(crate) trace: bool,
    /// Put this defect back
    #[cfg(feature = "mutations")]
    #[arg(long, value_name = "NAME", value_parser = crate::mutations::defect)]
    pub(crate) mutation: Option<Defect>,
    /// Put every defect back, one after the other, each until a seed finds it
    #[cfg(feature = "mutations")]
    #[arg(long, conflicts_with_all = ["seed", "mutation", "servers", "vms"])]
    pub(crate) mutations: bool,
}

const EXAMPLES: &str = "\
Examples:
  fault-world --seeds 2000
  fault-world --seed 17 --trace
  fault-world --seeds 100 --servers 8 --vms 40

From the source tree: cargo run --release --example fault-world -- --seeds 2000

Exit codes: 0 success, 1 an invariant was broken or a batch tested too little, 2 wrong call.";

impl Args {
    pub(crate) fn options(&self) -> Options {
        let size = |number: Option<u64>| number.map(|number| number as usize);
        Options {
            size: Size {
                servers: size(self.servers),
                vms: size(self.vms),
            },
            trace: self.trace,
            #[cfg(feature = "mutations")]
            defect: self.mutation,
        }
    }

    /// The command that shows what happens with a seed.
    pub(crate) fn replay(&self, seed: u64) -> String {
        let option = |name: &str, number: Option<u64>| {
            number.map_or(String::new(), |number| format!(" --{name} {number}"))
        };
        let size = option("servers", self.servers) + &option("vms", self.vms);
        #[cfg(feature = "mutations")]
        let (features, defect) = (
            " --features mutations",
            self.mutation
                .map_or(String::new(), |defect| format!(" --mutation {defect}")),
        );
        #[cfg(not(feature = "mutations"))]
        let (features, defect) = ("", "");
        format!(
            "cargo run --release{features} --example fault-world -- --seed {seed}{size}{defect} --trace"
        )
    }
}
