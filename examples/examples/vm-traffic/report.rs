//! VM pairs by bytes, and what belongs to none, in three forms.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use s_core_backend::ovs::MacTable;
use s_core_backend::{End, Skipped, Unattributed};
use s_core_examples::Failure;
use serde::Serialize;

use crate::args::Form;

/// The name of the interface behind an end, where it is known.
pub(crate) type Names = BTreeMap<End, String>;

/// What the VMs sent each other.
#[derive(Debug)]
pub(crate) struct Report {
    /// By bytes falling.
    pairs: Vec<Pair>,
    unattributed: Unattributed,
}

#[derive(Debug)]
struct Pair {
    a: End,
    b: End,
    bytes: u64,
    bytes_per_second: Option<f64>,
}

impl Report {
    /// Adds up bytes from a source to a destination, both directions of a pair together.
    pub(crate) fn new(
        bytes: impl Iterator<Item = (End, End, u64)>,
        stations: &MacTable,
        unattributed: Unattributed,
        duration: Option<Duration>,
    ) -> Self {
        let mut sums: BTreeMap<(End, End), u64> = BTreeMap::new();
        for (src, dst, bytes) in bytes {
            let (src, dst) = stations.resolve(src, dst);
            let sum = sums.entry((src.min(dst), src.max(dst))).or_default();
            *sum = sum.saturating_add(bytes);
        }
        let pair = |((a, b), bytes)| Pair {
            a,
            b,
            bytes,
            bytes_per_second: duration.map(|duration| bytes as f64 / duration.as_secs_f64()),
        };
        let mut pairs: Vec<Pair> = sums.into_iter().map(pair).collect();
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.bytes));
        Self {
            pairs,
            unattributed,
        }
    }

    /// Writes the report to standard output and what it leaves out to standard error.
    pub(crate) fn write(&self, form: Form, names: &Names) -> Result<(), Failure> {
        self.name_unattributed();
        let text = match form {
            Form::Table => self.table(names),
            Form::Json => self.json()?,
            Form::Csv => self.csv()?,
        };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|error| Failure::failed(format!("standard output: {error}")))
    }

    fn name_unattributed(&self) {
        let Unattributed {
            no_addresses,
            multicast,
            recirculated,
            malformed,
        } = self.unattributed;
        for (skipped, reason) in [
            (no_addresses, "matched on no pair of addresses"),
            (multicast, "broadcast, multicast or to the sender itself"),
            (
                recirculated,
                "counted again in a later flow, and there once",
            ),
            (malformed, "not understood, bytes unknown"),
        ] {
            let Skipped { flows, bytes } = skipped;
            if flows > 0 {
                note(&format!(
                    "not attributed: {reason}: flows {flows}, bytes {bytes}"
                ));
            }
        }
        let by_mac = self.pairs.iter().filter(|pair| !pair.has_addresses());
        match by_mac.count() {
            0 if self.pairs.is_empty() => note("no flow between two stations"),
            0 => {}
            count => note(&format!(
                "pairs of MAC addresses, for which the switch keeps no IP addresses: {count}; --help has a rule that makes it keep them"
            )),
        }
    }

    fn table(&self, names: &Names) -> String {
        let named = |end: End| match names.get(&end) {
            None => end.to_string(),
            Some(name) => format!("{end} ({name})"),
        };
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["VM A", "VM B", "bytes", "bytes/s"]);
        for column in [2, 3] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for pair in &self.pairs {
            let rate = pair.bytes_per_second;
            table.add_row([
                named(pair.a),
                named(pair.b),
                pair.bytes.to_string(),
                rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}")),
            ]);
        }
        table.trim_fmt() + "\n"
    }

    fn json(&self) -> Result<String, Failure> {
        let document = Document {
            pairs: self.pairs.iter().map(Pair::to_json).collect(),
            unattributed: BTreeMap::from([
                ("no_addresses", self.unattributed.no_addresses.into()),
                ("multicast", self.unattributed.multicast.into()),
                ("recirculated", self.unattributed.recirculated.into()),
                ("malformed", self.unattributed.malformed.into()),
            ]),
        };
        Ok(serde_json::to_string(&document)? + "\n")
    }

    /// A traffic.csv. There a VM is an IPv4 address: what has none is left out and named.
    fn csv(&self) -> Result<String, Failure> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["vm_a", "vm_b", "bytes_per_second"])?;
        let (mut left_out, mut bytes) = (0_u64, 0_u64);
        for pair in &self.pairs {
            if let (End::Ipv4(a), End::Ipv4(b), Some(rate)) =
                (pair.a, pair.b, pair.bytes_per_second)
            {
                writer.write_record([a.to_string(), b.to_string(), format!("{rate:.3}")])?;
            } else {
                left_out += 1;
                bytes = bytes.saturating_add(pair.bytes);
            }
        }
        if left_out > 0 {
            note(&format!(
                "left out of the traffic.csv: {left_out} pairs with {bytes} bytes that are not between IPv4 addresses"
            ));
        }
        let bytes = writer
            .into_inner()
            .map_err(|error| Failure::failed(error.error()))?;
        String::from_utf8(bytes).map_err(Failure::from)
    }
}

impl Pair {
    fn has_addresses(&self) -> bool {
        !matches!(self.a, End::Mac(_)) && !matches!(self.b, End::Mac(_))
    }

    fn to_json(&self) -> JsonPair {
        JsonPair {
            vm_a: self.a.to_string(),
            vm_b: self.b.to_string(),
            bytes: self.bytes,
            bytes_per_second: self.bytes_per_second,
        }
    }
}

#[derive(Serialize)]
struct Document {
    pairs: Vec<JsonPair>,
    unattributed: BTreeMap<&'static str, JsonSkipped>,
}

#[derive(Serialize)]
struct JsonPair {
    vm_a: String,
    vm_b: String,
    bytes: u64,
    bytes_per_second: Option<f64>,
}

#[derive(Serialize)]
struct JsonSkipped {
    flows: u64,
    bytes: u64,
}

impl From<Skipped> for JsonSkipped {
    fn from(skipped: Skipped) -> Self {
        Self {
            flows: skipped.flows,
            bytes: skipped.bytes,
        }
    }
}

/// What hashes are seeded with: random, since tenants choose what is hashed.
pub(crate) fn random_seed() -> u64 {
    RandomState::new().hash_one("vm-traffic")
}

/// Says something on standard error that is not part of the report.
pub(crate) fn note(message: &str) {
    // If nobody can read it there is nobody to tell.
    let _ = writeln!(io::stderr(), "vm-traffic: {message}");
}
