//! What a starting kernel prints, and how its version is found in an image.

use std::{io::Read, time::Duration};

use super::{Handover, Machine, REAL_LINE, console::Console};
use crate::knobs::Stage;

const MARK: &[u8] = b"Linux version ";
/// No version string is longer.
const LONGEST: usize = 512;
/// What a packed kernel may become.
const UNPACK_LIMIT: u64 = 512 << 20;
/// How many places that look like gzip are tried.
const GZIP_TRIES: usize = 16;

/// The string `Linux version 6.1.0-… #1 SMP …` in a kernel image, packed with gzip or not.
///
/// The format string of the banner (`Linux version %s …`) is in every image too; a digit must follow.
pub fn find_version(image: &[u8]) -> Option<String> {
    if let Some(version) = scan(image) {
        return Some(version);
    }
    let magic = [0x1f, 0x8b, 0x08];
    let places = image
        .windows(3)
        .enumerate()
        .filter(|(_, window)| *window == magic);
    for (at, _) in places.take(GZIP_TRIES) {
        let mut data = Vec::new();
        let unpacked = flate2::read::GzDecoder::new(&image[at..])
            .take(UNPACK_LIMIT)
            .read_to_end(&mut data);
        // A false magic gives an error at once; a true one behind which other data follow does not.
        if (unpacked.is_ok() || !data.is_empty())
            && let Some(version) = scan(&data)
        {
            return Some(version);
        }
    }
    None
}

fn scan(data: &[u8]) -> Option<String> {
    let mut from = 0;
    while let Some(at) = find(&data[from..], MARK) {
        let start = from + at;
        let text = &data[start..data.len().min(start + LONGEST)];
        from = start + MARK.len();
        if !text.get(MARK.len()).is_some_and(u8::is_ascii_digit) {
            continue;
        }
        let end = text
            .iter()
            .position(|byte| !(b' '..=b'~').contains(byte))
            .unwrap_or(text.len());
        return Some(String::from_utf8_lossy(&text[..end]).into_owned());
    }
    None
}

/// Like `windows().position()`, but quick enough for 30 MB in an unoptimised build.
fn find(data: &[u8], mark: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + data.get(from..)?.iter().position(|&byte| byte == mark[0])?;
        if data[at..].starts_with(mark) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// `uname -r` of a version string.
pub fn release(version: &str) -> &str {
    version.split_whitespace().nth(2).unwrap_or("0.0.0")
}

/// `uname -v` of a version string.
pub fn build(version: &str) -> &str {
    version.find(" #").map_or("#1", |at| &version[at + 1..])
}

/// Whether the version says that this is a realtime kernel.
pub fn is_realtime(version: &str) -> bool {
    version.contains("PREEMPT_RT") || version.contains("PREEMPT RT")
}

/// Prints the kernel's lines up to the start of init.
pub async fn boot(machine: &Machine, console: &mut Console, handover: &Handover) {
    let cpus = machine.config.cpus;
    let lines = [
        "[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x411fd070]".to_owned(),
        format!("[    0.000000] {}", handover.version),
        "[    0.000000] Machine model: virtual-rack,simulated".to_owned(),
        format!("[    0.000000] Kernel command line: {}", handover.command_line),
        format!("[    0.000000] SLUB: HWalign=64, Order=0-3, MinObjects=0, CPUs={cpus}, Nodes=1"),
        "[    0.000000] rcu: Preemptible hierarchical RCU implementation.".to_owned(),
        "[    0.000013] sched_clock: 56 bits at 62MHz, resolution 16ns, wraps every 2199023255544ns".to_owned(),
        format!("[    0.052340] smp: Brought up 1 node, {cpus} CPU{}", if cpus == 1 { "" } else { "s" }),
        "[    0.310221] NET: Registered PF_INET protocol family".to_owned(),
        "[    0.702114] printk: console [ttyAMA0] enabled".to_owned(),
        "[    1.204011] Unpacking initramfs...".to_owned(),
    ];
    for (number, line) in lines.iter().enumerate() {
        if number == 6 {
            machine.hang_at(Stage::Kernel, console).await;
        }
        machine.pause(REAL_LINE).await;
        console.line(line).await;
    }
}

/// `panic=N` of a command line: reboots N seconds later; 0 or absent: never.
pub fn panic_timeout(command_line: &str) -> Option<u64> {
    let seconds = command_line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("panic="))?;
    seconds
        .parse::<u64>()
        .ok()
        .filter(|&seconds| seconds > 0)
        .map(|seconds| seconds * 1000)
}

/// Prints a panic and returns when the board reboots, which may be never.
pub async fn panic(console: &Console, why: &str, reboot_after_ms: Option<u64>) {
    let mut text = format!(
        "[  131.870221] Kernel panic - not syncing: {why}\n\
         [  131.870532] CPU: 0 PID: 1 Comm: init Not tainted\n\
         [  131.870871] Hardware name: virtual-rack,simulated (DT)\n\
         [  131.871102] Call trace:\n\
         [  131.871240]  dump_backtrace+0xe4/0x140\n\
         [  131.871411]  show_stack+0x20/0x30\n\
         [  131.871577]  dump_stack_lvl+0x64/0x80\n\
         [  131.871742]  panic+0x174/0x350\n\
         [  131.871901]  do_exit+0x9f4/0xa10\n\
         [  131.872180] SMP: stopping secondary CPUs\n\
         [  131.872344] Kernel Offset: disabled\n\
         [  131.872501] Memory Limit: none\n\
         [  131.872688] ---[ end Kernel panic - not syncing: {why} ]---\n"
    );
    let Some(milliseconds) = reboot_after_ms else {
        console.print(&text).await;
        return std::future::pending().await;
    };
    let seconds = milliseconds.div_ceil(1000);
    let end = format!("[  131.872688] ---[ end Kernel panic - not syncing: {why} ]---\n");
    text = text.replace(
        &end,
        &format!("[  131.872688] Rebooting in {seconds} seconds..\n"),
    );
    console.print(&text).await;
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const VERSION: &str = "Linux version 6.1.0-56-rt-arm64 (debian-kernel@lists.debian.org) (gcc-12) #1 SMP PREEMPT_RT Debian 6.1.192-2 (2026-11-01)";

    fn image() -> Vec<u8> {
        let mut image = b"\0\0Linux version %s (%s)\n\0junk".to_vec();
        image.extend_from_slice(VERSION.as_bytes());
        image.extend_from_slice(b"\n\0more");
        image
    }

    #[test]
    fn the_banner_is_found_and_not_its_format_string() {
        assert_eq!(find_version(&image()).as_deref(), Some(VERSION));
        assert_eq!(find_version(b"Linux version %s"), None);
    }

    #[test]
    fn a_packed_image_is_looked_into_even_behind_a_header_and_with_a_tail() {
        let mut packed = vec![0x1f, 0x8b, 0x08, 0xff, 0xff];
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&image()).unwrap();
        packed.extend(encoder.finish().unwrap());
        packed.extend_from_slice(b"tail");
        assert_eq!(find_version(&packed).as_deref(), Some(VERSION));
    }

    #[test]
    fn uname_agrees_with_the_string() {
        assert_eq!(release(VERSION), "6.1.0-56-rt-arm64");
        assert_eq!(
            build(VERSION),
            "#1 SMP PREEMPT_RT Debian 6.1.192-2 (2026-11-01)"
        );
        assert!(is_realtime(VERSION));
    }

    #[test]
    fn the_panic_parameter_is_read() {
        assert_eq!(panic_timeout("console=ttyS0 panic=10"), Some(10_000));
        assert_eq!(panic_timeout("quiet"), None);
    }
}
