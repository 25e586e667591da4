//! One line of a dump:
//! `[ufid:U, ]MATCH, packets:N, bytes:N, used:T[, flags:F][, offloaded:O][, dp:D], actions:A[, dp-extra-info:X]`.

use std::time::Duration;

use super::flow::DatapathFlow;
use crate::ovs::matches::Match;

/// Where in the line, as a byte offset, and what was expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) at: usize,
    pub(super) what: &'static str,
}

/// Reads one line; `thread` is the title above it.
pub(super) fn parse<'a>(line: &'a str, thread: &'a str) -> Result<DatapathFlow<'a>, Expected> {
    let mut ufid = None;
    let mut start = 0;
    while let Some((key, value, end)) = leading_item(line, start) {
        if key == "ufid" {
            ufid = Some(value);
        }
        start = end;
    }
    let (matches, end) = Match::parse(line, start)?;
    let match_text = &line[start..end];
    let stats = Stats::parse(line, end)?;
    Ok(DatapathFlow {
        thread,
        ufid,
        match_text,
        matches,
        packets: stats.packets,
        bytes: stats.bytes,
        idle: stats.idle,
        actions: stats.actions,
    })
}

/// A `key:value, ` before the match, where a match would have `key(`.
fn leading_item(line: &str, start: usize) -> Option<(&str, &str, usize)> {
    let rest = &line[start..];
    let stop = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_')?;
    if rest.as_bytes()[stop] != b':' {
        return None;
    }
    let end = rest.find(", ")?;
    let value = rest.get(stop + 1..end)?;
    Some((&rest[..stop], value, start + end + 2))
}

/// What follows the match.
struct Stats<'a> {
    packets: u64,
    bytes: u64,
    idle: Option<Duration>,
    actions: &'a str,
}

impl<'a> Stats<'a> {
    fn parse(line: &'a str, mut at: usize) -> Result<Self, Expected> {
        let (mut packets, mut bytes, mut idle) = (None, None, None);
        let mut has_used = false;
        loop {
            let Some(rest) = line[at..].strip_prefix(", ") else {
                return Err(Expected {
                    at,
                    what: "expected ', ' and then packets:, bytes:, used: and actions:",
                });
            };
            at += 2;
            if let Some(actions) = rest.strip_prefix("actions:") {
                let missing = |what| Expected { at, what };
                if !has_used {
                    return Err(missing("expected used: before actions:"));
                }
                return Ok(Self {
                    packets: packets.ok_or(missing("expected packets: before actions:"))?,
                    bytes: bytes.ok_or(missing("expected bytes: before actions:"))?,
                    idle,
                    actions: without_extra_info(actions),
                });
            }
            let end = rest.find(", ").unwrap_or(rest.len());
            let Some((key, value)) = rest[..end].split_once(':') else {
                return Err(Expected {
                    at,
                    what: "expected a name and ':', such as packets: or actions:",
                });
            };
            let value_at = at + key.len() + 1;
            match key {
                "packets" => packets = Some(count(value, value_at)?),
                "bytes" => bytes = Some(count(value, value_at)?),
                "used" => (has_used, idle) = (true, idle_time(value)),
                // flags:, offloaded:, dp: and what later versions may add.
                _ => {}
            }
            at += end;
        }
    }
}

fn without_extra_info(actions: &str) -> &str {
    actions
        .split_once(", dp-extra-info:")
        .map_or(actions, |(actions, _)| actions)
}

fn count(text: &str, at: usize) -> Result<u64, Expected> {
    decimal(text).ok_or(Expected {
        at,
        what: "expected a decimal number below 2^64",
    })
}

/// Digits only: `u64::from_str` would also take a sign.
pub(super) fn decimal(text: &str) -> Option<u64> {
    if !text.as_bytes().first()?.is_ascii_digit() {
        return None;
    }
    text.parse().ok()
}

/// Seconds with milliseconds, `0.009s`; `None` for `never` and for what is no length of time.
fn idle_time(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.strip_suffix('s')?.split_once('.')?;
    let millis = decimal(fraction).filter(|_| fraction.len() == 3)?;
    Some(Duration::from_secs(decimal(whole)?) + Duration::from_millis(millis))
}
