//! Figs. 5.1 and 5.4 and the load of links: where the traffic goes.

use super::{BEFORE, Run, Scenario};
use crate::measure::RackTraffic;
use crate::report::table::{Cell, Table};
use crate::report::{BarChart, Bars, Block, Chart, HeatMap, Panel};

impl Scenario {
    pub(super) fn traffic_in_the_network(&self) -> Vec<Block> {
        [self.heat_maps(), self.link_loads()].concat()
    }

    fn heat_maps(&self) -> Vec<Block> {
        let runs: Vec<_> = self.runs().filter(|run| !run.traffic.is_empty()).collect();
        let before = self.traffic_before.as_ref();
        if runs.is_empty() {
            let only = before.map(|traffic| vec![panel(BEFORE, traffic)]);
            return only
                .map(|panels| self.heat_map(None, panels))
                .into_iter()
                .collect();
        }
        let panels = |run: &Run| {
            let after = run
                .traffic
                .iter()
                .map(|moment| panel(&moment.when, &moment.traffic));
            before
                .map(|traffic| panel(BEFORE, traffic))
                .into_iter()
                .chain(after)
                .collect()
        };
        runs.iter()
            .map(|run| self.heat_map(Some(run), panels(run)))
            .collect()
    }

    fn heat_map(&self, run: Option<&Run>, panels: Vec<Panel>) -> Block {
        let (name, title) = match run {
            Some(run) => (
                format!("racks-{}", run.name),
                format!("Traffic between racks, {}", run.label()),
            ),
            None => ("racks".into(), "Traffic between racks".into()),
        };
        let columns = panels.len().min(3);
        let description = "Matrices of the traffic that racks exchange: the fewer and fainter the spots and the nearer to the \
            diagonal, the less traffic passes the upper levels of the network."
            .into();
        let caption = "Traffic between top-of-rack switches, racks in the order of the topology, all pictures on one scale of \
            ratios; traffic within a rack is left out (cf. Figs. 5.1 and 5.4 of the thesis)."
            .into();
        Block::Figure(
            caption,
            self.figure(&name, &title, description, columns, panels),
        )
    }

    fn link_loads(&self) -> Vec<Block> {
        let levels = self.before.link_loads.len();
        if levels == 0 || self.runs().next().is_none() {
            return Vec::new();
        }
        let best = self.best_reference();
        let shown = self.policies.iter().chain(best);
        let panel = Panel {
            title: String::new(),
            chart: Chart::Bars(self.link_load_chart(shown)),
        };
        let description = "The load of the links of each level, before and after.".into();
        let caption = "Traffic over the links of each level, all links of a level together; level 1 is next to the racks, the highest \
            the core."
            .into();
        let figure = self.figure(
            "link-load",
            "Load per link level",
            description,
            1,
            vec![panel],
        );
        let names = (1..=levels).map(|level| format!("level {level}"));
        let mut table = Table::new(std::iter::once("placement".into()).chain(names));
        for (name, measures) in self.placements(self.runs()) {
            let loads = measures.link_loads.iter().map(|load| Cell::rounded(*load));
            table.push(std::iter::once(Cell::text(name)).chain(loads));
        }
        let of_table = "Traffic over the links of each level in bytes per second.".into();
        vec![
            Block::Figure(caption, figure),
            Block::Table(of_table, table),
        ]
    }

    /// Bars of each placement for each level.
    pub(super) fn link_load_chart<'a>(&'a self, runs: impl Iterator<Item = &'a Run>) -> BarChart {
        let levels = 1..=self.before.link_loads.len();
        BarChart {
            x_label: "link level".into(),
            groups: levels.map(|level| level.to_string()).collect(),
            y_label: "bytes per second".into(),
            series: (self.placements(runs))
                .map(|(name, measures)| Bars {
                    name: name.into(),
                    values: measures.link_loads.clone(),
                })
                .collect(),
        }
    }
}

fn panel(title: &str, traffic: &RackTraffic) -> Panel {
    let side = traffic.bins();
    let entry = |place: usize| traffic.between(place / side, place % side);
    let chart = HeatMap {
        label: "rack".into(),
        side,
        values: (0..side * side).map(entry).collect(),
        extent: traffic.racks(),
    };
    Panel {
        title: title.into(),
        chart: Chart::Heat(chart),
    }
}
