//! Fig. 5.8.

use s_core_sim::report::{Axis, Block, Cell, Line, Table, number};

use super::{figure, line};
use crate::measure::{Spread, seconds, spread_of_seconds};
use crate::polling::{Polled, Polling};
use crate::thesis;

/// The intervals of Fig. 5.8 in seconds.
const INTERVALS: [f64; 5] = [1.0, 2.0, 3.0, 4.0, 5.0];

pub(super) fn blocks(found: &Polling) -> Vec<Block> {
    let (by_flows, by_interval) = match found {
        Polling::Measured {
            by_flows,
            by_interval,
        } => (by_flows, by_interval),
        Polling::LeftOut(why) => return vec![Block::Paragraph(format!("Left out: {why}."))],
    };
    let mut blocks = vec![
        Block::Paragraph(
            "A real agent reads the flows of a real Open vSwitch (userspace datapath, IP-pair rule), which UDP packets between so \
             many pairs of addresses have made. The agent's time is that of its thread that reads flows: to ask, to parse the answer, to take \
             differences, to record them. The switch's is that of its main thread, which makes the dump."
                .into(),
        ),
        percent(by_flows, by_interval),
        Block::Table(
            "A poll: median (least to greatest). In the first poll all flows are new. The answer is complete and parsed after the time \
             in the last column."
                .into(),
            table(by_flows),
        ),
    ];
    if !by_interval.is_empty() {
        let text = "The utilisation at each interval is computed from the CPU time of a poll, which hardly depends on the interval:";
        blocks.push(Block::Paragraph(text.into()));
        let caption = "The same flows at several intervals: measured, and computed from the polls at the shortest interval.";
        blocks.push(Block::Table(
            caption.into(),
            intervals_table(by_flows, by_interval),
        ));
    }
    blocks
}

fn percent(by_flows: &[Polled], by_interval: &[Polled]) -> Block {
    let computed = |polled: &Polled, cpu: f64| {
        let answer = polled.answer.median;
        INTERVALS.map(|interval| (interval, utilisation(cpu, interval, answer)))
    };
    let name = |polled: &Polled| format!("{} flows", number::count(rounded(polled.flows)));
    let mut agent: Vec<Line> = (by_flows.iter())
        .map(|polled| line(name(polled), computed(polled, polled.agent.median)))
        .collect();
    let switch =
        (by_flows.iter()).map(|polled| line(name(polled), computed(polled, polled.switch.median)));
    let switch = switch.collect();
    let measured = by_interval.iter().map(|polled| {
        let interval = polled.interval.as_secs_f64();
        (
            interval,
            utilisation(polled.agent.median, interval, polled.answer.median),
        )
    });
    if let Some(polled) = by_interval.first() {
        agent.push(line(format!("{}, each measured", name(polled)), measured));
    }
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
        vec![("the agent", agent), ("ovs-vswitchd", switch)],
    );
    let caption = "Thesis Fig. 5.8. Computed from the CPU time of a poll; where an answer takes longer than the interval, the agent \
        asks again when it has it. The thesis measured the adding to its table alone.";
    Block::Figure(caption.into(), figure)
}

/// Per cent of a CPU that polls of so many CPU seconds take: a poll begins an interval after the one before, or when that has been
/// answered if this is later.
fn utilisation(cpu: f64, interval: f64, answer: f64) -> f64 {
    100.0 * cpu / interval.max(answer)
}

/// Flows of the kernel's own, such as ARP, come on top.
fn rounded(flows: usize) -> u64 {
    let flows = flows as u64;
    flows - flows % 100
}

fn table(by_flows: &[Polled]) -> Table {
    let columns = [
        "flows",
        "agent, CPU",
        "flows per CPU\u{a0}s",
        "first poll",
        "switch, CPU",
        "answer after",
    ];
    let mut table = Table::new(columns);
    for polled in by_flows {
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

fn intervals_table(by_flows: &[Polled], by_interval: &[Polled]) -> Table {
    let mut table = Table::new([
        "flows",
        "interval",
        "agent, CPU per poll",
        "measured",
        "computed",
    ]);
    for polled in by_interval {
        let interval = polled.interval.as_secs_f64();
        let cell = |polled: &Polled| {
            let percent = utilisation(polled.agent.median, interval, polled.answer.median);
            Cell::percent(percent / 100.0)
        };
        let same = by_flows
            .iter()
            .find(|of| rounded(of.flows) == rounded(polled.flows));
        table.push([
            Cell::count(polled.flows as u64),
            Cell::Number(interval, seconds(interval)),
            spread(polled.agent),
            cell(polled),
            same.map_or(Cell::Missing, cell),
        ]);
    }
    table
}

fn spread(of: Spread) -> Cell {
    Cell::Number(of.median, spread_of_seconds(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_do_not_overlap() {
        let check = |cpu, interval, answer, wanted: f64| {
            assert_eq!(
                utilisation(cpu, interval, answer),
                wanted,
                "{cpu} {interval} {answer}"
            );
        };
        check(0.5, 1.0, 0.1, 50.0);
        check(0.5, 5.0, 0.1, 10.0);
        check(0.5, 1.0, 2.0, 25.0);
        assert_eq!([99, 100, 10_003].map(rounded), [0, 100, 10_000]);
    }
}
