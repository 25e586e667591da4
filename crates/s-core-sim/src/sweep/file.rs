//! The sweep file as TOML.

use std::fmt::{self, Display};
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

use s_core_proto::TargetChoice;
use s_core_token::PolicyKind;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use toml::Spanned;

use super::spec::{StrategyName, UnknownStrategy, placement_name};
use super::{MigrationCostForm, parameters};
use crate::{InitialPlacement, Topology};

/// The whole file; what is left out is `None`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) seeds: Option<Spanned<Seeds>>,
    pub(super) topologies: Option<List<Text<Topology>>>,
    pub(super) vm_slots: Option<List<NonZeroU32>>,
    pub(super) vms: Option<List<NonZeroU32>>,
    pub(super) flows_per_vm: Option<List<NonZeroU32>>,
    pub(super) windows: Option<List<NonZeroU32>>,
    pub(super) vms_per_application: Option<List<NonZeroU32>>,
    pub(super) placements: Option<List<Text<Placement>>>,
    pub(super) link_weights: Option<Spanned<Vec<f64>>>,
    pub(super) policies: Option<List<Text<PolicyKind>>>,
    pub(super) target_choices: Option<List<Text<TargetChoice>>>,
    pub(super) migration_costs: Option<List<MigrationCostForm>>,
    pub(super) max_rounds: Option<List<NonZeroU64>>,
    pub(super) baselines: Option<List<Text<StrategyName>>>,
    pub(super) references: Option<List<Text<ReferenceName>>>,
}

/// A list with the places of its entries.
pub(super) type List<T> = Spanned<Vec<Spanned<T>>>;

/// Something that is written as text.
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Placement(pub(super) InitialPlacement);

impl FromStr for Placement {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        parameters::placement(name).map(Self)
    }
}

impl Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(placement_name(self.0))
    }
}

/// A reference, or `none`.
#[derive(Clone, Copy)]
pub(super) struct ReferenceName(pub(super) Option<StrategyName>);

impl FromStr for ReferenceName {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "none" => Ok(Self(None)),
            name => name.parse().map(|name| Self(Some(name))),
        }
    }
}

impl Display for ReferenceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.map_or("none", StrategyName::name))
    }
}

/// Seeds one by one, or from the first to the last.
pub(super) enum Seeds {
    List(Vec<u64>),
    Range(Range),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl<'de> Deserialize<'de> for Seeds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SeedsVisitor;

        impl<'de> Visitor<'de> for SeedsVisitor {
            type Value = Seeds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of seeds or { first = SEED, last = SEED }")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Seeds, A::Error> {
                let list = de::value::SeqAccessDeserializer::new(list);
                Deserialize::deserialize(list).map(Seeds::List)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Seeds, A::Error> {
                let map = de::value::MapAccessDeserializer::new(map);
                Range::deserialize(map).map(Seeds::Range)
            }
        }

        deserializer.deserialize_any(SeedsVisitor)
    }
}
