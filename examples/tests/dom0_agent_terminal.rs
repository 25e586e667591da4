//! What dom0-agent draws fits on the terminal.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics says where; clippy.toml exempts only test functions"
)]

mod program;

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::process::Stdio;

use program::program;
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// What a run draws on a terminal of so many rows and columns.
fn drawn(args: &[&str], rows: u16, columns: u16) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    unlockpt(&terminal).unwrap();
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal, size).unwrap();
    let path = ptsname(&terminal, Vec::new()).unwrap();
    let stdout = OpenOptions::new()
        .write(true)
        .open(path.to_str().unwrap())
        .unwrap();
    let mut demo = program("dom0-agent")
        .args(args)
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .stdout(Stdio::from(stdout))
        .spawn()
        .unwrap();
    // It ends with an error once nobody has the other side open any more.
    let mut text = Vec::new();
    drop(File::from(terminal).read_to_end(&mut text));
    assert!(demo.wait().unwrap().success());
    String::from_utf8(text).unwrap()
}

/// How many characters a line shows.
fn width(line: &str) -> usize {
    let parts = line.split('\x1b').enumerate();
    parts
        .map(|(i, part)| {
            // After an escape character come its parameters, up to a letter.
            let shown = if i == 0 {
                part
            } else {
                part.split_once(char::is_alphabetic).unwrap().1
            };
            shown.chars().filter(|char| !char.is_control()).count()
        })
        .sum()
}

fn check(rows: u16, columns: u16, shortened: bool) {
    let text = drawn(&["--servers", "6", "--vms", "1"], rows, columns);
    let pictures = text.split('\n');
    let pictures = pictures.filter_map(|line| line.split_once("\x1b[2K"));
    let widest = pictures.map(|(_, line)| width(line)).max().unwrap();
    assert!(widest <= columns.into(), "{widest} of {columns}");
    let ups = text.split("\x1b[").filter_map(|part| {
        let (number, _) = part.split_once('A')?;
        number.parse::<u16>().ok()
    });
    let highest = ups.max().unwrap();
    assert!(highest < rows, "{highest} of {rows}");
    assert_eq!(text.contains("more servers"), shortened, "{rows} rows");
}

#[test]
fn a_large_terminal_has_the_whole_picture() {
    check(50, 200, false);
}

#[test]
fn a_small_terminal_has_fewer_servers() {
    check(10, 30, true);
}

#[test]
fn a_tiny_terminal_has_the_top_of_the_picture() {
    check(5, 9, false);
}
