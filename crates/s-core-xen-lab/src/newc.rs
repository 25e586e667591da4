//! The archive format of an initial file system: "newc" of cpio(5), as the kernel's
//! Documentation/driver-api/early-userspace/buffer-format.rst has it.

/// Mode bits of a directory.
const DIRECTORY: u32 = 0o040_000;
/// Mode bits of a symbolic link, whose content is where it leads to.
const LINK: u32 = 0o120_000;
/// Mode bits of a regular file.
const REGULAR: u32 = 0o100_000;

/// An archive that is being written.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    inodes: u32,
}

impl Archive {
    /// Adds a directory; those above it come first.
    pub(crate) fn directory(&mut self, path: &str) {
        self.entry(path, DIRECTORY | 0o755, &[]);
    }

    /// Adds a file that can be run.
    pub(crate) fn program(&mut self, path: &str, content: &[u8]) {
        self.entry(path, REGULAR | 0o755, content);
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, path: &str, content: &[u8]) {
        self.entry(path, REGULAR | 0o644, content);
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: &str, to: &str) {
        self.entry(path, LINK | 0o777, to.as_bytes());
    }

    /// The archive with its end.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.inodes = 0;
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        let inode = self.inodes;
        self.inodes += 1;
        // The format has 32 bits; what goes in here is some megabytes.
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let name = u32::try_from(path.len() + 1).unwrap_or(u32::MAX);
        let links = 1;
        // Owner, group, time and devices are 0, as is the checksum of this variant.
        let fields = [inode, mode, 0, 0, links, 0, length, 0, 0, 0, 0, name, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08X}").into_bytes());
        }
        self.bytes.extend(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    /// Headers with names, and contents, end at a multiple of four.
    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(length, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let mut archive = Archive::default();
        archive.directory("dev");
        archive.program("init", b"#!/");
        archive.link("sh", "/init");
        let header = |inode, mode: &str, length: &str, name: &str| {
            let zero = "00000000";
            format!(
                "0707010000000{inode}{mode}{zero}{zero}00000001{zero}{length}{zero}{zero}{zero}{zero}{name}{zero}"
            )
        };
        let directory = header(0, "000041ED", "00000000", "00000004") + "dev\0\0\0";
        let program = header(1, "000081ED", "00000003", "00000005") + "init\0\0#!/\0";
        let link = header(2, "0000A1FF", "00000005", "00000003") + "sh\0\0\0\0/init\0\0\0";
        let end = header(0, "00000000", "00000000", "0000000B") + "TRAILER!!!\0\0\0\0";
        let wanted = [directory, program, link, end].concat();
        assert_eq!(String::from_utf8(archive.finish()).unwrap(), wanted);
    }
}
