//! Merged runs as a report.

use super::{Distinction, Group, Merged, MergedRun, Spread};
use crate::report::{
    Axis, Block, Cell, Chart, Course, Document, Figure, Line, LineChart, Panel, Section, Table,
};
use crate::sweep::{Method, RunSpec, TokenRun};
use crate::{MigrationCostForm, TokenStart};

/// A number that a run may have.
type Measure = fn(&MergedRun) -> Option<f64>;

/// What the table has of each group besides its parameters, as mean and standard deviation.
const MEASURES: [(&str, Measure); 6] = [
    ("final cost", |run| Some(run.report.final_cost)),
    ("reduction in %", |run| Some(run.reduction_percent())),
    ("VMs moved", |run| Some(run.report.vms_moved as f64)),
    ("rounds", |run| Some(run.report.rounds as f64)),
    ("CPU seconds", |run| Some(run.report.seconds)),
    ("times the reference", MergedRun::ratio),
];

impl Merged {
    /// A report: means and spreads of every [group](Self::groups), and the reduction over c_m as in Fig. 5.3 where
    /// runs differ in that.
    pub fn to_document(&self) -> Document {
        let groups = self.groups();
        let apart = Distinction::of(&groups);
        let mut facts = vec![("runs".to_owned(), self.runs.len().to_string())];
        let shared = apart.shared.iter();
        facts.extend(shared.map(|(name, value)| (name.replace('_', " "), value.clone())));
        let partial = self.partial().count();
        let warning = format!("{partial} runs were stopped on the way and are left out.");
        let mut sections = vec![Section {
            title: "Means over seeds".into(),
            blocks: vec![Block::Table(
                "Runs alike but for their seeds: mean and standard deviation (±).".into(),
                table(&groups, &apart),
            )],
        }];
        let figures: Vec<Block> = curves(&groups).into_iter().map(figure).collect();
        if !figures.is_empty() {
            sections.push(Section {
                title: "Reduction over c_m".into(),
                blocks: figures,
            });
        }
        Document::new("S-CORE: merged runs", sections)
            .with_facts(facts)
            .with_warning((partial > 0).then_some(warning))
    }
}

fn table(groups: &[Group<'_>], apart: &Distinction) -> Table {
    let spreads = |group: &Group<'_>| MEASURES.map(|(_, measure)| group.spread(measure));
    let spreads: Vec<_> = groups.iter().map(spreads).collect();
    let known = |measure: &usize| spreads.iter().any(|row| row[*measure].is_some());
    let known: Vec<usize> = (0..MEASURES.len()).filter(known).collect();
    let names = apart.columns.iter().map(|name| name.replace('_', " "));
    let measures = known.iter().flat_map(|measure| [MEASURES[*measure].0, "±"]);
    let measures = measures.map(str::to_owned);
    let mut table = Table::new(names.chain(["runs".to_owned()]).chain(measures));
    for ((group, parameters), spreads) in groups.iter().zip(&apart.rows).zip(&spreads) {
        let number = |number: Option<f64>| number.map_or(Cell::Missing, Cell::rounded);
        let measures = known.iter().flat_map(|measure| {
            let spread = spreads[*measure];
            let deviation = spread.filter(|spread| spread.count > 1);
            [
                number(spread.map(|spread| spread.mean)),
                number(deviation.map(|spread| spread.deviation)),
            ]
        });
        let parameters = parameters.iter().map(Cell::text);
        let count = Cell::count(group.runs().len() as u64);
        table.push(parameters.chain([count]).chain(measures));
    }
    table
}

/// Reductions of groups that differ in their policy and c_m alone, a form of c_m each.
struct Curves<'a> {
    run: &'a RunSpec,
    token: TokenRun,
    groups: Vec<(TokenRun, Spread)>,
}

/// All that have more than one c_m of the same form.
fn curves<'a>(groups: &'a [Group<'a>]) -> Vec<Curves<'a>> {
    let mut all: Vec<Curves<'a>> = Vec::new();
    for group in groups {
        let run = group.parameters();
        let spread = group.spread(|run| Some(run.reduction_percent()));
        let (Method::Token(token), Some(spread)) = (run.method, spread) else {
            continue;
        };
        let alike = |curves: &&mut Curves<'_>| {
            let other = RunSpec {
                method: Method::Token(TokenRun {
                    policy: curves.token.policy,
                    migration_cost: curves.token.migration_cost,
                    ..token
                }),
                ..run.clone()
            };
            let form = form(token.migration_cost).0 == form(curves.token.migration_cost).0;
            form && other.order_but_seed(curves.run).is_eq()
        };
        match all.iter_mut().find(alike) {
            Some(curves) => curves.groups.push((token, spread)),
            None => all.push(Curves {
                run,
                token,
                groups: vec![(token, spread)],
            }),
        }
    }
    let costs = |curves: &Curves<'_>| {
        let first = curves.token.migration_cost;
        let mut costs = curves.groups.iter().map(|(token, _)| token.migration_cost);
        costs.any(|cost| cost != first)
    };
    all.retain(costs);
    all
}

/// What c_m is given in, and how much.
fn form(migration_cost: MigrationCostForm) -> (&'static str, f64) {
    match migration_cost {
        MigrationCostForm::Absolute(cost) => ("c_m in bytes per second times link weight", cost),
        MigrationCostForm::PercentOfOwn(percent) => {
            ("c_m in % of 2 C(u), the VM's own part", percent)
        }
        MigrationCostForm::PercentOfMean(percent) => {
            ("c_m in % of C / |V|, the mean cost per VM", percent)
        }
    }
}

fn figure(curves: Curves<'_>) -> Block {
    let mut series: Vec<Line> = Vec::new();
    for (token, spread) in &curves.groups {
        let (name, point) = (
            token.policy.name(),
            (form(token.migration_cost).1, spread.mean),
        );
        match series.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => series.push(Line {
                name: name.into(),
                points: vec![point],
                course: Course::Straight,
            }),
        }
    }
    let (axis, _) = form(curves.token.migration_cost);
    let of = &curves.run.data_centre;
    let rounds = match curves.token.max_rounds {
        Some(rounds) => format!(", at most {rounds} rounds"),
        None => String::new(),
    };
    let start = match curves.token.start {
        TokenStart::Measured => "",
        TokenStart::Empty => ", empty token",
    };
    let title = format!(
        "{}, {} VMs, {} flows per VM, {} placement, {}{rounds}{start}; {axis}",
        of.topology,
        of.vms,
        of.flows_per_vm,
        of.placement_name(),
        curves.token.target_choice,
    );
    let caption = format!("By how much the policies lower the cost over {axis}; means over seeds.");
    let figure = Figure {
        name: "reduction-over-c-m".into(),
        title,
        description: caption.clone(),
        palette: Vec::new(),
        columns: 1,
        panels: vec![Panel {
            title: String::new(),
            chart: Chart::Lines(LineChart {
                x: Axis::linear(axis),
                y: Axis::linear("reduction in %"),
                series,
                references: Vec::new(),
            }),
        }],
    };
    Block::Figure(caption, figure)
}
