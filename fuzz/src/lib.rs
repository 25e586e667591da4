//! A fuzz target for every decoder and parser that reads what others wrote.
//!
//! A target is a function of bytes that panics if something is wrong with the code that reads them: with a panic, a
//! result that does not come back when it is written and read again, or more memory than the input justifies.
//! Bytes that are refused are fine. The tests of this package replay the files in `corpus/` and mutants of them;
//! `libfuzzer/` searches for new ones, guided by coverage. docs/testing.md has the commands.

use std::fs;
use std::path::Path;

mod agent;
mod guest;
mod memory;
mod ovs;
mod proto;
mod sim;
mod token;
mod xl;

pub use agent::{agent_config, key_file};
pub use guest::{guest_answer, guest_request};
pub use ovs::{flow_dump, netflow, netlink, ovsdb_reply, unixctl_reply};
pub use proto::{frame, message, thesis_text};
pub use sim::snapshot;
pub use token::token;
pub use xl::{xl_cpu, xl_info, xl_list, xl_list_long, xl_migrate, xl_network_list, xm_list_long};

/// Looks at one input; panics if what reads it is wrong.
pub type Target = fn(&[u8]);

/// All targets by name. Each has a directory of its name in `corpus/` and a program of its name in `libfuzzer/`.
pub const TARGETS: [(&str, Target); 21] = [
    ("agent_config", agent_config),
    ("flow_dump", flow_dump),
    ("frame", frame),
    ("guest_answer", guest_answer),
    ("guest_request", guest_request),
    ("key_file", key_file),
    ("message", message),
    ("netflow", netflow),
    ("netlink", netlink),
    ("ovsdb_reply", ovsdb_reply),
    ("snapshot", snapshot),
    ("thesis_text", thesis_text),
    ("token", token),
    ("unixctl_reply", unixctl_reply),
    ("xl_cpu", xl_cpu),
    ("xl_info", xl_info),
    ("xl_list", xl_list),
    ("xl_list_long", xl_list_long),
    ("xl_migrate", xl_migrate),
    ("xl_network_list", xl_network_list),
    ("xm_list_long", xm_list_long),
];

/// The text of an input of a parser of text; what is not UTF-8 never gets to one.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// The line between the files of an input that stands for several.
const NEXT_FILE: &[u8] = b"\n---\n";

/// Cuts an input into files; those that it does not have are empty.
fn files<const N: usize>(mut data: &[u8]) -> [&[u8]; N] {
    std::array::from_fn(|_| {
        let mut places = data.windows(NEXT_FILE.len());
        let end = places.position(|place| place == NEXT_FILE);
        let (file, rest) = data.split_at(end.unwrap_or(data.len()));
        data = rest.strip_prefix(NEXT_FILE).unwrap_or_default();
        file
    })
}

/// Writes a file of a scratch directory.
fn write(path: &Path, data: &[u8]) {
    fs::write(path, data).expect("a scratch directory can be written");
}

/// A directory for the files of one thread's inputs: in memory where the system has such a place, because a disk would
/// write every one of the thousands down.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a temporary directory can be made")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_cut_into_files() {
        let check = |data: &[u8], wanted: [&[u8]; 3]| assert_eq!(files(data), wanted);
        check(b"", [b"", b"", b""]);
        check(b"a\n---\n\n---\nc", [b"a", b"", b"c"]);
        check(b"a\n---\nb\n---", [b"a", b"b\n---", b""]);
        check(b"a\n---\nb\n---\nc\n---\nd", [b"a", b"b", b"c"]);
    }
}
