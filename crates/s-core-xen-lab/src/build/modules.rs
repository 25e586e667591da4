//! The kernel's modules that a control domain needs, of some four thousand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use s_core_lab::{LabError, system};

use crate::cache::{file_error, remove};

use super::find;

/// What is kept, below the directory `kernel` of the modules: directories with all that is in them, and files.
const KEPT: [&str; 15] = [
    "arch/x86/crypto",
    "crypto",
    "drivers/char/hw_random",
    "drivers/net/net_failover.ko",
    "drivers/net/tun.ko",
    "drivers/net/veth.ko",
    "drivers/net/virtio_net.ko",
    "drivers/net/xen-netback",
    "drivers/virtio",
    "drivers/xen",
    "drivers/block/virtio_blk.ko",
    "fs/ext4",
    "fs/jbd2",
    "lib",
    "net",
];
/// Kept if the kernel has it as a module.
const KEPT_IF_THERE: [&str; 1] = ["fs/mbcache.ko"];
/// What brings the control domain's disk.
const FOR_THE_DISK: [&str; 4] = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"];

/// The kernel's version, as the directory of its modules is called.
pub(super) fn version(kernel: &Path) -> Result<String, LabError> {
    let directory = find(&kernel.join("lib/modules"), "", "")?;
    Ok(directory
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned())
}

/// Copies the modules into the file system at `root` and lists what each needs.
pub(super) fn copy(kernel: &Path, version: &str, root: &Path) -> Result<(), LabError> {
    let below = Path::new("lib/modules").join(version);
    let (from, to) = (kernel.join(&below), root.join(&below));
    remove(&to)?;
    let there = KEPT_IF_THERE
        .into_iter()
        .filter(|path| from.join("kernel").join(path).exists());
    let kept = KEPT
        .into_iter()
        .chain(there)
        .map(|path| Path::new("kernel").join(path));
    let lists = [
        "modules.order",
        "modules.builtin",
        "modules.builtin.modinfo",
    ]
    .map(PathBuf::from);
    for path in kept.chain(lists) {
        let (from, to) = (from.join(&path), to.join(&path));
        let above = to.parent().unwrap_or(root);
        fs::create_dir_all(above).map_err(|source| file_error(above, source))?;
        system::run(Command::new("cp").arg("-a").args([from, to]))?;
    }
    system::run(Command::new("chroot").arg(root).args(["depmod", version])).map(drop)
}

/// The modules that bring the disk, in the order in which they are loaded, below the directory of the modules.
pub(super) fn for_the_disk(root: &Path, version: &str) -> Result<Vec<PathBuf>, LabError> {
    let directory = root.join("lib/modules").join(version);
    let list = directory.join("modules.dep");
    let text = fs::read_to_string(&list).map_err(|source| file_error(&list, source))?;
    let order = order(&text, &FOR_THE_DISK).map_err(|module| LabError::Content {
        path: list,
        problem: format!("has no module {module}"),
    })?;
    Ok(order.iter().map(|path| directory.join(path)).collect())
}

/// Modules by name with all that they need, each after what it needs, from `modules.dep`; otherwise the first that is not there.
fn order<'a>(dependencies: &'a str, names: &[&str]) -> Result<Vec<&'a str>, String> {
    let mut order: Vec<&str> = Vec::new();
    for name in names {
        let is_it = |path: &str| {
            let file = path
                .rsplit('/')
                .next()
                .and_then(|file| file.strip_suffix(".ko"));
            file.is_some_and(|file| file.replace('-', "_") == *name)
        };
        let mut lines = dependencies.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(path, _)| is_it(path));
        let (path, needs) = found.ok_or_else(|| (*name).to_owned())?;
        // depmod lists all that is needed, what is needed most deeply last.
        for module in needs.split_ascii_whitespace().rev().chain([path]) {
            if !order.contains(&module) {
                order.push(module);
            }
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {

    #[test]
    fn modules_come_after_what_they_need() {
        let dependencies = "\
kernel/lib/crc16.ko:
kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko kernel/fs/mbcache.ko kernel/fs/jbd2/jbd2.ko
kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/xen/xen-evtchn.ko:
";
        let order = |names: &[&str]| {
            let order = super::order(dependencies, names);
            order.map(|order| {
                order
                    .iter()
                    .map(|path| path.rsplit('/').next().unwrap())
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(
            order(&["virtio_pci", "virtio_blk", "ext4"]).unwrap(),
            [
                "virtio_ring.ko",
                "virtio.ko",
                "virtio_pci.ko",
                "virtio_blk.ko",
                "jbd2.ko",
                "mbcache.ko",
                "crc16.ko",
                "ext4.ko"
            ]
        );
        assert_eq!(order(&["xen_evtchn"]).unwrap(), ["xen-evtchn.ko"]);
        assert_eq!(order(&["ext4", "btrfs"]), Err("btrfs".into()));
    }
}
