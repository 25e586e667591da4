//! The kernel's datapath by netlink and through `ovs-vswitchd`: whether both tell the same, and what each costs.
//!
//! ```text
//! cargo run -p s-core-backend --features netlink --example kernel-flows -- /run/openvswitch [SECONDS]
//! ```
//!
//! On a host whose Open vSwitch has the kernel's datapath, best with traffic. Both are read every second, for ten
//! seconds unless told otherwise; then the rates of both are printed, by pair, and a Markdown table of what a poll took. It changes nothing.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use s_core_backend::ovs::OvsFlowSource;
use s_core_backend::{End, FlowSource};
use s_core_flow::CounterDeltas;

const DEADLINE: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_secs(1);

/// One way to read the flows, and what it showed.
struct Reader {
    name: &'static str,
    source: OvsFlowSource,
    counters: CounterDeltas,
    bytes: BTreeMap<(End, End), u64>,
    flows: usize,
    wall: Duration,
    own: Duration,
    switch: Duration,
}

impl Reader {
    fn new(name: &'static str, source: OvsFlowSource) -> Self {
        Self {
            name,
            source,
            counters: CounterDeltas::new(1 << 20, 7),
            bytes: BTreeMap::new(),
            flows: 0,
            wall: Duration::ZERO,
            own: Duration::ZERO,
            switch: Duration::ZERO,
        }
    }

    fn poll(&mut self, switch: u32) -> Result<(), Box<dyn Error>> {
        let (own, theirs, began) = (cpu(std::process::id())?, cpu(switch)?, Instant::now());
        let poll = self.source.poll(DEADLINE)?;
        self.wall += began.elapsed();
        self.own += cpu(std::process::id())? - own;
        self.switch += cpu(switch)? - theirs;
        self.flows = poll.counters.len() + poll.without_ends.len();
        poll.count(&mut self.counters, |flow, delta| {
            *self.bytes.entry((flow.src, flow.dst)).or_default() += delta.bytes;
        });
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let run_dir = arguments.next().unwrap_or("/run/openvswitch".to_owned());
    let polls: u32 = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let pid = fs::read_to_string(Path::new(&run_dir).join("ovs-vswitchd.pid"))?;
    let switch = pid.trim().parse()?;
    let source = || OvsFlowSource::new(&run_dir, 7).with_datapath("system@ovs-system");
    let mut readers = [
        Reader::new("netlink", source().with_netlink()),
        Reader::new("unixctl", source()),
    ];
    for _ in 0..=polls {
        for reader in &mut readers {
            reader.poll(switch)?;
        }
        thread::sleep(INTERVAL);
    }
    let seconds = f64::from(polls);
    let [netlink, unixctl] = &readers;
    println!("| from | to | bytes/s by netlink | bytes/s by unixctl |\n|---|---|---|---|");
    let mut pairs: Vec<_> = netlink.bytes.keys().chain(unixctl.bytes.keys()).collect();
    pairs.sort_unstable();
    pairs.dedup();
    for pair in pairs {
        let rate = |of: &Reader| {
            of.bytes
                .get(pair)
                .map_or(0.0, |bytes| *bytes as f64 / seconds)
        };
        let [one, other] = [netlink, unixctl].map(rate);
        println!("| {} | {} | {one:.0} | {other:.0} |", pair.0, pair.1);
    }
    println!(
        "\n| read by | flows | ms per poll | own CPU ms | ovs-vswitchd CPU ms |\n|---|---|---|---|---|"
    );
    for reader in &readers {
        let each = |time: Duration| time.as_secs_f64() * 1e3 / (seconds + 1.0);
        let [wall, own, switch] = [reader.wall, reader.own, reader.switch].map(each);
        let Reader { name, flows, .. } = reader;
        println!("| {name} | {flows} | {wall:.2} | {own:.2} | {switch:.2} |");
    }
    Ok(())
}

/// The CPU time of all threads of a process.
fn cpu(process: u32) -> Result<Duration, Box<dyn Error>> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split(' ').next().unwrap_or_default();
        nanos += first.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}
