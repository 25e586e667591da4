//! 5.1.3: servers and racks that are idle, racks that are hot.

use std::borrow::Cow;

use super::Scenario;
use crate::measure::PlacementMeasures;
use crate::report::table::{Cell, Table};
use crate::report::{BarChart, Bars, Block, Chart, Panel};

impl Scenario {
    pub(super) fn idle(&self) -> Vec<Block> {
        if self.runs().next().is_none() || self.before.servers == 0 {
            return Vec::new();
        }
        let best = self.best_reference();
        let shown = self.policies.iter().chain(best);
        let bars = |(name, measures): (Cow<'_, str>, &PlacementMeasures)| Bars {
            name: name.into(),
            values: shares(measures)
                .into_iter()
                .map(|(_, share)| 100.0 * share)
                .collect(),
        };
        let chart = BarChart {
            x_label: String::new(),
            groups: shares(&self.before)
                .into_iter()
                .map(|(name, _)| name.into())
                .collect(),
            y_label: "% of all".into(),
            series: self.placements(shown).map(bars).collect(),
        };
        let panels = vec![Panel {
            title: String::new(),
            chart: Chart::Bars(chart),
        }];
        let description = "Idle servers, idle racks and hot racks, before and after.".into();
        let figure = self.figure(
            "idle",
            "Idle servers, idle racks, hot racks",
            description,
            1,
            panels,
        );
        let caption = "Idle servers and racks host no VM and could be powered down. A rack is hot if it exchanges more than half \
            as much with other racks as a rack did on average in the beginning."
            .into();
        let of_table = "Servers and racks in numbers.".into();
        vec![
            Block::Figure(caption, figure),
            Block::Table(of_table, self.idle_table()),
        ]
    }

    fn idle_table(&self) -> Table {
        let mut table = Table::new([
            "placement",
            "idle servers",
            "of",
            "idle racks",
            "hot racks",
            "of",
        ]);
        for (name, measures) in self.placements(self.runs()) {
            let racks = measures.racks;
            let count = |count: Option<usize>| {
                count.map_or(Cell::Missing, |count| Cell::count(count as u64))
            };
            table.push([
                Cell::text(name),
                count(Some(measures.idle_servers)),
                count(Some(measures.servers)),
                count(racks.map(|racks| racks.idle)),
                count(racks.map(|racks| racks.hot)),
                count(racks.map(|racks| racks.count)),
            ]);
        }
        table
    }
}

/// What part of all servers and racks.
fn shares(measures: &PlacementMeasures) -> Vec<(&'static str, f64)> {
    let share = |count, all: usize| count as f64 / all.max(1) as f64;
    let mut shares = vec![(
        "idle servers",
        share(measures.idle_servers, measures.servers),
    )];
    if let Some(racks) = measures.racks {
        shares.push(("idle racks", share(racks.idle, racks.count)));
        shares.push(("hot racks", share(racks.hot, racks.count)));
    }
    shares
}
