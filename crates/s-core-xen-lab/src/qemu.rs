//! The emulator of a host.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Stdio};

use s_core_lab::{HostNumber, LabError, namespace, system};

use crate::build::Image;
use crate::cache::file_error;
use crate::plan::Plan;

/// The program.
pub(crate) const PROGRAM: &str = "qemu-system-x86_64";
/// The processor. With AVX and XSAVE, data of a control domain was silently corrupted as soon as a VM ran. With SMAP, QEMU
/// before 9.1 stops a PV domain's kernel, which does not run in ring 0, when it returns from an interrupt. The rest is not needed.
const CPU: &str =
    "max,-erms,-fsrm,-la57,-smap,-xsave,-xsaveopt,-avx,-avx2,-fma,-f16c,-vaes,-vpclmulqdq";
/// A host's interfaces in its namespace: those of the VMs' network and of the management network.
pub(crate) const TAPS: [&str; 2] = ["tap0", "tap1"];

/// The hypervisor's command line. Without mitigations it is faster, and nobody attacks.
fn hypervisor_words(plan: &Plan) -> String {
    let memory = plan.dom0_memory_mib();
    format!(
        "dom0_mem={memory}M,max:{memory}M dom0_max_vcpus=1 console=com1 com1=115200,8n1 \
         loglvl=warning guest_loglvl=warning noreboot spec-ctrl=no xpti=0 pv-l1tf=0 watchdog=0"
    )
}

/// The control domain's command line: who it is.
fn kernel_words(plan: &Plan, host: HostNumber) -> String {
    let layout = plan.layout();
    let (name, bridge) = (plan.host_name(host), plan.bridge());
    let (fabric, management) = (layout.fabric_address(host), layout.management_address(host));
    let mac = layout.bridge_mac(host);
    format!(
        "console=hvc0 quiet mitigations=off net.ifnames=0 s-core.name={name} s-core.bridge={bridge} \
         s-core.mac={mac} s-core.fabric={fabric}/16 s-core.management={management}/24"
    )
}

/// The MAC address of a host's interface: 0 the VMs' network, 1 the management network.
fn mac(host: HostNumber, interface: usize) -> String {
    let [high, low] = host.0.to_be_bytes();
    format!("02:77:{:02x}:00:{high:02x}:{low:02x}", 2 + interface)
}

/// The emulator's arguments.
pub(crate) fn arguments(
    plan: &Plan,
    host: HostNumber,
    image: &Path,
    incoming: bool,
) -> Vec<String> {
    let file = |name| plan.host_file(host, name).display().to_string();
    let part = |name| image.join(name).display().to_string();
    let memory = plan.host_memory_mib();
    let initrd = format!(
        "{} {},{}",
        part("vmlinuz"),
        kernel_words(plan, host),
        part("initramfs")
    );
    let mut words: Vec<String> = vec![
        "-name".into(),
        format!("{}{}", plan.layout().prefix(), plan.host_name(host)),
        "-accel".into(),
        "tcg,thread=multi,tb-size=256".into(),
        "-cpu".into(),
        CPU.into(),
        "-machine".into(),
        "q35".into(),
        "-smp".into(),
        "1".into(),
        "-m".into(),
        memory.to_string(),
        "-nodefaults".into(),
        "-no-user-config".into(),
        "-display".into(),
        "none".into(),
        "-kernel".into(),
        part("hypervisor"),
        "-append".into(),
        hypervisor_words(plan),
        "-initrd".into(),
        initrd,
        "-drive".into(),
        format!(
            "file={},if=virtio,format=qcow2,cache=unsafe",
            file("disk.qcow2")
        ),
    ];
    for (number, tap) in TAPS.into_iter().enumerate() {
        let mac = mac(host, number);
        words.extend([
            "-netdev".into(),
            format!("tap,id=net{number},ifname={tap},script=no,downscript=no,vhost=off"),
            "-device".into(),
            format!("virtio-net-pci,netdev=net{number},mac={mac}"),
        ]);
    }
    words.extend([
        "-object".into(),
        "rng-random,id=rng0,filename=/dev/urandom".into(),
        "-device".into(),
        "virtio-rng-pci,rng=rng0".into(),
        "-chardev".into(),
        format!(
            "socket,id=console,path={},server=on,wait=off,logfile={}",
            file("console.sock"),
            file("console.log")
        ),
        "-serial".into(),
        "chardev:console".into(),
        "-qmp".into(),
        format!("unix:{},server=on,wait=off", file("qmp.sock")),
        "-pidfile".into(),
        file("qemu.pid"),
    ]);
    if incoming {
        words.extend(["-incoming".into(), format!("unix:{}", file("state.sock"))]);
    }
    words
}

/// Starts a host's emulator in the host's namespace. It outlives this process.
pub(crate) fn start(
    plan: &Plan,
    host: HostNumber,
    image: &Image,
    incoming: bool,
) -> Result<Child, LabError> {
    let log = plan.host_file(host, "qemu.log");
    let log = File::create(&log).map_err(|source| file_error(&log, source))?;
    let mut command = namespace::command(&plan.layout().host_namespace(host), PROGRAM);
    command
        .args(arguments(plan, host, image.directory(), incoming))
        // A terminal's Ctrl-C is not for it.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command.spawn().map_err(|source| LabError::Program {
        program: PROGRAM.into(),
        source,
    })
}

/// The emulator's version, which a snapshot's state belongs to.
pub(crate) fn version() -> Result<String, LabError> {
    let said = system::run(std::process::Command::new(PROGRAM).arg("--version"))?;
    Ok(said.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Size;

    #[test]
    fn golden_command_line() {
        let plan = Plan::new("demo".parse().unwrap(), Size::default()).unwrap();
        let words = arguments(&plan, HostNumber(3), Path::new("/c/image-1"), true);
        let wanted = include_str!("../tests/data/qemu-arguments.txt");
        assert_eq!(words.join("\n") + "\n", wanted);
        let cold = arguments(&plan, HostNumber(3), Path::new("/c/image-1"), false);
        assert_eq!(cold[..], words[..words.len() - 2]);
    }
}
