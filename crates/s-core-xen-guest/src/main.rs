//! `xen-guest`: sends and counts the traffic of a VM, as its `/init` or in a network namespace.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::panic;
use std::path::Path;
use std::process::{self, ExitCode};
use std::thread;
use std::time::Duration;

use s_core_xen_guest::init::{self, Event, Signals};
use s_core_xen_guest::{Guest, HTTP_PORT, address_of};

const HELP: &str = "\
Sends and counts traffic of a VM, answers probes, and writes memory, as it is told over HTTP at port 80.

Usage: xen-guest [ADDRESS]

ADDRESS is the VM's IPv4 address; without it, that of ip= on the kernel's command line. As the first process (/init) it
mounts what it needs, and powers off on SIGTERM and control-alt-delete; called poweroff, it asks the first process to.

Options:
  -h, --help     print this
  -V, --version  print the version
";

/// After a start that failed, the first process tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    end_by_panic();
    let arguments: Vec<_> = env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let (program, words) = match arguments.split_first() {
        Some((program, words)) => (program.as_str(), words),
        None => ("xen-guest", &[][..]),
    };
    if init::is_first() {
        // The kernel hands over words that are not its own.
        return first_process(words.iter().find_map(|word| word.parse().ok()));
    }
    if Path::new(program)
        .file_name()
        .is_some_and(|name| name == "poweroff")
    {
        return ended(init::ask_to_power_off().map_err(|error| error.to_string()));
    }
    match words {
        [word] if word == "-h" || word == "--help" => say(io::stdout(), HELP.trim_end()),
        [word] if word == "-V" || word == "--version" => {
            say(
                io::stdout(),
                concat!("xen-guest ", env!("CARGO_PKG_VERSION")),
            );
        }
        [] => return ended(ordinary_process(None)),
        [word] => match word.parse() {
            Ok(address) => return ended(ordinary_process(Some(address))),
            Err(_) => return misused(&format!("{word} is not an IPv4 address")),
        },
        _ => return misused("one address is wanted"),
    }
    ExitCode::SUCCESS
}

/// A thread that panics must not leave half a guest behind.
fn end_by_panic() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        if init::is_first() {
            complain(&init::power_off().to_string());
        }
        process::abort();
    }));
}

/// A console that cannot be written to is no reason to end.
fn say(mut to: impl Write, line: &str) {
    let _ = writeln!(to, "{line}");
}

fn complain(problem: &str) {
    say(io::stderr(), &format!("xen-guest: {problem}"));
}

fn misused(problem: &str) -> ExitCode {
    complain(&format!("{problem}; --help says more"));
    ExitCode::from(2)
}

fn ended(result: Result<(), String>) -> ExitCode {
    let Err(problem) = result else {
        return ExitCode::SUCCESS;
    };
    complain(&problem);
    ExitCode::FAILURE
}

fn start(address: Option<Ipv4Addr>) -> Result<Guest, String> {
    let address = address.map_or_else(own_address, Ok)?;
    let guest = Guest::start(SocketAddrV4::new(address, HTTP_PORT));
    let guest = guest.map_err(|error| error.to_string())?;
    say(io::stdout(), &format!("xen-guest: {address} is ready"));
    Ok(guest)
}

fn own_address() -> Result<Ipv4Addr, String> {
    let line = fs::read_to_string("/proc/cmdline");
    let line = line.map_err(|error| format!("/proc/cmdline: {error}"))?;
    address_of(&line).map_err(|error| error.to_string())
}

/// Works until it is told to end.
fn ordinary_process(address: Option<Ipv4Addr>) -> Result<(), String> {
    let mut signals = Signals::open().map_err(|error| error.to_string())?;
    let _guest = start(address)?;
    while signals.wait().map_err(|error| error.to_string())? != Event::End {}
    Ok(())
}

/// Works until the machine ends.
fn first_process(address: Option<Ipv4Addr>) -> ExitCode {
    for (at, error) in init::mount() {
        complain(&format!("cannot mount {at}: {error}"));
    }
    let mut signals = match Signals::open() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("no signals: {error}"));
            complain(&init::power_off().to_string());
            return ExitCode::FAILURE;
        }
    };
    // Signals are heeded also while it does not start. What it has started runs on without the thread.
    thread::spawn(move || start_at_last(address));
    loop {
        match signals.wait() {
            Ok(Event::Child) => init::reap(),
            Ok(Event::End) => complain(&format!("cannot power off: {}", init::power_off())),
            Err(error) => {
                complain(&format!("no more signals: {error}"));
                thread::park();
            }
        }
    }
}

/// Tries until it has started, and says each problem once.
fn start_at_last(address: Option<Ipv4Addr>) {
    let mut said = String::new();
    while let Err(problem) = start(address) {
        if problem != said {
            complain(&format!("{problem}; trying again"));
            said = problem;
        }
        thread::sleep(RETRY_AFTER);
    }
}
