//! The virtual board's firmware: U-Boot as Debian ships it, and the device tree of its machine.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process;

/// From Debian's `u-boot-qemu`.
pub const SOURCE: &str = "/usr/lib/u-boot/qemu_arm64/u-boot.bin";

/// The machine as `virtual-rack` starts it, as far as its device tree depends on it.
pub const MACHINE: &[&str] = &["-cpu", "cortex-a57", "-smp", "1", "-m", "256"];

/// The first line of `qemu-system-aarch64 --version`.
pub fn qemu_version() -> Result<String> {
    let text = process::run(
        Command::new("qemu-system-aarch64").arg("--version"),
        Duration::from_secs(60),
    )?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// The version string embedded in U-Boot's image: `U-Boot 2023.01+dfsg-2 (…)`.
pub fn uboot_version(image: &Path) -> Result<String> {
    let bytes = fs::read(image).with_context(|| format!("reading {}", image.display()))?;
    let mark = b"U-Boot 20";
    let start = bytes
        .windows(mark.len())
        .position(|window| window == mark)
        .with_context(|| format!("{} holds no version of U-Boot", image.display()))?;
    let text = bytes[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_graphic() || **byte == b' ')
        .map(|byte| char::from(*byte))
        .collect::<String>();
    Ok(text.split(" (").next().unwrap_or_default().to_owned())
}

/// Writes the machine's device tree, as QEMU describes it together with this firmware.
///
/// With another `-bios`, or none, QEMU describes another machine: a GPIO controller that is not
/// there stops the kernel before its console is up.
pub fn dump_device_tree(firmware: &Path, output: &Path) -> Result<()> {
    let dumped = output.with_extension("dump");
    let machine = format!("virt,dumpdtb={}", dumped.display());
    process::run(
        Command::new("qemu-system-aarch64")
            .args([
                "-M", &machine, "-display", "none", "-serial", "null", "-monitor", "none",
            ])
            // The default network card would want a ROM file of another package.
            .args(["-nic", "none"])
            .args(MACHINE)
            .arg("-bios")
            .arg(firmware),
        Duration::from_secs(60),
    )?;
    // QEMU pads to 1 MiB; a little room is kept for what U-Boot adds (bootargs, initrd).
    process::run(
        Command::new("dtc")
            .args(["-q", "-I", "dtb", "-O", "dtb", "-p", "4096", "-o"])
            .arg(output)
            .arg(&dumped),
        Duration::from_secs(60),
    )?;
    fs::remove_file(&dumped).with_context(|| format!("removing {}", dumped.display()))?;
    let bytes = fs::read(output).with_context(|| format!("reading {}", output.display()))?;
    // The magic number of a flattened device tree (Devicetree Specification 0.4, 5.2).
    if !bytes.starts_with(&[0xd0, 0x0d, 0xfe, 0xed]) {
        bail!("dtc wrote no device tree");
    }
    Ok(())
}
