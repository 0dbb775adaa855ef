//! `deploy`.

use basalt_yaml::MapReader;

use crate::artifact;
use crate::definition::{Artifact, DeployTftp, KernelType, NfsRoot, Ramdisk};
use crate::values::{choice, unsupported};

/// LAVA's other destinations (facts: LAVA 2026.10).
const LAVA_DESTINATIONS: &[&str] = &[
    "avh",
    "docker",
    "download",
    "downloads",
    "fastboot",
    "flasher",
    "fvp",
    "iso-installer",
    "mps",
    "musca",
    "nbd",
    "nfs",
    "overlay",
    "qdl",
    "recovery",
    "sata",
    "sd",
    "ssh",
    "tmpfs",
    "u-boot-ums",
    "usb",
    "usbg-ms",
    "uuu",
    "vemsd",
];

/// Reads the keys of a deploy block. Of a destination that cannot be served, the other keys mean
/// nothing here, and are not looked at.
pub(crate) fn read(mut reader: MapReader<'_>) -> Option<DeployTftp> {
    choice(
        reader.required("to"),
        "to",
        &[("tftp", ())],
        LAVA_DESTINATIONS,
    )?;
    let has_modules = reader.has("modules");
    let kernel = kernel(&mut reader);
    let dtb = plain(&mut reader, "dtb");
    let modules = plain(&mut reader, "modules");
    let ramdisk = ramdisk(&mut reader, has_modules);
    let nfsrootfs = nfsrootfs(&mut reader, has_modules);
    for key in [
        "dtbo",
        "preseed",
        "persistent_nfs",
        "tee",
        "extra_files",
        "authorize",
        "overlay_backend",
    ] {
        unsupported(&mut reader, key, None);
    }
    let os = reader.optional("os").string();
    if !["kernel", "dtb", "ramdisk", "nfsrootfs"]
        .iter()
        .any(|key| reader.has(key))
    {
        let span = reader.span();
        let diagnostic = reader
            .diagnostics()
            .error(span, "this deploy action names no file to deploy");
        diagnostic.with_hint("add `kernel`, and `ramdisk` or `nfsrootfs`");
    }
    Some(DeployTftp {
        kernel,
        dtb,
        ramdisk,
        nfsrootfs,
        modules,
        os,
    })
}

/// The reader of a URL object under a key.
fn object<'r>(reader: &'r mut MapReader<'_>, key: &str) -> Option<MapReader<'r>> {
    let (node, diagnostics) = reader.optional(key).into_parts()?;
    artifact::open(&node, key, diagnostics)
}

fn plain(reader: &mut MapReader<'_>, key: &str) -> Option<Artifact> {
    let mut object = object(reader, key)?;
    artifact::read(&mut object)
}

fn kernel(reader: &mut MapReader<'_>) -> Option<(Artifact, KernelType)> {
    let span = reader.key_span("kernel");
    let mut object = object(reader, "kernel")?;
    let stated = object.has("type");
    let kind = object.optional("type").word(&[
        ("image", KernelType::Image),
        ("zimage", KernelType::Zimage),
        ("uimage", KernelType::Uimage),
    ]);
    if !stated {
        object
            .diagnostics()
            .warning(span, "the kernel has no `type`; `image` is assumed")
            .with_hint("write `type: image` (booti), `zimage` (bootz) or `uimage` (bootm)");
    }
    let artifact = artifact::read(&mut object);
    Some((artifact?, kind.unwrap_or(KernelType::Image)))
}

fn ramdisk(reader: &mut MapReader<'_>, has_modules: bool) -> Option<Ramdisk> {
    let mut object = object(reader, "ramdisk")?;
    let uboot_header = object
        .optional("header")
        .word(&[("u-boot", true)])
        .unwrap_or(false);
    let install_overlay = object.optional("install_overlay").boolean().unwrap_or(true);
    install_modules(&mut object, has_modules);
    let artifact = artifact::read(&mut object);
    Some(Ramdisk {
        artifact: artifact?,
        uboot_header,
        install_overlay,
    })
}

fn nfsrootfs(reader: &mut MapReader<'_>, has_modules: bool) -> Option<NfsRoot> {
    let mut object = object(reader, "nfsrootfs")?;
    let prefix = object.optional("prefix").string();
    let install_overlay = object.optional("install_overlay").boolean().unwrap_or(true);
    install_modules(&mut object, has_modules);
    let artifact = artifact::read(&mut object);
    Some(NfsRoot {
        artifact: artifact?,
        prefix,
        install_overlay,
    })
}

/// Without modules there is nothing that could be left out.
fn install_modules(object: &mut MapReader<'_>, has_modules: bool) {
    if has_modules {
        crate::values::only(object, "install_modules", true);
    } else {
        object.ignore("install_modules");
    }
}
