//! The pairs that send, as JSON.

use s_core_lab::traffic::{Mix, PairTraffic};
use s_core_model::{Rate, VmId};
use serde::{Deserialize, Serialize};

/// The most pairs of a plan.
pub const MOST_PAIRS: usize = 512;
/// The highest rate of a pair, in bytes per second: 10 Gbit/s. Senders catch up in one go, and must come to an end of it.
const MOST_RATE: f64 = 1.25e9;

/// `{"pairs": [...]}`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    pairs: Vec<Pair>,
}

/// A [`PairTraffic`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    a: VmId,
    b: VmId,
    bytes_per_second: f64,
    share_of_a: f64,
    mix: Shares,
}

/// A [`Mix`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shares {
    bulk: f64,
    short: f64,
    udp: f64,
}

impl From<&PairTraffic> for Pair {
    fn from(pair: &PairTraffic) -> Self {
        let (bulk, short, udp) = (pair.mix.bulk(), pair.mix.short(), pair.mix.udp());
        Self {
            a: pair.a,
            b: pair.b,
            bytes_per_second: pair.rate.bytes_per_second(),
            share_of_a: pair.share_of_a,
            mix: Shares { bulk, short, udp },
        }
    }
}

impl Pair {
    /// What it says, or what is wrong with it.
    fn check(&self) -> Result<PairTraffic, String> {
        let Self { a, b, .. } = *self;
        if a == b {
            return Err(format!("{a} and {b} are the same VM"));
        }
        if !(0.0..=MOST_RATE).contains(&self.bytes_per_second) {
            return Err(format!(
                "bytes_per_second of {a} and {b} is not from 0 to {MOST_RATE}"
            ));
        }
        if !(0.0..=1.0).contains(&self.share_of_a) {
            return Err(format!("share_of_a of {a} and {b} is not from 0 to 1"));
        }
        let rate = Rate::new(self.bytes_per_second).map_err(|error| error.to_string())?;
        let Shares { bulk, short, udp } = self.mix;
        let mix = Mix::new(bulk, short, udp).map_err(|error| error.to_string())?;
        let share_of_a = self.share_of_a;
        Ok(PairTraffic {
            share_of_a,
            ..PairTraffic::new(a, b, rate, mix)
        })
    }
}

/// A plan as JSON.
pub(crate) fn write(pairs: &[PairTraffic]) -> Vec<u8> {
    let pairs = pairs.iter().map(Pair::from).collect();
    serde_json::to_vec(&Plan { pairs }).expect("addresses and numbers have a form in JSON")
}

/// A plan from JSON, or what is wrong with it.
pub(crate) fn read(json: &[u8]) -> Result<Vec<PairTraffic>, String> {
    let plan: Plan = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let count = plan.pairs.len();
    if count > MOST_PAIRS {
        return Err(format!("{count} pairs are more than {MOST_PAIRS}"));
    }
    plan.pairs.iter().map(Pair::check).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAIR: &str = r#"{"a": "10.0.0.1", "b": "10.0.0.2", "bytes_per_second": 5e5, "share_of_a": 0.25,
        "mix": {"bulk": 2, "short": 1, "udp": 1}}"#;

    #[test]
    fn a_plan_is_read() {
        let pairs = read(format!(r#"{{"pairs": [{PAIR}]}}"#).as_bytes()).unwrap();
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|vm| vm.parse().unwrap());
        let mix = Mix::new(0.5, 0.25, 0.25).unwrap();
        let pair = PairTraffic::new(a, b, Rate::new(5e5).unwrap(), mix);
        assert_eq!(
            pairs,
            [PairTraffic {
                share_of_a: 0.25,
                ..pair
            }]
        );
        assert_eq!(read(br#"{"pairs": []}"#), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        let check = |from: &str, to: &str| {
            let pair = PAIR.replace(from, to);
            assert!(pair != PAIR, "{from}");
            let json = format!(r#"{{"pairs": [{pair}]}}"#);
            assert!(read(json.as_bytes()).is_err(), "{json}");
        };
        check("10.0.0.2", "10.0.0.1");
        check("10.0.0.2", "peer");
        check("5e5", "-1");
        check("5e5", "1e10");
        check("5e5", "1e999");
        check("0.25", "1.5");
        check("0.25", "null");
        check(
            r#""bulk": 2, "short": 1, "udp": 1"#,
            r#""bulk": 0, "short": 0, "udp": 0"#,
        );
        check(r#""udp": 1"#, r#""udp": -1"#);
        check(r#""udp": 1"#, r#""udp": 1, "sctp": 1"#);
        check(r#""share_of_a": 0.25,"#, "");
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"pairs": 3}"#,
            r#"{"pairs": []} x"#,
            r#"{"pairs": [[]]}"#,
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        let many = |count| format!(r#"{{"pairs": [{}]}}"#, vec![PAIR; count].join(","));
        assert!(read(many(MOST_PAIRS).as_bytes()).is_ok());
        assert!(read(many(MOST_PAIRS + 1).as_bytes()).is_err());
        assert!(read("[".repeat(60_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            a: u32, other in 1..u32::MAX, rate in 0.0..=MOST_RATE, share_of_a in 0.0..=1.0f64,
            weights in prop::array::uniform3(0.0..10.0f64),
        ) {
            let [bulk, short, udp] = weights;
            let mix = Mix::new(bulk + 0.1, short, udp).unwrap();
            let [a, b] = [a, a.wrapping_add(other)].map(VmId::new);
            let pair = PairTraffic::new(a, b, Rate::new(rate).unwrap(), mix);
            let pair = PairTraffic { share_of_a, ..pair };
            let read = read(&write(&[pair])).unwrap();
            // Numbers in JSON may lose their last bit, and shares are made to add up once more.
            let numbers = |pair: &PairTraffic| {
                [pair.rate.bytes_per_second() / MOST_RATE, pair.share_of_a, pair.mix.short(), pair.mix.udp()]
            };
            for (read, written) in numbers(&read[0]).into_iter().zip(numbers(&pair)) {
                prop_assert!((read - written).abs() < 1e-12, "{read}, not {written}");
            }
            prop_assert_eq!([read[0].a, read[0].b], [pair.a, pair.b]);
        }
    }
}
