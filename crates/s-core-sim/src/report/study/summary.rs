//! The table of all runs.

use super::Scenario;
use crate::report::number;
use crate::report::table::{Cell, Table};
use crate::report::{Block, study::BEFORE};

impl Scenario {
    pub(super) fn summary(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        if !self.description.is_empty() {
            blocks.push(Block::Paragraph(self.description.clone()));
        }
        blocks.extend(self.sentence().map(Block::Paragraph));
        if self.runs().next().is_some() {
            let caption = "Costs are Eq. 3.1, in bytes per second times link weight. “× best” is the cost divided by the \
                lowest known one. CPU seconds are those of the run alone."
                .into();
            blocks.push(Block::Table(caption, self.table()));
        }
        blocks
    }

    /// The result in words.
    fn sentence(&self) -> Option<String> {
        let shares = || {
            self.policies
                .iter()
                .map(|run| 1.0 - self.share(run.after.cost))
        };
        let least = shares().reduce(f64::min)?;
        let most = shares().reduce(f64::max)?;
        let saved = match self.policies.len() {
            1 => format!("S-CORE saves {} of the cost", number::percent(most)),
            _ => format!(
                "S-CORE saves {} to {} of the cost",
                number::percent(least),
                number::percent(most)
            ),
        };
        let reference = self.best_reference().map(|run| {
            let saved = number::percent(1.0 - self.share(run.after.cost));
            format!(
                "; the best reference placement ({}) would save {saved}",
                run.name
            )
        });
        Some(format!("{saved}{}.", reference.unwrap_or_default()))
    }

    fn table(&self) -> Table {
        let best = Self::best(self.runs())
            .map_or(self.before.cost, |run| run.after.cost.min(self.before.cost));
        let mut table = Table::new([
            "placement",
            "cost",
            "saved",
            "×\u{a0}best",
            "migrations",
            "VMs\u{a0}moved",
            "hops",
            "rounds",
            "CPU\u{a0}s",
        ]);
        let times_best = |cost: f64| match best > 0.0 {
            true => Cell::Number(cost / best, format!("{:.2}", cost / best)),
            false => Cell::Missing,
        };
        let before = [
            Cell::text(BEFORE),
            Cell::rounded(self.before.cost),
            Cell::Missing,
            times_best(self.before.cost),
        ];
        table.push(before.into_iter().chain((0..5).map(|_| Cell::Missing)));
        for run in self.runs() {
            table.push([
                Cell::text(run.label()),
                Cell::rounded(run.after.cost),
                Cell::percent(1.0 - self.share(run.after.cost)),
                times_best(run.after.cost),
                Cell::count(run.migrations),
                Cell::count(run.moved),
                run.token_hops.map_or(Cell::Missing, Cell::count),
                run.rounds.map_or(Cell::Missing, Cell::count),
                match run.cpu_seconds > 0.0 {
                    true => Cell::Number(run.cpu_seconds, format!("{:.3}", run.cpu_seconds)),
                    false => Cell::Missing,
                },
            ]);
        }
        table
    }
}
