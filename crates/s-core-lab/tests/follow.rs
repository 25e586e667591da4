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
    /// Whether a start is one of an agent that had run.
    ready_counts: bool,
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
            ready_counts: false,
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
        let ready_counts = self.ready_counts;
        self.said
            .retain(|heard| ready_counts || heard.said != Some(Said::Ready));
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

    /// One for each thing that was said.
    fn control_bytes(&mut self) -> Result<u64, RunError> {
        Ok(1000 - u64::try_from(self.said.len()).unwrap())
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

#[test]
fn what_agents_said_makes_the_course() {
    let (course, seen) = played(RECORDED, [2, 2, 2, 2]);
    assert!(course.settled);
    assert_eq!(course.shortcomings(), [""; 0]);
    let layout = layout();
    let [first, second, ..] = vms(&layout);
    let [source, target] = [1, 2].map(|host| layout.server(HostNumber(host)));
    let moved: Vec<_> = course
        .migrations
        .iter()
        .map(|of| (of.hop, of.vm, of.source, of.target))
        .collect();
    assert_eq!(
        moved,
        [(1, first, source, target), (2, second, source, target)]
    );
    let times: Vec<_> = course
        .migrations
        .iter()
        .map(|of| [of.began, of.ended].map(|time| time.as_millis()))
        .collect();
    assert_eq!(times, [[116_557, 226_741], [231_206, 276_136]]);
    let rounds: Vec<_> = course
        .rounds
        .iter()
        .map(|round| (round.number, round.migrations))
        .collect();
    assert_eq!(rounds, [(0, 2), (1, 0), (2, 0), (3, 0)]);
    assert_eq!((course.hops, course.failed), (16, 0));
    assert!(
        course
            .control_bytes_per_round()
            .iter()
            .all(|bytes| *bytes > 0)
    );
    // Level 1 costs 1: 3 kB/s, each pair twice; then all are on one host.
    assert_eq!((course.initial_cost, course.final_cost), (6000.0, 0.0));
    assert_eq!((course.planned_cost, course.planned_migrations), (0.0, 2));
    let places = [[1, 1, 2, 2], [2, 1, 2, 2], [2, 2, 2, 2]].map(homes);
    assert_eq!(seen.placed, places);
    let bytes = course.migrations.iter().map(|of| of.measured?.bytes);
    assert_eq!(bytes.collect::<Vec<_>>(), [Some(44_000_000); 2]);
    let report = tempfile::tempdir().unwrap();
    course.document(Vec::new()).write(report.path()).unwrap();
    let page = std::fs::read_to_string(report.path().join("report.html")).unwrap();
    for words in ["played back", "as made up", "what is made up", "10.77.1.2"] {
        assert!(page.to_lowercase().contains(words), "{words}");
    }
}

/// An agent that was started again knows less than it did: the round in which that happens does not count as quiet.
#[test]
fn an_agent_that_starts_again_disturbs() {
    let quiet = r#""event":"round-ended","round":2,"#;
    let line = RECORDED[1]
        .lines()
        .find(|line| line.contains(quiet))
        .unwrap();
    let again = r#"{"time":1795458124.9,"event":"ready"}"#;
    let mut site = Recorded::new(
        [
            RECORDED[0],
            &RECORDED[1].replace(line, &format!("{again}\n{line}")),
        ],
        [homes([1, 1, 2, 2]), homes([2, 2, 2, 2])],
    );
    // Not that of the start.
    site.said.retain(|heard| {
        heard.said != Some(Said::Ready) || heard.at > site.begin + Duration::from_secs(60)
    });
    site.ready_counts = true;
    let begin = site.begin;
    let course = follow(&mut site, &settings(), begin, &mut Seen::default()).unwrap();
    assert!(!course.settled);
}

/// What agents say is one thing, where VMs are another.
#[test]
fn a_vm_that_is_elsewhere_is_told() {
    let (course, _) = played(RECORDED, [2, 1, 2, 2]);
    let warnings = course.warnings.join(" ");
    let wanted = "10.77.1.2 is on 192.168.77.1, and not on 192.168.77.2 as the agents said";
    assert_eq!(warnings, wanted);
    assert_eq!(course.homes, homes([2, 1, 2, 2]));
    assert!(course.final_cost > 0.0);
}
