//! Values of a configuration file. What is wrong with one is said where it stands.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use s_core_backend::InterfaceName;
use s_core_model::{LinkWeights, MigrationCost};
use s_core_proto::PairShare;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::config::Addressing;

/// The longest time that can be configured: a day.
const LONGEST: f64 = 24.0 * 3600.0;

/// A value written as text.
pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    struct Text<T>(PhantomData<T>);

    impl<T: FromStr<Err: Display>> Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Text(PhantomData))
}

pub(super) fn interface<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<InterfaceName>, D::Error> {
    parsed(deserializer).map(Some)
}

pub(super) fn addressing<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Addressing, D::Error> {
    let text: String = Deserialize::deserialize(deserializer)?;
    match text.as_str() {
        "servers" => Ok(Addressing::Servers),
        "vms" => Ok(Addressing::Vms),
        _ => Err(D::Error::custom(
            "unknown addressing; known are servers and vms",
        )),
    }
}

pub(super) fn link_weights<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<LinkWeights, D::Error> {
    let weights: Vec<f64> = Deserialize::deserialize(deserializer)?;
    LinkWeights::new(weights).map_err(D::Error::custom)
}

pub(super) fn pair_share<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<PairShare, D::Error> {
    let share: f64 = Deserialize::deserialize(deserializer)?;
    PairShare::new(share).map_err(D::Error::custom)
}

/// A time in seconds, whole or not.
pub(super) fn seconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let seconds: f64 = Deserialize::deserialize(deserializer)?;
    if !(0.0..=LONGEST).contains(&seconds) {
        let wrong =
            format_args!("{seconds} is no time: write a number of seconds from 0 to {LONGEST}");
        return Err(D::Error::custom(wrong));
    }
    Ok(Some(Duration::from_secs_f64(seconds)))
}

/// A number, or a table with `relative`.
pub(super) fn migration_cost<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<MigrationCost, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Relative {
        relative: f64,
    }

    struct CostVisitor;

    impl<'de> Visitor<'de> for CostVisitor {
        type Value = MigrationCost;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number or { relative = FRACTION }")
        }

        fn visit_f64<E: Error>(self, cost: f64) -> Result<MigrationCost, E> {
            MigrationCost::Absolute(cost).checked().map_err(E::custom)
        }

        fn visit_i64<E: Error>(self, cost: i64) -> Result<MigrationCost, E> {
            self.visit_f64(cost as f64)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MigrationCost, A::Error> {
            let Relative { relative } = Relative::deserialize(MapAccessDeserializer::new(map))?;
            let cost = MigrationCost::RelativeToVm(relative);
            cost.checked().map_err(A::Error::custom)
        }
    }

    deserializer.deserialize_any(CostVisitor)
}
