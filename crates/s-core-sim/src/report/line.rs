//! Line charts.

use std::fmt::Write;

use maud::{Markup, html};

use super::axes;
use super::number::coordinate;
use super::scale::{Axis, Scale};
use super::svg::{Anchor, Area, FONT, path, shortened, text};
use super::table::{Cell, Table};

/// Lines over a plane.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LineChart {
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines.
    pub series: Vec<Line>,
    /// Level lines across the chart, to compare with.
    pub references: Vec<Reference>,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Line {
    /// Its name in the legend; lines of one name look alike in all charts of a figure.
    pub name: String,
    /// Its points (x, y), ascending by x.
    pub points: Vec<(f64, f64)>,
    /// How it gets from one point to the next.
    pub course: Course,
}

/// How a line gets from one point to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Course {
    /// Straight, with a dot at each point.
    #[default]
    Straight,
    /// Level, then up or down: the value stays as it is until the next point.
    Step,
}

/// A level line across a chart.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Reference {
    /// What it is.
    pub label: String,
    /// How high it is.
    pub value: f64,
}

/// How fine a line is drawn, in units of the drawing.
const GRAIN: f64 = 0.5;

impl LineChart {
    /// `style` numbers the names of lines.
    pub(super) fn draw(&self, area: Area, style: &dyn Fn(&str) -> usize) -> Markup {
        let points = || self.series.iter().flat_map(|line| line.points.iter());
        let references = self.references.iter().map(|reference| reference.value);
        let x = Scale::new(
            self.x.spread,
            points().map(|point| point.0),
            (area.width / 75.0) as usize,
            true,
        );
        let y = Scale::new(
            self.y.spread,
            points().map(|point| point.1).chain(references),
            5,
            false,
        );
        let plot = axes::plot_area(area, &y, &self.y.label, &self.x.label);
        let place = |(px, py): (f64, f64)| {
            let (px, py) = (x.place(px)?, y.place(py)?);
            Some((plot.x + px * plot.width, plot.bottom() - py * plot.height))
        };
        html! {
            (axes::y_axis(plot, &y, &self.y.label))
            (axes::x_axis(plot, &x, &self.x.label))
            @for line in &self.series {
                g class=(format!("s{}", style(&line.name))) { (line.draw(place)) }
            }
            (self.draw_references(plot, &y))
        }
    }

    /// The level lines, with labels at the right that do not cover each other.
    fn draw_references(&self, plot: Area, scale: &Scale) -> Markup {
        let mut lines: Vec<_> = (self.references.iter())
            .filter_map(|reference| {
                let y = plot.bottom() - scale.place(reference.value)? * plot.height;
                Some((y, shortened(&reference.label, plot.width)))
            })
            .collect();
        lines.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut free_above = plot.bottom();
        let bases = lines.iter().map(|(y, _)| {
            let base = (y - 5.0).min(free_above - 2.0);
            free_above = base - FONT;
            base
        });
        let bases: Vec<_> = bases.collect();
        html! {
            @for ((y, label), base) in lines.iter().zip(bases) {
                (path("reference", &format!("M{} {}h{}", coordinate(plot.x), coordinate(*y), coordinate(plot.width))))
                (text(plot.right() - 4.0, base, Anchor::End, "halo", label))
            }
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.series.iter().map(|line| line.name.as_str())
    }

    /// Columns `line`, x and y.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(["line", &self.x.label, &self.y.label]);
        for line in &self.series {
            for (x, y) in &line.points {
                table.push([Cell::text(&line.name), Cell::exact(*x), Cell::exact(*y)]);
            }
        }
        for reference in &self.references {
            table.push([
                Cell::text(&reference.label),
                Cell::Missing,
                Cell::exact(reference.value),
            ]);
        }
        table
    }
}

impl Line {
    fn draw(&self, place: impl Fn((f64, f64)) -> Option<(f64, f64)>) -> Markup {
        let places: Vec<_> = self
            .points
            .iter()
            .filter_map(|point| place(*point))
            .collect();
        let dots = match self.course {
            Course::Straight => places.as_slice(),
            Course::Step => &[],
        };
        html! {
            (path("line", &self.path(&places)))
            @for (x, y) in dots {
                circle class="fill" cx=(coordinate(*x)) cy=(coordinate(*y)) r="3" {}
            }
        }
    }

    fn path(&self, places: &[(f64, f64)]) -> String {
        let mut path = String::new();
        let mut at: Option<(f64, f64)> = None;
        for (index, &(x, y)) in places.iter().enumerate() {
            // What is too near to be seen is left out, but for the end.
            let near =
                |(left, below): (f64, f64)| (x - left).abs() < GRAIN && (y - below).abs() < GRAIN;
            if at.is_some_and(near) && index + 1 < places.len() {
                continue;
            }
            let (shown_x, shown_y) = (coordinate(x), coordinate(y));
            let _ = match (at, self.course) {
                (None, _) => write!(path, "M{shown_x} {shown_y}"),
                (Some(_), Course::Straight) => write!(path, "L{shown_x} {shown_y}"),
                (Some(_), Course::Step) => write!(path, "H{shown_x}V{shown_y}"),
            };
            at = Some((x, y));
        }
        path
    }
}
