//! The Debian packages that building, testing and the virtual boards need: the one list.

use std::io::IsTerminal;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process;

/// Every package, with what it is for.
const NEEDED: &[(&str, &str)] = &[
    (
        "binutils",
        "readelf: which libraries a board's program needs",
    ),
    (
        "busybox-static",
        "the shell behind a simulated board's prompt",
    ),
    ("chromium", "looks at the pages, for the tests"),
    ("cpio", "packs ramdisks"),
    ("curl", "a TFTP client that people have, for the tests"),
    (
        "device-tree-compiler",
        "shrinks the virtual board's device tree",
    ),
    (
        "iproute2",
        "ip: the bridge and the addresses of virtual boards",
    ),
    ("kmod", "depmod: a ramdisk's module dependencies"),
    ("nodejs", "builds what the pages load, and tests it"),
    ("npm", "fetches what that needs"),
    ("postgresql", "the second database of the tests"),
    ("python3", "the independent recomputation of results"),
    (
        "python3-jinja2",
        "renders LAVA's templates, to compare with",
    ),
    (
        "python3-yaml",
        "PyYAML, with which the reading of YAML is compared",
    ),
    ("qemu-system-arm", "the virtual boards"),
    ("tar", "packs and unpacks root file systems"),
    ("u-boot-qemu", "the virtual boards' firmware"),
    ("util-linux", "unshare, nsenter: network namespaces"),
    ("xz-utils", "compresses the NFS root"),
];

/// Packages that people often have from elsewhere: what counts is the program.
const PROGRAMS: &[(&str, &str)] = &[("nodejs", "node"), ("npm", "npm")];

/// What `cargo xtask bench` needs beside these.
const BENCH_ONLY: &[(&str, &str)] = &[
    ("atftpd", "the TFTP server of a lab without Basalt"),
    ("strace", "counts calls of fsync"),
];

/// Makes sure that every needed package is installed.
///
/// With `install` false, nothing is changed: the error carries the command that would do it.
pub fn ensure(install: bool) -> Result<()> {
    ensure_all(NEEDED, install)
}

/// [`ensure`], with what only benches need.
pub fn ensure_bench(install: bool) -> Result<()> {
    ensure_all(&[NEEDED, BENCH_ONLY].concat(), install)
}

fn ensure_all(needed: &[(&'static str, &'static str)], install: bool) -> Result<()> {
    let missing = missing(needed)?;
    if missing.is_empty() {
        return Ok(());
    }
    let mut words: Vec<&str> = Vec::new();
    if !rustix::process::geteuid().is_root() {
        words.push("sudo");
        // Without a terminal nobody can type a password: fail at once instead of waiting for one.
        if !std::io::stdin().is_terminal() {
            words.push("-n");
        }
    }
    words.extend(["apt-get", "install", "-y", "--no-install-recommends"]);
    words.extend(&missing);
    let line = words.join(" ");
    if !install {
        bail!("Debian packages are missing; install them with:\n  {line}");
    }
    eprintln!("installing {}", missing.join(" "));
    if let Err(first) = apt_get(&words) {
        // Package lists older than the mirror, or none at all, are cured by fetching them.
        eprintln!("{first:#}; fetching the package lists and trying again");
        let verb = words
            .iter()
            .position(|word| *word == "install")
            .unwrap_or(0);
        let update: Vec<&str> = words[..verb].iter().copied().chain(["update"]).collect();
        apt_get(&update)?;
        apt_get(&words)
            .with_context(|| format!("install the packages yourself, then go on:\n  {line}"))?;
    }
    Ok(())
}

fn apt_get(words: &[&str]) -> Result<()> {
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .env("DEBIAN_FRONTEND", "noninteractive");
    process::run(&mut command, Duration::from_secs(900)).map(drop)
}

/// The needed packages that dpkg does not list as installed.
fn missing(needed: &[(&'static str, &'static str)]) -> Result<Vec<&'static str>> {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(needed.iter().map(|(name, _)| name))
        .output()
        .context(
            "dpkg-query cannot be started: virtual boards are prepared on Debian 12 or later",
        )?;
    // dpkg-query exits with 1 when it does not know a name; the rest is still listed.
    let listed = String::from_utf8_lossy(&output.stdout);
    let mut missing = missing_from(needed, &listed);
    missing.retain(|package| !is_there_otherwise(package));
    Ok(missing)
}

fn is_there_otherwise(package: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    PROGRAMS
        .iter()
        .filter(|(name, _)| *name == package)
        .any(|(_, program)| std::env::split_paths(&path).any(|place| place.join(program).exists()))
}

fn missing_from(needed: &[(&'static str, &'static str)], listed: &str) -> Vec<&'static str> {
    needed
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| {
            !listed
                .lines()
                .any(|line| line == format!("{name} installed"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_package_with_configuration_left_counts_as_missing() {
        let listed: String = NEEDED
            .iter()
            .map(|(name, _)| match *name {
                "kmod" => "kmod config-files\n".to_owned(),
                "cpio" => String::new(),
                name => format!("{name} installed\n"),
            })
            .collect();
        assert_eq!(missing_from(NEEDED, &listed), ["cpio", "kmod"]);
    }
}
