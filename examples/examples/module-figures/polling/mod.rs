//! What it costs to read the flows of a real Open vSwitch (thesis 5.2.2, Fig. 5.8).
//!
//! A real agent reads the switch; its source of flows notes at each poll how long its thread has computed so far. From one poll
//! to the next that is all of a poll: to ask, to read the answer, to take differences, to record in the flow table.

mod switch;
mod traffic;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use s_core_agent::{Agent, AgentConfig, FlowSettings, lab_key};
use s_core_backend::emulated::{DataCentre, EmulatedServer};
use s_core_backend::ovs::OvsFlowSource;
use s_core_backend::{FlowSource, FlowSourceError, Poll};
use s_core_examples::Failure;
use s_core_model::{CostModel, LinkWeights, ServerId};
use s_core_proto::{Config, wire::Keyring};
use s_core_token::PolicyKind;
use s_core_topology::LocationTable;

use crate::laboratory::Laboratory;
use crate::measure::{Spread, thread_time};
use crate::progress::Progress;
use switch::Switch;
use traffic::Traffic;

/// The agent's address; nobody else is in its data centre.
const SERVER: Ipv4Addr = Ipv4Addr::new(127, 79, 7, 1);
/// How often the switch is filled with one number of flows.
const ATTEMPTS: u32 = 3;
/// How long the switch may take to answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long a row of polls may take beyond its intervals.
const PATIENCE: Duration = Duration::from_secs(120);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Numbers of flows, ascending.
    pub(crate) flows: &'static [u32],
    /// The shortest interval at which each number is read, and how many polls are measured.
    pub(crate) interval: Duration,
    pub(crate) polls: usize,
    /// The other intervals.
    pub(crate) others: &'static [Duration],
    pub(crate) polls_at_others: usize,
}

/// Polls of a switch with so many flows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Polled {
    /// The interval that the agent was told.
    pub(crate) interval: Duration,
    /// Seconds from a poll's beginning to the next one's.
    pub(crate) period: Spread,
    /// The least number of flows that the switch told.
    pub(crate) flows: usize,
    /// CPU seconds of the agent's thread for the first poll, in which every flow is new.
    pub(crate) first: f64,
    /// CPU seconds of the agent's thread for each later poll.
    pub(crate) agent: Spread,
    /// CPU seconds of `ovs-vswitchd` for each poll.
    pub(crate) switch: Spread,
    /// Seconds from the question to the end of reading the answer.
    pub(crate) answer: Spread,
}

/// What was measured, or why nothing could be.
#[derive(Debug)]
pub(crate) enum Polling {
    /// By number of flows, and then by interval, the shortest first.
    Measured(Vec<Vec<Polled>>),
    LeftOut(String),
}

/// Measures the agent on a switch of its own.
pub(crate) fn measure(plan: Plan, progress: &Progress) -> Result<Polling, Failure> {
    if let Some(missing) = Laboratory::missing() {
        return Ok(Polling::LeftOut(missing));
    }
    progress.step("an Open vSwitch starts")?;
    let switch = Switch::start()?;
    let mut traffic = Traffic::new(&switch)?;
    let mut all = Vec::new();
    for flows in plan.flows {
        let mut by_interval = vec![polls_of(&switch, &mut traffic, *flows, plan, progress)?];
        for interval in plan.others {
            progress.step(&format!("the agent reads {flows} flows every {interval:?}"))?;
            by_interval.push(polls(&switch, *interval, plan.polls_at_others, progress)?);
        }
        all.push(by_interval);
    }
    Ok(Polling::Measured(all))
}

/// Fills the switch and has it read. A switch that is slow, because its machine is busy, lowers its limit and throws flows out:
/// then it is done again, and where that is of no use the most flows count.
fn polls_of(
    switch: &Switch,
    traffic: &mut Traffic,
    flows: u32,
    plan: Plan,
    progress: &Progress,
) -> Result<Polled, Failure> {
    let mut best: Option<Polled> = None;
    for _ in 0..ATTEMPTS {
        progress.step(&format!("the switch gets {flows} flows"))?;
        traffic.fill(switch, flows)?;
        progress.step(&format!("the agent reads {flows} flows"))?;
        let polled = polls(switch, plan.interval, plan.polls, progress)?;
        if best.is_none_or(|best| best.flows < polled.flows) {
            best = Some(polled);
        }
        if polled.flows >= flows as usize {
            break;
        }
    }
    best.ok_or_else(|| Failure::failed("the switch was not read"))
}

/// An agent reads the switch at this interval.
fn polls(
    switch: &Switch,
    interval: Duration,
    count: usize,
    progress: &Progress,
) -> Result<Polled, Failure> {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let source = Metered {
        source: OvsFlowSource::new(switch.run_dir(), 7),
        // Dumps are made by its main thread.
        switch: format!("/proc/{0}/task/{0}/schedstat", switch.process()?),
        made: Instant::now(),
        seen: Arc::clone(&seen),
    };
    let state = tempfile::tempdir()?;
    let (config, data_centre) = agent_config(state.path(), interval)?;
    let hypervisor = Arc::new(data_centre.hypervisor(SERVER.into())?);
    let agent = Agent::start(config, hypervisor, Box::new(source))?;
    // The first, those that are measured, and the beginning of one more.
    let wanted = count + 2;
    let late = Instant::now() + PATIENCE + interval * u32::try_from(wanted).unwrap_or(u32::MAX);
    let got = loop {
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if seen.len() >= wanted || Instant::now() > late {
            break seen;
        }
        progress.step("the agent reads flows")?;
        thread::sleep(Duration::from_millis(50));
    };
    agent.shutdown();
    agent.join()?;
    summary(interval, &got)
        .ok_or_else(|| Failure::failed(format!("the switch was read {} times only", got.len())))
}

/// From each poll's beginning to the next one's beginning.
fn summary(interval: Duration, seen: &[Seen]) -> Option<Polled> {
    let thread: Vec<_> = (seen.windows(2))
        .map(|pair| pair[1].thread.saturating_sub(pair[0].thread).as_secs_f64())
        .collect();
    // Of the last one only the beginning counts.
    let complete = &seen[..thread.len()];
    let later = complete.get(1..)?;
    let period = |pair: &[Seen]| pair[1].began.saturating_sub(pair[0].began).as_secs_f64();
    Some(Polled {
        interval,
        period: Spread::of(seen.windows(2).skip(1).map(period))?,
        flows: complete.iter().map(|poll| poll.flows).min()?,
        first: *thread.first()?,
        agent: Spread::of(thread.iter().skip(1).copied())?,
        switch: Spread::of(later.iter().map(|poll| poll.switch.as_secs_f64()))?,
        answer: Spread::of(later.iter().map(|poll| poll.answer.as_secs_f64()))?,
    })
}

/// The configuration of an agent that is alone, without VMs, and its hypervisor's data centre.
fn agent_config(state: &Path, interval: Duration) -> Result<(AgentConfig, DataCentre), Failure> {
    let here = ServerId::from(SERVER);
    let server = EmulatedServer {
        id: here,
        vm_slots: 1,
        memory_mib: 1024,
    };
    let data_centre = DataCentre::builder().build([server], [], [])?;
    let locations = LocationTable::new([(here, "r1")])?;
    let model = CostModel::new(LinkWeights::new([1.0])?, Arc::new(locations))?;
    let node = Config::new(here, model, PolicyKind::Distributed.build().into());
    let mut config = AgentConfig::new(node, Keyring::new(lab_key(), [])?, state);
    // Free when asked for; nobody else uses this address.
    config.port = TcpListener::bind((SERVER, 0))?.local_addr()?.port();
    config.flows = FlowSettings {
        interval,
        deadline: DEADLINE,
        ..FlowSettings::default()
    };
    Ok((config, data_centre))
}

/// A poll.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// When it began, after the source was made.
    began: Duration,
    /// How long the thread had computed then.
    thread: Duration,
    answer: Duration,
    switch: Duration,
    flows: usize,
}

/// A source that writes down what each poll costs.
#[derive(Debug)]
struct Metered {
    source: OvsFlowSource,
    /// Where the system says how long the switch's main thread has computed.
    switch: String,
    made: Instant,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl FlowSource for Metered {
    fn poll(&mut self, deadline: Duration) -> Result<Poll, FlowSourceError> {
        let (began, thread) = (Instant::now(), thread_time());
        let before = computed(&self.switch);
        let poll = self.source.poll(deadline)?;
        let seen = Seen {
            began: began.duration_since(self.made),
            thread,
            answer: began.elapsed(),
            switch: computed(&self.switch).saturating_sub(before),
            flows: poll.counters.len(),
        };
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(seen);
        Ok(poll)
    }
}

/// How long a thread has computed; zero when it has ended.
fn computed(schedstat: &str) -> Duration {
    let text = fs::read_to_string(schedstat).unwrap_or_default();
    first_number(&text).map_or(Duration::ZERO, Duration::from_nanos)
}

/// `schedstat` is three numbers: nanoseconds computed, nanoseconds waited, turns.
fn first_number(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_computed_comes_first() {
        let check = |text, wanted| assert_eq!(first_number(text), wanted, "{text}");
        check("8512735 123456 42\n", Some(8_512_735));
        check("", None);
        check("x 1 2", None);
    }

    #[test]
    fn a_poll_lasts_until_the_next_one_begins() {
        let ms = Duration::from_millis;
        let poll = |began, thread, switch, flows| Seen {
            began: ms(began),
            thread: ms(thread),
            answer: ms(1),
            switch: ms(switch),
            flows,
        };
        let seen = [
            poll(0, 10, 9, 100),
            poll(900, 50, 5, 101),
            poll(1900, 56, 7, 102),
            poll(3100, 64, 99, 1),
        ];
        let second = Duration::from_secs(1);
        let polled = summary(second, &seen).unwrap();
        assert_eq!((polled.flows, polled.first), (100, 0.04));
        let (agent, switch) = (polled.agent, polled.switch);
        assert_eq!(
            (agent.least, agent.greatest, agent.count),
            (0.006, 0.008, 2)
        );
        assert_eq!((switch.least, switch.greatest), (0.005, 0.007));
        let period = polled.period;
        assert_eq!((period.least, period.greatest), (1.0, 1.2));
        assert!(summary(second, &seen[..2]).is_none());
        assert!(summary(second, &[]).is_none());
    }
}
