//! Fig. 5.8.

use s_core_sim::report::{Axis, Block, Cell, Line, Table, number};

use super::{figure, line};
use crate::measure::{Spread, seconds, spread_of_seconds};
use crate::polling::{Polled, Polling};
use crate::thesis;

pub(super) fn blocks(found: &Polling) -> Vec<Block> {
    let all = match found {
        Polling::Measured(all) => all,
        Polling::LeftOut(why) => return vec![Block::Paragraph(format!("Left out: {why}."))],
    };
    vec![
        Block::Paragraph(
            "A real agent reads the flows of a real Open vSwitch (userspace datapath, IP-pair rule), which UDP packets between so \
             many pairs of addresses have made. The agent's time is that of its thread that reads flows: to ask, to parse the answer, to take \
             differences, to record them. The switch's is that of its main thread, which makes the dump."
                .into(),
        ),
        percent(all),
        Block::Table(
            "Each interval with each number of flows, as it was run. Where an answer takes longer than the interval, the agent then leaves \
             the switch alone for as long: polls begin less often than asked for."
                .into(),
            intervals_table(all),
        ),
        Block::Table(
            "A poll at the shortest interval: median (least to greatest). In the first poll all flows are new. The answer is complete and parsed \
             after the time in the last column."
                .into(),
            table(all.iter().filter_map(|of| of.first())),
        ),
    ]
}

fn percent(all: &[Vec<Polled>]) -> Block {
    let lines = |cpu: fn(&Polled) -> Spread| -> Vec<Line> {
        let line_of = |of: &Vec<Polled>| {
            let flows = of.iter().map(|polled| rounded(polled.flows)).min();
            let points = of
                .iter()
                .map(|polled| (polled.interval.as_secs_f64(), utilisation(polled, cpu)));
            let name = format!("{} flows", number::count(flows.unwrap_or_default()));
            line(name, points)
        };
        all.iter().map(line_of).collect()
    };
    let mut agent = lines(|polled| polled.agent);
    agent.extend(thesis::POLLING_PERCENT.map(|(flows, points)| {
        let name = format!("thesis: {} flows", number::count(flows.into()));
        line(name, points)
    }));
    let figure = figure(
        "polling",
        "CPU of reading flows",
        "Utilisation falls with the interval; with 10,000 flows it is below the thesis's.",
        [
            Axis::linear("polling interval, s"),
            Axis::logarithmic("% of a CPU"),
        ],
        vec![
            ("the agent", agent),
            ("ovs-vswitchd", lines(|polled| polled.switch)),
        ],
    );
    let caption = "Thesis Fig. 5.8. Every point was run: the CPU time of a poll, by the time from one poll to the next. \
        The thesis measured the adding to its table alone.";
    Block::Figure(caption.into(), figure)
}

/// Per cent of a CPU.
fn utilisation(polled: &Polled, cpu: fn(&Polled) -> Spread) -> f64 {
    100.0 * cpu(polled).median / polled.period.median
}

/// Flows of the kernel's own, such as ARP, come on top.
fn rounded(flows: usize) -> u64 {
    let flows = flows as u64;
    flows - flows % 100
}

fn table<'a>(polls: impl Iterator<Item = &'a Polled>) -> Table {
    let columns = [
        "flows",
        "agent, CPU",
        "flows per CPU\u{a0}s",
        "first poll",
        "switch, CPU",
        "answer after",
    ];
    let mut table = Table::new(columns);
    for polled in polls {
        let per_second = polled.flows as f64 / polled.agent.median;
        table.push([
            Cell::count(polled.flows as u64),
            spread(polled.agent),
            Cell::rounded(per_second),
            Cell::Number(polled.first, seconds(polled.first)),
            spread(polled.switch),
            spread(polled.answer),
        ]);
    }
    table
}

fn intervals_table(all: &[Vec<Polled>]) -> Table {
    let columns = [
        "flows",
        "interval",
        "polls",
        "from poll to poll",
        "agent, CPU per poll",
        "agent",
        "switch",
    ];
    let mut table = Table::new(columns);
    for polled in all.iter().flatten() {
        let interval = polled.interval.as_secs_f64();
        let share = |cpu| Cell::percent(utilisation(polled, cpu) / 100.0);
        table.push([
            Cell::count(polled.flows as u64),
            Cell::Number(interval, seconds(interval)),
            Cell::count(polled.period.count as u64),
            spread(polled.period),
            spread(polled.agent),
            share(|polled| polled.agent),
            share(|polled| polled.switch),
        ]);
    }
    table
}

fn spread(of: Spread) -> Cell {
    Cell::Number(of.median, spread_of_seconds(of))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_cpu_is_used_for_as_long_as_polls_are_apart() {
        let check = |cpu, period, wanted: f64| {
            let [cpu, period] = [cpu, period].map(|value| Spread::of([value]).unwrap());
            let polled = Polled {
                interval: Duration::from_secs(1),
                period,
                flows: 100,
                first: 0.0,
                agent: cpu,
                switch: cpu,
                answer: cpu,
            };
            assert_eq!(utilisation(&polled, |polled| polled.agent), wanted);
        };
        check(0.5, 1.0, 50.0);
        check(0.5, 5.0, 10.0);
        assert_eq!([99, 100, 10_003].map(rounded), [0, 100, 10_000]);
    }
}
