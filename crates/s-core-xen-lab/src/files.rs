//! The files of ours that go into the image, and into domUs.

/// A file of a control domain: its path below the root, what it holds, whether it is a program.
pub(crate) type File = (&'static str, &'static str, bool);

/// Of the control domains.
pub(crate) const DOM0: [File; 7] = [
    ("etc/inittab", include_str!("../files/inittab"), false),
    (
        "etc/s-core/start",
        include_str!("../files/dom0-start"),
        true,
    ),
    (
        "etc/s-core/agent",
        include_str!("../files/dom0-agent"),
        true,
    ),
    (
        "etc/s-core/sshd_config",
        include_str!("../files/sshd_config"),
        false,
    ),
    (
        "etc/ssh/ssh_config.d/s-core.conf",
        include_str!("../files/ssh_config"),
        false,
    ),
    (
        "etc/xen/scripts/vif-s-core",
        include_str!("../files/vif-s-core"),
        true,
    ),
    ("etc/profile", include_str!("../files/profile"), false),
];

/// The init of the initial file system that finds a control domain's disk.
pub(crate) const INITRAMFS_INIT: &str = include_str!("../files/initramfs-init");

/// What a VM's kernel has beside the smallest configuration.
pub(crate) const GUEST_KERNEL: &str = include_str!("../files/guest-kernel.config");
