//! One host: its place among the switches, and its start.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use s_core_lab::{HostNumber, LabError, shape_uplink, system};

use crate::build::Image;
use crate::cache::{file_error, remove};
use crate::plan::Plan;
use crate::progress::Stage;
use crate::qemu::{self, TAPS};
use crate::up::{Stopped, Tell};

/// How long a host may take from its emulator's start to its last daemon; four at once on two processors take two minutes.
const BOOT: Duration = Duration::from_secs(900);
/// How often to look how far it is.
const LOOK: Duration = Duration::from_millis(250);
/// What a host's console shows, and how far it is then.
const MARKS: [(&str, Stage); 4] = [
    ("(XEN) Xen version", Stage::Hypervisor),
    ("about to get started...", Stage::Kernel),
    ("xen-lab: sshd runs", Stage::Ssh),
    ("xen-lab: ready", Stage::Ready),
];
/// What it shows when it will never get there.
const ENDS: [&str; 4] = [
    "Hardware Dom0 crashed",
    "Panic on CPU",
    "Kernel panic",
    "xen-lab: no file system",
];

/// Joins the host's emulator-to-be to the switches, and makes its disk above `base`.
pub(crate) fn prepare(plan: &Plan, host: HostNumber, base: &Base<'_>) -> Result<(), LabError> {
    let layout = plan.layout();
    let directory = layout.host_directory(host);
    fs::create_dir_all(&directory).map_err(|source| file_error(&directory, source))?;
    system::ip_batch(&layout.host_namespace(host), &interfaces(plan))?;
    shape_uplink(layout, host)?;
    let mut command = Command::new("qemu-img");
    command.args(["create", "-q", "-f", "qcow2", "-F", base.format, "-b"]);
    system::run(
        command
            .arg(base.path)
            .arg(plan.host_file(host, "disk.qcow2")),
    )
    .map(drop)
}

/// What a disk begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base<'a> {
    pub(crate) path: &'a Path,
    pub(crate) format: &'static str,
}

/// Commands of `ip` in the host's namespace: a bridge for each of the host's two links, with a tap for the emulator.
fn interfaces(plan: &Plan) -> Vec<String> {
    let layout = plan.layout();
    let links = [
        ("data", layout.uplink()),
        ("management", layout.management_port()),
    ];
    let mut lines = vec!["link set lo up".to_owned()];
    for ((bridge, port), tap) in links.into_iter().zip(TAPS) {
        lines.extend([
            format!(
                "link add {bridge} up type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
            ),
            format!("link set {port} up master {bridge}"),
            format!("tuntap add dev {tap} mode tap"),
            format!("link set {tap} up master {bridge}"),
        ]);
    }
    lines
}

/// Starts the host and waits until it has started all that it should.
pub(crate) fn boot(
    plan: &Plan,
    host: HostNumber,
    image: &Image,
    stopped: Stopped<'_>,
    tell: Tell<'_>,
) -> Result<(), LabError> {
    let console = plan.host_file(host, "console.log");
    remove(&console)?;
    let mut emulator = qemu::start(plan, host, image, false)?;
    tell(host, Stage::Started);
    let begun = Instant::now();
    let mut told = Stage::Started;
    while told < Stage::Ready {
        thread::sleep(LOOK);
        if stopped() {
            return Err(LabError::Interrupted(plan.layout().name().clone()));
        }
        check_emulator(plan, host, &mut emulator)?;
        let text = fs::read(&console).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        for stage in stages(&text)
            .filter(|stage| *stage > told)
            .collect::<Vec<_>>()
        {
            told = stage;
            tell(host, stage);
        }
        if let Some(end) = ENDS.iter().find(|end| text.contains(**end)) {
            return Err(LabError::Content {
                path: console,
                problem: format!("{} does not start: {end}", plan.host_name(host)),
            });
        }
        if begun.elapsed() > BOOT {
            return Err(LabError::DeadlineExceeded {
                what: format!(
                    "the start of {} ({} shows more)",
                    plan.host_name(host),
                    console.display()
                ),
                after: BOOT,
            });
        }
    }
    Ok(())
}

/// How far a host is, by its console.
fn stages(console: &str) -> impl Iterator<Item = Stage> {
    MARKS
        .into_iter()
        .filter(|(mark, _)| console.contains(mark))
        .map(|(_, stage)| stage)
}

/// Fails if the emulator has ended.
pub(crate) fn check_emulator(
    plan: &Plan,
    host: HostNumber,
    emulator: &mut Child,
) -> Result<(), LabError> {
    let Ok(Some(status)) = emulator.try_wait() else {
        return Ok(());
    };
    let log = fs::read_to_string(plan.host_file(host, "qemu.log")).unwrap_or_default();
    let last = log
        .lines()
        .next_back()
        .map_or_else(|| status.to_string(), str::to_owned);
    Err(LabError::Failed {
        command: format!("{} of {}", qemu::PROGRAM, plan.host_name(host)),
        message: last,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Size;

    #[test]
    fn a_console_tells_how_far_it_is() {
        let last = |text: &str| stages(text).last();
        assert_eq!(last(""), None);
        let text = include_str!("../tests/data/console.txt");
        for (until, stage) in [
            ("(XEN) Bootloader", Some(Stage::Hypervisor)),
            ("about to get", Some(Stage::Hypervisor)),
            ("xen-lab: sshd", Some(Stage::Kernel)),
            ("xen-lab: xenstored", Some(Stage::Ssh)),
            ("nothing of this kind", Some(Stage::Ready)),
        ] {
            let end = text.find(until).unwrap_or(text.len());
            assert_eq!(last(&text[..end]), stage, "{until}");
        }
        assert!(ENDS.iter().all(|end| !text.contains(end)));
    }

    #[test]
    fn a_tap_for_each_link() {
        let plan = Plan::new("demo".parse().unwrap(), Size::default()).unwrap();
        assert_eq!(
            interfaces(&plan)[5..],
            [
                "link add management up type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
                "link set mgmt0 up master management",
                "tuntap add dev tap1 mode tap",
                "link set tap1 up master management",
            ]
        );
    }
}
