//! Heat maps.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{Markup, html};

use super::axes;
use super::number;
use super::number::coordinate;
use super::svg::{Anchor, Area, FONT, rect, text, widest};
use super::table::{Cell, Table};

/// A square matrix as a picture, its first row at the top.
///
/// Colours are spread logarithmically over [`DECADES`](Self::DECADES) below the greatest value of all heat
/// maps of a figure, dark on light paper and bright on dark; lower values have the faintest
/// colour, and entries that are 0 none.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct HeatMap {
    /// What rows and columns are.
    pub label: String,
    /// How many rows and columns there are.
    pub side: usize,
    /// The entries, row by row; entries that are not there are 0.
    pub values: Vec<f64>,
    /// How many things rows and columns number, if several share one.
    pub extent: usize,
}

/// The greatest value of all heat maps of a figure, and what it is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeatScale {
    pub(super) max: f64,
}

/// The number of colours beside "none", which has index 0.
const COLOURS: u8 = 255;

impl HeatMap {
    /// How many powers of ten the colours spread over.
    pub const DECADES: u32 = 4;

    pub(super) fn max(&self) -> f64 {
        self.values
            .iter()
            .copied()
            .filter(|value| value.is_finite())
            .fold(0.0, f64::max)
    }

    /// How much room there must be besides the square itself: on the left, above, on the right, below.
    pub(super) fn margins(&self) -> (f64, f64, f64, f64) {
        let left = widest(self.ticks().iter().map(|(_, label)| label.as_str())) + 6.0;
        (left, 6.0, left / 2.0, 3.1 * FONT)
    }

    pub(super) fn draw(&self, area: Area, scale: HeatScale) -> Markup {
        let (left, top, right, bottom) = self.margins();
        let plot = area.within(left, top, right, bottom);
        let side = plot.width.min(plot.height);
        let plot = Area {
            width: side,
            height: side,
            ..plot
        };
        let at = |place: f64| side * place / self.extent.max(1) as f64;
        let below: Vec<_> = (self.ticks().into_iter())
            .map(|(value, label)| (plot.x + at(value), label))
            .collect();
        let pixels: Vec<u8> = (0..self.side * self.side)
            .map(|entry| scale.colour(self.values.get(entry).copied().unwrap_or(0.0)))
            .collect();
        html! {
            @if self.side > 0 { (picture(plot, self.side, self.side, &pixels)) }
            (rect("axis", plot))
            @for (value, label) in self.ticks() {
                (text(plot.x - 6.0, plot.y + at(value) + 0.35 * FONT, Anchor::End, "soft", &label))
            }
            (axes::x_labels(plot, &below))
            (axes::x_label(plot, &self.label))
        }
    }

    /// Ticks at quarters that are whole.
    fn ticks(&self) -> Vec<(f64, String)> {
        let parts = [4, 2, 1]
            .into_iter()
            .find(|parts| self.extent.is_multiple_of(*parts))
            .unwrap_or(1);
        let tick = |part| part * self.extent / parts;
        (0..=parts)
            .map(tick)
            .map(|value| (value as f64, number::short(value as f64)))
            .collect()
    }

    /// Columns `row`, `column` and value of the entries that are not 0.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(["row", "column", &self.label]);
        let entries = self.values.iter().take(self.side * self.side).enumerate();
        for (entry, value) in entries.filter(|entry| *entry.1 != 0.0) {
            let [row, column] =
                [entry / self.side, entry % self.side].map(|place| Cell::exact(place as f64));
            table.push([row, column, Cell::exact(*value)]);
        }
        table
    }
}

impl HeatScale {
    /// The index of a value's colour.
    fn colour(self, value: f64) -> u8 {
        if !value.is_finite() || value <= 0.0 || self.max <= 0.0 {
            return 0;
        }
        let place = 1.0 + (value / self.max).log10() / f64::from(HeatMap::DECADES);
        1 + (place.clamp(0.0, 1.0) * f64::from(COLOURS - 1)).round() as u8
    }

    /// How high the colours' legend is.
    pub(super) const LEGEND: f64 = 3.4 * FONT;

    /// The colours and what they stand for, in a strip in the middle of the area.
    pub(super) fn legend(area: Area, label: &str) -> Markup {
        let pixels: Vec<u8> = (1..=COLOURS).collect();
        let width = area.width.min(300.0);
        let strip = Area {
            x: area.x + (area.width - width) / 2.0,
            y: area.y + 1.3 * FONT,
            width,
            height: 10.0,
        };
        let powers = 0..=HeatMap::DECADES;
        let tick = |power: u32| {
            let value = 10_f64.powi(power as i32 - HeatMap::DECADES as i32);
            let x = strip.x + width * f64::from(power) / f64::from(HeatMap::DECADES);
            let sign = if power == 0 { "≤ " } else { "" };
            (x, format!("{sign}{}", number::short(value)))
        };
        html! {
            (text(strip.x + width / 2.0, area.y + 0.9 * FONT, Anchor::Middle, "soft", label))
            (picture(strip, pixels.len(), 1, &pixels))
            (axes::x_labels(strip, &powers.map(tick).collect::<Vec<_>>()))
        }
    }
}

/// A picture of indexed colours, once for light and once for dark paper.
fn picture(area: Area, columns: usize, rows: usize, pixels: &[u8]) -> Markup {
    html! {
        @for (class, dark) in [("light", false), ("dark", true)] {
            image class=(class) x=(coordinate(area.x)) y=(coordinate(area.y)) preserveAspectRatio="none"
                width=(coordinate(area.width)) height=(coordinate(area.height))
                href=(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png(columns, rows, pixels, dark)))) {}
        }
    }
}

/// Magma, whose lightness rises evenly for all kinds of sight, without its ends: they are the paper.
fn palette(dark: bool) -> Vec<u8> {
    let colour = |index: u8| {
        let place = f64::from(index) / f64::from(COLOURS - 1);
        let place = if dark {
            0.25 + 0.75 * place
        } else {
            0.99 - 0.89 * place
        };
        let colour = colorous::MAGMA.eval_continuous(place);
        [colour.r, colour.g, colour.b]
    };
    [[0, 0, 0]]
        .into_iter()
        .chain((0..COLOURS).map(colour))
        .flatten()
        .collect()
}

fn png(columns: usize, rows: usize, pixels: &[u8], dark: bool) -> Vec<u8> {
    const IN_MEMORY: &str = "writing to memory does not fail";
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, columns as u32, rows as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette(dark));
    // Index 0 is transparent.
    encoder.set_trns([0].as_slice());
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header().expect(IN_MEMORY);
    writer.write_image_data(pixels).expect(IN_MEMORY);
    writer.finish().expect(IN_MEMORY);
    file
}
