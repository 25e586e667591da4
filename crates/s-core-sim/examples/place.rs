//! Places the VMs of a snapshot with the multilevel reference and writes their servers.
use s_core_sim::{Instance, Strategy, reference::Multilevel, snapshot::Snapshot, DataCentre, InitialPlacement};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let snapshot = if args[1] == "gen" {
        let seed = args[2].parse()?;
        let placement = if args.get(3).is_some_and(|a| a == "local") { InitialPlacement::RackLocal } else { InitialPlacement::Random };
        let mut d = DataCentre::thesis(placement, seed);
        if args.get(4).is_some() { d.fan_outs = vec![8, 8, 13, 4]; d.fan_outs = vec![8, 8, 8, 8]; d.servers_per_rack = 16; d.vms = 1 << 20; d.vm_slots = 20; }
        d.generate()?
    } else { Snapshot::read(&args[1])? };
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation())?;
    let seed = std::env::var("SEED").map_or(1, |s| s.parse().unwrap());
    let p = Multilevel { seed, ..Multilevel::default() }.run(&instance, &())?;
    println!("start {:.6e} cost {:.6e} ratio {:.5} moved {} cpu {:.2}", instance.cost(), p.cost, p.cost / instance.cost(), p.moved, p.cpu_time.as_secs_f64());
    if args[1] == "gen" { if let Ok(dir) = std::env::var("SNAP") { snapshot.write(dir)?; } }
    Ok(())
}
