//! 5.1.4: how often VMs migrate.

use super::{Run, Scenario};
use crate::report::number;
use crate::report::{BarChart, Bars, Block, Chart, Panel};

/// VMs that migrate more often are shown together.
const MOST: usize = 8;

impl Scenario {
    pub(super) fn stability(&self) -> Vec<Block> {
        let runs: Vec<_> = self
            .policies
            .iter()
            .filter(|run| !run.migrations_per_vm.is_empty())
            .collect();
        let Some(most) = runs.iter().map(|run| run.migrations_per_vm.len() - 1).max() else {
            return Vec::new();
        };
        let bars = |run: &&Run| Bars {
            name: run.label().into_owned(),
            values: shares(&run.migrations_per_vm),
        };
        let group = |count: usize| match most > MOST && count == MOST {
            true => format!("≥ {MOST}"),
            false => count.to_string(),
        };
        let chart = BarChart {
            x_label: "migrations of a VM".into(),
            groups: (0..=most.min(MOST)).map(group).collect(),
            y_label: "% of the VMs".into(),
            series: runs.iter().map(bars).collect(),
        };
        let panels = vec![Panel {
            title: String::new(),
            chart: Chart::Bars(chart),
        }];
        let mean = |run: &&Run| {
            let vms: u64 = run.migrations_per_vm.iter().sum();
            let mean = run.migrations as f64 / vms.max(1) as f64;
            format!(
                "{}: {} per VM, at most {}, {} back to an earlier server, {} of these straight back",
                run.label(),
                number::short(mean),
                run.migrations_per_vm.len() - 1,
                number::count(run.returns),
                number::count(run.oscillations),
            )
        };
        let means: Vec<_> = runs.iter().map(mean).collect();
        let caption = format!(
            "How many VMs migrate how often until nothing is left to gain. {}.",
            means.join("; ")
        );
        let description = "A histogram of the migrations per VM.".into();
        let figure = self.figure("migrations", "Migrations per VM", description, 1, panels);
        vec![Block::Figure(caption, figure)]
    }
}

/// Per cent of the VMs, the last entry of all that migrate more often.
fn shares(vms: &[u64]) -> Vec<f64> {
    let all: u64 = vms.iter().sum();
    let share = |vms: &[u64]| 100.0 * vms.iter().sum::<u64>() as f64 / all.max(1) as f64;
    let (few, often) = vms.split_at(vms.len().min(MOST));
    let often = (!often.is_empty()).then(|| share(often));
    few.chunks(1).map(share).chain(often).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_migrate_often_are_put_together() {
        assert_eq!(shares(&[3, 1]), [75.0, 25.0]);
        assert_eq!(
            shares(&[2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1]),
            [50.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 50.0]
        );
        assert_eq!(shares(&[0]), [0.0]);
    }
}
