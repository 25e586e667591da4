//! `data-centre.toml`: what concerns the whole data centre.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use s_core_model::MigrationCost;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use toml::Spanned;

use super::build::Key;
use super::error::{Problem, SnapshotError};
use super::{DATA_CENTRE_FILE, table};

/// `data-centre.toml`.
///
/// ```toml
/// link_weights = [1.0, 2.7, 20.1, 148.4]   # c_1, c_2, …: one per component of a location or more, rising
/// migration_cost = 5000.0                  # c_m in bytes per second times link weight; 0 if left out
/// # migration_cost = { relative = 0.1 }    # or as a fraction of what the VM's traffic costs
///
/// [tags]                                   # free text, kept as it is
/// site = "Glasgow"
///
/// [limits]                                 # what a plan keeps to unless told otherwise
/// max_migrations = 100
/// min_gain = 1000.0
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// c_1, c_2, … of Table 3.1.
    pub link_weights: Vec<f64>,
    /// c_m of Eq. 3.2.
    pub migration_cost: MigrationCost,
    /// What people want to note about the data centre, by name. Nothing depends on it.
    pub tags: BTreeMap<String, String>,
    /// What a plan for this data centre keeps to.
    pub limits: Limits,
}

impl Settings {
    /// Settings with these link weights, no migration cost, no tags and no limits.
    pub fn new(link_weights: impl Into<Vec<f64>>) -> Self {
        Self {
            link_weights: link_weights.into(),
            migration_cost: MigrationCost::ZERO,
            tags: BTreeMap::new(),
            limits: Limits::default(),
        }
    }
}

/// What a plan for a data centre keeps to unless its user says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The most migrations, if there is a limit.
    pub max_migrations: Option<u64>,
    /// The least gain that is worth a migration, in bytes per second times link weight, if there is one.
    pub min_gain: Option<f64>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    link_weights: Spanned<Vec<f64>>,
    migration_cost: Option<Spanned<Cost>>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    limits: Option<Spanned<Limits>>,
}

/// A [`MigrationCost`] as the file has it: a number, or a table with `relative`.
struct Cost(MigrationCost);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Relative {
    relative: f64,
}

impl<'de> Deserialize<'de> for Cost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CostVisitor;

        impl<'de> Visitor<'de> for CostVisitor {
            type Value = Cost;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or { relative = FRACTION }")
            }

            fn visit_f64<E: de::Error>(self, cost: f64) -> Result<Cost, E> {
                Ok(Cost(MigrationCost::Absolute(cost)))
            }

            fn visit_i64<E: de::Error>(self, cost: i64) -> Result<Cost, E> {
                self.visit_f64(cost as f64)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Cost, A::Error> {
                let Relative { relative } = Relative::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Cost(MigrationCost::RelativeToVm(relative)))
            }
        }

        deserializer.deserialize_any(CostVisitor)
    }
}

/// `data-centre.toml` as read, with the lines of its keys.
pub(super) struct SettingsFile {
    path: PathBuf,
    lines: [(Key, u64); 3],
}

impl SettingsFile {
    pub(super) fn read(dir: &Path) -> Result<(Self, Settings), SnapshotError> {
        let path = dir.join(DATA_CENTRE_FILE);
        let bytes = table::read_file(&path)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|error| table::not_text(&path, &bytes, error.valid_up_to()))?;
        let line = |at: usize| table::line_at(text.as_bytes(), at);
        let document: Document = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let message = error.message().trim().replace('\n', "; ");
            SnapshotError::new(&path, Some(line(at)), Problem::Toml(message))
        })?;
        let line_of =
            |span: Option<std::ops::Range<usize>>| span.map_or(1, |span| line(span.start));
        let lines = [
            (Key::LinkWeights, line(document.link_weights.span().start)),
            (
                Key::MigrationCost,
                line_of(document.migration_cost.as_ref().map(Spanned::span)),
            ),
            (
                Key::Limits,
                line_of(document.limits.as_ref().map(Spanned::span)),
            ),
        ];
        let settings = Settings {
            link_weights: document.link_weights.into_inner(),
            migration_cost: document
                .migration_cost
                .map_or(MigrationCost::ZERO, |cost| cost.into_inner().0),
            tags: document.tags,
            limits: document.limits.map(Spanned::into_inner).unwrap_or_default(),
        };
        Ok((Self { path, lines }, settings))
    }

    /// An error at the line of a key.
    pub(super) fn error(&self, key: Key, problem: Problem) -> SnapshotError {
        let line = self.lines.iter().find(|(other, _)| *other == key);
        SnapshotError::new(&self.path, line.map(|(_, line)| *line), problem)
    }
}

/// The text of `data-centre.toml` for these settings.
pub(super) fn to_toml(settings: &Settings) -> String {
    // `{:?}` writes a float with a point or an exponent, as TOML wants it, and without loss.
    let mut text = format!("link_weights = {:?}\n", settings.link_weights);
    let mut line = |arguments: fmt::Arguments<'_>| {
        text.write_fmt(arguments).expect("a String takes any text");
        text.push('\n');
    };
    match settings.migration_cost {
        MigrationCost::Absolute(cost) => line(format_args!("migration_cost = {cost:?}")),
        MigrationCost::RelativeToVm(fraction) => {
            line(format_args!(
                "migration_cost = {{ relative = {fraction:?} }}"
            ));
        }
    }
    if !settings.tags.is_empty() {
        line(format_args!("\n[tags]"));
        for (name, value) in &settings.tags {
            line(format_args!("{} = {}", quoted(name), quoted(value)));
        }
    }
    if settings.limits != Limits::default() {
        line(format_args!("\n[limits]"));
        if let Some(count) = settings.limits.max_migrations {
            line(format_args!("max_migrations = {count}"));
        }
        if let Some(gain) = settings.limits.min_gain {
            line(format_args!("min_gain = {gain:?}"));
        }
    }
    text
}

/// Text as a basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
