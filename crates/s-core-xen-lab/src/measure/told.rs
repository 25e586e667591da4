//! What a source tells of a migration.

use serde_json::Value;

use super::scripts::frames;

/// What is kept of a line.
const MOST_LINE: usize = 300;

/// What the script on the source has printed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    /// The exit code of `xl migrate`; none if it was not begun.
    pub(super) code: Option<i32>,
    pub(super) seconds: Option<f64>,
    pub(super) bytes: Option<u64>,
    /// The load that was offered, in Mbit/s of frames.
    pub(super) load_mbit: Option<f64>,
    /// What `xl` said last, or the load if that did not start.
    pub(super) last_words: String,
}

impl Told {
    /// From the lines that the script prints. What is missing or not of its form is not known.
    pub(super) fn parse(text: &str) -> Self {
        let mut told = Self::default();
        let (mut began, mut ended) = (None, None);
        let (mut words, mut load) = (Vec::new(), String::new());
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "exit" => told.code = value.parse().ok(),
                "began" => began = seconds(value),
                "ended" => ended = seconds(value),
                "bytes" => told.bytes = value.parse().ok(),
                "xl" => words.push(value),
                "load" => load = load + value + "\n",
                _ => {}
            }
        }
        told.seconds = began.zip(ended).map(|(began, ended)| ended - began);
        let load = Load::parse(&load);
        told.load_mbit = load.mbit.map(frames);
        told.last_words = match told.code {
            None => format!("the load did not run: {}", load.error),
            Some(_) => plain(&words.join("; ")),
        };
        told
    }
}

/// What `iperf3 -J` says of itself when it is ended by a signal.
#[derive(Debug, Default)]
struct Load {
    /// What it has sent, in Mbit/s of payload.
    mbit: Option<f64>,
    error: String,
}

impl Load {
    fn parse(text: &str) -> Self {
        let Ok(said) = serde_json::from_str::<Value>(text) else {
            let error = plain(text);
            return Self { mbit: None, error };
        };
        let sent = said.pointer("/end/sum_sent");
        let sent = sent.or_else(|| said.pointer("/end/sum"));
        let number = |key| sent?.get(key)?.as_f64();
        let rate = number("bytes").zip(number("seconds").filter(|seconds| *seconds > 0.0));
        let error = said.get("error").and_then(Value::as_str);
        Self {
            mbit: rate.map(|(bytes, seconds)| bytes * 8e-6 / seconds),
            error: plain(error.unwrap_or_default()),
        }
    }
}

/// Seconds since the system started, with two decimals.
fn seconds(text: &str) -> Option<f64> {
    let value: f64 = text.trim().parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some(value)
}

/// A line that can be shown and written to a file.
pub(super) fn plain(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    lines
        .join("; ")
        .chars()
        .map(visible)
        .take(MOST_LINE)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_under_load() {
        // The load's part is a recorded output of iperf3 3.12, ended by a signal.
        let told = Told::parse(include_str!("../../tests/data/measure-told.txt"));
        assert_eq!(told.code, Some(0));
        assert_eq!(told.bytes, Some(44_040_192));
        assert_eq!(told.seconds, Some(6.25));
        let load = told.load_mbit.unwrap();
        // 1,871,800 octets of payload in 2.995257 s.
        assert!((load - 5.1494).abs() < 1e-3, "{load}");
        assert_eq!(
            told.last_words,
            "migration sender: Target has acknowledged transfer.; Migration successful."
        );
    }

    #[test]
    fn others_are_not_known() {
        let check = |text: &str, wanted: Told| assert_eq!(Told::parse(text), wanted, "{text:?}");
        let told = |code, last_words: &str| Told {
            code,
            last_words: last_words.into(),
            ..Told::default()
        };
        check("", told(None, "the load did not run: "));
        check(
            "load {\"error\":\"unable to connect to server\"}",
            told(None, "the load did not run: unable to connect to server"),
        );
        check(
            "load iperf3: not found",
            told(None, "the load did not run: iperf3: not found"),
        );
        check(
            "exit 1\nxl Migration failed,\u{1b}[31m\nxl \nxl resuming at sender.",
            told(Some(1), "Migration failed, [31m; ; resuming at sender."),
        );
        check(
            "exit x\nbegan -1\nended nan\nbytes -5\nload {}",
            told(None, "the load did not run: "),
        );
        check(
            "exit 0\nbegan 5\nbytes 99999999999999999999\nload {\"end\":{\"sum\":{\"bytes\":1,\"seconds\":0}}}",
            told(Some(0), ""),
        );
        let long = format!("exit 1\nxl {}", "x".repeat(100_000));
        assert_eq!(Told::parse(&long).last_words.len(), MOST_LINE);
    }
}
