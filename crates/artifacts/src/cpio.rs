//! cpio archives in the `newc` format, as the kernel unpacks them into an initramfs (source:
//! Documentation/driver-api/early-userspace/buffer-format.rst of Linux).
//!
//! The same entries always give the same bytes: no times, owner root, inodes in order.

/// One entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path below the root, without a leading slash. Directories must come before what they
    /// hold. A directory that the ramdisk has as a symbolic link must not be listed: the kernel
    /// would replace the link.
    pub path: String,
    /// Permission bits: `0o755`.
    pub mode: u32,
    /// What it is.
    pub kind: Kind,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file with these bytes, less than 4 GiB.
    File(Vec<u8>),
    /// A symbolic link to this target.
    Symlink(String),
}

/// The most permission bits that an entry has.
const PERMISSIONS: u32 = 0o7777;

/// An archive of these entries; its length is a multiple of 512.
pub fn write_newc(entries: &[Entry]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (inode, entry) in (1..).zip(entries) {
        let (kind, data): (u32, &[u8]) = match &entry.kind {
            Kind::Directory => (0o040_000, &[]),
            Kind::File(bytes) => (0o100_000, bytes),
            Kind::Symlink(target) => (0o120_000, target.as_bytes()),
        };
        let mode = kind | (entry.mode & PERMISSIONS);
        let links = if entry.kind == Kind::Directory { 2 } else { 1 };
        let path = entry.path.trim_start_matches('/');
        write_entry(&mut archive, inode, mode, links, path, data);
    }
    write_entry(&mut archive, 0, 0, 1, "TRAILER!!!", &[]);
    pad(&mut archive, 512);
    archive
}

/// A ramdisk with an overlay behind it. Compressed ramdisks stay compressed: the kernel unpacks
/// one archive after the other, whatever each is compressed with, and later files win.
pub fn append(ramdisk: &[u8], overlay: &[u8]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(ramdisk.len() + overlay.len() + 4);
    joined.extend_from_slice(ramdisk);
    // The kernel skips zeros between archives and takes a plain one only at a multiple of four.
    pad(&mut joined, 4);
    joined.extend_from_slice(overlay);
    joined
}

fn write_entry(archive: &mut Vec<u8>, inode: u32, mode: u32, links: u32, path: &str, data: &[u8]) {
    let name_size = path.len() + 1;
    archive.extend_from_slice(b"070701");
    // Inode, mode, owner, group, links, time, size, device and special device, name, checksum.
    for field in [
        inode as usize,
        mode as usize,
        0,
        0,
        links as usize,
        0,
        data.len(),
        0,
        0,
        0,
        0,
        name_size,
        0,
    ] {
        archive.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    archive.extend_from_slice(path.as_bytes());
    archive.push(0);
    pad(archive, 4);
    archive.extend_from_slice(data);
    pad(archive, 4);
}

fn pad(bytes: &mut Vec<u8>, multiple: usize) {
    bytes.resize(bytes.len().next_multiple_of(multiple), 0);
}
