//! Unpacks an initramfs: newc cpio archives, each packed with gzip or not, one behind the other with zero padding
//! (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst). Device nodes are left out, for nobody but root could make them.

use std::io::{ErrorKind, Read};

use super::root::RootDir;

/// What one ramdisk may become.
const UNPACK_LIMIT: u64 = 2 << 30;
const HEADER: usize = 110;

/// What is wrong with an archive; words as the kernel's where it has some.
#[derive(Debug, thiserror::Error)]
pub enum RamdiskError {
    /// Neither cpio nor gzip.
    #[error("invalid magic at start of compressed archive")]
    Magic,
    /// The data end too early.
    #[error("unexpected EOF")]
    Truncated,
    /// A header field is not a number.
    #[error("broken padding")]
    Header,
    /// gzip's data are damaged.
    #[error("uncompression error: {0}")]
    Gzip(std::io::Error),
    /// A file could not be made.
    #[error("cannot create {path}: {error}")]
    Write { path: String, error: std::io::Error },
}

/// Unpacks all archives of `data` into `root`.
pub fn unpack(data: &[u8], root: &RootDir) -> Result<(), RamdiskError> {
    let mut rest = data;
    loop {
        let padding = rest.iter().take_while(|&&byte| byte == 0).count();
        rest = &rest[padding..];
        if rest.is_empty() {
            return Ok(());
        }
        if rest.starts_with(&[0x1f, 0x8b]) {
            let mut decoder = flate2::bufread::GzDecoder::new(rest);
            let mut plain = Vec::new();
            decoder
                .by_ref()
                .take(UNPACK_LIMIT)
                .read_to_end(&mut plain)
                .map_err(RamdiskError::Gzip)?;
            rest = decoder.into_inner();
            unpack_plain(&plain, root)?;
        } else {
            rest = archive(rest, root)?;
        }
    }
}

/// What one gzip stream holds: archives, never gzip again.
fn unpack_plain(data: &[u8], root: &RootDir) -> Result<(), RamdiskError> {
    let mut rest = data;
    loop {
        let padding = rest.iter().take_while(|&&byte| byte == 0).count();
        rest = &rest[padding..];
        if rest.is_empty() {
            return Ok(());
        }
        rest = archive(rest, root)?;
    }
}

struct Header {
    inode: (u64, u64, u64),
    mode: u32,
    links: u64,
    size: usize,
    name: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Header, RamdiskError> {
        if !bytes.starts_with(b"070701") && !bytes.starts_with(b"070702") {
            return Err(RamdiskError::Magic);
        }
        let bytes = bytes.get(..HEADER).ok_or(RamdiskError::Truncated)?;
        let field = |number: usize| {
            let text = &bytes[6 + number * 8..14 + number * 8];
            let text = std::str::from_utf8(text).map_err(|_| RamdiskError::Header)?;
            u64::from_str_radix(text, 16).map_err(|_| RamdiskError::Header)
        };
        Ok(Header {
            inode: (field(7)?, field(8)?, field(0)?),
            mode: field(1)? as u32,
            links: field(4)?,
            size: field(6)? as usize,
            name: field(11)? as usize,
        })
    }
}

/// One archive up to its trailer; returns what is behind it.
fn archive<'a>(data: &'a [u8], root: &RootDir) -> Result<&'a [u8], RamdiskError> {
    let mut at = 0;
    let mut first_names = std::collections::HashMap::new();
    let align = |offset: usize| offset.next_multiple_of(4);
    loop {
        let header = Header::read(data.get(at..).unwrap_or_default())?;
        let name_end = at + HEADER + header.name;
        let name = data
            .get(at + HEADER..name_end)
            .ok_or(RamdiskError::Truncated)?;
        let name = String::from_utf8_lossy(name)
            .trim_end_matches('\0')
            .to_owned();
        let body_at = align(name_end);
        let body = body_at
            .checked_add(header.size)
            .and_then(|end| data.get(body_at..end))
            .ok_or(RamdiskError::Truncated)?;
        at = align(body_at + header.size);
        if name == "TRAILER!!!" {
            return Ok(data.get(at..).unwrap_or_default());
        }
        let path = name.trim_start_matches("./").trim_matches('/').to_owned();
        if path.is_empty() || path == "." {
            continue;
        }
        match entry(root, &path, &header, body, &mut first_names) {
            // Below a link to nowhere, or below a file: the kernel leaves such entries out without a word.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            made => made.map_err(|error| RamdiskError::Write { path, error })?,
        }
    }
}

fn entry(
    root: &RootDir,
    path: &str,
    header: &Header,
    body: &[u8],
    first_names: &mut std::collections::HashMap<(u64, u64, u64), String>,
) -> std::io::Result<()> {
    let mode = header.mode & 0o7777;
    match header.mode & 0o170_000 {
        0o040_000 => root.dir(path, mode),
        0o120_000 => root.symlink(path, &String::from_utf8_lossy(body)),
        0o010_000 => root.fifo(path),
        0o100_000 => {
            // Names of one file: the data come with one of them, in newc the last; the kernel fills the shared file then.
            if header.links > 1 {
                if let Some(first) = first_names.get(&header.inode) {
                    root.hard_link(first, path)?;
                    return if body.is_empty() {
                        Ok(())
                    } else {
                        root.refill(path, body)
                    };
                }
                first_names.insert(header.inode, path.to_owned());
            }
            root.file(path, body, mode)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// One entry as cpio writes it.
    fn newc(name: &str, mode: u32, inode: u32, links: u32, body: &[u8]) -> Vec<u8> {
        let mut out = format!(
            "070701{inode:08x}{mode:08x}{:08x}{:08x}{links:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
            0, 0, 0, body.len(), 0, 0, 0, 0, name.len() + 1, 0
        )
        .into_bytes();
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend_from_slice(body);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn trailer() -> Vec<u8> {
        newc("TRAILER!!!", 0, 0, 1, b"")
    }

    #[test]
    fn concatenated_archives_are_unpacked_over_each_other() {
        let mut first = newc(".", 0o040_755, 1, 2, b"");
        first.extend(newc("etc", 0o040_755, 2, 2, b""));
        first.extend(newc("etc/name", 0o100_644, 3, 1, b"first"));
        first.extend(newc("a", 0o100_644, 4, 2, b""));
        first.extend(newc("b", 0o100_644, 4, 2, b"shared"));
        first.extend(trailer());
        first.resize(first.len().next_multiple_of(512), 0);
        let mut second = newc("etc/name", 0o100_644, 3, 1, b"second");
        second.extend(newc("new/deep/file", 0o100_755, 4, 1, b"x"));
        second.extend(trailer());
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&second).unwrap();
        let mut data = first;
        data.extend(encoder.finish().unwrap());
        data.extend([0; 7]);
        let root = RootDir::new(&std::env::temp_dir()).unwrap();
        unpack(&data, &root).unwrap();
        let read = |path: &str| std::fs::read_to_string(root.path().join(path)).unwrap();
        assert_eq!(read("etc/name"), "second");
        assert_eq!(read("new/deep/file"), "x");
        assert_eq!((read("a"), read("b")), ("shared".into(), "shared".into()));
    }

    #[test]
    fn links_in_an_archive_never_lead_out_of_the_root() {
        let outside = tempfile::tempdir().unwrap();
        let root = RootDir::new(&std::env::temp_dir()).unwrap();
        let target = outside.path().to_str().unwrap();
        let mut data = newc("escape", 0o120_777, 1, 1, target.as_bytes());
        data.extend(newc("escape/file", 0o100_644, 2, 1, b"x"));
        data.extend(newc("../../up", 0o100_644, 3, 1, b"x"));
        data.extend(trailer());
        unpack(&data, &root).unwrap();
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(root.path().join("up").exists());
    }

    #[test]
    fn damaged_archives_are_refused() {
        let root = RootDir::new(&std::env::temp_dir()).unwrap();
        assert!(matches!(unpack(b"<html>", &root), Err(RamdiskError::Magic)));
        let whole = newc("file", 0o100_644, 1, 1, b"12345678");
        assert!(matches!(
            unpack(&whole[..whole.len() - 4], &root),
            Err(RamdiskError::Truncated)
        ));
    }
}
