//! The report: Figs. 5.9 to 5.11 beside the thesis's numbers.

use std::collections::BTreeSet;

use s_core_sim::report::{
    Axis, BarChart, Bars, Block, Cell, Chart, Course, Document, Figure, Line, LineChart, Panel,
    Section, Table,
};
use s_core_xen_lab::measure::{Outcome, Row};

use super::statistics::{
    DOWNTIME, MEGABYTES, OFFERED, Quantity, SECONDS, Summary, at_load, loads, moved, quartiles,
};

/// 5.2.3: mean and standard deviation of migrated bytes, in MB. All were below 150.
const THESIS_MEGABYTES: (f64, f64) = (127.0, 11.0);
/// 5.2.4: mean migration time in seconds by the load in per cent of 1 Gbit/s.
const THESIS_SECONDS: [(f64, f64); 3] = [(0.0, 2.94), (10.0, 4.29), (100.0, 9.34)];
/// 5.2.4: downtime in ms by the load in per cent.
const THESIS_DOWNTIME: [(f64, f64); 2] = [(0.0, 16.38), (100.0, 32.63)];
/// The most bars of the histogram.
const BARS: usize = 12;

/// The report of these migrations.
pub(super) fn document(rows: &[Row]) -> Document {
    let sections = [
        ("Migrated bytes", bytes(rows)),
        ("Migration time", time(rows)),
        ("Downtime", downtime(rows)),
        (
            "All loads",
            vec![Block::Table(TABLE_CAPTION.into(), table(rows))],
        ),
    ];
    let sections = sections.map(|(title, blocks)| Section {
        title: title.into(),
        blocks,
    });
    let failed = rows
        .iter()
        .filter(|row| row.outcome != Outcome::Moved)
        .count();
    let warning = (failed > 0).then(|| {
        format!("{failed} of {} migrations did not move the VM; they are in migrations.csv with their reasons, and in no figure.", rows.len())
    });
    Document::new("Live migration under load", sections.into())
        .with_facts(facts(rows))
        .with_warning(warning)
}

fn facts(rows: &[Row]) -> Vec<(String, String)> {
    let different = |of: fn(&Row) -> String| {
        let all: BTreeSet<_> = rows.iter().map(of).collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    let dirty = Summary::of(rows.iter().map(|row| row.dirty_mb_per_second));
    let dirty = dirty.map(|of| format!("{} to {} MB/s", of.least, of.greatest));
    [
        ("Hosts", different(|row| row.source.clone())),
        ("VM", different(|row| format!("{} MiB", row.memory_mib))),
        ("It wrote memory", dirty.unwrap_or_default()),
        ("Migrations", rows.len().to_string()),
        (
            "Probed every",
            different(|row| format!("{} ms", row.probe_ms)),
        ),
        ("Version", format!("s-core {}", env!("CARGO_PKG_VERSION"))),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn bytes(rows: &[Row]) -> Vec<Block> {
    let sizes: Vec<_> = moved(rows).filter_map(MEGABYTES).collect();
    let Some(of) = Summary::of(sizes.iter().copied()) else {
        return vec![nothing()];
    };
    let memory = moved(rows).map(|row| f64::from(row.memory_mib) * 1.048_576);
    let memory = memory.fold(0.0, f64::max);
    let (thesis_mean, thesis_deviation) = THESIS_MEGABYTES;
    let said = format!(
        "Here {:.1} ± {:.1} MB (mean and standard deviation of {} migrations; {:.0} % of the mean), of a VM with {memory:.1} MB of memory. \
         Thesis: {thesis_mean} ± {thesis_deviation} MB ({:.0} %), all below 150 MB. Counted are the octets of the migration's stream on the source, \
         without headers and retransmissions; the thesis counted packets. In emulation: a copy is as long as on hardware, but what \
         the VM writes again depends on how long copying takes, so that a slow host sends more.",
        of.mean,
        of.deviation,
        of.count,
        100.0 * of.deviation / of.mean,
        100.0 * thesis_deviation / thesis_mean,
    );
    let figure = Figure {
        name: "migrated-bytes".into(),
        title: "Migrated bytes per migration".into(),
        description: "The share of migrations by the number of bytes that they sent.".into(),
        palette: Vec::new(),
        columns: 1,
        panels: vec![Panel {
            title: String::new(),
            chart: Chart::Bars(histogram(&sizes, of)),
        }],
    };
    vec![
        Block::Paragraph(said),
        Block::Figure(
            "Thesis Fig. 5.9: the distribution of migrated bytes.".into(),
            figure,
        ),
    ]
}

/// Shares of the migrations in classes of equal width.
fn histogram(sizes: &[f64], of: Summary) -> BarChart {
    let width = ((of.greatest - of.least) / BARS as f64).max(0.1);
    let mut shares = vec![0.0; BARS];
    for size in sizes {
        let class = ((size - of.least) / width) as usize;
        shares[class.min(BARS - 1)] += 1.0 / sizes.len() as f64;
    }
    let name = |class| format!("{:.1}", of.least + width * (class as f64 + 0.5));
    BarChart {
        x_label: "MB, the middle of each class".into(),
        groups: (0..BARS).map(name).collect(),
        y_label: "share of migrations".into(),
        series: vec![Bars {
            name: "here".into(),
            values: shares,
        }],
    }
}

fn time(rows: &[Row]) -> Vec<Block> {
    let said = "From the start of xl migrate to its end, with a constant UDP stream from the source to the target over the same link. Thesis: \
                2.94 s without load, 4.29 s at 100 Mb/s, 9.34 s at 1 Gb/s; the spread grows from 70 % on. In emulation: the hosts' processors, not the \
                link, set the time without load, and the control domain also has to send the load itself; so the ratios count, not the seconds.";
    over_load(
        rows,
        said,
        &Over {
            name: "migration-time",
            title: "Migration time over load",
            caption: "Thesis Fig. 5.10. Median and quartiles here, the means that its text gives; right, relative to no load.",
            label: "seconds",
            quantity: SECONDS,
            thesis: &THESIS_SECONDS,
        },
    )
}

fn downtime(rows: &[Row]) -> Vec<Block> {
    let said = "The longest run of probes (UDP) that the VM did not answer, give or take the time between two. Thesis: 16.38 to 32.63 ms, probed every \
                millisecond. In emulation: to suspend the VM, to make its interface anew and to resume it are thousands of instructions that are \
                translated one by one, some hundred times as long as on hardware, and the same at all loads: they hide how the last copy grows with the load.";
    over_load(
        rows,
        said,
        &Over {
            name: "downtime",
            title: "Downtime over load",
            caption: "Thesis Fig. 5.11. Median and quartiles here, the ends that its text gives; right, relative to no load.",
            label: "ms",
            quantity: DOWNTIME,
            thesis: &THESIS_DOWNTIME,
        },
    )
}

/// A quantity over the load.
struct Over<'a> {
    name: &'a str,
    title: &'a str,
    caption: &'a str,
    label: &'a str,
    quantity: Quantity,
    thesis: &'a [(f64, f64)],
}

fn over_load(rows: &[Row], said: &str, over: &Over<'_>) -> Vec<Block> {
    let points: Vec<(f64, Summary)> = loads(rows)
        .into_iter()
        .filter_map(|load| Some((f64::from(load), at_load(rows, load, over.quantity)?)))
        .collect();
    if points.is_empty() {
        return vec![nothing()];
    }
    let of = |pick: fn(&Summary) -> f64| points.iter().map(move |(load, of)| (*load, pick(of)));
    let absolute = vec![
        line("median", of(|of| of.median)),
        line("lower quartile", of(|of| of.lower_quartile)),
        line("upper quartile", of(|of| of.upper_quartile)),
        line("thesis", over.thesis.iter().copied()),
    ];
    let ratios = vec![
        line("median", relative(of(|of| of.median))),
        line("thesis", relative(over.thesis.iter().copied())),
    ];
    let chart = |title: &str, label: &str, series| Panel {
        title: title.into(),
        chart: Chart::Lines(LineChart {
            x: Axis::linear("load, % of the link"),
            y: Axis::linear(label),
            series,
            references: Vec::new(),
        }),
    };
    let figure = Figure {
        name: over.name.into(),
        title: over.title.into(),
        description: format!("{}, here and in the thesis.", over.title),
        palette: Vec::new(),
        columns: 2,
        panels: vec![
            chart("as measured", over.label, absolute),
            chart("relative to no load", "ratio", ratios),
        ],
    };
    vec![
        Block::Paragraph(said.into()),
        Block::Figure(over.caption.into(), figure),
    ]
}

/// Values divided by that at no load; none without it.
fn relative(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let points: Vec<_> = points.collect();
    let first = points
        .iter()
        .find(|(load, value)| *load == 0.0 && *value > 0.0);
    let Some((_, first)) = first.copied() else {
        return Vec::new();
    };
    points
        .into_iter()
        .map(|(load, value)| (load, value / first))
        .collect()
}

fn line(name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Line {
    Line {
        name: name.into(),
        points: points.into_iter().collect(),
        course: Course::Straight,
    }
}

const TABLE_CAPTION: &str = "Of the migrations that moved the VM: median (quartiles). Offered is what the source sent as load, in frames.";

fn table(rows: &[Row]) -> Table {
    let columns = [
        "load, %",
        "offered, Mbit/s",
        "moved",
        "failed",
        "MB",
        "seconds",
        "mean, s",
        "downtime, ms",
    ];
    let mut table = Table::new(columns);
    for load in loads(rows) {
        let here: Vec<_> = rows.iter().filter(|row| row.load_percent == load).collect();
        let moved = here
            .iter()
            .filter(|row| row.outcome == Outcome::Moved)
            .count();
        let spread = |quantity, decimals| {
            let of = at_load(rows, load, quantity);
            of.map_or(Cell::Missing, |of| {
                Cell::Number(of.median, quartiles(of, decimals))
            })
        };
        let mean = at_load(rows, load, SECONDS);
        table.push([
            Cell::count(load.into()),
            spread(OFFERED, 1),
            Cell::count(moved as u64),
            Cell::count((here.len() - moved) as u64),
            spread(MEGABYTES, 1),
            spread(SECONDS, 2),
            mean.map_or(Cell::Missing, |of| {
                Cell::Number(of.mean, format!("{:.2}", of.mean))
            }),
            spread(DOWNTIME, 0),
        ]);
    }
    table
}

fn nothing() -> Block {
    Block::Paragraph("No migration has moved the VM yet.".into())
}

#[cfg(test)]
mod tests {
    use s_core_xen_lab::run::Transport;

    use super::*;

    fn row(load_percent: u32, outcome: Outcome, seconds: f64) -> Row {
        Row {
            began: 0,
            load_percent,
            load_mbit: None,
            vm: "v1".into(),
            transport: Transport::Stream,
            source: "one".into(),
            target: "two".into(),
            outcome,
            bytes: Some((seconds * 1e6) as u64),
            seconds: Some(seconds),
            downtime_ms: Some(10.0 * seconds),
            longest_gap_ms: None,
            probe_ms: 10.0,
            memory_mib: 40,
            dirty_mb_per_second: 0.5,
            problem: String::new(),
        }
    }

    /// The lines of a figure's file.
    fn csv(document: &Document, name: &str) -> Vec<String> {
        let figure = document.figures().find(|figure| figure.name == name);
        let csv = figure.expect("it is drawn").to_csv();
        csv.lines().map(str::to_owned).collect()
    }

    #[test]
    fn figures_have_what_moved() {
        let rows = [
            row(0, Outcome::Moved, 4.0),
            row(0, Outcome::Moved, 6.0),
            row(0, Outcome::Stayed, 900.0),
            row(100, Outcome::Moved, 15.0),
            row(50, Outcome::Unknown, 1.0),
        ];
        let document = document(&rows);
        let time = csv(&document, "migration-time");
        for wanted in [
            "as measured,median,0,5",
            "as measured,upper quartile,0,5.5",
            "as measured,median,100,15",
            "as measured,thesis,10,4.29",
            "relative to no load,median,100,3",
        ] {
            assert!(
                time.iter().any(|line| line == wanted),
                "{wanted}: {time:#?}"
            );
        }
        assert!(!time.iter().any(|line| line.contains(",50,")), "{time:#?}");
        assert!(csv(&document, "downtime").contains(&"as measured,median,100,150".into()));
        let shares: f64 = (csv(&document, "migrated-bytes").iter().skip(1))
            .map(|line| {
                line.split(',')
                    .nth(1)
                    .expect("two columns")
                    .parse::<f64>()
                    .expect("a share")
            })
            .sum();
        assert!((shares - 1.0).abs() < 1e-9, "{shares}");
        let html = document.to_html();
        assert!(
            html.contains("2 of 5 migrations did not move the VM"),
            "{html}"
        );
    }

    #[test]
    fn nothing_is_no_figure() {
        for rows in [&[][..], &[row(0, Outcome::Stayed, 1.0)]] {
            let document = document(rows);
            assert_eq!(document.figures().count(), 0);
            assert!(
                document
                    .to_html()
                    .contains("No migration has moved the VM yet")
            );
        }
    }
}
