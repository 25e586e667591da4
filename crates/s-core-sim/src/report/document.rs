//! Reports: one HTML file with everything in it.

use std::collections::BTreeSet;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::figure::{Figure, STYLE};
use super::table::Table;

/// A report: sections of paragraphs, tables and figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    title: String,
    warning: Option<String>,
    facts: Vec<(String, String)>,
    sections: Vec<Section>,
}

/// A section of a report.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// What stands in it.
    pub blocks: Vec<Block>,
}

/// A part of a section.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Running text.
    Paragraph(String),
    /// A table and its caption.
    Table(String, Table),
    /// A figure and its caption.
    Figure(String, Figure),
}

/// Figures with more rows of numbers than this have them in their files only.
const MAX_ROWS: usize = 100;

/// What a page allows itself: nothing from elsewhere, and no script.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// By this in its first lines a report is known as one.
pub(super) const GENERATOR: &str = r#"<meta name="generator" content="S-CORE">"#;

impl Document {
    /// A report of these sections. Figures get names that are different and can be those of files.
    pub fn new(title: impl Into<String>, mut sections: Vec<Section>) -> Self {
        let mut taken = BTreeSet::new();
        for block in sections.iter_mut().flat_map(|section| &mut section.blocks) {
            if let Block::Figure(_, figure) = block {
                let name = file_name(&figure.name);
                let mut names = (2..).map(|count| format!("{name}-{count}"));
                let mut free = name.clone();
                while !taken.insert(free.clone()) {
                    free = names.next().expect("there are more numbers than figures");
                }
                figure.name = free;
            }
        }
        Self {
            title: title.into(),
            warning: None,
            facts: Vec::new(),
            sections,
        }
    }

    /// The same report with a warning before everything else.
    pub fn with_warning(self, warning: Option<String>) -> Self {
        Self { warning, ..self }
    }

    /// The same report with names and values at its beginning that say what it is a report of.
    pub fn with_facts(self, facts: Vec<(String, String)>) -> Self {
        Self { facts, ..self }
    }

    /// All figures in their order, with the names of their files.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        let blocks = self.sections.iter().flat_map(|section| &section.blocks);
        blocks.filter_map(|block| match block {
            Block::Figure(_, figure) => Some(figure),
            _ => None,
        })
    }

    /// The report as one HTML page that needs nothing else, apart from links to the figures' files.
    pub fn to_html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    (PreEscaped(GENERATOR))
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) }
                    style { (PreEscaped(include_str!("page.css"))) (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        h1 { (self.title) }
                        @if let Some(warning) = &self.warning { p.warning role="note" { (warning) } }
                        @if !self.facts.is_empty() {
                            dl.run { @for (name, value) in &self.facts { dt { (name) } dd { (value) } } }
                        }
                        (self.contents())
                    }
                    main { (self.body()) }
                }
            }
        };
        without_controls(page) + "\n"
    }

    fn contents(&self) -> Markup {
        let mut number = 0;
        let mut numbered = |figure| {
            number += 1;
            (number, figure)
        };
        let figures: Vec<Vec<_>> = (self.sections.iter())
            .map(|section| section.figures().map(&mut numbered).collect())
            .collect();
        html! {
            nav aria-label="Contents" { ol {
                @for (place, (section, figures)) in self.sections.iter().zip(&figures).enumerate() {
                    li {
                        a href=(format!("#section-{place}")) { (section.title) }
                        @if !figures.is_empty() { ul { @for (number, figure) in figures {
                            li { a href=(format!("#{}", figure.name)) { "Figure " (number) ": " (figure.title) } }
                        } } }
                    }
                }
            } }
        }
    }

    fn body(&self) -> Markup {
        let (mut figures, mut tables) = (0, 0);
        let mut block = |block: &Block| match block {
            Block::Paragraph(text) => html! { p { (text) } },
            Block::Table(caption, table) => {
                tables += 1;
                html! { div.scroll { (table.to_html(Some((tables, caption)))) } }
            }
            Block::Figure(caption, figure) => {
                figures += 1;
                draw_figure(figures, caption, figure)
            }
        };
        html! {
            @for (place, section) in self.sections.iter().enumerate() {
                section {
                    h2 id=(format!("section-{place}")) { (section.title) }
                    @for part in &section.blocks { (block(part)) }
                }
            }
        }
    }
}

impl Section {
    fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Figure(_, figure) => Some(figure),
            _ => None,
        })
    }
}

fn draw_figure(number: usize, caption: &str, figure: &Figure) -> Markup {
    let numbers = figure.table().filter(|table| table.len() <= MAX_ROWS);
    let link = |kind: &str| {
        let file = format!("{}/{}.{kind}", super::FIGURES_DIR, figure.name);
        html! { a href=(file) { (kind.to_uppercase()) } }
    };
    html! {
        figure id=(figure.name) {
            (figure.to_inline())
            figcaption { b { "Figure " (number) ". " (figure.title) "." } " " (caption) }
            details {
                summary { "Numbers" }
                p { "As files: " (link("csv")) ", " (link("svg")) "." }
                @if let Some(table) = numbers { div.scroll { (table.to_html(None)) } }
            }
        }
    }
}

/// The page without control characters in its texts: XML has no way to write them.
pub(super) fn without_controls(page: Markup) -> String {
    let mut text = page.into_string();
    text.retain(|character| !character.is_control() || matches!(character, '\n' | '\t'));
    text
}

/// The text with hyphens for all that is no letter and no digit, in lower case.
pub(super) fn file_name(text: &str) -> String {
    let plain = |character: char| match character.to_ascii_lowercase() {
        plain @ ('a'..='z' | '0'..='9') => plain,
        _ => '-',
    };
    let name: String = text.chars().map(plain).take(100).collect();
    let parts: Vec<_> = name.split('-').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [] => "figure".into(),
        parts => parts.join("-"),
    }
}
