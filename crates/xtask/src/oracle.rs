//! Debian's LAVA packages in a scratch root: the black box that campaigns and benches compare with.
//!
//! Packages are fetched and unpacked below `target/oracle/lava`, never installed: no maintainer script
//! runs, nothing of the host changes. LAVA is GPL: its files are read where they lie and are never
//! copied into this repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{process, workspace};

/// LAVA's programs and data, and the Python packages that they (and our scripts beside them) import.
const PACKAGES: [&str; 6] = [
    "lava-common",
    "lava-server",
    "python3-jinja2",
    "python3-markupsafe",
    "python3-voluptuous",
    "python3-yaml",
];

/// A slow line gets this long for less than a megabyte.
const NETWORK_LIMIT: Duration = Duration::from_secs(600);
/// For unpacking, and for asking what is there.
const LOCAL_LIMIT: Duration = Duration::from_secs(120);

/// The interpreter that Debian's compiled extensions were made for; another one first in `PATH`
/// could not load them.
const PYTHON: &str = "/usr/bin/python3";

/// The unpacked packages.
pub struct Oracle {
    root: PathBuf,
}

impl Oracle {
    /// What an earlier call unpacked; fetched and unpacked where that is not there whole.
    pub fn open() -> Result<Self> {
        let directory = workspace::root().join("target/oracle/lava");
        let root = directory.join("root");
        if !directory.join("complete").exists() {
            fetch(&directory, &root).with_context(|| {
                format!("fetching LAVA's packages into {}", directory.display())
            })?;
        }
        Ok(Self { root })
    }

    /// The root below which everything lies as on an installed system: `usr/share/...`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// LAVA's device types, `*.jinja2`.
    pub fn device_types(&self) -> PathBuf {
        self.root.join("usr/share/lava-server/device-types")
    }

    /// A Python that imports `lava_common`, `jinja2`, `voluptuous` and `yaml` from the packages, and
    /// that takes nothing from the user's own directories. Arguments are the caller's to add.
    pub fn python(&self) -> Command {
        let mut command = Command::new(PYTHON);
        command
            .arg("-s")
            .env(
                "PYTHONPATH",
                self.root.join("usr/lib/python3/dist-packages"),
            )
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONHASHSEED", "0")
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// `lava-server 2023.01-2, python3-jinja2 3.1.2-1+deb12u3, ...`: what was compared with.
    pub fn versions(&self) -> Result<String> {
        let path = self.root.with_file_name("complete");
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }
}

/// Fetches and unpacks; what lay there before goes.
fn fetch(directory: &Path, root: &Path) -> Result<()> {
    let packages = directory.join("packages");
    for old in [root, &packages] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("removing {}", old.display()))?;
        }
        fs::create_dir_all(old).with_context(|| format!("making {}", old.display()))?;
    }
    let mut command = Command::new("apt-get");
    command
        .args(["download", "-q", "-o", "APT::Sandbox::User=root"])
        .args(PACKAGES)
        .current_dir(&packages)
        .env("LC_ALL", "C.UTF-8");
    process::run(&mut command, NETWORK_LIMIT)
        .context("apt-get download; `apt-get update` may be due")?;
    let mut files: Vec<PathBuf> = fs::read_dir(&packages)
        .with_context(|| format!("reading {}", packages.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    files.sort();
    if files.len() != PACKAGES.len() {
        bail!(
            "apt-get fetched {} files for {} packages",
            files.len(),
            PACKAGES.len()
        );
    }
    let mut versions = Vec::new();
    for file in &files {
        process::run(
            Command::new("dpkg-deb").arg("-x").arg(file).arg(root),
            LOCAL_LIMIT,
        )?;
        let version = process::run(
            Command::new("dpkg-deb")
                .args(["--showformat", "${Package} ${Version}", "--show"])
                .arg(file),
            LOCAL_LIMIT,
        )?;
        versions.push(version.trim().to_owned());
    }
    // Written last: what is not whole is fetched again.
    let mark = directory.join("complete");
    fs::write(&mark, versions.join(", ")).with_context(|| format!("writing {}", mark.display()))
}
