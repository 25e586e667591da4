//! The frame of a chart: grid, ticks, labels.

use maud::{Markup, html};

use super::number::coordinate;
use super::scale::Scale;
use super::svg::{Anchor, Area, FONT, path, text, text_width, widest};

const GAP: f64 = 6.0;
/// Right of the plot.
const RIGHT: f64 = 10.0;

/// The room around a chart's plot: tick labels on the left and below, axis labels above and below them.
pub(super) fn plot_area(area: Area, y: &Scale, y_label: &str, x_label: &str) -> Area {
    let labels = y.ticks();
    let left = widest(labels.iter().map(|(_, label)| label.as_str())) + GAP;
    let top = if y_label.is_empty() { 8.0 } else { 1.9 * FONT };
    let bottom = if x_label.is_empty() { 1.6 } else { 3.1 } * FONT;
    area.within(left, top, RIGHT, bottom)
}

/// Horizontal grid lines with labels at the left, and the axis label above them.
pub(super) fn y_axis(plot: Area, scale: &Scale, label: &str) -> Markup {
    let ticks = scale.ticks();
    let y = |value| {
        scale
            .place(value)
            .map(|place| plot.bottom() - place * plot.height)
    };
    let lines: String = (ticks.iter())
        .filter_map(|(value, _)| y(*value))
        .map(|y| {
            format!(
                "M{} {}h{}",
                coordinate(plot.x),
                coordinate(y),
                coordinate(plot.width)
            )
        })
        .collect();
    html! {
        (path("grid", &lines))
        @for (value, label) in &ticks {
            @if let Some(y) = y(*value) {
                (text(plot.x - GAP, y + 0.35 * FONT, Anchor::End, "soft", label))
            }
        }
        @if !label.is_empty() {
            // Level, as a label that is turned is read less well, and from the very left for its length.
            (text(plot.x - widest(ticks.iter().map(|(_, label)| label.as_str())) - GAP,
                plot.y - 0.9 * FONT, Anchor::Start, "soft", label))
        }
    }
}

/// Ticks with labels below the plot, as many as there is room for, and the axis label below them.
pub(super) fn x_axis(plot: Area, scale: &Scale, label: &str) -> Markup {
    let ticks: Vec<_> = (scale.ticks().into_iter())
        .filter_map(|(value, label)| Some((plot.x + scale.place(value)? * plot.width, label)))
        .collect();
    html! {
        (path("axis", &format!("M{} {}h{}", coordinate(plot.x), coordinate(plot.bottom()), coordinate(plot.width))))
        (x_labels(plot, &ticks))
        (x_label(plot, label))
    }
}

/// Labels below the plot at these places, ascending; so many of them that they do not touch, and the last one within
/// the drawing.
pub(super) fn x_labels(plot: Area, labels: &[(f64, String)]) -> Markup {
    let half = |label: &str| text_width(label) / 2.0;
    let centre = |x: f64, label: &str| x.min(plot.right() + RIGHT - half(label));
    let touches = |every: &usize| {
        let shown: Vec<_> = labels.iter().step_by(*every).collect();
        shown.windows(2).any(|pair| {
            let [(left, a), (right, b)] = [pair[0], pair[1]];
            left + half(a) + GAP > centre(*right, b) - half(b)
        })
    };
    let every = (1..labels.len())
        .find(|every| !touches(every))
        .unwrap_or(labels.len().max(1));
    let ticks: String = (labels.iter())
        .map(|(x, _)| format!("M{} {}v4", coordinate(*x), coordinate(plot.bottom())))
        .collect();
    html! {
        (path("axis", &ticks))
        @for (x, label) in labels.iter().step_by(every) {
            (text(centre(*x, label), plot.bottom() + 1.35 * FONT, Anchor::Middle, "soft", label))
        }
    }
}

/// The label of a horizontal axis, below those of its ticks.
pub(super) fn x_label(plot: Area, label: &str) -> Markup {
    html! {
        @if !label.is_empty() {
            (text(plot.x + plot.width / 2.0, plot.bottom() + 2.7 * FONT, Anchor::Middle, "soft", label))
        }
    }
}
