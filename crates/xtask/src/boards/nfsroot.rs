//! The NFS root: a small, configured Debian system, unpacked but never installed.
//!
//! No maintainer script runs, so what they would have set up and a test needs is written here:
//! accounts, links, the first process.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::manifest::{Package, checksum_of};
use super::{apt, library, ramdisk};
use crate::process;

/// Raised when the code here makes another root of the same inputs.
const RECIPE: &str = "nfsroot 2";

const CONSOLE_SHELL: &str = include_str!("../../boards/console-shell");

/// What the root offers. Their dependencies come along, apart from [`LEFT_OUT`].
pub const PACKAGES: &[&str] = &[
    "base-files",
    "base-passwd",
    "bash",
    "busybox-static",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "iproute2",
    "libc-bin",
    "mawk",
    "mount",
    "netbase",
    "procps",
    "rt-tests",
    "rtla",
    "sed",
    "stress-ng",
    "tar",
    "usr-is-merged",
    "util-linux",
];

/// Dependencies that only package management or scripts of no use here need; a name that ends in
/// `*` stands for all that start so. That no program misses a library is checked.
pub const LEFT_OUT: &[&str] = &[
    "debconf*",
    "dpkg",
    "init-system-helpers",
    "libpython3*",
    "libsqlite3-0",
    "libx11-data",
    "media-types",
    "perl*",
    "python3*",
    "usrmerge",
];

/// Busybox's programs for what no package above brings; named because boards fetch and send with
/// them.
const APPLETS: &[&str] = &[
    "clear", "ftpget", "ftpput", "less", "nc", "nslookup", "ping", "telnet", "tftp", "udhcpc",
    "unxz", "vi", "wget", "xxd", "xz",
];

/// What a test never reads.
const PRUNED: &[&str] = &[
    "--exclude=./usr/share/doc/*",
    "--exclude=./usr/share/doc-base",
    "--exclude=./usr/share/info/*",
    "--exclude=./usr/share/lintian",
    "--exclude=./usr/share/locale/*",
    "--exclude=./usr/share/man/*",
    "--exclude=./usr/share/bash-completion",
    "--exclude=./usr/lib/*/gconv/*",
    "--exclude=./usr/lib/*/perl*",
];

/// Whether a dependency of this name is left out.
pub fn is_left_out(name: &str) -> bool {
    LEFT_OUT
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *pattern,
        })
}

/// Everything pinned but the kernels.
pub fn packages(pins: &BTreeMap<String, Package>) -> impl Iterator<Item = (&String, &Package)> {
    pins.iter()
        .filter(|(name, _)| !name.starts_with("linux-image-"))
}

/// What the root is made of, as a checksum.
pub fn made_of(pins: &BTreeMap<String, Package>) -> String {
    checksum_of(
        [RECIPE, CONSOLE_SHELL]
            .into_iter()
            .chain(FILES.iter().flat_map(|(path, text)| [*path, *text]))
            .chain(LINKS.iter().flat_map(|(path, target)| [*path, *target]))
            .chain(APPLETS.iter().copied())
            .chain(PRUNED.iter().copied())
            .chain(packages(pins).map(|(_, pin)| pin.sha256.as_str())),
    )
}

const FILES: &[(&str, &str)] = &[
    ("etc/hostname", "board\n"),
    ("etc/hosts", "127.0.0.1 localhost board\n::1 localhost\n"),
    (
        "etc/fstab",
        "# Everything is mounted before the first process starts.\n",
    ),
    (
        "etc/inittab",
        "# The ramdisk of virtual boards writes this anew with the console that the kernel names.\n\
         ::sysinit:/etc/mount-kernel\n\
         ttyAMA0::respawn:/etc/console-shell\n\
         ::ctrlaltdel:/bin/busybox reboot\n",
    ),
    (
        "etc/profile",
        "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
         if [ -n \"$BASH_VERSION\" ]; then PS1='\\u@\\h:\\w\\$ '; else PS1='# '; fi\n",
    ),
    // A prompt is matched by programs here; colours and paste marks are in their way.
    (
        "etc/inputrc",
        "set enable-bracketed-paste off\nset horizontal-scroll-mode off\n",
    ),
    (
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    ),
    (
        "etc/ld.so.conf",
        "/usr/local/lib\n/lib/aarch64-linux-gnu\n/usr/lib/aarch64-linux-gnu\n",
    ),
];

const LINKS: &[(&str, &str)] = &[
    ("etc/mtab", "/proc/self/mounts"),
    ("usr/bin/awk", "mawk"),
    ("usr/bin/sh", "dash"),
    // Where Debian chooses among alternatives at installation.
    ("usr/bin/which", "which.debianutils"),
    ("usr/sbin/init", "../bin/busybox"),
    ("usr/sbin/reboot", "../bin/busybox"),
    ("usr/sbin/poweroff", "../bin/busybox"),
    ("usr/sbin/halt", "../bin/busybox"),
    ("var/run", "/run"),
    ("var/lock", "/run/lock"),
];

/// For kernels that mount the root themselves, without our ramdisk.
const MOUNT_KERNEL: &str = "#!/bin/sh\n\
    # Mounts what the ramdisk of virtual boards has already mounted; elsewhere nothing has.\n\
    [ -e /proc/self ] || mount -t proc proc /proc\n\
    [ -e /sys/kernel ] || mount -t sysfs sysfs /sys\n\
    [ -e /dev/null ] || mount -t devtmpfs devtmpfs /dev\n";

/// Unpacks `packages` into the empty directory `root`, configures it and packs it to `output`.
/// Returns what it is, for people.
pub fn write(packages: &[PathBuf], root: &Path, output: &Path) -> Result<String> {
    for directory in ["usr/bin", "usr/lib", "usr/sbin"] {
        let path = root.join(directory);
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
    }
    // Before the first package, so that all land below /usr.
    for name in ["bin", "lib", "sbin"] {
        link(root, name, &format!("usr/{name}"))?;
    }
    for package in packages {
        apt::unpack(package, root, PRUNED)?;
    }
    configure(root)?;

    let mut programs = Vec::new();
    for directory in ["usr/bin", "usr/sbin"] {
        programs.extend(library::elf_files(root, Path::new(directory))?);
    }
    library::closure(root, &programs)?;
    pack(root, output)?;
    let version =
        fs::read_to_string(root.join("etc/debian_version")).context("reading debian_version")?;
    Ok(format!(
        "Debian {}, {} programs",
        version.trim(),
        programs.len()
    ))
}

fn configure(root: &Path) -> Result<()> {
    for directory in [
        "boot",
        "dev",
        "proc",
        "root",
        "run",
        "sys",
        "tmp",
        "etc",
        "var",
        "usr/local/bin",
    ] {
        let path = root.join(directory);
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
    }
    for (path, text) in FILES {
        fs::write(root.join(path), text).with_context(|| format!("writing {path}"))?;
    }
    for (path, target) in LINKS {
        link(root, path, target)?;
    }
    let masters = root.join("usr/share/base-passwd");
    for name in ["passwd", "group"] {
        let source = masters.join(format!("{name}.master"));
        let text =
            fs::read_to_string(&source).with_context(|| format!("reading {}", source.display()))?;
        fs::write(root.join("etc").join(name), text).with_context(|| format!("writing {name}"))?;
    }
    ramdisk::write_program(&root.join("etc/console-shell"), CONSOLE_SHELL)?;
    ramdisk::write_program(&root.join("etc/mount-kernel"), MOUNT_KERNEL)?;

    let present: BTreeSet<_> = ["usr/bin", "usr/sbin"]
        .iter()
        .filter_map(|directory| fs::read_dir(root.join(directory)).ok())
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.file_name())
        .collect();
    for applet in APPLETS {
        if !present.contains(std::ffi::OsStr::new(applet)) {
            link(root, &format!("usr/bin/{applet}"), "busybox")?;
        }
    }
    Ok(())
}

/// Makes the symbolic link `path` below `root`, in place of a file of that name.
fn link(root: &Path, path: &str, target: &str) -> Result<()> {
    let place = root.join(path);
    if place.symlink_metadata().is_ok() && !place.is_dir() {
        fs::remove_file(&place).with_context(|| format!("removing {path}"))?;
    }
    if let Some(above) = place.parent() {
        fs::create_dir_all(above).with_context(|| format!("making {}", above.display()))?;
    }
    if place.is_dir()
        && place
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_dir())
    {
        fs::remove_dir(&place).with_context(|| format!("removing {path}"))?;
    }
    symlink(target, &place).with_context(|| format!("linking {path}"))
}

/// Packs the root reproducibly, everything root's.
fn pack(root: &Path, output: &Path) -> Result<()> {
    process::run(
        Command::new("tar")
            .args([
                "--create",
                "--sort=name",
                "--mtime=@0",
                "--owner=0",
                "--group=0",
                "--numeric-owner",
                // The board's user is root: what would lend root's rights lends nothing here, and
                // does harm where the archive is unpacked.
                "--mode=ug-s",
            ])
            .args(["--use-compress-program=xz -T0 -6", "-C"])
            .arg(root)
            .arg("-f")
            .arg(output)
            .arg("."),
        Duration::from_secs(900),
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_leaves_out_a_whole_family() {
        assert!(is_left_out("perl-base") && is_left_out("python3.11") && is_left_out("dpkg"));
        assert!(!is_left_out("dash") && !is_left_out("libdpkg"));
    }
}
