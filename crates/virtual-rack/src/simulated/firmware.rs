//! The programs that the rack adds to every root: busybox with its links, and stand-ins for what must not be the host's.
//!
//! `uname`, `nproc`, `dmesg` answer for the simulated kernel; `reboot`, `poweroff`, `halt` ask the rack; `cyclictest` and `hackbench`
//! take scaled time and have the rack compute their results (see `measure`). They talk to the rack over FIFOs in `/.rack`.
//!
//! Debian's busybox shell runs its own applets before it looks at PATH, so the copy that boards get has the names of the
//! replaced applets changed in its table; the order of the table is kept, for busybox searches it by halves.

use std::{
    collections::BTreeSet,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use super::{kernel, root::RootDir};

/// Applets that the rack's own programs replace.
const REPLACED: [&str; 6] = ["uname", "nproc", "dmesg", "reboot", "poweroff", "halt"];

/// Name, contents, where they go if busybox has no such applet.
const PROGRAMS: [(&str, &str, &str); 8] = [
    ("uname", include_str!("scripts/uname"), "bin/uname"),
    ("nproc", include_str!("scripts/nproc"), "usr/bin/nproc"),
    ("dmesg", include_str!("scripts/dmesg"), "bin/dmesg"),
    ("reboot", include_str!("scripts/reboot"), "sbin/reboot"),
    ("poweroff", include_str!("scripts/reboot"), "sbin/poweroff"),
    ("halt", include_str!("scripts/reboot"), "sbin/halt"),
    (
        "cyclictest",
        include_str!("scripts/cyclictest"),
        "usr/bin/cyclictest",
    ),
    (
        "hackbench",
        include_str!("scripts/hackbench"),
        "usr/bin/hackbench",
    ),
];

/// The firmware of all boards of a rack.
pub struct Firmware {
    busybox: PathBuf,
    /// Paths of the applets as busybox names them, such as `usr/bin/awk`.
    applets: Vec<String>,
}

/// What a booted kernel says about itself.
pub struct Facts {
    /// `Linux version …`.
    pub version: String,
    /// `/proc/cmdline`.
    pub command_line: String,
    /// `uname -m`.
    pub machine: String,
    /// `uname -n`.
    pub host_name: String,
    /// Number of CPUs.
    pub cpus: u32,
}

impl Firmware {
    /// Prepares a copy of a statically linked busybox in `dir`.
    pub fn prepare(busybox: &Path, dir: &Path) -> io::Result<Firmware> {
        let listed = Command::new(busybox).arg("--list-full").output()?;
        if !listed.status.success() {
            return Err(io::Error::other(format!(
                "{} --list-full failed",
                busybox.display()
            )));
        }
        let applets: Vec<String> = String::from_utf8_lossy(&listed.stdout)
            .lines()
            .map(str::to_owned)
            .collect();
        let names: BTreeSet<&str> = applets
            .iter()
            .filter_map(|path| path.rsplit('/').next())
            .collect();
        let mut program = std::fs::read(busybox)?;
        for applet in REPLACED {
            if names.contains(applet) {
                rename_applet(&mut program, applet, &names).ok_or_else(|| {
                    io::Error::other(format!(
                        "{}: no applet {applet} in its table",
                        busybox.display()
                    ))
                })?;
            }
        }
        let copy = dir.join("busybox");
        std::fs::write(&copy, program)?;
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755))?;
        Ok(Firmware {
            busybox: copy,
            applets,
        })
    }

    /// The busybox that boards get, for use on the host.
    pub fn busybox(&self) -> &Path {
        &self.busybox
    }

    /// Adds everything to a root.
    pub fn install(&self, root: &RootDir, facts: &Facts) -> io::Result<()> {
        for dir in [
            "bin", "sbin", "usr/bin", "usr/sbin", "proc", "sys", "dev/pts", "dev/shm", "etc",
            "root", "run", "var", "mnt", ".rack",
        ] {
            root.dir(dir, 0o755)?;
        }
        root.dir("tmp", 0o1777)?;
        root.link_from_host(&self.busybox, "bin/busybox")?;
        for applet in self
            .applets
            .iter()
            .filter(|path| path.as_str() != "bin/busybox")
        {
            root.symlink(applet, "/bin/busybox")?;
        }
        for (name, body, place) in PROGRAMS {
            let applet = self
                .applets
                .iter()
                .find(|path| path.rsplit('/').next() == Some(name));
            root.file(applet.map_or(place, String::as_str), body.as_bytes(), 0o755)?;
        }
        self.install_facts(root, facts)?;
        for fifo in [".rack/ask", "dev/kmsg"] {
            root.fifo(fifo)?;
        }
        // Places that the set-up binds the host's devices and the console to.
        for device in [
            "null", "zero", "full", "random", "urandom", "tty", "console", "ttyAMA0",
        ] {
            root.file(&format!("dev/{device}"), b"", 0o666)?;
        }
        for (link, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
        ] {
            root.symlink(&format!("dev/{link}"), target)?;
        }
        Ok(())
    }

    fn install_facts(&self, root: &RootDir, facts: &Facts) -> io::Result<()> {
        let put = |path: &str, text: &str| root.file(path, text.as_bytes(), 0o644);
        let release = kernel::release(&facts.version);
        let build = kernel::build(&facts.version);
        put(
            ".rack/facts",
            &format!(
                "node={}\nrelease={}\nversion={}\nmachine={}\ncpus={}\n",
                quote(&facts.host_name),
                quote(release),
                quote(build),
                quote(&facts.machine),
                facts.cpus
            ),
        )?;
        put(".rack/ask.sh", include_str!("scripts/ask"))?;
        put(".rack/version", &format!("{}\n", facts.version))?;
        put(".rack/cmdline", &format!("{}\n", facts.command_line))?;
        put(".rack/osrelease", &format!("{release}\n"))?;
        let cpus: String = (0..facts.cpus)
            .map(|cpu| format!("processor\t: {cpu}\nBogoMIPS\t: 125.00\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd07\n\n"))
            .collect();
        put(".rack/cpuinfo", &cpus)?;
        put(
            ".rack/dmesg",
            &format!(
                "[    0.000000] {}\n[    0.000000] Kernel command line: {}\n",
                facts.version, facts.command_line
            ),
        )?;
        if kernel::is_realtime(&facts.version) {
            put("sys/kernel/realtime", "1\n")?;
        }
        let clock = "sys/devices/system/clocksource/clocksource0";
        put(
            &format!("{clock}/current_clocksource"),
            "arch_sys_counter\n",
        )?;
        put(
            &format!("{clock}/available_clocksource"),
            "arch_sys_counter\n",
        )?;
        let online = if facts.cpus == 1 {
            "0\n".to_owned()
        } else {
            format!("0-{}\n", facts.cpus - 1)
        };
        put("sys/devices/system/cpu/online", &online)?;
        put("etc/hostname", &format!("{}\n", facts.host_name))?;
        for (file, text) in [
            ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
            ("etc/group", "root:x:0:\n"),
        ] {
            if !root.exists(file) {
                put(file, text)?;
            }
        }
        Ok(())
    }
}

/// A text as one word of a shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Changes an applet's name in busybox's packed table (names separated by zero bytes, sorted) to one that nobody calls.
fn rename_applet(program: &mut [u8], applet: &str, names: &BTreeSet<&str>) -> Option<()> {
    let before = names.range(..applet).next_back()?;
    let after = names.range(applet..).nth(1)?;
    let entry = format!("{before}\0{applet}\0{after}\0");
    let mut renamed = applet.as_bytes().to_vec();
    *renamed.last_mut()? = b'~';
    // Still between its neighbours?
    if !(before.as_bytes() < renamed.as_slice() && renamed.as_slice() < after.as_bytes()) {
        return None;
    }
    let at = program
        .windows(entry.len())
        .position(|window| window == entry.as_bytes())?;
    let start = at + before.len() + 1;
    program[start..start + applet.len()].copy_from_slice(&renamed);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_applet_is_renamed_in_place_and_in_order() {
        let names = BTreeSet::from(["nohup", "nproc", "nslookup"]);
        let mut program = b"xx nproc\0nohup\0nproc\0nslookup\0".to_vec();
        rename_applet(&mut program, "nproc", &names).unwrap();
        assert_eq!(program, b"xx nproc\0nohup\0npro~\0nslookup\0");
        assert!(rename_applet(&mut program, "nproc", &names).is_none());
    }

    #[test]
    fn facts_survive_the_shell() {
        assert_eq!(quote("a'b $c"), r"'a'\''b $c'");
    }
}
