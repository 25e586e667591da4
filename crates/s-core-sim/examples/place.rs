//! Places the VMs of a snapshot with the multilevel reference and writes their servers.
use s_core_sim::{
    DataCentre, InitialPlacement, Instance, Strategy, reference::Multilevel, snapshot::Snapshot,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let snapshot = if args[1] == "gen" {
        let seed = args[2].parse()?;
        let placement = if args.get(3).is_some_and(|a| a == "local") {
            InitialPlacement::RackLocal
        } else {
            InitialPlacement::Random
        };
        let mut d = DataCentre::thesis(placement, seed);
        if args.get(4).is_some() {
            d.fan_outs = vec![8, 8, 8, 8];
            d.servers_per_rack = 16;
            d.vms = 1 << 20;
            d.vm_slots = 20;
        }
        d.generate()?
    } else {
        Snapshot::read(&args[1])?
    };
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation())?;
    let env = |n: &str, d: u64| {
        std::env::var(n)
            .ok()
            .and_then(|v| v.parse().ok())
            .unwrap_or(d)
    };
    let d = Multilevel::default();
    let m = Multilevel {
        seed: env("SEED", 1),
        starts: env("STARTS", d.starts.into()) as u32,
        cycles: env("CYCLES", d.cycles.into()) as u32,
        looks: env("LOOKS", d.looks),
    };
    let p = m.run(&instance, &())?;
    println!(
        "start {:.6e} cost {:.6e} ratio {:.5} moved {} cpu {:.2}",
        instance.cost(),
        p.cost,
        p.cost / instance.cost(),
        p.moved,
        p.cpu_time.as_secs_f64()
    );
    if let Ok(out) = std::env::var("OUT") {
        use std::fmt::Write;
        let mut s = String::from("vm,server\n");
        for vm in p.allocation.vms() {
            writeln!(
                s,
                "{},{}",
                p.allocation.vm_at(vm),
                p.allocation.server_at(p.allocation.host(vm))
            )?;
        }
        std::fs::write(out, s)?;
    }
    Ok(())
}
