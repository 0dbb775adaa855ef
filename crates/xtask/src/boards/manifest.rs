//! `manifest.json`: what the artefacts were made of, and their checksums.
//!
//! It decides whether an artefact is still right: the same packages, the same recipe, the same
//! bytes. What is not done here: making anything.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The version of the format that this program writes.
pub const VERSION: u32 = 1;

/// The manifest of one architecture's directory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Of this format: [`VERSION`].
    pub version: u32,
    /// SHA-256 of the list of names that was resolved into `packages`.
    pub request: String,
    /// Every package that could be unpacked, by name.
    pub packages: BTreeMap<String, Package>,
    /// Every artefact that is complete, by file name.
    pub artifacts: BTreeMap<String, Artifact>,
}

/// One Debian package, pinned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its file name as apt stores it: `name_version_architecture.deb`, the version URL-encoded.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal digits.
    pub sha256: String,
}

/// One finished file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal digits.
    pub sha256: String,
    /// SHA-256 over everything that it was made of: recipe and pinned packages.
    pub made_of: String,
    /// What people call it: a kernel release or a package version.
    pub description: String,
}

impl Manifest {
    /// Reads a manifest. A missing file, or one that another version of this program wrote, is an
    /// empty manifest: everything is made again.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::empty()),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        Ok(match serde_json::from_str::<Self>(&text) {
            Ok(manifest) if manifest.version == VERSION => manifest,
            Ok(_) | Err(_) => Self::empty(),
        })
    }

    fn empty() -> Self {
        Self {
            version: VERSION,
            ..Self::default()
        }
    }

    /// Replaces the file in one step; a kill leaves the old one or the new one.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).context("writing the manifest")?;
        text.push('\n');
        replace(path, text.as_bytes())
    }

    /// Whether `name` in `directory` is complete, unchanged and made of `made_of`.
    pub fn holds(&self, directory: &Path, name: &str, made_of: &str) -> Result<bool> {
        let Some(artifact) = self.artifacts.get(name) else {
            return Ok(false);
        };
        if artifact.made_of != made_of {
            return Ok(false);
        }
        let path = directory.join(name);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() == artifact.size => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        }
        Ok(checksum(&path)? == artifact.sha256)
    }

    /// Moves the finished file `made` to `name` in `directory` and records it.
    pub fn take(
        &mut self,
        directory: &Path,
        name: &str,
        made: &Path,
        made_of: &str,
        description: &str,
    ) -> Result<()> {
        let file = File::open(made).with_context(|| format!("reading {}", made.display()))?;
        file.sync_all()
            .with_context(|| format!("writing {}", made.display()))?;
        let size = file
            .metadata()
            .with_context(|| format!("reading {}", made.display()))?
            .len();
        let sha256 = checksum(made)?;
        let path = directory.join(name);
        fs::rename(made, &path).with_context(|| format!("writing {}", path.display()))?;
        let artifact = Artifact {
            size,
            sha256,
            made_of: made_of.to_owned(),
            description: description.to_owned(),
        };
        self.artifacts.insert(name.to_owned(), artifact);
        self.write(&directory.join("manifest.json"))
    }
}

/// Writes `bytes` to `path` in one step.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().with_context(|| format!("writing {}", path.display()))
}

/// SHA-256 of a file, in lower-case hexadecimal digits.
pub fn checksum(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file
            .read(&mut buffer)
            .with_context(|| format!("reading {}", path.display()))?;
        if count == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&buffer[..count]);
    }
}

/// SHA-256 over parts, each with its length, so that no two lists of parts look alike.
pub fn checksum_of<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    hex(&digest.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fails unless `path` has this checksum.
pub fn verify(path: &Path, sha256: &str) -> Result<()> {
    let found = checksum(path)?;
    if found != sha256 {
        bail!("{} has SHA-256 {found}, expected {sha256}", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        let directory = std::env::temp_dir().join(format!("xtask-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn an_artifact_is_right_only_with_its_bytes_and_its_making() {
        let directory = scratch("manifest");
        let made = directory.join("made");
        fs::write(&made, "kernel").unwrap();
        let mut manifest = Manifest::empty();
        manifest
            .take(&directory, "vmlinuz", &made, "recipe 1", "6.1")
            .unwrap();

        let read = Manifest::read(&directory.join("manifest.json")).unwrap();
        assert_eq!(read, manifest);
        assert!(read.holds(&directory, "vmlinuz", "recipe 1").unwrap());
        assert!(!read.holds(&directory, "vmlinuz", "recipe 2").unwrap());
        fs::write(directory.join("vmlinuz"), "kernex").unwrap();
        assert!(!read.holds(&directory, "vmlinuz", "recipe 1").unwrap());
        fs::remove_file(directory.join("vmlinuz")).unwrap();
        assert!(!read.holds(&directory, "vmlinuz", "recipe 1").unwrap());
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_torn_or_foreign_manifest_means_making_everything_again() {
        let directory = scratch("torn");
        let path = directory.join("manifest.json");
        for text in [
            "",
            "{\"version\":1,",
            "{\"version\":9,\"request\":\"\",\"packages\":{},\"artifacts\":{}}",
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(Manifest::read(&path).unwrap(), Manifest::empty());
        }
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(checksum_of(["ab", "c"]), checksum_of(["a", "bc"]));
    }
}
