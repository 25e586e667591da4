//! A parser of datapath flow dumps.
//!
//! It reads what `ovs-appctl dpctl/dump-flows` and `ovs-dpctl dump-flows` print, with and
//! without `-m`, of the userspace and of the kernel datapath. [`flows`] is the parser: pure,
//! one pass, no allocation. [`read_dump`] makes a [`Poll`](crate::Poll) of a whole dump.
//!
//! ```
//! use s_core_backend::ovs::dump;
//!
//! let text = "flow-dump from the main thread:\n\
//!     recirc_id(0),in_port(6),eth(src=02:00:0a:00:01:01,dst=02:00:0a:00:04:04),eth_type(0x0800),\
//!     ipv4(src=10.0.1.1,dst=10.0.4.4,frag=no), packets:3469, bytes:5247778, used:5.553s, flags:FP., actions:1\n";
//! for flow in dump::flows(text) {
//!     let flow = flow?;
//!     let (src, dst) = flow.ends().expect("the switch keeps both addresses");
//!     assert_eq!(format!("{src} {dst} {}", flow.bytes), "10.0.1.1 10.0.4.4 5247778");
//! }
//! # Ok::<(), dump::LineError>(())
//! ```
//!
//! # What is known of a flow
//!
//! A flow in the datapath stands for every packet that equals it in the bits under its mask.
//! Without `-m` a field that is not matched is left out; with `-m` it is printed with the value
//! that the *first* packet happened to have, followed by its mask: `ipv4(src=10.0.1.1/0.0.0.0,…)`
//! says nothing about the address. So a value counts as known only if it has no mask or a full
//! one. [`DatapathFlow::ends`] says which ends follow from that.

mod flow;
mod line;
mod matches;
mod reading;

pub use crate::NoEnds;
pub use flow::DatapathFlow;
pub use reading::{NotADump, Reading, read_dump};

/// A line that is not a datapath flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct LineError {
    /// Which line, from 1.
    pub line: usize,
    /// Which byte of the line, from 1.
    pub column: usize,
    /// What was expected there.
    pub what: &'static str,
}

/// Reads the flows of a dump, one per line.
///
/// Blank lines are passed over, and so are the titles that tell which thread the flows below
/// belong to (`flow-dump from the main thread:`, `flow-dump from pmd on cpu core: 3`). An error is
/// that of one line; the iterator goes on with the next.
pub fn flows(text: &str) -> Flows<'_> {
    Flows {
        lines: text.lines().enumerate(),
        thread: "",
    }
}

/// The flows of a dump; made by [`flows`].
#[derive(Clone, Debug)]
pub struct Flows<'a> {
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    thread: &'a str,
}

impl<'a> Iterator for Flows<'a> {
    type Item = Result<DatapathFlow<'a>, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        for (index, line) in self.lines.by_ref() {
            let line = line.trim_ascii_end();
            if line.is_empty() {
                continue;
            }
            if line.starts_with("flow-dump from ") {
                self.thread = line;
                continue;
            }
            return Some(line::parse(line, self.thread).map_err(|error| LineError {
                line: index + 1,
                column: error.at + 1,
                what: error.what,
            }));
        }
        None
    }
}
