//! What came out, as a report and as text.

mod decision;
mod flow_table;
mod polling;
mod wire;

use std::fs;

use s_core_sim::report::{Axis, Chart, Course, Document, Figure, Line, LineChart, Panel, Section};

use crate::decision::Decided;
use crate::flow_table::FlowTables;
use crate::measure::{seconds, spread_of_seconds};
use crate::polling::Polling;
use crate::wire::Wire;

/// All that was measured.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) flow_tables: FlowTables,
    pub(crate) polling: Polling,
    pub(crate) decisions: Vec<Decided>,
    pub(crate) wire: Wire,
    pub(crate) quick: bool,
}

impl Found {
    /// The report.
    pub(crate) fn document(&self) -> Document {
        let sections = [
            ("The flow table", flow_table::blocks(&self.flow_tables)),
            ("Reading flows", polling::blocks(&self.polling)),
            ("The decision", decision::blocks(&self.decisions)),
            ("The token on the wire", wire::blocks(&self.wire)),
        ];
        let sections = sections.map(|(title, blocks)| Section {
            title: title.into(),
            blocks,
        });
        let warnings = [
            self.quick
                .then(|| "sizes are small, for a quick look".to_owned()),
            cfg!(debug_assertions)
                .then(|| "the program was built without full optimisation".into()),
        ];
        let warnings: Vec<_> = warnings
            .into_iter()
            .flatten()
            .chain(self.left_out())
            .collect();
        let warning =
            (!warnings.is_empty()).then(|| format!("In this report {}.", warnings.join("; ")));
        Document::new("S-CORE's modules on real parts", sections.into())
            .with_facts(facts())
            .with_warning(warning)
    }

    /// A line for each part, and one for each that was left out.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        if let Some(last) = self.flow_tables.measured.last() {
            let per_flow = last.bytes as f64 / f64::from(last.flows);
            lines.push(format!(
                "flow table, {} flows of {}: {per_flow:.0} bytes a flow, all added in {} of CPU",
                last.flows,
                last.set.name(),
                seconds(last.add.median)
            ));
        }
        if let Polling::Measured(all) = &self.polling {
            lines.extend(all.iter().filter_map(|of| of.first()).map(|polled| {
                let (agent, switch) = (polled.agent.median, polled.switch.median);
                let flows = polled.flows;
                format!(
                    "a poll of {flows} flows: {} of CPU of the agent, {} of the switch",
                    seconds(agent),
                    seconds(switch)
                )
            }));
        }
        lines.extend(self.decisions.iter().map(|decided| {
            let later = spread_of_seconds(decided.later);
            format!("a decision with {} peers: {later}", decided.peers)
        }));
        for counted in self.wire.counted.iter().flatten() {
            lines.push(format!(
                "a round of {} VMs with {} peers each on {} servers: {} bytes computed, {:.0} sent",
                counted.vms, counted.peers, counted.servers, counted.computed, counted.sent
            ));
        }
        lines.extend(self.left_out());
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn left_out(&self) -> Vec<String> {
        let switch = match &self.polling {
            Polling::LeftOut(why) => Some(("reading flows of a real Open vSwitch", why)),
            Polling::Measured(_) => None,
        };
        let wire = self
            .wire
            .counted
            .as_ref()
            .err()
            .map(|why| ("counting sent bytes", why));
        let parts = switch.into_iter().chain(wire);
        parts
            .map(|(part, why)| format!("{part} is left out: {why}"))
            .collect()
    }
}

fn facts() -> Vec<(String, String)> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = (cpu.lines()).find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let version = format!("s-core {}", env!("CARGO_PKG_VERSION"));
    vec![
        (
            "Machine".into(),
            format!("{cores} × {}", model.unwrap_or("unknown").trim()),
        ),
        (
            "The thesis's".into(),
            "Intel Pentium 4, 3 GHz (5.2.1); the modules in Python".into(),
        ),
        ("Version".into(), version),
    ]
}

/// A line chart with one panel for each title and its lines.
fn figure(
    name: &str,
    title: &str,
    description: &str,
    axes: [Axis; 2],
    panels: Vec<(&str, Vec<Line>)>,
) -> Figure {
    let [x, y] = axes;
    let panel = |(title, series): (&str, Vec<Line>)| Panel {
        title: title.into(),
        chart: Chart::Lines(LineChart {
            x: x.clone(),
            y: y.clone(),
            series,
            references: Vec::new(),
        }),
    };
    Figure {
        name: name.into(),
        title: title.into(),
        description: description.into(),
        palette: Vec::new(),
        columns: panels.len(),
        panels: panels.into_iter().map(panel).collect(),
    }
}

fn line(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Line {
    Line {
        name: name.into(),
        points: points.into_iter().collect(),
        course: Course::Straight,
    }
}
