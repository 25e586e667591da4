//! Places and texts in a drawing.

use std::borrow::Cow;

use maud::{Markup, html};

use super::number::coordinate;

/// The font size of `chart.css`, in units of the drawing.
pub(super) const FONT: f64 = 14.0;

/// A rectangle in a drawing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Area {
    pub(super) fn right(&self) -> f64 {
        self.x + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.y + self.height
    }

    pub(super) fn to_view_box(self) -> String {
        let sides = [self.x, self.y, self.width, self.height];
        sides.map(coordinate).join(" ")
    }

    /// What is left of it within these margins.
    pub(super) fn within(&self, left: f64, top: f64, right: f64, bottom: f64) -> Self {
        Self {
            x: self.x + left,
            y: self.y + top,
            width: (self.width - left - right).max(1.0),
            height: (self.height - top - bottom).max(1.0),
        }
    }
}

/// Where a text's place is in it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// A text whose base line is at `y`; nothing if it is empty.
pub(super) fn text(x: f64, y: f64, anchor: Anchor, class: &str, text: &str) -> Markup {
    html! {
        @if !text.is_empty() {
            text x=(coordinate(x)) y=(coordinate(y)) text-anchor=(anchor.name()) class=(class) { (text) }
        }
    }
}

/// A path of lines that are neither slanted nor filled.
pub(super) fn path(class: &str, d: &str) -> Markup {
    html! { path class=(class) d=(d) {} }
}

pub(super) fn rect(class: &str, area: Area) -> Markup {
    html! {
        rect class=(class) x=(coordinate(area.x)) y=(coordinate(area.y))
            width=(coordinate(area.width)) height=(coordinate(area.height)) {}
    }
}

/// How wide a text is at most: an estimate after the widest of the usual fonts, as none is at hand.
pub(super) fn text_width(text: &str) -> f64 {
    let of = |character: char| match character {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | '\u{202f}' => 0.3,
        'f' | 'r' | 't' | ' ' | '(' | ')' | '-' | '/' | '\u{a0}' => 0.4,
        'm' | 'w' | 'M' | 'W' | '%' => 0.9,
        'A'..='Z' => 0.7,
        _ => 0.64,
    };
    text.chars().map(of).sum::<f64>() * FONT
}

/// The text, or its beginning if it is wider than this.
pub(super) fn shortened(text: &str, width: f64) -> Cow<'_, str> {
    if text_width(text) <= width {
        return text.into();
    }
    let mut short = String::new();
    for character in text.chars() {
        short.push(character);
        if text_width(&short) + FONT > width {
            short.pop();
            break;
        }
    }
    (short + "…").into()
}

/// The widest of these texts.
pub(super) fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> f64 {
    texts.map(text_width).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_texts_are_shortened() {
        assert_eq!(shortened("short", 100.0), "short");
        let short = shortened("much too long for its place", 100.0);
        assert!(
            short.starts_with("much too") && short.ends_with('…') && text_width(&short) <= 100.0,
            "{short}"
        );
        assert_eq!(shortened("ab", 1.0), "…");
    }
}
