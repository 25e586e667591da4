//! The sweep file as TOML.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use s_core_proto::TargetChoice;
use s_core_token::PolicyKind;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use toml::Spanned;

use super::parameters;
use super::spec::placement_name;
use crate::migration_cost::shortest;
use crate::{InitialPlacement, Topology};
use crate::{MigrationCostForm, StrategyName, TokenStart, UnknownStrategy};

/// The whole file; what is left out is `None`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) seeds: Option<Spanned<Seeds>>,
    pub(super) topologies: Option<List<Topology>>,
    pub(super) vm_slots: Option<List<Count>>,
    pub(super) vms: Option<List<Count>>,
    pub(super) flows_per_vm: Option<List<Count>>,
    pub(super) windows: Option<List<Count>>,
    pub(super) vms_per_application: Option<List<Count>>,
    pub(super) placements: Option<List<Placement>>,
    pub(super) link_weights: Option<Spanned<Vec<f64>>>,
    pub(super) policies: Option<List<PolicyKind>>,
    pub(super) target_choices: Option<List<TargetChoice>>,
    pub(super) migration_costs: Option<List<MigrationCostForm>>,
    pub(super) max_rounds: Option<List<Count>>,
    pub(super) starts: Option<List<TokenStart>>,
    pub(super) baselines: Option<List<StrategyName>>,
    pub(super) references: Option<List<ReferenceName>>,
    pub(super) populations: Option<List<Count>>,
}

/// A list with the places of its entries.
pub(super) type List<T> = Spanned<Vec<Spanned<Item<T>>>>;

/// An entry: what its text or number means, or what is wrong with it. As an error of TOML it would be
/// placed where the list begins.
pub(super) struct Item<T>(pub(super) Result<T, String>);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor<T>(PhantomData<T>);

        impl<T: FromStr<Err: Display>> Visitor<'_> for ItemVisitor<T> {
            type Value = Item<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("texts or numbers in this list")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Item<T>, E> {
                let parsed = text.parse();
                Ok(Item(parsed.map_err(|error: T::Err| error.to_string())))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Item<T>, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Item<T>, E> {
                self.visit_str(&shortest(number))
            }
        }

        deserializer.deserialize_any(ItemVisitor(PhantomData))
    }
}

/// A whole number from 1 up.
pub(super) struct Count(pub(super) u32);

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(number) if number > 0 => Ok(Self(number)),
            Ok(_) | Err(_) => {
                let text = crate::snapshot::shown(text);
                Err(format!(
                    "{text} is not a whole number from 1 to {}",
                    u32::MAX
                ))
            }
        }
    }
}

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
