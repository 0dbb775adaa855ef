//! Which shared libraries a program of another architecture needs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process;

/// Where Debian's arm64 dynamic linker looks, below a root, `/etc/ld.so.conf` apart.
const DIRECTORIES: &[&str] = &[
    "usr/lib/aarch64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "usr/lib",
    "lib",
];

/// The sonames of all libraries that `programs` (paths below `root`) need, found below `root`,
/// each with its path as the dynamic linker finds it.
///
/// A library that is nowhere below `root` is an error that names who needs it.
pub fn closure(root: &Path, programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open: Vec<PathBuf> = programs.to_vec();
    while !open.is_empty() {
        let batch = std::mem::take(&mut open);
        for (file, soname) in needed(root, &batch)? {
            if !seen.insert(soname.clone()) {
                continue;
            }
            let Some(path) = DIRECTORIES
                .iter()
                .map(|directory| Path::new(directory).join(&soname))
                .find(|path| root.join(path).exists())
            else {
                bail!("{file} needs {soname}, which no unpacked package holds");
            };
            open.push(path.clone());
            found.insert(path);
        }
    }
    Ok(found)
}

/// (file, soname) of every `NEEDED` entry of `files`, read by binutils' readelf.
fn needed(root: &Path, files: &[PathBuf]) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    // Bounded batches keep the command line below the kernel's limit.
    for batch in files.chunks(200) {
        let mut command = Command::new("readelf");
        command
            .args(["-d", "-W"])
            .args(batch)
            .current_dir(root)
            .env("LC_ALL", "C");
        let mut text = process::run(&mut command, Duration::from_secs(120))?;
        if batch.len() == 1 {
            // readelf names the file only where there are several.
            text.insert_str(0, &format!("File: {}\n", batch[0].display()));
        }
        pairs.extend(parse(&text));
    }
    Ok(pairs)
}

fn parse(text: &str) -> Vec<(String, String)> {
    let mut file = String::new();
    let mut pairs = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("File: ") {
            name.clone_into(&mut file);
        } else if line.contains("(NEEDED)")
            && let Some((_, rest)) = line.split_once('[')
            && let Some((soname, _)) = rest.split_once(']')
        {
            pairs.push((file.clone(), soname.to_owned()));
        }
    }
    pairs
}

/// Every ELF file below `directory` of `root`, as paths below `root`; links are not followed.
pub fn elf_files(root: &Path, directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![root.join(directory)];
    while let Some(path) = open.pop() {
        let entries = fs::read_dir(&path).with_context(|| format!("reading {}", path.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading {}", path.display()))?;
            let kind = entry
                .file_type()
                .with_context(|| format!("reading {}", path.display()))?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() && is_elf(&entry.path())? {
                let path = entry.path();
                let below = path.strip_prefix(root).context("a path below its root")?;
                files.push(below.to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

fn is_elf(path: &Path) -> Result<bool> {
    let mut magic = Vec::new();
    File::open(path)
        .and_then(|file| file.take(4).read_to_end(&mut magic))
        .with_context(|| format!("reading {}", path.display()))?;
    Ok(magic == b"\x7fELF")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needed_entries_are_read_with_their_file() {
        let text = "\nFile: usr/bin/cyclictest\n\nDynamic section at offset 0x1 contains 2 entries:\n\
                     0x0000000000000001 (NEEDED)             Shared library: [libnuma.so.1]\n\
                     0x000000000000000c (INIT)               0x1fb8\n\
                     File: usr/bin/true\n\
                     0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]\n";
        let pairs = parse(text);
        assert_eq!(
            pairs,
            [
                ("usr/bin/cyclictest".to_owned(), "libnuma.so.1".to_owned()),
                ("usr/bin/true".to_owned(), "libc.so.6".to_owned()),
            ]
        );
    }
}
