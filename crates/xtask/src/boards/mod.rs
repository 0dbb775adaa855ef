//! `cargo xtask boards`: what virtual boards boot, made from the host's Debian mirror.
//!
//! Each artefact appears under its name only when it is complete, and is recorded in
//! `manifest.json` with what it was made of. A kill at any moment loses at most the step under way;
//! the next run goes on from there. What is there and right is kept without asking the network.
//!
//! What is not done here: starting boards (that is `virtual-rack`).

mod apt;
mod firmware;
mod kernel;
mod library;
mod manifest;
mod nfsroot;
mod ramdisk;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use self::apt::Apt;
use self::manifest::{Manifest, Package, checksum_of};
use crate::packages;
use crate::progress::Progress;
use crate::workspace;

/// The Debian name of the boards' architecture.
const ARCHITECTURE: &str = "arm64";
/// Another run gets this long to finish; it works on the same files.
const OTHER_RUN_LIMIT: Duration = Duration::from_secs(1800);

/// What `cargo xtask boards` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Install nothing; where Debian packages are missing, print the command and stop
    #[arg(long)]
    pub no_install: bool,
    /// Prepare only this (firmware and device tree always are); may be given several times
    #[arg(long, value_enum, value_name = "PART")]
    pub only: Vec<Part>,
    /// Look for newer packages on the mirror even if everything is there
    #[arg(long)]
    pub refresh: bool,
}

/// What can be prepared alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// PREEMPT_RT kernel and its ramdisk
    Rt,
    /// Stock kernel and its ramdisk
    Stock,
    /// NFS root
    Nfs,
}

/// A kernel and the ramdisk that carries its modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    Rt,
    Stock,
}

impl Flavour {
    /// As it stands in file names.
    fn name(self) -> &'static str {
        match self {
            Self::Rt => "rt",
            Self::Stock => "stock",
        }
    }

    /// Debian's metapackage, and how the names of its kernels start.
    fn metapackage(self) -> &'static str {
        match self {
            Self::Rt => "linux-image-rt-arm64",
            Self::Stock => "linux-image-arm64",
        }
    }

    /// Whether `package` is a kernel of this flavour.
    fn is_kernel(self, package: &str) -> bool {
        let Some(release) = package.strip_prefix("linux-image-") else {
            return false;
        };
        release.starts_with(|character: char| character.is_ascii_digit())
            && release.ends_with("-rt-arm64") == (self == Self::Rt)
    }
}

/// The verb: everything prepared, and a line that says so.
pub fn run(options: &Options) -> Result<ExitCode> {
    let started = Instant::now();
    let manifest = prepare(options)?;
    let directory = workspace::boards();
    let directory = directory
        .strip_prefix(workspace::root())
        .unwrap_or(&directory);
    for (name, artifact) in &manifest.artifacts {
        println!(
            "{:>10} KiB  {name:<26} {}",
            artifact.size.div_ceil(1024),
            artifact.description
        );
    }
    println!(
        "{} ready in {:.1} s",
        directory.display(),
        started.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

/// Prepares what `options` ask for and returns the record of what is there.
pub fn prepare(options: &Options) -> Result<Manifest> {
    packages::ensure(!options.no_install)?;
    let directory = workspace::boards();
    fs::create_dir_all(&directory).with_context(|| format!("making {}", directory.display()))?;
    let _lock = lock(&directory)?;
    let mut workshop = Workshop {
        manifest: Manifest::read(&directory.join("manifest.json"))?,
        work: directory.join(".work"),
        directory,
    };
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);

    workshop.firmware()?;
    if options.refresh || !workshop.is_complete(&wanted)? {
        workshop.make(&wanted)?;
    }
    if workshop.work.exists() {
        let progress = Progress::step("removing work files");
        fs::remove_dir_all(&workshop.work)
            .with_context(|| format!("removing {}", workshop.work.display()))?;
        progress.done();
    }
    Ok(workshop.manifest)
}

/// Holds the directory against another run of this program.
fn lock(directory: &Path) -> Result<File> {
    let path = directory.join(".lock");
    let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    // The programs that we start inherit the lock: when we are killed, it lasts until the one under
    // way has ended, so that nobody writes beside it.
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())
        .with_context(|| format!("preparing {}", path.display()))?;
    let deadline = Instant::now() + OTHER_RUN_LIMIT;
    let mut said = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another `cargo xtask boards` has held {} for {} minutes",
                path.display(),
                OTHER_RUN_LIMIT.as_secs() / 60
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
        }
        if !said {
            eprintln!("  waiting for another `cargo xtask boards` …");
            said = true;
        }
        // flock offers no wait with a bound.
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// One directory of artefacts under work.
struct Workshop {
    /// Where artefacts go.
    directory: PathBuf,
    /// Where everything else goes; removed at the end.
    work: PathBuf,
    manifest: Manifest,
}

impl Workshop {
    /// U-Boot from the host's package, and the device tree that QEMU makes for it.
    fn firmware(&mut self) -> Result<()> {
        let source = Path::new(firmware::SOURCE);
        let boot_loader = manifest::checksum(source)?;
        let qemu = firmware::qemu_version()?;
        let uboot_made_of = checksum_of(["u-boot", boot_loader.as_str()]);
        let tree_made_of = checksum_of([
            "dtb",
            boot_loader.as_str(),
            qemu.as_str(),
            &firmware::MACHINE.join(" "),
        ]);
        if !self
            .manifest
            .holds(&self.directory, "u-boot.bin", &uboot_made_of)?
        {
            let part = self.part("u-boot.bin")?;
            fs::copy(source, &part).with_context(|| format!("copying {}", source.display()))?;
            self.manifest.take(
                &self.directory,
                "u-boot.bin",
                &part,
                &uboot_made_of,
                &firmware::uboot_version(source)?,
            )?;
        }
        if !self
            .manifest
            .holds(&self.directory, "virt.dtb", &tree_made_of)?
        {
            let part = self.part("virt.dtb")?;
            firmware::dump_device_tree(source, &part)?;
            self.manifest
                .take(&self.directory, "virt.dtb", &part, &tree_made_of, &qemu)?;
        }
        Ok(())
    }

    /// Whether everything wanted is there, made of the packages that the manifest pins.
    fn is_complete(&self, wanted: &impl Fn(Part) -> bool) -> Result<bool> {
        if self.manifest.request != request() {
            return Ok(false);
        }
        for (flavour, part) in [(Flavour::Rt, Part::Rt), (Flavour::Stock, Part::Stock)] {
            if wanted(part) && !self.stale(flavour)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(!wanted(Part::Nfs)
            || self.holds("nfsroot.tar.xz", &nfsroot::made_of(&self.manifest.packages))?)
    }

    fn holds(&self, name: &str, made_of: &str) -> Result<bool> {
        self.manifest.holds(&self.directory, name, made_of)
    }

    /// Which of a flavour's two artefacts must be made.
    fn stale(&self, flavour: Flavour) -> Result<Vec<(String, String)>> {
        let Some((_, kernel)) = self.kernel(flavour) else {
            bail!("the manifest pins no {} kernel", flavour.name());
        };
        let image = format!("vmlinuz-{}", flavour.name());
        let ramdisk = format!("initramfs-{}.cpio.gz", flavour.name());
        let all = [
            (image, checksum_of(["image", kernel.sha256.as_str()])),
            (ramdisk, ramdisk::made_of(kernel, &self.manifest.packages)),
        ];
        let mut stale = Vec::new();
        for (name, made_of) in all {
            if !self.holds(&name, &made_of)? {
                stale.push((name, made_of));
            }
        }
        Ok(stale)
    }

    fn kernel(&self, flavour: Flavour) -> Option<(&String, &Package)> {
        self.manifest
            .packages
            .iter()
            .find(|(name, _)| flavour.is_kernel(name))
    }

    /// Asks the mirror what there is and makes everything wanted that differs.
    fn make(&mut self, wanted: &impl Fn(Part) -> bool) -> Result<()> {
        let progress = Progress::step("reading the mirror's package lists");
        let apt = Apt::open(&self.work.join("apt"), ARCHITECTURE)?;
        self.manifest.packages = resolve(&apt)?;
        self.manifest.request = request();
        self.manifest.write(&self.directory.join("manifest.json"))?;
        progress.done();

        for (flavour, part) in [(Flavour::Rt, Part::Rt), (Flavour::Stock, Part::Stock)] {
            if wanted(part) {
                self.make_kernel(&apt, flavour)?;
            }
        }
        if wanted(Part::Nfs) {
            self.make_nfs_root(&apt)?;
        }
        Ok(())
    }

    fn make_kernel(&mut self, apt: &Apt, flavour: Flavour) -> Result<()> {
        let stale = self.stale(flavour)?;
        if stale.is_empty() {
            return Ok(());
        }
        let name = flavour.name();
        let (package, pin) = self.kernel(flavour).context("a kernel was resolved")?;
        let (package, pin) = (package.clone(), pin.clone());
        let debs = self.debs();
        apt.fetch(&debs, [(&package, &pin)])?;
        let progress = Progress::step(format!("unpacking {package}"));
        let tree = self.fresh(&format!("kernel-{name}"))?;
        let kernel = kernel::Kernel::unpack(&debs.join(&pin.file), &tree)?;
        progress.done();

        for (artifact, made_of) in stale {
            let progress = Progress::step(format!("making {artifact}"));
            let part = self.part(&artifact)?;
            if artifact.starts_with("vmlinuz") {
                kernel.write_image(&part)?;
            } else {
                apt.fetch(&debs, ramdisk::packages(&self.manifest.packages))?;
                let root = self.fresh(&format!("programs-{name}"))?;
                for (_, pin) in ramdisk::packages(&self.manifest.packages) {
                    apt::unpack(&debs.join(&pin.file), &root, &[])?;
                }
                let stage = self.fresh(&format!("ramdisk-{name}"))?;
                ramdisk::write(&kernel, &root, &stage, &part)?;
            }
            self.manifest
                .take(&self.directory, &artifact, &part, &made_of, &kernel.release)?;
            progress.done();
        }
        fs::remove_dir_all(&tree).with_context(|| format!("removing {}", tree.display()))
    }

    fn make_nfs_root(&mut self, apt: &Apt) -> Result<()> {
        let made_of = nfsroot::made_of(&self.manifest.packages);
        if self.holds("nfsroot.tar.xz", &made_of)? {
            return Ok(());
        }
        let debs = self.debs();
        apt.fetch(&debs, nfsroot::packages(&self.manifest.packages))?;
        let progress = Progress::step("making nfsroot.tar.xz");
        let root = self.fresh("nfsroot")?;
        let pins: Vec<PathBuf> = nfsroot::packages(&self.manifest.packages)
            .map(|(_, pin)| debs.join(&pin.file))
            .collect();
        let part = self.part("nfsroot.tar.xz")?;
        let release = nfsroot::write(&pins, &root, &part)?;
        self.manifest
            .take(&self.directory, "nfsroot.tar.xz", &part, &made_of, &release)?;
        progress.done();
        Ok(())
    }

    fn debs(&self) -> PathBuf {
        self.work.join("debs")
    }

    /// An empty directory of this name among the work files, whatever a killed run left.
    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.work.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(path)
    }

    /// Where an artefact is written before it is complete.
    fn part(&self, name: &str) -> Result<PathBuf> {
        fs::create_dir_all(&self.work)
            .with_context(|| format!("making {}", self.work.display()))?;
        Ok(self.work.join(format!("{name}.part")))
    }
}

/// The checksum of the names that [`resolve`] asks for.
fn request() -> String {
    checksum_of(
        [Flavour::Rt.metapackage(), Flavour::Stock.metapackage()]
            .into_iter()
            .chain(nfsroot::PACKAGES.iter().copied())
            .chain(nfsroot::LEFT_OUT.iter().copied()),
    )
}

/// Every package that any artefact is made of, pinned.
fn resolve(apt: &Apt) -> Result<BTreeMap<String, Package>> {
    let mut names: BTreeSet<String> = apt
        .closure(nfsroot::PACKAGES)?
        .into_iter()
        .filter(|name| !nfsroot::is_left_out(name))
        .collect();
    for flavour in [Flavour::Rt, Flavour::Stock] {
        let kernel = apt.dependency(flavour.metapackage(), "linux-image-")?;
        if !flavour.is_kernel(&kernel) {
            bail!(
                "{} depends on {kernel}, which does not look like a kernel",
                flavour.metapackage()
            );
        }
        names.insert(kernel);
    }
    apt.pins(&names.into_iter().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_apart_by_their_package_names() {
        let rt = "linux-image-6.1.0-56-rt-arm64";
        let stock = "linux-image-6.1.0-56-arm64";
        assert!(Flavour::Rt.is_kernel(rt) && !Flavour::Rt.is_kernel(stock));
        assert!(Flavour::Stock.is_kernel(stock) && !Flavour::Stock.is_kernel(rt));
        assert!(!Flavour::Stock.is_kernel("linux-image-arm64"));
    }
}
