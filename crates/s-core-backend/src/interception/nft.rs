//! Tables of nftables, compared with what they should be and set in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Deserialize;

use super::ledger::{Count, Verdict};
use super::rules::fingerprint;
use crate::ProgramError;
use crate::command::{Budget, Said};

/// The name of the tables, in each family.
const TABLE: &str = "s_core";

/// A table as it should be: one chain, whose rules do not change while VMs come and go, and sets, which do.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) family: &'static str,
    /// The type, hook and priority of the chain.
    pub(super) hook: &'static str,
    pub(super) rules: Vec<(Verdict, String)>,
    /// The name of each set, its type and elements.
    pub(super) sets: Vec<(&'static str, &'static str, BTreeSet<String>)>,
}

/// A table as it is.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// The comments of its rules, in order, and what they have counted.
    rules: Vec<(String, u64)>,
    sets: BTreeMap<String, BTreeSet<String>>,
}

/// What has to be done, and why.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// For `nft -f`; empty if nothing has to be.
    pub(super) script: String,
    /// How many rules and elements are missing, and how many are there that should not be.
    pub(super) differing: (usize, usize),
    pub(super) counts: Vec<Count>,
}

impl Table {
    /// What each rule is known by: its verdict, and a fingerprint of everything that does not change.
    fn comments(&self) -> Vec<String> {
        let mut whole = format!("{} {}", self.family, self.hook);
        for (_, rule) in &self.rules {
            whole += "\n";
            whole += rule;
        }
        let fingerprint = fingerprint(&whole);
        let rules = self.rules.iter();
        rules
            .map(|(verdict, _)| {
                let verdict = match verdict {
                    Verdict::Intercept => "intercept",
                    Verdict::Drop => "drop",
                };
                format!("{verdict} {fingerprint:016x}")
            })
            .collect()
    }

    /// What is to be done so that the table is this one.
    pub(super) fn compare(&self, budget: &Budget) -> Result<Change, ProgramError> {
        Ok(self.change(read(self.family, budget)?.as_ref()))
    }

    fn change(&self, found: Option<&Found>) -> Change {
        let comments = self.comments();
        let mut change = Change {
            counts: found.map(Found::counts).unwrap_or_default(),
            ..Change::default()
        };
        let same = found.filter(|found| {
            let names = self.sets.iter().map(|(name, ..)| *name);
            found.rules.iter().map(|(comment, _)| comment).eq(&comments)
                && found
                    .sets
                    .keys()
                    .map(String::as_str)
                    .collect::<BTreeSet<_>>()
                    == names.collect()
        });
        if same.is_none() {
            change.differing.0 = comments.len();
            change.differing.1 = found.map_or(0, |found| found.rules.len());
            change.script = self.anew(&comments);
        }
        let family = self.family;
        for (name, _, wanted) in &self.sets {
            let none = BTreeSet::new();
            let there = same
                .and_then(|found| found.sets.get(*name))
                .unwrap_or(&none);
            let [extra, missing]: [Vec<_>; 2] =
                [there.difference(wanted), wanted.difference(there)]
                    .map(|of| of.map(String::as_str).collect());
            for (verb, elements) in [("delete", &extra), ("add", &missing)] {
                if !elements.is_empty() {
                    let elements = elements.join(", ");
                    // Writing to a text cannot fail.
                    let _ = writeln!(
                        change.script,
                        "{verb} element {family} {TABLE} {name} {{ {elements} }}"
                    );
                }
            }
            change.differing.0 += missing.len();
            change.differing.1 += extra.len();
        }
        change
    }

    /// The table in place of any of its name; its sets are empty.
    fn anew(&self, comments: &[String]) -> String {
        let Self { family, hook, .. } = self;
        let mut text = format!("{}table {family} {TABLE} {{\n", removal(family));
        for (name, of, _) in &self.sets {
            text += &format!(" set {name} {{ type {of}; }}\n");
        }
        text += &format!(" chain prerouting {{\n  {hook}; policy accept;\n");
        for ((_, rule), comment) in self.rules.iter().zip(comments) {
            text += &format!("  {rule} comment \"{comment}\"\n");
        }
        text + " }\n}\n"
    }
}

impl Found {
    fn counts(&self) -> Vec<Count> {
        let counts = self.rules.iter().filter_map(|(comment, packets)| {
            let (verdict, fingerprint) = comment.split_once(' ')?;
            let verdict = match verdict {
                "intercept" => Verdict::Intercept,
                "drop" => Verdict::Drop,
                _ => return None,
            };
            Some((verdict, fingerprint, *packets))
        });
        (0..)
            .zip(counts)
            .filter_map(|(place, (verdict, fingerprint, packets))| {
                let fingerprint = u64::from_str_radix(fingerprint, 16).ok()?;
                Some(Count {
                    // Rules of one table differ by their place.
                    rule: fingerprint.wrapping_add(place),
                    verdict,
                    packets,
                })
            })
            .collect()
    }
}

/// What removes the table of a family, whether it is there or not.
pub(super) fn removal(family: &str) -> String {
    format!("add table {family} {TABLE}\ndelete table {family} {TABLE}\n")
}

/// Carries out a script, whole or not at all.
pub(super) fn apply(script: String, budget: &Budget) -> Result<(), ProgramError> {
    if script.is_empty() {
        return Ok(());
    }
    budget.run("nft", &["-f", "-"], script).map(drop)
}

/// Removes the table of a family; where there is no `nft`, there is no table.
pub(super) fn remove(family: &'static str, budget: &Budget) -> Result<(), ProgramError> {
    match exists(family, budget) {
        Ok(true) => apply(removal(family), budget),
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether there is a table of this family.
pub(super) fn exists(family: &'static str, budget: &Budget) -> Result<bool, ProgramError> {
    match read(family, budget) {
        Ok(found) => Ok(found.is_some()),
        Err(ProgramError::Unreachable { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn read(family: &'static str, budget: &Budget) -> Result<Option<Found>, ProgramError> {
    let listed = budget.run(
        "nft",
        &["-j", "list", "table", family, TABLE],
        String::new(),
    );
    match listed {
        Ok(listed) => parse(&listed).map(Some),
        Err(error) if error.said("No such file or directory") => Ok(None),
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct Listing {
    nftables: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    set: Option<Set>,
    rule: Option<Rule>,
}

#[derive(Deserialize)]
struct Set {
    name: String,
    #[serde(default)]
    elem: Vec<String>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(default)]
    comment: String,
    #[serde(default)]
    expr: Vec<Expression>,
}

#[derive(Deserialize)]
struct Expression {
    counter: Option<Counter>,
}

#[derive(Deserialize)]
struct Counter {
    packets: u64,
}

fn parse(said: &Said) -> Result<Found, ProgramError> {
    let listing: Listing = serde_json::from_str(&said.stdout).map_err(|e| said.malformed(e))?;
    let mut found = Found::default();
    for entry in listing.nftables {
        if let Some(set) = entry.set {
            found.sets.insert(set.name, set.elem.into_iter().collect());
        }
        if let Some(rule) = entry.rule {
            let counters = rule.expr.iter().filter_map(|e| e.counter.as_ref());
            let packets = counters.map(|counter| counter.packets).sum();
            found.rules.push((rule.comment, packets));
        }
    }
    Ok(found)
}
