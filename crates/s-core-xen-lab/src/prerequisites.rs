//! What a machine needs for a testbed, said in one line with the command that mends it.

use std::env;
use std::ffi::CString;
use std::path::Path;

use s_core_lab::LabError;

use crate::cache::Cache;
use crate::qemu;

/// What a machine is to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Making the image.
    Build,
    /// Starting so many hosts of so much memory in MiB.
    Run {
        /// How many hosts.
        hosts: u16,
        /// The memory of each.
        memory_mib: u32,
    },
}

/// A file or program, and the package of Debian 12 that brings it.
type Needed = (&'static str, &'static str);

/// For making the image.
const BUILD: [Needed; 13] = [
    ("mmdebstrap", "mmdebstrap"),
    (
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
    ),
    ("dpkg-deb", "dpkg"),
    ("chroot", "coreutils"),
    ("mke2fs", "e2fsprogs"),
    ("ssh-keygen", "openssh-client"),
    ("tar", "tar"),
    ("xz", "xz-utils"),
    ("make", "make"),
    ("gcc", "gcc"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
];

/// Also for making the image: a header where one of these is.
const LIBELF: Needed = ("/usr/include/libelf.h", "libelf-dev");

/// For running.
const RUN: [Needed; 7] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-img", "qemu-utils"),
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("nft", "nftables"),
    ("ssh", "openssh-client"),
    ("timeout", "coreutils"),
];

/// The oldest emulator that hosts were seen to run on.
const OLDEST_EMULATOR: (u32, u32) = (7, 2);

/// Free disk that a part of building takes unless it is done, in MiB, and how what it makes is called.
const BUILD_DISK: [(&str, u64); 2] = [("system-", 3 << 10), ("guest-kernel-", 3 << 10)];
/// Free disk that the rest of it takes: the programs' objects and the image.
const IMAGE_DISK: u64 = 2 << 10;
/// Free disk that a host's snapshot takes at most, in MiB.
const HOST_DISK: u64 = 1100;
/// What an emulator takes beside its host's memory, in MiB, a few of them for what the host writes to its disk.
const EMULATOR: u64 = 320;

impl Purpose {
    /// Whether this machine can do it.
    ///
    /// # Errors
    ///
    /// [`LabError::Missing`] names in one line all that is missing: privilege, packages, memory, disk.
    pub fn check(self, cache: &Cache) -> Result<(), LabError> {
        let path = env::var_os("PATH").unwrap_or_default();
        let is_there = |file: &str| {
            let mut directories = env::split_paths(&path);
            Path::new(file).is_file() || directories.any(|directory| directory.join(file).is_file())
        };
        let machine = Machine {
            is_root: rustix::process::geteuid().is_root(),
            free_memory_mib: memory(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default()),
            free_disk_mib: free_disk(cache.directory()),
            build_disk_mib: build_disk(cache),
            has_tun: Path::new("/dev/net/tun").exists(),
            emulator: match self {
                Self::Build => None,
                Self::Run { .. } => qemu::version().ok().as_deref().and_then(version),
            },
        };
        match self.missing(&machine, is_there, cache.directory()) {
            Some(missing) => Err(LabError::Missing(missing)),
            None => Ok(()),
        }
    }

    fn missing(
        self,
        machine: &Machine,
        is_there: impl Fn(&str) -> bool,
        cache: &Path,
    ) -> Option<String> {
        let (needed, memory, disk): (Vec<Needed>, u64, u64) = match self {
            Self::Build => (
                BUILD.into_iter().chain([LIBELF]).collect(),
                0,
                machine.build_disk_mib,
            ),
            Self::Run { hosts, memory_mib } => {
                let hosts = u64::from(hosts);
                let memory = hosts * (u64::from(memory_mib) + EMULATOR);
                (RUN.to_vec(), memory, 0)
            }
        };
        let mut parts = Vec::new();
        if !machine.is_root {
            parts.push(
                "a testbed needs root, for network namespaces and file systems (sudo)".to_owned(),
            );
        }
        parts.extend(installation(&needed, is_there));
        if let Some((major, minor)) = machine.emulator.filter(|of| *of < OLDEST_EMULATOR) {
            let (oldest, of) = OLDEST_EMULATOR;
            parts.push(format!(
                "QEMU {oldest}.{of} or later is needed and this is {major}.{minor} (Debian 12 has 7.2)"
            ));
        }
        if matches!(self, Self::Run { .. }) && !machine.has_tun {
            parts.push("no /dev/net/tun (modprobe tun)".to_owned());
        }
        if machine.free_memory_mib.is_some_and(|free| free < memory) {
            let free = machine.free_memory_mib.unwrap_or_default();
            parts.push(format!(
                "{memory} MiB of memory are needed and {free} available (fewer --hosts)"
            ));
        }
        if machine.free_disk_mib.is_some_and(|free| free < disk) {
            let (free, cache) = (machine.free_disk_mib.unwrap_or_default(), cache.display());
            parts.push(format!(
                "{disk} MiB of disk are needed and {free} free at {cache} (choose another --cache)"
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// What a machine has.
#[derive(Clone, Copy, Debug)]
struct Machine {
    is_root: bool,
    free_memory_mib: Option<u64>,
    free_disk_mib: Option<u64>,
    /// What building has still to make.
    build_disk_mib: u64,
    has_tun: bool,
    /// The emulator's version, where it matters and is known.
    emulator: Option<(u32, u32)>,
}

fn installation(needed: &[Needed], is_there: impl Fn(&str) -> bool) -> Option<String> {
    let absent = needed.iter().filter(|(file, _)| !is_there(file));
    let (files, mut packages): (Vec<_>, Vec<_>) = absent.copied().unzip();
    packages.dedup();
    let (files, packages) = (files.join(", "), packages.join(" "));
    (!files.is_empty())
        .then(|| format!("not found: {files} (Debian 12: apt-get install {packages})"))
}

/// The first two numbers of a version, as in `QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)`.
fn version(said: &str) -> Option<(u32, u32)> {
    let (_, version) = said.split_once(" version ")?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// `MemAvailable` of `/proc/meminfo`, in MiB.
fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib >> 10)
}

/// Whether a snapshot of so many hosts has room in this directory.
///
/// # Errors
///
/// [`LabError::Missing`] if not.
pub(crate) fn check_room(hosts: u16, directory: &Path) -> Result<(), LabError> {
    let (needed, free) = (u64::from(hosts) * HOST_DISK, free_disk(directory));
    match free.filter(|free| *free < needed) {
        None => Ok(()),
        Some(free) => Err(LabError::Missing(format!(
            "{needed} MiB of disk may be needed and {free} are free at {}",
            directory.display()
        ))),
    }
}

/// Disk that building takes with what is in a cache, in MiB.
fn build_disk(cache: &Cache) -> u64 {
    let missing = BUILD_DISK.iter().filter(|(name, _)| !cache.has(name));
    IMAGE_DISK + missing.map(|(_, disk)| disk).sum::<u64>()
}

/// What is free in MiB in the file system of a directory or of the first one above it that exists.
fn free_disk(directory: &Path) -> Option<u64> {
    let existing = directory.ancestors().find(|path| path.is_dir())?;
    let path = CString::new(existing.as_os_str().as_encoded_bytes()).ok()?;
    let system = rustix::fs::statvfs(&*path).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize) >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: Machine = Machine {
        is_root: true,
        free_memory_mib: Some(20_000),
        free_disk_mib: Some(20_000),
        build_disk_mib: 8192,
        has_tun: true,
        emulator: Some((7, 2)),
    };
    const FOUR: Purpose = Purpose::Run {
        hosts: 4,
        memory_mib: 1024,
    };

    #[test]
    fn what_is_missing_is_said_in_one_line() {
        let check =
            |purpose: Purpose, change: fn(&mut Machine), absent: &[&str], says: Option<&str>| {
                let mut machine = ENOUGH;
                change(&mut machine);
                let said =
                    purpose.missing(&machine, |file| !absent.contains(&file), Path::new("/c"));
                assert_eq!(said.as_deref(), says);
            };
        check(Purpose::Build, |_| (), &["ip"], None);
        check(FOUR, |_| (), &["mmdebstrap"], None);
        let install = "not found: ip, tc, ssh (Debian 12: apt-get install iproute2 openssh-client)";
        check(FOUR, |_| (), &["ip", "tc", "ssh"], Some(install));
        let root = "a testbed needs root, for network namespaces and file systems (sudo)";
        check(FOUR, |of| of.is_root = false, &[], Some(root));
        let memory = "5376 MiB of memory are needed and 5375 available (fewer --hosts)";
        check(
            FOUR,
            |of| of.free_memory_mib = Some(5375),
            &[],
            Some(memory),
        );
        let disk = "8192 MiB of disk are needed and 100 free at /c (choose another --cache)";
        check(
            Purpose::Build,
            |of| of.free_disk_mib = Some(100),
            &[],
            Some(disk),
        );
        let both = "not found: flex (Debian 12: apt-get install flex); 8192 MiB of disk are needed and 0 free at /c (choose another --cache)";
        check(
            Purpose::Build,
            |of| of.free_disk_mib = Some(0),
            &["flex"],
            Some(both),
        );
        check(
            FOUR,
            |of| of.has_tun = false,
            &[],
            Some("no /dev/net/tun (modprobe tun)"),
        );
        check(FOUR, |of| of.emulator = Some((10, 0)), &[], None);
        let old = "QEMU 7.2 or later is needed and this is 6.11 (Debian 12 has 7.2)";
        check(FOUR, |of| of.emulator = Some((6, 11)), &[], Some(old));
    }

    #[test]
    fn versions_are_compared_by_number() {
        for (said, wanted) in [
            (
                "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)",
                Some((7, 2)),
            ),
            ("QEMU emulator version 10.1.0", Some((10, 1))),
            ("QEMU emulator version 9.1-rc2", Some((9, 1))),
            ("QEMU emulator version new", None),
            ("", None),
        ] {
            assert_eq!(version(said), wanted, "{said}");
        }
        assert!((10, 1) > OLDEST_EMULATOR && (6, 11) < OLDEST_EMULATOR);
    }

    #[test]
    fn disk_is_for_what_is_to_be_made() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(&directory.path().join("cache")).unwrap();
        for (made, mib) in [
            ("target", 8192),
            ("system-1.partial", 8192),
            ("system-1", 5120),
            ("guest-kernel-1", 2048),
        ] {
            std::fs::create_dir_all(cache.path(made)).unwrap();
            assert_eq!(build_disk(&cache), mib, "{made}");
        }
        assert!(check_room(0, cache.directory()).is_ok());
        let refused = check_room(u16::MAX, cache.directory()).unwrap_err();
        assert!(
            refused.to_string().starts_with("72088500 MiB of disk"),
            "{refused}"
        );
    }

    #[test]
    fn memory_is_what_is_available() {
        let text = "MemTotal:       24682412 kB\nMemFree:        20000000 kB\nMemAvailable:   22247936 kB\n";
        assert_eq!(memory(text), Some(21_726));
        assert_eq!(memory("MemAvailable: much"), None);
    }
}
