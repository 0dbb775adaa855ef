//! Debian packages of another architecture, without touching the host's package system.
//!
//! A private apt root with its own `APT_CONFIG`, an empty dpkg status and the host's own sources
//! for its release. No `dpkg --add-architecture`, no emulation, no maintainer scripts: packages are
//! fetched and unpacked only.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::manifest::{Package, verify};
use crate::process;
use crate::progress::Progress;

/// A slow line gets this long for the package lists, and for the packages.
const NETWORK_LIMIT: Duration = Duration::from_secs(1800);
/// For reading what is already on disk.
const LOCAL_LIMIT: Duration = Duration::from_secs(120);

/// A private apt root.
pub struct Apt {
    configuration: PathBuf,
}

impl Apt {
    /// Lays a root out in `directory` (made if missing) and fetches the package lists.
    pub fn open(directory: &Path, architecture: &str) -> Result<Self> {
        let make = || -> std::io::Result<()> {
            for part in ["etc/parts", "etc/preferences.d", "etc/sources.list.d"] {
                fs::create_dir_all(directory.join(part))?;
            }
            fs::create_dir_all(directory.join("state/lists/partial"))?;
            fs::create_dir_all(directory.join("cache/archives/partial"))?;
            fs::write(directory.join("state/status"), "")
        };
        make().with_context(|| format!("making {}", directory.display()))?;
        write_sources(&directory.join("etc/sources.list.d"))?;

        let configuration = directory.join("apt.conf");
        let root = directory.display();
        // Proxies and the like of the host; its hooks and its other settings stay behind.
        let host = process::run(
            Command::new("apt-config").args(["dump", "Acquire"]),
            LOCAL_LIMIT,
        )?;
        let text = format!(
            "{host}\n\
             APT::Architecture \"{architecture}\";\n\
             APT::Architectures {{ \"{architecture}\"; }};\n\
             APT::Install-Recommends \"false\";\n\
             APT::Sandbox::User \"{user}\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Retries \"3\";\n\
             Debug::NoLocking \"true\";\n\
             Dir::Cache \"{root}/cache\";\n\
             Dir::Etc \"{root}/etc\";\n\
             Dir::Etc::parts \"{root}/etc/parts\";\n\
             Dir::Etc::trusted \"/etc/apt/trusted.gpg\";\n\
             Dir::Etc::trustedparts \"/etc/apt/trusted.gpg.d\";\n\
             Dir::State \"{root}/state\";\n\
             Dir::State::status \"{root}/state/status\";\n",
            // apt's own user could not write below a directory that is ours alone.
            user = if rustix::process::geteuid().is_root() {
                "root"
            } else {
                ""
            },
        );
        fs::write(&configuration, text)
            .with_context(|| format!("writing {}", configuration.display()))?;
        let apt = Self { configuration };
        apt.run("apt-get", &["update"], NETWORK_LIMIT)?;
        Ok(apt)
    }

    fn run(&self, program: &str, arguments: &[&str], limit: Duration) -> Result<String> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("APT_CONFIG", &self.configuration)
            .env("LC_ALL", "C.UTF-8");
        process::run(&mut command, limit)
    }

    /// What the metapackage `name` depends on whose name starts with `prefix`: the name of the
    /// newest kernel's package, which changes with its ABI.
    pub fn dependency(&self, name: &str, prefix: &str) -> Result<String> {
        let listed = self.run("apt-cache", &["depends", "--important", name], LOCAL_LIMIT)?;
        listed
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|dependency| dependency.starts_with(prefix))
            .map(str::to_owned)
            .with_context(|| format!("package {name} names no dependency {prefix}*:\n{listed}"))
    }

    /// `names` and everything that they depend on, as names.
    pub fn closure(&self, names: &[&str]) -> Result<Vec<String>> {
        let mut arguments = vec!["install", "--print-uris", "-qq", "-y"];
        arguments.extend(names);
        let listed = self.run("apt-get", &arguments, LOCAL_LIMIT)?;
        listed
            .lines()
            .filter_map(|line| line.strip_prefix('\''))
            .map(|line| parse_uri_line(line).map(|(name, _)| name))
            .collect()
    }

    /// The exact file of each named package that apt would fetch now.
    pub fn pins(&self, names: &[String]) -> Result<BTreeMap<String, Package>> {
        let mut arguments = vec!["download", "--print-uris"];
        arguments.extend(names.iter().map(String::as_str));
        let listed = self.run("apt-get", &arguments, LOCAL_LIMIT)?;
        let pins: BTreeMap<String, Package> = listed
            .lines()
            .filter_map(|line| line.strip_prefix('\''))
            .map(parse_uri_line)
            .collect::<Result<_>>()?;
        match names.iter().find(|name| !pins.contains_key(*name)) {
            Some(name) => bail!("apt names no file for package {name}"),
            None => Ok(pins),
        }
    }

    /// Fetches what is not yet in `directory`, whole and with the right checksum.
    pub fn fetch<'a>(
        &self,
        directory: &Path,
        packages: impl IntoIterator<Item = (&'a String, &'a Package)>,
    ) -> Result<()> {
        fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
        let mut absent = Vec::new();
        for (name, package) in packages {
            let path = directory.join(&package.file);
            if path.exists() {
                if verify(&path, &package.sha256).is_ok() {
                    continue;
                }
                fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
            }
            absent.push((name, package));
        }
        if absent.is_empty() {
            return Ok(());
        }
        let total: u64 = absent.iter().map(|(_, package)| package.size).sum();
        let progress = Progress::step(format!(
            "fetching {} packages, {} MB",
            absent.len(),
            total / 1_000_000
        ));
        progress.expect_bytes(total);
        self.download(directory, &absent, &progress)?;
        for (_, package) in &absent {
            verify(&directory.join(&package.file), &package.sha256)?;
        }
        progress.done();
        Ok(())
    }

    fn download(
        &self,
        directory: &Path,
        packages: &[(&String, &Package)],
        progress: &Progress,
    ) -> Result<()> {
        let mut command = Command::new("apt-get");
        command
            .args(["download", "-q"])
            .args(packages.iter().map(|(name, _)| name.as_str()))
            .current_dir(directory)
            .env("APT_CONFIG", &self.configuration)
            .env("LC_ALL", "C.UTF-8");
        let (sender, receiver) = mpsc::channel();
        let worker = std::thread::spawn(move || {
            // The receiver lives as long as this thread is waited for.
            let _ = sender.send(process::run(&mut command, NETWORK_LIMIT));
        });
        let result = loop {
            match receiver.recv_timeout(Duration::from_millis(200)) {
                Ok(result) => break result,
                Err(RecvTimeoutError::Timeout) => {
                    let files = packages
                        .iter()
                        .map(|(_, package)| directory.join(&package.file));
                    progress.bytes(
                        files
                            .filter_map(|path| fs::metadata(path).ok())
                            .map(|metadata| metadata.len())
                            .sum(),
                    );
                }
                Err(RecvTimeoutError::Disconnected) => bail!("the download's thread panicked"),
            }
        };
        if worker.join().is_err() {
            bail!("the download's thread panicked");
        }
        result.map(drop)
    }
}

/// Unpacks a package's files into `root`, keeping `root`'s merged `/usr` (its symbolic links from
/// `/bin`, `/lib` and `/sbin`), limited to what `selection` (arguments of tar) says.
pub fn unpack(package: &Path, root: &Path, selection: &[&str]) -> Result<()> {
    process::pipe(
        Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package),
        Command::new("tar")
            .args([
                "-x",
                "--keep-directory-symlink",
                "--no-same-owner",
                "--preserve-permissions",
                "-C",
            ])
            .arg(root)
            .args(selection),
        Duration::from_secs(300),
    )
    .with_context(|| format!("unpacking {}", package.display()))
}

/// One line of apt's `--print-uris` after its first quote: `URI' FILE SIZE METHOD:DIGEST`.
///
/// `install` prints only MD5 (or nothing at all) in the last field; pins are made from `download`,
/// which prints SHA-256.
fn parse_uri_line(line: &str) -> Result<(String, Package)> {
    let parse = || {
        let (_, rest) = line.split_once("' ")?;
        let mut words = rest.split(' ');
        let file = words.next()?;
        let size = words.next()?.parse().ok()?;
        let digest = words.next().unwrap_or_default();
        let (name, _) = file.split_once('_')?;
        let package = Package {
            file: file.to_owned(),
            size,
            sha256: digest
                .strip_prefix("SHA256:")
                .unwrap_or_default()
                .to_owned(),
        };
        Some((name.to_owned(), package))
    };
    parse().with_context(|| format!("apt printed a line that is not understood: {line}"))
}

/// Copies those of the host's sources that belong to its own release.
///
/// Sources of other vendors rarely carry the boards' architecture, and nothing is wanted from them.
fn write_sources(directory: &Path) -> Result<()> {
    let release = fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    let codename = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"'))
        .context("/etc/os-release names no VERSION_CODENAME")?;
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
    }
    files.sort();
    let (mut lines, mut stanzas) = (String::new(), String::new());
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => lines.push_str(&sources_lines(&text, codename)),
            Some("sources") => stanzas.push_str(&sources_stanzas(&text, codename)),
            _ => {}
        }
    }
    if lines.is_empty() && stanzas.is_empty() {
        bail!("/etc/apt has no source of packages for {codename}");
    }
    fs::write(directory.join("host.list"), lines).context("writing the private sources")?;
    fs::write(directory.join("host.sources"), stanzas).context("writing the private sources")
}

/// Whether a suite (`bookworm`, `bookworm-security`, `bookworm/updates`) is of the release.
fn of_release(suite: &str, codename: &str) -> bool {
    suite
        .strip_prefix(codename)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '/']))
}

/// The one-line entries (`sources.list(5)`) of the release, without an architecture filter.
fn sources_lines(text: &str, codename: &str) -> String {
    let mut kept = String::new();
    for line in text.lines() {
        let Some(rest) = line.trim().strip_prefix("deb ") else {
            continue;
        };
        let rest = rest.trim_start();
        let (options, entry) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((options, entry)) => (options, entry.trim_start()),
            None => ("", rest),
        };
        if !entry
            .split_whitespace()
            .nth(1)
            .is_some_and(|suite| of_release(suite, codename))
        {
            continue;
        }
        let options: Vec<&str> = options
            .split_whitespace()
            .filter(|option| !option.starts_with("arch"))
            .collect();
        kept.push_str("deb ");
        if !options.is_empty() {
            kept.push_str(&format!("[{}] ", options.join(" ")));
        }
        kept.push_str(entry);
        kept.push('\n');
    }
    kept
}

/// The deb822 stanzas of the release, without an architecture filter.
fn sources_stanzas(text: &str, codename: &str) -> String {
    let mut kept = String::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            stanza.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then_some(value.trim())
            })
        };
        let types = field("Types").unwrap_or_default();
        let suites = field("Suites").unwrap_or_default();
        let enabled = !matches!(field("Enabled"), Some("no" | "false" | "0"));
        if !enabled
            || !types.split_whitespace().any(|kind| kind == "deb")
            || !suites
                .split_whitespace()
                .any(|suite| of_release(suite, codename))
        {
            continue;
        }
        for line in stanza.lines() {
            let key = line.split(':').next().unwrap_or_default();
            if !key.eq_ignore_ascii_case("architectures") {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        kept.push('\n');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sources_of_the_hosts_release_are_taken_and_for_any_architecture() {
        let lines = "# mirrors\n\
                     deb [arch=amd64 signed-by=/k.gpg] http://mirror/debian bookworm main\n\
                     deb http://mirror/security bookworm-security main\n\
                     deb http://vendor/apt cloud-sdk-bookworm main\n\
                     deb-src http://mirror/debian bookworm main\n";
        assert_eq!(
            sources_lines(lines, "bookworm"),
            "deb [signed-by=/k.gpg] http://mirror/debian bookworm main\n\
             deb http://mirror/security bookworm-security main\n"
        );
        let stanzas = "Types: deb\nURIs: http://mirror/debian\nSuites: bookworm bookworm-updates\n\
                       Architectures: amd64\nComponents: main\n\n\
                       Types: deb\nURIs: http://vendor/node\nSuites: nodistro\nComponents: main\n\n\
                       Enabled: no\nTypes: deb\nURIs: http://off/debian\nSuites: bookworm\nComponents: main\n";
        assert_eq!(
            sources_stanzas(stanzas, "bookworm"),
            "Types: deb\nURIs: http://mirror/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n"
        );
    }

    #[test]
    fn a_printed_uri_becomes_a_pin() {
        let line = "http://mirror/pool/libattr1_2.5.1-4_arm64.deb' libattr1_1%3a2.5.1-4_arm64.deb 21888 SHA256:00ff";
        let (name, package) = parse_uri_line(line).unwrap();
        assert_eq!(name, "libattr1");
        assert_eq!(package.file, "libattr1_1%3a2.5.1-4_arm64.deb");
        assert_eq!((package.size, package.sha256.as_str()), (21888, "00ff"));
        assert!(parse_uri_line("http://mirror/pool/x.deb").is_err());
    }
}
