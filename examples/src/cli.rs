//! Options and output that several programs have.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, presets};
use s_core_proto::TargetChoice;
use s_core_token::PolicyKind;

use crate::Failure;

/// `--policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PolicyArg {
    /// Strictly by VM address
    RoundRobin,
    /// By the greatest cost reduction of a pair, gathered centrally before each round
    Global,
    /// By the highest level of a VM's traffic, then by VM address
    Distributed,
    /// By the highest level of a VM's traffic, then by its load
    LoadAware,
    /// Each of them, side by side
    All,
}

impl PolicyArg {
    /// The policies meant.
    pub fn kinds(self) -> Vec<PolicyKind> {
        match self {
            Self::RoundRobin => vec![PolicyKind::RoundRobin],
            Self::Global => vec![PolicyKind::Global],
            Self::Distributed => vec![PolicyKind::Distributed],
            Self::LoadAware => vec![PolicyKind::LoadAware],
            Self::All => PolicyKind::ALL.to_vec(),
        }
    }
}

/// `--target-choice`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TargetChoiceArg {
    /// The first server of a peer, from the costliest peer down, that has room and gains (thesis 4.2.5)
    FirstFit,
    /// The server with the largest gain that has room (thesis chapter 3)
    BestFit,
}

impl From<TargetChoiceArg> for TargetChoice {
    fn from(choice: TargetChoiceArg) -> Self {
        match choice {
            TargetChoiceArg::FirstFit => Self::FirstFit,
            TargetChoiceArg::BestFit => Self::BestFit,
        }
    }
}

/// An option's value: a whole number from 1 up.
///
/// # Errors
///
/// What is allowed instead.
pub fn at_least_one(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        Ok(_) | Err(_) => Err(format!("give a whole number from 1 to {}", u32::MAX)),
    }
}

/// An option's value: a whole number from 0 up.
///
/// # Errors
///
/// What is allowed instead.
pub fn whole_number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("give a whole number from 0 to {}", u64::MAX))
}

/// Writes to standard output. That nobody reads on, as in `plan … | head`, is no failure.
///
/// # Errors
///
/// [`Failure::Failed`] if it cannot be written otherwise.
pub fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// As [`print()`], of what may be no text, as paths.
///
/// # Errors
///
/// As [`print()`].
pub fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("standard output: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A number for people: three decimals and a prefix, e.g. `1.235 M`.
pub fn si(value: f64) -> String {
    let prefixes = ["", "k", "M", "G", "T", "P", "E"];
    let (mut value, mut prefix) = (value, 0);
    while value.abs() >= 999.999_5 && prefix + 1 < prefixes.len() {
        value /= 1000.0;
        prefix += 1;
    }
    format!("{value:.3} {}", prefixes[prefix])
        .trim_end()
        .to_owned()
}

/// A number of things, e.g. `1 round` or `2 rounds`.
pub fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// By how many per cent `after` is below `before`; 0 if there was nothing to begin with.
pub fn reduction_percent(before: f64, after: f64) -> f64 {
    if before > 0.0 {
        100.0 * (before - after) / before
    } else {
        0.0
    }
}

/// An empty table with this header; columns whose name begins with `>` are aligned to the right.
pub fn table(header: &[&str]) -> Table {
    let rule = LineStyle::none().fill('─').junction('─');
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING.header_separator(rule))
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.iter().map(|name| name.trim_start_matches('>')));
    for (column, name) in table.column_iter_mut().zip(header) {
        if name.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (value, wanted) in [
            (0.0, "0.000"),
            (999.999, "999.999"),
            (999.9996, "1.000 k"),
            (1_234_567.0, "1.235 M"),
            (-2500.0, "-2.500 k"),
            (1e21, "1000.000 E"),
        ] {
            assert_eq!(si(value), wanted);
        }
    }

    #[test]
    fn numbers_of_things() {
        for (number, wanted) in [(0, "0 VMs"), (1, "1 VM"), (2, "2 VMs")] {
            assert_eq!(count(number, "VM"), wanted);
        }
    }

    #[test]
    fn whole_numbers() {
        for (text, positive, whole) in [
            ("-1", None, None),
            ("0", None, Some(0)),
            ("1", Some(1), Some(1)),
            ("4294967296", None, Some(1 << 32)),
            ("1.5", None, None),
            ("", None, None),
        ] {
            assert_eq!(at_least_one(text).ok(), positive, "{text}");
            assert_eq!(whole_number(text).ok(), whole, "{text}");
        }
    }

    #[test]
    fn reductions() {
        for (before, after, wanted) in [(200.0, 50.0, 75.0), (0.0, 0.0, 0.0), (4.0, 4.0, 0.0)] {
            assert_eq!(reduction_percent(before, after), wanted);
        }
    }
}
