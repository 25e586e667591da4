//! What is new from poll to poll, whatever becomes of a flow and of its line in the dump.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use s_core_backend::ovs::{MacTable, dump};
use s_core_backend::{FlowCounter, Unattributed};
use s_core_flow::CounterDeltas;

const OTHER: &str =
    "eth(src=02:00:00:00:00:03,dst=02:00:00:00:00:02), packets:0, bytes:0, used:never, actions:1\n";

fn line(bytes: u64, actions: &str) -> String {
    format!(
        "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02), packets:{bytes}, bytes:{bytes}, used:0.100s, actions:{actions}\n"
    )
}

/// The bytes that the last of these dumps adds, and those of flows without ends.
fn last(dumps: &[String]) -> (u64, Unattributed) {
    let mut stations = MacTable::new(100, 7);
    let mut counters = CounterDeltas::new(1000, 7);
    let mut last = (0, Unattributed::default());
    for text in dumps {
        let poll = dump::read_dump(&format!("{OTHER}{text}"), 7, &mut stations)
            .unwrap()
            .poll;
        last.0 = 0;
        last.1 = poll.count(&mut counters, |_: &FlowCounter, delta| {
            last.0 += delta.bytes;
        });
    }
    last
}

#[test]
fn no_byte_is_counted_twice() {
    let good = |bytes| line(bytes, "2");
    let recirculated = |bytes| line(bytes, "ct,recirc(0x1)");
    let bad = |bytes| good(bytes).replace("packets:", "packets:-");
    let check = |dumps: &[String], expected: u64| {
        assert_eq!(last(dumps).0, expected, "{dumps:?}");
    };
    check(&[good(1000), good(1200)], 200);
    check(&[good(1000), bad(1100), good(1200)], 200);
    check(&[good(1000), bad(1050), bad(1100), good(1200)], 200);
    // It was there before it could be read: nobody knows since when.
    check(&[bad(1000), good(1100)], 0);
    check(&[String::new(), bad(1000), good(1100)], 0);
    check(&[String::new(), good(1100)], 1100);
    // What the switch does with the flow changes, and so do its ends.
    check(&[recirculated(1000), recirculated(1100), good(1200)], 100);
    check(&[good(1000), recirculated(1100), good(1300)], 200);
}

#[test]
fn what_belongs_to_no_pair_is_counted_from_poll_to_poll_too() {
    let dumps = [1000, 1250].map(|bytes| line(bytes, "ct,recirc(0x1)"));
    let (bytes, rest) = last(&dumps);
    assert_eq!((bytes, rest.recirculated.bytes), (0, 250));
}
