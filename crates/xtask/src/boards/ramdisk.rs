//! The ramdisk: busybox, the measurement programs, the modules of one kernel, and our init.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::kernel::{self, Kernel};
use super::library;
use super::manifest::{Package, checksum_of};
use crate::process;

/// Raised when the code here makes another ramdisk of the same inputs.
const RECIPE: &str = "ramdisk 2";

const INIT: &str = include_str!("../../boards/init");
const CONSOLE_SHELL: &str = include_str!("../../boards/console-shell");
const DHCP_SCRIPT: &str = include_str!("../../boards/udhcpc.script");

/// Programs of Debian's rt-tests in the ramdisk.
const PROGRAMS: &[&str] = &["usr/bin/cyclictest", "usr/bin/hackbench"];

/// The packages that programs and their libraries come from.
const PACKAGES: &[&str] = &[
    "busybox-static",
    "libc6",
    "libgcc-s1",
    "libnuma1",
    "rt-tests",
];

/// The pins of [`PACKAGES`].
pub fn packages(pins: &BTreeMap<String, Package>) -> impl Iterator<Item = (&String, &Package)> {
    pins.iter()
        .filter(|(name, _)| PACKAGES.contains(&name.as_str()))
}

/// What the ramdisk for `kernel` is made of, as a checksum.
pub fn made_of(kernel: &Package, pins: &BTreeMap<String, Package>) -> String {
    checksum_of(
        [
            RECIPE,
            INIT,
            CONSOLE_SHELL,
            DHCP_SCRIPT,
            kernel.sha256.as_str(),
        ]
        .into_iter()
        .chain(kernel::MODULES.iter().copied())
        .chain(PROGRAMS.iter().copied())
        .chain(packages(pins).map(|(_, pin)| pin.sha256.as_str())),
    )
}

/// Writes the ramdisk for `kernel` to `output`, from programs unpacked in `programs`, staged in the
/// empty directory `stage`.
pub fn write(kernel: &Kernel, programs: &Path, stage: &Path, output: &Path) -> Result<()> {
    for directory in ["dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/bin"] {
        let path = stage.join(directory);
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
    }
    for directory in ["bin", "sbin", "usr/sbin"] {
        let target = if directory.contains('/') {
            "bin"
        } else {
            "usr/bin"
        };
        symlink(target, stage.join(directory)).with_context(|| format!("linking /{directory}"))?;
    }
    kernel::copy(
        &programs.join("bin/busybox"),
        &stage.join("usr/bin/busybox"),
    )?;
    link_applets(&stage.join("usr/bin"))?;

    let wanted: Vec<PathBuf> = PROGRAMS.iter().map(PathBuf::from).collect();
    let libraries = library::closure(programs, &wanted)?;
    // Copied under the name that is asked for, whatever link it is in the package.
    for path in wanted.iter().chain(&libraries) {
        kernel::copy(&programs.join(path), &stage.join(path))?;
    }
    // The interpreter's path is fixed in every program.
    let linker = Path::new("lib/ld-linux-aarch64.so.1");
    kernel::copy(&programs.join(linker), &stage.join(linker))?;
    kernel.install(stage)?;

    for (path, text) in [
        ("init", INIT),
        ("etc/console-shell", CONSOLE_SHELL),
        ("etc/udhcpc.script", DHCP_SCRIPT),
    ] {
        write_program(&stage.join(path), text)?;
    }
    for (path, text) in [
        ("etc/hostname", "board\n"),
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
    ] {
        fs::write(stage.join(path), text).with_context(|| format!("writing {path}"))?;
    }
    pack(stage, output)
}

/// Writes an executable file.
pub fn write_program(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)))
        .with_context(|| format!("writing {}", path.display()))
}

/// One link a busybox applet. The host's busybox of the same package names them: the boards' own
/// cannot run here.
fn link_applets(directory: &Path) -> Result<()> {
    let listed = process::run(
        Command::new("/bin/busybox").arg("--list"),
        Duration::from_secs(60),
    )?;
    for applet in listed.lines().filter(|applet| *applet != "busybox") {
        let path = directory.join(applet);
        symlink("busybox", &path).with_context(|| format!("linking {}", path.display()))?;
    }
    Ok(())
}

/// Packs `stage` as the kernel takes it: a gzipped cpio archive ("newc"), everything root's.
fn pack(stage: &Path, output: &Path) -> Result<()> {
    let archive = output.with_extension("cpio");
    let file = File::create(&archive).with_context(|| format!("writing {}", archive.display()))?;
    drop(file);
    // The same inputs make the same bytes.
    process::run(
        Command::new("find")
            .args([".", "-exec", "touch", "-h", "-d", "@0", "{}", "+"])
            .current_dir(stage),
        Duration::from_secs(60),
    )?;
    let list = process::run(
        Command::new("find")
            .args([".", "-mindepth", "1"])
            .current_dir(stage),
        Duration::from_secs(60),
    )?;
    let mut names: Vec<&str> = list.lines().collect();
    names.sort_unstable();
    let list = output.with_extension("list");
    fs::write(&list, names.join("\n") + "\n")
        .with_context(|| format!("writing {}", list.display()))?;
    let names = File::open(&list).with_context(|| format!("reading {}", list.display()))?;
    process::run_with_input(
        Command::new("cpio")
            .args([
                "--create",
                "--quiet",
                "--format=newc",
                "--owner=+0:+0",
                "--reproducible",
                "-F",
            ])
            .arg(&archive)
            .current_dir(stage),
        Stdio::from(names),
        Duration::from_secs(120),
    )?;
    process::run(
        Command::new("gzip").args(["-9", "-n", "-f"]).arg(&archive),
        Duration::from_secs(300),
    )?;
    let packed = output.with_extension("cpio.gz");
    fs::rename(&packed, output).with_context(|| format!("writing {}", output.display()))?;
    fs::remove_file(&list).with_context(|| format!("removing {}", list.display()))
}
