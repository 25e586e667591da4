//! Tables, as HTML and as CSV.

use maud::{Markup, html};

use super::number;

/// Rows of cells under names of columns.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A text, at the left.
    Text(String),
    /// A number, at the right: its value, for CSV, and what people read.
    Number(f64, String),
    /// Nothing is known.
    Missing,
}

impl Cell {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A number with all its digits.
    pub fn exact(value: f64) -> Self {
        Self::Number(value, format!("{value}"))
    }

    /// A number with four of its digits ([`number::rounded`]).
    pub fn rounded(value: f64) -> Self {
        Self::Number(value, number::rounded(value))
    }

    /// A count.
    pub fn count(value: u64) -> Self {
        Self::Number(value as f64, number::count(value))
    }

    /// A fraction of 1 as per cent ([`number::percent`]).
    pub fn percent(fraction: f64) -> Self {
        Self::Number(fraction, number::percent(fraction))
    }
}

impl Table {
    /// A table with these columns and no row.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self {
            columns: columns.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn push(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As CSV after RFC 4180, with `\n` at the ends of lines, and numbers with all their digits.
    pub fn to_csv(&self) -> String {
        let header = self
            .columns
            .iter()
            .map(|name| field(name))
            .collect::<Vec<_>>();
        let rows = self
            .rows
            .iter()
            .map(|row| row.iter().map(Cell::to_field).collect());
        let lines = std::iter::once(header).chain(rows);
        lines.map(|fields| fields.join(",") + "\n").collect()
    }

    /// The table with a column before all others that says the same in each row.
    pub(super) fn with_first_column(mut self, name: &str, value: &str) -> Self {
        self.columns.insert(0, name.into());
        for row in &mut self.rows {
            row.insert(0, Cell::text(value));
        }
        self
    }

    /// This table's rows and then those of another with the same columns; `None` if it has others.
    pub(super) fn followed_by(mut self, next: &Self) -> Option<Self> {
        (self.columns == next.columns).then(|| {
            self.rows.extend_from_slice(&next.rows);
            self
        })
    }

    /// The table, with its number and caption if it has any.
    pub(super) fn to_html(&self, caption: Option<(usize, &str)>) -> Markup {
        let is_number = |column: usize| {
            let numbers = |row: &Vec<Cell>| !matches!(row.get(column), Some(Cell::Text(_)));
            self.rows.iter().all(numbers).then_some("n")
        };
        html! {
            table {
                @if let Some((number, text)) = caption {
                    caption { b { "Table " (number) "." } " " (text) }
                }
                thead { tr {
                    @for (column, name) in self.columns.iter().enumerate() {
                        th scope="col" class=[is_number(column)] { (name) }
                    }
                } }
                tbody {
                    @for row in &self.rows { tr { @for cell in row { (cell.to_html()) } } }
                }
            }
        }
    }
}

impl Cell {
    fn to_field(&self) -> String {
        match self {
            Self::Text(text) => field(text),
            Self::Number(value, _) => value.to_string(),
            Self::Missing => String::new(),
        }
    }

    fn to_html(&self) -> Markup {
        html! {
            @match self {
                Self::Text(text) => td { (text) },
                Self::Number(_, shown) => td class="n" { (shown) },
                Self::Missing => td class="n" { "–" },
            }
        }
    }
}

/// A field of a line of CSV, quoted if it must be.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_quotes_what_must_be_quoted() {
        let mut table = Table::new(["name", "of \"what\"", "cost"]);
        table.push([Cell::text("a, b"), Cell::Missing, Cell::rounded(1234567.25)]);
        table.push([Cell::text("c"), Cell::text("d"), Cell::percent(0.5)]);
        assert_eq!(
            table.to_csv(),
            "name,\"of \"\"what\"\"\",cost\n\"a, b\",,1234567.25\nc,d,0.5\n"
        );
    }

    #[test]
    fn html_is_escaped_and_numbers_are_marked() {
        let mut table = Table::new(["<i>", "n"]);
        table.push([Cell::text("<b>&"), Cell::count(12_345)]);
        let html = table.to_html(None).into_string();
        assert!(
            html.contains("<th scope=\"col\">&lt;i&gt;</th><th scope=\"col\" class=\"n\">n</th>")
        );
        assert!(
            html.contains("<td>&lt;b&gt;&amp;</td><td class=\"n\">12\u{202f}345</td>"),
            "{html}"
        );
    }
}
