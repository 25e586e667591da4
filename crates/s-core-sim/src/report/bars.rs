//! Bar charts: upright in groups, or lying in rows.

use maud::{Markup, html};

use super::axes;
use super::number::{self, coordinate};
use super::scale::{Scale, Spread};
use super::svg::{Anchor, Area, FONT, path, shortened, text, widest};
use super::table::{Cell, Table};

/// Upright bars in groups, one bar of each series in each group; a histogram has one group per value.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct BarChart {
    /// What the groups are.
    pub x_label: String,
    /// The groups' names.
    pub groups: Vec<String>,
    /// What the bars' heights are.
    pub y_label: String,
    /// The bars.
    pub series: Vec<Bars>,
}

/// A bar in each group.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Bars {
    /// Its name in the legend.
    pub name: String,
    /// The height of the bar in each group; bars that are not there have none.
    pub values: Vec<f64>,
}

impl BarChart {
    /// `style` numbers the names of series.
    pub(super) fn draw(&self, area: Area, style: &dyn Fn(&str) -> usize) -> Markup {
        let values = self
            .series
            .iter()
            .flat_map(|bars| bars.values.iter().copied());
        let y = Scale::new(Spread::Linear, values, 5, false);
        let plot = axes::plot_area(area, &y, &self.y_label, &self.x_label);
        let group = plot.width / self.groups.len().max(1) as f64;
        let left = |index: usize| plot.x + group * index as f64;
        let labels: Vec<_> = (self.groups.iter().enumerate())
            .map(|(index, name)| (left(index) + group / 2.0, name.clone()))
            .collect();
        let width = group * 0.8 / self.series.len().max(1) as f64;
        let outline = |place: usize, bars: &Bars| -> String {
            let bar = |(index, value): (usize, &f64)| {
                let x = left(index) + group * 0.1 + width * place as f64;
                upright(x, plot.bottom(), width, y.place(*value)? * plot.height)
            };
            let values = bars.values.iter().enumerate().take(self.groups.len());
            values.filter_map(bar).collect()
        };
        html! {
            (axes::y_axis(plot, &y, &self.y_label))
            @for (place, bars) in self.series.iter().enumerate() {
                g class=(format!("s{}", style(&bars.name))) { (path("fill", &outline(place, bars))) }
            }
            (path("axis", &format!("M{} {}h{}", coordinate(plot.x), coordinate(plot.bottom()), coordinate(plot.width))))
            (axes::x_labels(plot, &labels))
            (axes::x_label(plot, &self.x_label))
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.series.iter().map(|bars| bars.name.as_str())
    }

    /// A row per group, a column per series.
    pub(super) fn table(&self) -> Table {
        let names = self.series.iter().map(|bars| bars.name.as_str());
        let mut table = Table::new(std::iter::once(self.x_label.as_str()).chain(names));
        for (index, group) in self.groups.iter().enumerate() {
            let values = self.series.iter().map(|bars| bars.values.get(index));
            let cells =
                values.map(|value| value.map_or(Cell::Missing, |value| Cell::exact(*value)));
            table.push(std::iter::once(Cell::text(group)).chain(cells));
        }
        table
    }
}

/// A bar with a little room beside it, or none if it is too low to be seen.
fn upright(x: f64, bottom: f64, width: f64, height: f64) -> Option<String> {
    let room = (width * 0.12).min(2.0);
    let (x, width) = (coordinate(x + room / 2.0), coordinate(width - room));
    let (bottom, height) = (coordinate(bottom), coordinate(height));
    (height != "0").then(|| format!("M{x} {bottom}v-{height}h{width}v{height}z"))
}

/// Lying bars, one below the other, with their names before and their values behind them.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RowChart {
    /// What the values are.
    pub label: String,
    /// Names and values, from top to bottom.
    pub rows: Vec<(String, f64)>,
    /// How values are written behind the bars.
    pub written: Written,
}

/// How a number is written for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Written {
    /// Like `12.35 k`.
    #[default]
    Short,
    /// A fraction of 1 as per cent.
    Percent,
}

impl Written {
    pub(super) fn write(self, value: f64) -> String {
        match self {
            Self::Short => number::short(value),
            Self::Percent => number::percent(value),
        }
    }
}

const ROW: f64 = 1.75 * FONT;

impl RowChart {
    /// How high it is, in units of the drawing.
    pub(super) fn height(&self) -> f64 {
        (self.rows.len() as f64 + 1.2) * ROW
    }

    /// `style` numbers the names of rows.
    pub(super) fn draw(&self, area: Area, style: &dyn Fn(&str) -> usize) -> Markup {
        let x = Scale::new(Spread::Linear, self.rows.iter().map(|row| row.1), 4, true);
        let written: Vec<_> = self
            .rows
            .iter()
            .map(|row| self.written.write(row.1))
            .collect();
        let names: Vec<_> = (self.rows.iter())
            .map(|row| shortened(&row.0, 0.4 * area.width))
            .collect();
        let left = widest(names.iter().map(AsRef::as_ref)) + 8.0;
        let right = widest(written.iter().map(String::as_str)) + 8.0;
        let plot = area.within(left, 1.2 * ROW, right, 0.0);
        html! {
            (text(area.x, area.y + FONT, Anchor::Start, "soft", &self.label))
            @for (index, ((name, value), written)) in self.rows.iter().zip(&written).enumerate() {
                @let y = plot.y + ROW * index as f64;
                @let width = x.place(*value).unwrap_or(0.0) * plot.width;
                (text(plot.x - 8.0, y + 0.72 * ROW, Anchor::End, "", &names[index]))
                g class=(format!("s{}", style(name))) {
                    rect class="fill" x=(coordinate(plot.x)) y=(coordinate(y + 0.18 * ROW))
                        width=(coordinate(width)) height=(coordinate(0.64 * ROW)) {}
                }
                (text(plot.x + width + 6.0, y + 0.72 * ROW, Anchor::Start, "soft", written))
            }
            (path("axis", &format!("M{} {}v{}", coordinate(plot.x), coordinate(plot.y), coordinate(ROW * self.rows.len() as f64))))
        }
    }

    /// Columns `name` and the value.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(["name", &self.label]);
        for (name, value) in &self.rows {
            table.push([Cell::text(name), Cell::exact(*value)]);
        }
        table
    }
}
