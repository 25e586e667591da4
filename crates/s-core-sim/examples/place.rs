//! Places the VMs of a snapshot with the multilevel reference and writes `placement.csv`'s format to standard output:
//! `place SNAPSHOT [SEED]`. What it cost goes to standard error.

use std::io::Write as _;

use s_core_sim::reference::Multilevel;
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{Instance, Strategy};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let directory = arguments.next().ok_or("usage: place SNAPSHOT [SEED]")?;
    let mut multilevel = Multilevel::default();
    if let Some(seed) = arguments.next() {
        multilevel.seed = seed.to_string_lossy().parse()?;
    }
    let snapshot = Snapshot::read(directory)?;
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation())?;
    let proposal = multilevel.run(&instance, &())?;
    let seconds = proposal.cpu_time.as_secs_f64();
    let (before, after, moved) = (instance.cost(), proposal.cost, proposal.moved);
    eprintln!("{before:.6e} -> {after:.6e}, {moved} VMs move, {seconds:.2} s of CPU");
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    writeln!(out, "vm,server")?;
    for vm in proposal.allocation.vms() {
        let host = proposal.allocation.host(vm);
        let (vm, server) = (
            proposal.allocation.vm_at(vm),
            proposal.allocation.server_at(host),
        );
        writeln!(out, "{vm},{server}")?;
    }
    out.flush()?;
    Ok(())
}
