//! Figures: charts side by side with one legend, as SVG and as CSV.

use std::borrow::Cow;

use maud::{Markup, PreEscaped, html};

use super::bars::{BarChart, RowChart};
use super::document::{file_name, without_controls};
use super::heat::{HeatMap, HeatScale};
use super::line::LineChart;
use super::number::coordinate;
use super::svg::{Anchor, Area, FONT, rect, shortened, text, text_width};
use super::table::Table;

/// One or more charts side by side. They share their colours and a legend.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Figure {
    /// The name of its files, of lower-case letters, digits and hyphens.
    pub name: String,
    /// What it shows, in a few words.
    pub title: String,
    /// What there is to see, for those who do not see it.
    pub description: String,
    /// Names of lines and bars in the order of their colours, so that a name has the same colour in several figures;
    /// others come after these.
    pub palette: Vec<String>,
    /// How many panels stand side by side; at least one.
    pub columns: usize,
    /// The charts.
    pub panels: Vec<Panel>,
}

/// A chart in a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What sets it apart from the figure's other charts; may be empty.
    pub title: String,
    /// The chart.
    pub chart: Chart,
}

/// A chart.
#[derive(Clone, Debug, PartialEq)]
pub enum Chart {
    /// Lines.
    Lines(LineChart),
    /// Upright bars in groups.
    Bars(BarChart),
    /// Lying bars.
    Rows(RowChart),
    /// A matrix.
    Heat(HeatMap),
}

/// The style sheet of a chart in a page or a file.
pub(super) const STYLE: &str = include_str!("chart.css");

/// `chart.css` has so many styles of lines and bars.
const STYLES: usize = 10;

const WIDTH: f64 = 640.0;
const COLUMN_GAP: f64 = 20.0;
const TITLE: f64 = 1.8 * FONT;
const LEGEND_LINE: f64 = 1.6 * FONT;

impl Figure {
    /// The figure as a file of its own, that follows the reader's choice of light or dark.
    pub fn to_svg(&self) -> String {
        let root = self.draw(Some(STYLE));
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n",
            without_controls(root)
        )
    }

    /// The figure within a page that has [`STYLE`].
    pub(super) fn to_inline(&self) -> Markup {
        self.draw(None)
    }

    /// The numbers of all charts, each with the title of its panel where there are several.
    pub fn to_csv(&self) -> String {
        match self.table() {
            Some(table) => table.to_csv(),
            // Panels of different kinds one after the other, with an empty line between them.
            None => self
                .tables()
                .iter()
                .map(Table::to_csv)
                .collect::<Vec<_>>()
                .join("\n"),
        }
    }

    /// The numbers as one table, if all charts have the same columns.
    pub(super) fn table(&self) -> Option<Table> {
        let mut tables = self.tables().into_iter();
        let first = tables.next()?;
        tables.try_fold(first, |all, table| all.followed_by(&table))
    }

    fn tables(&self) -> Vec<Table> {
        let table = |panel: &Panel| match (self.panels.len(), panel.chart.table()) {
            (1, table) => table,
            (_, table) => table.with_first_column("panel", &panel.title),
        };
        self.panels.iter().map(table).collect()
    }

    /// The names in the legend, in the order of their first appearance.
    fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for name in self.panels.iter().flat_map(|panel| panel.chart.names()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn draw(&self, style: Option<&str>) -> Markup {
        let names = self.names();
        let style_of = self.styles(&names);
        let named: Vec<_> = match self.panels.iter().any(|panel| panel.chart.has_legend()) {
            true => names.iter().map(|name| (style_of(name), *name)).collect(),
            false => Vec::new(),
        };
        let is_line = |panel: &Panel| matches!(panel.chart, Chart::Lines(_));
        let lines = self.panels.iter().any(is_line);
        let entries = legend_places(&named, if lines { 28.0 } else { FONT });
        let legend = entries.last().map_or(4.0, |entry| entry.y + 0.9 * FONT);
        let maxima = self
            .panels
            .iter()
            .filter_map(|panel| panel.chart.heat_max());
        let max = maxima.reduce(f64::max);
        let (panels, bottom) = self.arrange(legend);
        let below = max.map_or(4.0, |_| HeatScale::LEGEND);
        let content = html! {
            @for entry in &entries { (entry.draw(lines)) }
            @for (panel, area) in self.panels.iter().zip(panels) {
                (text(area.x, area.y - 0.6 * FONT, Anchor::Start, "head", &shortened(&panel.title, area.width)))
                (panel.chart.draw(area, &style_of, HeatScale { max: max.unwrap_or(0.0) }))
            }
            @if max.is_some() {
                @let strip = Area { x: 0.0, y: bottom, width: WIDTH, height: HeatScale::LEGEND };
                (HeatScale::legend(strip, "share of the greatest value (empty: none)"))
            }
        };
        self.frame(style, bottom + below, &content)
    }

    /// Numbers the styles of these names: the palette's come first.
    fn styles<'a>(&'a self, names: &[&'a str]) -> impl Fn(&str) -> usize + use<'a> {
        let mut colours: Vec<&str> = self.palette.iter().map(String::as_str).collect();
        for name in names {
            if !colours.contains(name) {
                colours.push(name);
            }
        }
        move |name| colours.iter().position(|known| *known == name).unwrap_or(0) % STYLES
    }

    /// The drawing of this height, with its title and description, around its content.
    fn frame(&self, style: Option<&str>, height: f64, content: &Markup) -> Markup {
        // A page has margins, a file needs its own.
        let margin = if style.is_some() { 12.0 } else { 0.0 };
        let all = Area {
            x: 0.0,
            y: 0.0,
            width: WIDTH,
            height: height.ceil(),
        };
        let paper = all.within(-margin, -margin, -margin, -margin);
        let name = file_name(&self.name);
        let (title_id, text_id) = (format!("{name}-title"), format!("{name}-text"));
        html! {
            svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img"
                viewBox=(paper.to_view_box())
                aria-labelledby=(format!("{title_id} {text_id}")) {
                title id=(title_id) { (self.title) }
                desc id=(text_id) { (self.description) }
                @if let Some(style) = style { style { (PreEscaped(style)) } }
                (rect("paper", paper))
                (content)
            }
        }
    }

    /// Where the panels' charts are, in rows below `top`, and where these end.
    fn arrange(&self, top: f64) -> (Vec<Area>, f64) {
        let columns = self.columns.clamp(1, self.panels.len().max(1));
        let width = (WIDTH - COLUMN_GAP * (columns - 1) as f64) / columns as f64;
        let mut areas = Vec::new();
        let mut y = top;
        for row in self.panels.chunks(columns) {
            let titled = row.iter().any(|panel| !panel.title.is_empty());
            y += if titled { TITLE } else { 0.0 };
            let height = row
                .iter()
                .map(|panel| panel.chart.height(width))
                .fold(0.0, f64::max);
            for column in 0..row.len() {
                let x = (width + COLUMN_GAP) * column as f64;
                areas.push(Area {
                    x,
                    y,
                    width,
                    height,
                });
            }
            y += height + 10.0;
        }
        (areas, y)
    }
}

/// A name in the legend and its place.
struct Entry<'a> {
    x: f64,
    y: f64,
    sample: f64,
    style: usize,
    name: Cow<'a, str>,
}

/// The legend's names in lines from the top, each after a sample of this width.
fn legend_places<'a>(names: &[(usize, &'a str)], sample: f64) -> Vec<Entry<'a>> {
    let (mut x, mut y) = (0.0, FONT);
    let mut entries = Vec::new();
    for (style, name) in names {
        let name = shortened(name, WIDTH - sample - 6.0);
        let width = sample + 6.0 + text_width(&name);
        if x > 0.0 && x + width > WIDTH {
            (x, y) = (0.0, y + LEGEND_LINE);
        }
        entries.push(Entry {
            x,
            y,
            sample,
            style: *style,
            name,
        });
        x += width + 10.0;
    }
    entries
}

impl Entry<'_> {
    /// A piece of line if the figure has lines, and of a bar if not.
    fn draw(&self, lines: bool) -> Markup {
        let (x, y) = (coordinate(self.x), coordinate(self.y - 0.35 * FONT));
        html! {
            g class=(format!("s{}", self.style)) {
                @if lines {
                    path class="line" d=(format!("M{x} {y}h{}", self.sample)) {}
                } @else {
                    (rect("fill", Area { x: self.x, y: self.y - 0.8 * FONT, width: self.sample, height: 0.85 * FONT }))
                }
            }
            (text(self.x + self.sample + 6.0, self.y, Anchor::Start, "", &self.name))
        }
    }
}

impl Chart {
    fn draw(&self, area: Area, style: &dyn Fn(&str) -> usize, heat: HeatScale) -> Markup {
        match self {
            Self::Lines(chart) => chart.draw(area, style),
            Self::Bars(chart) => chart.draw(area, style),
            Self::Rows(chart) => chart.draw(area, style),
            Self::Heat(chart) => chart.draw(area, heat),
        }
    }

    fn height(&self, width: f64) -> f64 {
        match self {
            Self::Lines(_) | Self::Bars(_) => (0.5 * width).max(230.0),
            Self::Rows(chart) => chart.height(),
            Self::Heat(chart) => {
                let (left, top, right, bottom) = chart.margins();
                width.min(440.0) - left - right + top + bottom
            }
        }
    }

    fn names(&self) -> Vec<&str> {
        match self {
            Self::Lines(chart) => chart.names().collect(),
            Self::Bars(chart) => chart.names().collect(),
            Self::Rows(chart) => chart.rows.iter().map(|row| row.0.as_str()).collect(),
            Self::Heat(_) => Vec::new(),
        }
    }

    /// Rows have their names beside them, and so has a chart with one series in its title.
    fn has_legend(&self) -> bool {
        match self {
            Self::Lines(_) | Self::Bars(_) => self.names().len() > 1,
            Self::Rows(_) | Self::Heat(_) => false,
        }
    }

    fn heat_max(&self) -> Option<f64> {
        match self {
            Self::Heat(chart) => Some(chart.max()),
            _ => None,
        }
    }

    fn table(&self) -> Table {
        match self {
            Self::Lines(chart) => chart.table(),
            Self::Bars(chart) => chart.table(),
            Self::Rows(chart) => chart.table(),
            Self::Heat(chart) => chart.table(),
        }
    }
}
