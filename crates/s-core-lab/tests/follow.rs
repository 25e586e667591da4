//! A run that is followed at a site which only plays back what the agents of two Xen hosts said.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics says where; clippy.toml exempts only test functions"
)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use s_core_agent::{EventLine, Said};
use s_core_lab::run::{
    Course, FollowSettings, Heard, Homes, LinkCounts, Measured, Method, RunError, Site, Watcher,
    follow,
};
use s_core_lab::traffic::Reading;
use s_core_lab::{HostNumber, Layout, Shape};
use s_core_model::{ServerId, VmId};
use s_core_token::PolicyKind;

const RECORDED: [&str; 2] = [
    include_str!("data/events-1.jsonl"),
    include_str!("data/events-2.jsonl"),
];

/// Plays back.
struct Recorded {
    layout: Layout,
    begin: Instant,
    said: VecDeque<Heard>,
    homes: VecDeque<Homes>,
    readings: u64,
    ended: bool,
}

fn layout() -> Layout {
    let shape = Shape {
        hosts: 2,
        vms_per_host: 2,
        fan_out: vec![2],
        management: true,
        ..Shape::default()
    };
    Layout::new("play".parse().unwrap(), shape).unwrap()
}

impl Recorded {
    /// These lines, as heard when they were said, and where the VMs are before and after.
    fn new(recorded: [&str; 2], homes: [Homes; 2]) -> Self {
        let begin = Instant::now();
        let mut said: Vec<(f64, HostNumber, Said)> = Vec::new();
        for (host, lines) in (1..).map(HostNumber).zip(recorded) {
            for line in lines.lines() {
                let EventLine { time, said: what } = line.parse().unwrap();
                said.push((time, host, what));
            }
        }
        said.sort_by(|a, b| a.0.total_cmp(&b.0));
        let first = said[0].0;
        let heard = said.into_iter().map(|(time, host, said)| Heard {
            at: begin + Duration::from_secs_f64(time - first),
            host,
            said: Some(said),
        });
        Self {
            layout: layout(),
            begin,
            said: heard.collect(),
            homes: homes.into(),
            readings: 0,
            ended: false,
        }
    }
}

impl Site for Recorded {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn method(&self) -> Method {
        Method {
            title: "played back".into(),
            traffic: "is made up".into(),
            downtime: "as made up".into(),
        }
    }

    fn start_agents(&mut self) -> Result<(), RunError> {
        // Whoever starts them waits for that.
        self.said.retain(|heard| heard.said != Some(Said::Ready));
        Ok(())
    }

    fn stop_agents(&mut self) -> Result<(), RunError> {
        self.ended = true;
        Ok(())
    }

    fn next(&mut self, _: Duration) -> Option<Heard> {
        self.said.pop_front()
    }

    fn why_ended(&mut self, _: HostNumber) -> String {
        "it was killed".into()
    }

    fn cpu_seconds(&mut self) -> f64 {
        1.5
    }

    fn homes(&mut self) -> Result<Homes, RunError> {
        Ok(self.homes.pop_front().unwrap())
    }

    /// VMs 1 and 3 exchange 1 kB and VMs 2 and 4 2 kB between any two readings.
    fn traffic(&mut self) -> Result<Reading, RunError> {
        self.readings += 1;
        let [a, b, c, d] = vms(&self.layout);
        let sent = [
            ((a, c), 1000 * self.readings),
            ((d, b), 2000 * self.readings),
        ];
        let at = self.begin + Duration::from_secs(self.readings);
        Ok(Reading::of_payload(at, sent))
    }

    fn control_bytes(&mut self) -> Result<u64, RunError> {
        Ok(u64::from(u32::try_from(self.said.len()).unwrap()))
    }

    fn links(&mut self) -> Result<LinkCounts, RunError> {
        Ok(LinkCounts {
            links: [].into(),
            hosts: [].into(),
        })
    }

    fn complete(&mut self, course: &mut Course) -> Result<(), RunError> {
        assert!(self.ended, "agents end first");
        for migration in &mut course.migrations {
            migration.measured = Some(Measured {
                bytes: Some(44_000_000),
                downtime: None,
            });
        }
        Ok(())
    }
}

fn vms(layout: &Layout) -> [VmId; 4] {
    [1, 2, 3, 4].map(|vm| layout.vm(s_core_lab::VmNumber(vm)))
}

fn homes(hosts: [u16; 4]) -> Homes {
    let layout = layout();
    let server = |host| -> ServerId { layout.server(HostNumber(host)) };
    vms(&layout).into_iter().zip(hosts.map(server)).collect()
}

/// Keeps what it is told.
#[derive(Default)]
struct Seen {
    placed: Vec<Homes>,
    heard: usize,
}

impl Watcher for Seen {
    fn heard(&mut self, _: &Heard) {
        self.heard += 1;
    }

    fn placed(&mut self, homes: &Homes) {
        self.placed.push(homes.clone());
    }
}

fn settings() -> FollowSettings {
    FollowSettings {
        policy: PolicyKind::Distributed,
        migration_cost: 0.1,
        window: Duration::from_secs(10),
        every: Duration::from_millis(10),
        rest: Duration::from_millis(40),
        limit: Duration::from_secs(1),
    }
}

fn played(recorded: [&str; 2], after: [u16; 4]) -> (Course, Seen) {
    let mut site = Recorded::new(recorded, [homes([1, 1, 2, 2]), homes(after)]);
    let (begin, mut seen) = (site.begin, Seen::default());
    let course = follow(&mut site, &settings(), begin, &mut seen).unwrap();
    (course, seen)
}
