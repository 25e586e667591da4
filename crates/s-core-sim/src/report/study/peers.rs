//! S-CORE beside other systems (2.6).

use super::{Run, Scenario};
use crate::report::table::{Cell, Table};
use crate::report::{Block, Chart, Panel, RowChart, Written};

impl Scenario {
    pub(super) fn other_systems(&self) -> Vec<Block> {
        if self.peers.is_empty() {
            return Vec::new();
        }
        let rows = |value: &dyn Fn(&Run) -> f64| {
            self.runs()
                .map(|run| (run.label().into_owned(), value(run)))
                .collect()
        };
        let cost = RowChart {
            label: "cost, share of the beginning".into(),
            rows: rows(&|run| self.share(run.after.cost)),
            written: Written::Percent,
        };
        let migrations = RowChart {
            label: "migrations".into(),
            rows: rows(&|run| run.migrations as f64),
            written: Written::Short,
        };
        let shown = Self::best(&self.policies)
            .into_iter()
            .chain(&self.peers)
            .chain(self.best_reference());
        let panel = |chart| Panel {
            title: String::new(),
            chart,
        };
        let description = "Cost and migrations of S-CORE's policies, of other systems and of reference placements.".into();
        let panels = vec![panel(Chart::Rows(cost)), panel(Chart::Rows(migrations))];
        let systems = self.figure(
            "systems",
            "S-CORE and other systems",
            description,
            1,
            panels,
        );
        let loads = vec![panel(Chart::Bars(self.link_load_chart(shown)))];
        let description = "The load of the links of each level, before and after.".into();
        let loads = self.figure(
            "systems-link-load",
            "Load per link level, other systems",
            description,
            1,
            loads,
        );
        vec![
            Block::Figure("What is left of the cost (Eq. 3.1), and the migrations that it takes.".into(), systems),
            Block::Figure("Traffic over the links of each level; of the policies and references, those with the lowest cost.".into(), loads),
            Block::Table("S-CORE and other systems; loads in bytes per second.".into(), self.systems_table()),
        ]
    }

    fn systems_table(&self) -> Table {
        let levels = (1..=self.before.link_loads.len()).map(|level| format!("level {level}"));
        let columns = ["system", "saved", "migrations", "VMs moved"].map(String::from);
        let mut table = Table::new(columns.into_iter().chain(levels));
        for run in self.runs() {
            let cells = [
                Cell::text(run.label()),
                Cell::percent(1.0 - self.share(run.after.cost)),
                Cell::count(run.migrations),
                Cell::count(run.moved),
            ];
            let loads = run.after.link_loads.iter().map(|load| Cell::rounded(*load));
            table.push(cells.into_iter().chain(loads));
        }
        table
    }
}
