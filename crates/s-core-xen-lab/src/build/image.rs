//! Puts the image together: hypervisor, kernel, initial file system, and the file system of the control domains.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use s_core_lab::{LabError, system};

use crate::cache::{Cache, file_error, remove};
use crate::files;
use crate::newc::Archive;
use crate::progress::BuildStep;

use super::programs::Programs;
use super::system::System;
use super::{find, modules, recipe, recipe_key, write};

/// Says which recipe an image was made by.
pub(super) const RECIPE: &str = "recipe";
/// The size of the control domains' file system; what is not used takes no room.
const SIZE: &str = "1G";
/// The key pair in the cache: that of every host and of whoever may enter it.
const KEY: &str = "key";

pub(super) fn make(
    cache: &Cache,
    from: &System,
    guest_kernel: &Path,
    programs: &Programs,
    tell: &dyn Fn(BuildStep),
) -> Result<PathBuf, LabError> {
    let key = key_pair(cache)?;
    let inputs = recipe("image", 1)
        .with(recipe_key())
        .with(&programs.agent)
        .with(&programs.guest);
    let inputs = inputs.with_file(guest_kernel)?.with_file(&key)?;
    cache.stage("image", &inputs, |at| {
        tell(BuildStep::Image);
        let root = at.join("root");
        // Links to what was unpacked: files are replaced, never written into.
        system::run(Command::new("cp").arg("-al").args([&from.root, &root]))?;
        fill(&root, guest_kernel, programs, &key)?;
        let version = modules::version(&from.kernel)?;
        modules::copy(&from.kernel, &version, &root)?;
        write(&at.join("initramfs"), initramfs(&root, &version)?)?;
        boot_files(from, &version, at)?;
        let mut file_system = Command::new("mke2fs");
        file_system.args([
            "-q",
            "-t",
            "ext4",
            "-O",
            "^has_journal,^metadata_csum",
            "-d",
        ]);
        system::run(file_system.arg(&root).arg(at.join("base.img")).arg(SIZE))?;
        remove(&root)?;
        keys_of_the_operator(&key, at)?;
        write(&at.join(RECIPE), recipe_key())
    })
}

/// The key pair, made once.
fn key_pair(cache: &Cache) -> Result<PathBuf, LabError> {
    let path = cache.path(KEY);
    if !path.with_extension("pub").is_file() {
        remove(&path)?;
        let mut command = Command::new("ssh-keygen");
        command.args([
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            "s-core-xen-lab",
            "-f",
        ]);
        system::run(command.arg(&path))?;
    }
    Ok(path)
}

fn read(path: &Path) -> Result<Vec<u8>, LabError> {
    fs::read(path).map_err(|source| file_error(path, source))
}

/// Puts all that is ours into the file system.
fn fill(root: &Path, guest_kernel: &Path, programs: &Programs, key: &Path) -> Result<(), LabError> {
    for (path, content, is_program) in files::DOM0 {
        put(
            root,
            path,
            content.as_bytes(),
            if is_program { 0o755 } else { 0o644 },
        )?;
    }
    let (private, public) = (read(key)?, read(&key.with_extension("pub"))?);
    for entry in ["rsa", "ecdsa", "ed25519"] {
        for suffix in ["", ".pub"] {
            remove(&root.join(format!("etc/ssh/ssh_host_{entry}_key{suffix}")))?;
        }
    }
    put(root, "etc/ssh/ssh_host_ed25519_key", &private, 0o600)?;
    put(root, "etc/ssh/ssh_host_ed25519_key.pub", &public, 0o644)?;
    put(root, "root/.ssh/id_ed25519", &private, 0o600)?;
    put(root, "root/.ssh/authorized_keys", &public, 0o600)?;
    put(
        root,
        "etc/ssh/ssh_known_hosts",
        &known_hosts(&public),
        0o644,
    )?;
    put(root, "usr/local/sbin/dom0-agent", &programs.agent, 0o755)?;
    put(root, "etc/s-core/guest-kernel", &read(guest_kernel)?, 0o644)?;
    put(
        root,
        "etc/s-core/guest-initramfs",
        &guest(&programs.guest),
        0o644,
    )
}

/// Writes a file in place of another, if there is one.
fn put(root: &Path, path: &str, content: &[u8], mode: u32) -> Result<(), LabError> {
    let path = root.join(path);
    let above = path.parent().unwrap_or(root);
    fs::create_dir_all(above).map_err(|source| file_error(above, source))?;
    remove(&path)?;
    write(&path, content)?;
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(&path, permissions).map_err(|source| file_error(&path, source))
}

/// All hosts have the same key.
fn known_hosts(public: &[u8]) -> Vec<u8> {
    [b"* ", public].concat()
}

/// A VM's whole file system.
fn guest(program: &[u8]) -> Vec<u8> {
    let mut archive = Archive::default();
    for directory in ["dev", "proc", "sbin", "sys", "tmp"] {
        archive.directory(directory);
    }
    archive.program("init", program);
    // What the kernel runs when the hypervisor wants the VM to end.
    archive.link("sbin/poweroff", "/init");
    archive.finish()
}

/// The file system from which a control domain loads what brings its disk.
fn initramfs(root: &Path, version: &str) -> Result<Vec<u8>, LabError> {
    let mut archive = Archive::default();
    for directory in ["bin", "dev", "proc", "root"] {
        archive.directory(directory);
    }
    archive.program("init", files::INITRAMFS_INIT.as_bytes());
    archive.program("bin/busybox", &read(&root.join("bin/busybox"))?);
    let mut names = String::new();
    for module in modules::for_the_disk(root, version)? {
        let name = module
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        archive.file(&name, &read(&module)?);
        names += &format!("{name}\n");
    }
    archive.file("modules", names.as_bytes());
    Ok(archive.finish())
}

/// The hypervisor, unpacked as the emulator wants it, and the kernel.
fn boot_files(from: &System, version: &str, at: &Path) -> Result<(), LabError> {
    let packed = find(&from.hypervisor.join("boot"), "xen-", ".gz")?;
    let copy = at.join("hypervisor.gz");
    fs::copy(&packed, &copy).map_err(|source| file_error(&packed, source))?;
    system::run(Command::new("gzip").arg("-d").arg(&copy))?;
    let kernel = from.kernel.join(format!("boot/vmlinuz-{version}"));
    let copied = fs::copy(&kernel, at.join("vmlinuz"));
    copied
        .map(drop)
        .map_err(|source| file_error(&kernel, source))
}

/// What lets this machine enter the hosts.
fn keys_of_the_operator(key: &Path, at: &Path) -> Result<(), LabError> {
    put(at, "key", &read(key)?, 0o600)?;
    put(
        at,
        "known_hosts",
        &known_hosts(&read(&key.with_extension("pub"))?),
        0o644,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_what_it_was_a_link_to_stays() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        put(directory.path(), "etc/a", b"one", 0o644).unwrap();
        fs::hard_link(at("etc/a"), at("b")).unwrap();
        put(directory.path(), "etc/a", b"two", 0o755).unwrap();
        assert_eq!(fs::read(at("b")).unwrap(), b"one");
        assert_eq!(fs::read(at("etc/a")).unwrap(), b"two");
        assert_eq!(
            fs::metadata(at("etc/a")).unwrap().permissions().mode() & 0o777,
            0o755
        );
    }
}
