//! A run as a page with figures.

use std::time::Duration;

use s_core_sim::report::{
    self, Axis, BarChart, Bars, Block, Cell, Chart, Document, Figure, Line, LineChart, Panel,
    Reference, Section, Table,
};

use super::course::{Course, Migration};
use crate::traffic::{ProbeSeries, ThroughputSeries};

/// How long before and after a migration its VM is looked at.
const AROUND: Duration = Duration::from_secs(5);

impl Course {
    /// What came of the run, for people: cost over time, load of the links by their own counters, every migration with what
    /// the VMs felt of it, and how much the agents said to each other.
    pub fn document(&self, facts: Vec<(String, String)>) -> Document {
        let sections = vec![self.cost(), self.links(), self.moves(), self.control()];
        let warnings = self.shortcomings();
        let warning = (!warnings.is_empty()).then(|| warnings.join(" "));
        Document::new(self.method.title.clone(), sections)
            .with_facts(facts)
            .with_warning(warning)
    }

    /// What a reader of the result has to know before all else, in sentences.
    pub fn shortcomings(&self) -> Vec<String> {
        let ended =
            "The run was ended before the cost had settled; all of this is as far as it got.";
        let ended = (!self.settled).then(|| ended.to_owned());
        let lost = self.lost.iter().map(|agent| {
            let (host, at) = (agent.host.0, agent.at.as_secs_f64());
            let why = &agent.why;
            format!("The agent of host {host} ended by itself after {at:.0} s ({why}).")
        });
        let others = self.warnings.iter().map(|warning| format!("{warning}."));
        ended.into_iter().chain(lost).chain(others).collect()
    }

    fn cost(&self) -> Section {
        let percent = |cost: f64| 100.0 * cost / self.initial_cost.max(f64::MIN_POSITIVE);
        let points = (self.samples.iter())
            .map(|sample| (sample.at.as_secs_f64(), percent(sample.cost)))
            .collect();
        let chart = LineChart {
            x: Axis::linear("seconds"),
            y: Axis::linear("cost, % of the beginning"),
            series: vec![Line {
                name: "cost".into(),
                points,
                course: report::Course::Step,
            }],
            references: vec![Reference {
                label: "as planned".into(),
                value: percent(self.planned_cost),
            }],
        };
        let mut table = Table::new(["placement", "cost", "of the beginning", "migrations"]);
        for (name, cost, migrations) in [
            ("before", self.initial_cost, 0),
            ("end", self.final_cost, self.migrations.len()),
            ("as planned", self.planned_cost, self.planned_migrations),
        ] {
            table.push([
                Cell::text(name),
                Cell::rounded(cost),
                Cell::percent(cost / self.initial_cost.max(f64::MIN_POSITIVE)),
                Cell::count(migrations as u64),
            ]);
        }
        let began = self.agents_from.as_secs_f64();
        Section {
            title: "Cost".into(),
            blocks: vec![
                Block::Table(
                    "Eq. 3.1 of the same true rates, those of the whole run, in bytes per second times link weight. \"As \
                     planned\" is what the simulation of the same policy makes of them."
                        .into(),
                    table,
                ),
                figure(
                    "cost",
                    "Cost over time",
                    format!(
                        "Of what {} in the last window. The agents ran from {began:.0} s on; what a migration \
                         itself sends is no VM's traffic and not in it.",
                        self.method.traffic
                    ),
                    Chart::Lines(chart),
                ),
            ],
        }
    }

    fn links(&self) -> Section {
        let levels = 0..=self.layout.levels();
        let bars = |(name, loads): (&str, &super::LinkLoads)| Bars {
            name: name.into(),
            values: levels
                .clone()
                .map(|level| loads.level(level) / 1e6)
                .collect(),
        };
        let chart = BarChart {
            x_label: "level of the links".into(),
            groups: levels.clone().map(|level| level.to_string()).collect(),
            y_label: "MB/s".into(),
            series: ["before", "end"]
                .into_iter()
                .zip(&self.loads)
                .map(bars)
                .collect(),
        };
        Section {
            title: "Links".into(),
            blocks: vec![figure(
                "links",
                "Load per level of links",
                "By the links' own counters, both directions together, before the agents ran and at the end; 0 are the \
                 hosts' links, 1 the racks' upward links."
                    .into(),
                Chart::Bars(chart),
            )],
        }
    }

    fn moves(&self) -> Section {
        let mut moves = Table::new(["VM", "from", "to", "at s", "took s", "MiB sent", "still ms"]);
        let mut felt = Table::new([
            "VM",
            "RTT before",
            "during",
            "after",
            "longest gap",
            "MB/s before",
            "during",
            "after",
        ]);
        for migration in &self.migrations {
            moves.push(Self::moved(migration));
            felt.push(self.felt(migration));
        }
        let failed = match self.failed {
            0 => String::new(),
            failed => format!(" {failed} more did not succeed."),
        };
        Section {
            title: "Migrations".into(),
            blocks: vec![
                Block::Table(
                    format!(
                        "Every migration. \"Still\": how long the VM stood still, {}.{failed}",
                        self.method.downtime
                    ),
                    moves,
                ),
                Block::Table(
                    "What a migrating VM and the one that it exchanges most with felt: median round-trip \
                     time and longest time without an answer, in ms, and throughput of both directions, \
                     five seconds before, while it migrated, and five seconds after."
                        .into(),
                    felt,
                ),
            ],
        }
    }

    fn moved(migration: &Migration) -> Vec<Cell> {
        let measured = migration.measured.unwrap_or_default();
        let took = migration.ended.saturating_sub(migration.began);
        vec![
            Cell::text(migration.vm.to_string()),
            Cell::text(migration.source.to_string()),
            Cell::text(migration.target.to_string()),
            tenths(migration.began.as_secs_f64()),
            tenths(took.as_secs_f64()),
            number(
                measured
                    .bytes
                    .map(|bytes| bytes as f64 / f64::from(1 << 20)),
            ),
            number(measured.downtime.map(|time| 1e3 * time.as_secs_f64())),
        ]
    }

    fn felt(&self, migration: &Migration) -> Vec<Cell> {
        let of_vm = |from, to| [from, to].contains(&migration.vm);
        let probes = self.probes.iter().find(|of| of_vm(of.from, of.to));
        let throughput: Vec<_> = (self.throughput.iter())
            .filter(|of| of_vm(of.from, of.to))
            .collect();
        let (began, ended) = (migration.began, migration.ended);
        let spans = [
            (began.saturating_sub(AROUND), began),
            (began, ended),
            (ended, ended + AROUND),
        ];
        let milliseconds = |time: Duration| 1e3 * time.as_secs_f64();
        let round_trip = |(from, to)| {
            let median = probes.and_then(|probes| part(probes, from, to).quantile(0.5));
            number(median.map(milliseconds))
        };
        let gap = probes.map(|probes| part(probes, spans[0].0, spans[2].1).longest_gap());
        let mut row = vec![Cell::text(migration.vm.to_string())];
        row.extend(spans.map(round_trip));
        row.push(number(gap.map(milliseconds)));
        row.extend(spans.map(|span| number(mean(&throughput, span).map(|rate| rate / 1e6))));
        row
    }

    fn control(&self) -> Section {
        let mut table = Table::new(["round", "ended s", "migrations", "bytes"]);
        let bytes = self.control_bytes_per_round();
        for (round, bytes) in self.rounds.iter().skip(1).zip(bytes) {
            table.push([
                Cell::count(round.number.into()),
                tenths(round.at.as_secs_f64()),
                Cell::count(round.migrations.into()),
                Cell::count(bytes),
            ]);
        }
        Section {
            title: "Control traffic".into(),
            blocks: vec![Block::Table(
                "IP packets of the agents, of all hosts together, from the end of the round before. Migrations are not in it.".into(),
                table,
            )],
        }
    }
}

fn figure(name: &str, title: &str, caption: String, chart: Chart) -> Block {
    let figure = Figure {
        name: name.into(),
        title: title.into(),
        description: caption.clone(),
        palette: Vec::new(),
        columns: 1,
        panels: vec![Panel {
            title: String::new(),
            chart,
        }],
    };
    Block::Figure(caption, figure)
}

fn tenths(value: f64) -> Cell {
    Cell::Number(value, format!("{value:.1}"))
}

fn number(value: Option<f64>) -> Cell {
    value.map_or(Cell::Missing, tenths)
}

/// The probes that were sent in a time.
fn part(series: &ProbeSeries, from: Duration, to: Duration) -> ProbeSeries {
    let probes = series.probes.iter();
    ProbeSeries {
        from: series.from,
        to: series.to,
        probes: probes
            .filter(|probe| (from..to).contains(&probe.sent))
            .copied()
            .collect(),
    }
}

/// What was received in a time, in bytes per second, of all series together.
fn mean(series: &[&ThroughputSeries], (from, to): (Duration, Duration)) -> Option<f64> {
    let mut sum = None;
    for series in series {
        let within: Vec<_> = (series.throughput())
            .filter(|sample| (from..to).contains(&sample.at))
            .map(|sample| sample.received.bytes_per_second())
            .collect();
        if !within.is_empty() {
            let mean = within.iter().sum::<f64>() / within.len() as f64;
            sum = Some(sum.unwrap_or(0.0) + mean);
        }
    }
    sum
}
