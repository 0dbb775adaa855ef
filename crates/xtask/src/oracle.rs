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

/// What LAVA's server looks at when a job is submitted needs Django too, and comes from Debian's
/// development line, where LAVA is new.
const NEW_PACKAGES: [&str; 9] = [
    "lava-common",
    "lava-server",
    "python3-asgiref",
    "python3-django",
    "python3-jinja2",
    "python3-markupsafe/bookworm",
    "python3-sqlparse",
    "python3-voluptuous",
    // Made for the interpreter of this host.
    "python3-yaml/bookworm",
];

/// Debian's development line, and the stable one for what is compiled.
const NEW_SUITES: [&str; 2] = ["sid", "bookworm"];

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
            fetch(&directory, &root, &PACKAGES, &[]).with_context(|| {
                format!("fetching LAVA's packages into {}", directory.display())
            })?;
        }
        Ok(Self { root })
    }

    /// The newest LAVA that Debian has, from package lists of its own beside those of the host.
    pub fn open_newest() -> Result<Self> {
        let directory = workspace::root().join("target/oracle/lava-newest");
        let root = directory.join("root");
        if !directory.join("complete").exists() {
            let options = private_lists(&directory)?;
            fetch(&directory, &root, &NEW_PACKAGES, &options).with_context(|| {
                format!("fetching the newest LAVA into {}", directory.display())
            })?;
        }
        Ok(Self { root })
    }

    /// The version of LAVA: `2026.10-1`.
    pub fn release(&self) -> Result<String> {
        let versions = self.versions()?;
        let own = versions
            .split(", ")
            .find_map(|one| one.strip_prefix("lava-common "));
        Ok(own.context("no lava-common among the packages")?.to_owned())
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

/// Where this host gets Debian's packages from, security updates apart.
fn debian_site() -> Result<String> {
    let targets = process::run(
        Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(SITE)",
            "Created-By: Packages",
            "Origin: Debian",
            "Component: main",
            "Codename: bookworm",
        ]),
        NETWORK_LIMIT,
    )?;
    let site = targets.lines().next();
    Ok(site
        .context("apt-get names no source of Debian's own packages")?
        .to_owned())
}

/// Reads Debian's lists into a directory of our own. Returns the options that make apt-get use it.
fn private_lists(directory: &Path) -> Result<Vec<String>> {
    let apt = directory.join("apt");
    for part in ["lists/partial", "cache/archives/partial"] {
        let part = apt.join(part);
        fs::create_dir_all(&part).with_context(|| format!("making {}", part.display()))?;
    }
    let sources = apt.join("sources.list");
    let site = debian_site()?;
    let lines = NEW_SUITES.map(|suite| format!("deb {site} {suite} main\n"));
    fs::write(&sources, lines.concat())
        .with_context(|| format!("writing {}", sources.display()))?;
    let options: Vec<String> = [
        format!("Dir::Etc::sourcelist={}", sources.display()),
        "Dir::Etc::sourceparts=-".to_owned(),
        format!("Dir::State::lists={}", apt.join("lists").display()),
        format!("Dir::Cache={}", apt.join("cache").display()),
        "APT::Default-Release=sid".to_owned(),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect();
    process::run(
        Command::new("apt-get")
            .args(["update", "-q", "-o", "APT::Sandbox::User=root"])
            .args(&options),
        NETWORK_LIMIT,
    )?;
    Ok(options)
}

/// Fetches and unpacks; what lay there before goes.
fn fetch(directory: &Path, root: &Path, names: &[&str], options: &[String]) -> Result<()> {
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
        .args(options)
        .args(names)
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
    if files.len() != names.len() {
        bail!(
            "apt-get fetched {} files for {} packages",
            files.len(),
            names.len()
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
