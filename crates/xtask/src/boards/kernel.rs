//! A Debian kernel package: its image, its configuration, its modules.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::apt;
use crate::process;

/// The modules that a ramdisk carries, each with what it depends on.
pub const MODULES: &[&str] = &["virtio_mmio", "virtio_net", "nfsv3", "overlay"];

/// A kernel package, unpacked.
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    tree: PathBuf,
}

impl Kernel {
    /// Unpacks a package into the empty directory `tree` and computes its module dependencies.
    pub fn unpack(package: &Path, tree: &Path) -> Result<Self> {
        apt::unpack(package, tree, &["./boot", "./lib/modules"])?;
        let release = fs::read_dir(tree.join("lib/modules"))
            .and_then(|mut entries| entries.next().transpose())
            .context("reading the kernel package's modules")?
            .context("the kernel package holds no modules")?
            .file_name()
            .to_string_lossy()
            .into_owned();
        depmod(tree, &release)?;
        Ok(Self {
            release,
            tree: tree.to_owned(),
        })
    }

    /// Writes the kernel as U-Boot's `booti` takes it: a raw Image.
    pub fn write_image(&self, output: &Path) -> Result<()> {
        let source = self.tree.join(format!("boot/vmlinuz-{}", self.release));
        let image = fs::read(&source).with_context(|| format!("reading {}", source.display()))?;
        // "ARM\x64" at offset 56 (the kernel's Documentation/arm64/booting.rst, section 4).
        if image.get(56..60) != Some(b"ARM\x64") {
            bail!("{} is no raw arm64 Image", source.display());
        }
        fs::write(output, image).with_context(|| format!("writing {}", output.display()))
    }

    /// Copies what a ramdisk needs of this kernel into `root`: [`MODULES`] with their dependencies,
    /// and the configuration as `/boot/config-RELEASE`, where a job can read it as evidence.
    pub fn install(&self, root: &Path) -> Result<()> {
        let below = format!("lib/modules/{}", self.release);
        let source = self.tree.join(&below);
        let target = root.join(&below);
        let index =
            fs::read_to_string(source.join("modules.dep")).context("reading modules.dep")?;
        let mut files = closure(&index, MODULES)?;
        files.extend(
            [
                "modules.order",
                "modules.builtin",
                "modules.builtin.modinfo",
            ]
            .map(str::to_owned),
        );
        for file in files {
            copy(&source.join(&file), &target.join(&file))?;
        }
        let configuration = format!("boot/config-{}", self.release);
        copy(&self.tree.join(&configuration), &root.join(&configuration))?;
        depmod(root, &self.release)
    }
}

/// Copies one file, making the directories above it.
pub fn copy(source: &Path, target: &Path) -> Result<()> {
    let above = target.parent().unwrap_or(target);
    fs::create_dir_all(above).with_context(|| format!("making {}", above.display()))?;
    fs::copy(source, target)
        .with_context(|| format!("copying {} to {}", source.display(), target.display()))?;
    Ok(())
}

fn depmod(root: &Path, release: &str) -> Result<()> {
    process::run(
        Command::new("/usr/sbin/depmod")
            .arg("-b")
            .arg(root)
            .arg(release),
        Duration::from_secs(120),
    )
    .map(drop)
}

/// The files of `modules` and of all that they depend on, from the text of `modules.dep`.
///
/// Each of its lines names a module's file and, after a colon, every file that it needs, indirect
/// ones included (`modules.dep(5)`).
fn closure(index: &str, modules: &[&str]) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    for module in modules {
        let (file, needed) = index
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(file, _)| {
                let name = file.rsplit('/').next().unwrap_or(file);
                name.split(".ko").next().unwrap_or(name).replace('-', "_") == *module
            })
            .with_context(|| format!("the kernel package has no module {module}"))?;
        files.insert(file.to_owned());
        files.extend(needed.split_whitespace().map(str::to_owned));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_brings_everything_it_needs() {
        let index = "kernel/net/virtio-net.ko: kernel/net/failover.ko kernel/core/base.ko\n\
                     kernel/fs/overlay.ko.xz:\n";
        let files = closure(index, &["virtio_net", "overlay"]).unwrap();
        let expected = [
            "kernel/core/base.ko",
            "kernel/fs/overlay.ko.xz",
            "kernel/net/failover.ko",
            "kernel/net/virtio-net.ko",
        ];
        assert_eq!(files.iter().collect::<Vec<_>>(), expected);
        assert!(
            closure(index, &["nfsv3"])
                .unwrap_err()
                .to_string()
                .contains("nfsv3")
        );
    }
}
