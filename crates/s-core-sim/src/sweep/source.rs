//! A sweep file's text: lists with the places of their entries, and errors that name them.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::MAX_RUNS;
use super::error::{SweepFileError, SweepFileProblem as Problem};
use super::file::{Item, List, Seeds};

/// An entry of a list, and where it stands if the file names it.
pub(super) struct Entry<T> {
    pub(super) value: T,
    pub(super) span: Option<Range<usize>>,
}

/// What errors name.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    pub(super) fn error(&self, span: Option<Range<usize>>, problem: Problem) -> SweepFileError {
        let line = |span: Range<usize>| crate::snapshot::line_at(self.text.as_bytes(), span.start);
        SweepFileError {
            file: self.path.to_owned(),
            line: span.map(line),
            problem,
        }
    }

    /// The entries of a list, none twice, if the file has it.
    pub(super) fn list<T: Display>(
        &self,
        key: &'static str,
        list: Option<List<T>>,
    ) -> Result<Option<Vec<Entry<T>>>, SweepFileError> {
        let Some(list) = list else { return Ok(None) };
        let (mut names, mut entries) = (BTreeSet::new(), Vec::new());
        for entry in list.into_inner() {
            let span = Some(entry.span());
            let value = match entry.into_inner() {
                Item(Ok(value)) => value,
                Item(Err(problem)) => {
                    return Err(self.error(span, Problem::Entry { key, problem }));
                }
            };
            let name = value.to_string();
            if names.contains(&name) {
                return Err(self.error(span, Problem::Twice { key, entry: name }));
            }
            names.insert(name);
            entries.push(Entry { value, span });
        }
        Ok(Some(entries))
    }

    /// The entries of a list, at least one, none twice, or a single one if the file does not have it.
    pub(super) fn list_or<T: Display, U>(
        &self,
        key: &'static str,
        list: Option<List<T>>,
        value: impl Fn(T) -> U,
        default: U,
    ) -> Result<Vec<Entry<U>>, SweepFileError> {
        let span = list.as_ref().map(Spanned::span);
        match self.list(key, list)? {
            None => Ok(vec![Entry {
                value: default,
                span,
            }]),
            Some(entries) if entries.is_empty() => Err(self.error(span, Problem::Empty { key })),
            Some(entries) => Ok(entries
                .into_iter()
                .map(|Entry { value: entry, span }| Entry {
                    value: value(entry),
                    span,
                })
                .collect()),
        }
    }

    pub(super) fn seeds(&self, seeds: Option<Spanned<Seeds>>) -> Result<Vec<u64>, SweepFileError> {
        let Some(seeds) = seeds else {
            return Ok(vec![1]);
        };
        let (span, key) = (Some(seeds.span()), "seeds");
        match seeds.into_inner() {
            Seeds::List(seeds) => {
                let mut sorted = seeds.clone();
                sorted.sort_unstable();
                let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]);
                match twice.map(|pair| pair[0].to_string()) {
                    Some(entry) => Err(self.error(span, Problem::Twice { key, entry })),
                    None if seeds.is_empty() => Err(self.error(span, Problem::Empty { key })),
                    None => Ok(seeds),
                }
            }
            Seeds::Range(range) if range.last < range.first => {
                let (first, last) = (range.first, range.last);
                Err(self.error(span, Problem::EmptyRange { first, last }))
            }
            Seeds::Range(range) if range.last - range.first >= MAX_RUNS as u64 => {
                let runs = u128::from(range.last - range.first) + 1;
                Err(self.error(span, Problem::TooManyRuns(runs)))
            }
            Seeds::Range(range) => Ok((range.first..=range.last).collect()),
        }
    }

    /// Whether lists of these lengths make too many runs.
    pub(super) fn check_count(&self, lengths: &[usize]) -> Result<(), SweepFileError> {
        let product = |runs: u128, length: &usize| runs.saturating_mul(*length as u128);
        let runs = lengths.iter().fold(1, product);
        if runs > MAX_RUNS as u128 {
            return Err(self.error(None, Problem::TooManyRuns(runs)));
        }
        Ok(())
    }
}
