//! Which kernel an image holds (decision D17).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::decode::{Compression, reader};

/// What the kernel's banner begins with; a digit follows.
const START: &[u8] = b"Linux version ";

/// A banner is shorter.
const LONGEST_LINE: usize = 1024;

/// The largest image that is looked into, packed or unpacked.
const LARGEST_IMAGE: u64 = 512 << 20;

/// How many places that look like a compressed kernel are tried.
const MOST_STREAMS: usize = 32;

/// The line `Linux version …` with which the kernel in this image will name itself, without its
/// newline. `None` if the image does not show it.
///
/// Images since Linux 6.1 hold the line twice: first a weak one from `init/version.c`, made before
/// the build's number is known (`… # SMP …`), and the one that is printed (`… #1 SMP …`). The first
/// with a number counts, else the first.
///
/// Read are raw images (arm64 `Image`), compressed ones (`Image.gz`), and those that unpack
/// themselves (zImage, bzImage, EFI zboot, uImage) where the kernel in them is compressed by gzip,
/// xz, bzip2 or zstd. Not read are lzma, lzo and lz4; the version in a bzImage's header is no
/// substitute, as it lacks a part of the line.
///
/// Blocks: it reads the file and unpacks it in memory, piece by piece.
pub fn kernel_identity(path: &Path) -> io::Result<Option<String>> {
    let mut image = Vec::new();
    File::open(path)?
        .take(LARGEST_IMAGE)
        .read_to_end(&mut image)?;
    if let Some(line) = find(&mut image.as_slice())? {
        return Ok(Some(line));
    }
    let mut streams = 0;
    for start in 0..image.len() {
        let Some(compression) = Compression::sniff(&image[start..]) else {
            continue;
        };
        // What merely looks like a stream, or ends in something else, fails; that says nothing.
        let mut source = reader(&image[start..], compression).take(LARGEST_IMAGE);
        if let Ok(Some(line)) = find(&mut source) {
            return Ok(Some(line));
        }
        streams += 1;
        if streams == MOST_STREAMS {
            break;
        }
    }
    Ok(None)
}

/// The banner in a stream. An error counts only where nothing was found before it.
fn find(source: &mut impl Read) -> io::Result<Option<String>> {
    let mut unnumbered = None;
    match find_numbered(source, &mut unnumbered) {
        Ok(None) => Ok(unnumbered),
        Err(_) if unnumbered.is_some() => Ok(unnumbered),
        found => found,
    }
}

/// The first banner with a build number; on the way, the first without one.
fn find_numbered(
    source: &mut impl Read,
    unnumbered: &mut Option<String>,
) -> io::Result<Option<String>> {
    let mut window = Vec::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        let count = source.read(&mut chunk)?;
        window.extend_from_slice(&chunk[..count]);
        let mut from = 0;
        while let Some(found) = position(&window[from..], START).map(|at| from + at) {
            let line = &window[found..];
            match banner(line) {
                Some(line) if has_build_number(&line) => return Ok(Some(line)),
                Some(line) => {
                    unnumbered.get_or_insert(line);
                    from = found + START.len();
                }
                // The line's end may be in the next chunk.
                None if line.len() < LONGEST_LINE && count > 0 => break,
                None => from = found + START.len(),
            }
        }
        if count == 0 {
            return Ok(None);
        }
        // Enough for a banner that the chunk's end cuts.
        let keep = window.len().saturating_sub(LONGEST_LINE);
        window.drain(..keep);
    }
}

/// The line at the start of these bytes, if it is a whole banner.
fn banner(bytes: &[u8]) -> Option<String> {
    let bytes = &bytes[..bytes.len().min(LONGEST_LINE)];
    if !bytes.get(START.len())?.is_ascii_digit() {
        return None;
    }
    let end = bytes.iter().position(|byte| matches!(byte, b'\n' | 0))?;
    let line = str::from_utf8(&bytes[..end]).ok()?;
    Some(line.trim_end().to_owned())
}

fn has_build_number(line: &str) -> bool {
    let number = line.rsplit_once(" #").map(|(_, number)| number);
    number.is_some_and(|number| number.starts_with(|digit: char| digit.is_ascii_digit()))
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = wanted[0];
    let mut from = 0;
    loop {
        let at = from + bytes[from..].iter().position(|byte| *byte == first)?;
        if bytes[at..].starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
}
