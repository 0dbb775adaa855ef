//! The files of a deploy block.

use basalt_job::definition::{Artifact, Checksum, Compression, DeployTftp, KernelType};

use crate::build::Problems;
use crate::plan::{Deploy, Download};

/// The word of a kernel type in plans and in the load addresses of board types.
pub(crate) fn kernel_type_word(kernel_type: KernelType) -> &'static str {
    match kernel_type {
        KernelType::Image => "image",
        KernelType::Zimage => "zimage",
        KernelType::Uimage => "uimage",
    }
}

/// What a deploy fetches. Where the overlay goes is decided by the boots that follow.
pub(crate) fn plan(deploy: &DeployTftp, problems: &mut Problems<'_>) -> Deploy {
    let parts = [
        (
            "kernel",
            deploy.kernel.as_ref().map(|(artifact, _)| artifact),
        ),
        ("dtb", deploy.dtb.as_ref()),
        (
            "ramdisk",
            deploy.ramdisk.as_ref().map(|disk| &disk.artifact),
        ),
        (
            "nfsrootfs",
            deploy.nfsrootfs.as_ref().map(|root| &root.artifact),
        ),
        ("modules", deploy.modules.as_ref()),
    ];
    let mut downloads = Vec::new();
    for (label, artifact) in parts {
        if let Some(artifact) = artifact {
            downloads.push(download(label, artifact, deploy, problems));
        }
    }
    Deploy {
        downloads,
        kernel_type: deploy
            .kernel
            .as_ref()
            .map_or("", |(_, kernel_type)| kernel_type_word(*kernel_type))
            .to_owned(),
        overlay_in_ramdisk: false,
        overlay_in_nfsroot: false,
        ramdisk_has_uboot_header: deploy
            .ramdisk
            .as_ref()
            .is_some_and(|disk| disk.uboot_header),
    }
}

fn download(
    label: &str,
    artifact: &Artifact,
    deploy: &DeployTftp,
    problems: &mut Problems<'_>,
) -> Download {
    // A root and modules are unpacked in any case, as in LAVA; the others are served as they are.
    let unpacked = matches!(label, "nfsrootfs" | "modules");
    let compression = match artifact.compression {
        Some(Compression::Gz) => Some("gz"),
        Some(Compression::Xz) => Some("xz"),
        Some(Compression::Bz2) => Some("bz2"),
        Some(Compression::Zstd) => Some("zstd"),
        Some(Compression::Zip) => {
            problems.error(
                artifact.url.span,
                format!("`{label}`: zip files cannot be unpacked yet; use gz, xz, bz2 or zstd"),
            );
            None
        }
        None if unpacked => compression_by_name(&artifact.url.value),
        None => None,
    };
    Download {
        label: label.to_owned(),
        url: artifact.url.value.clone(),
        headers: artifact.headers.clone(),
        compression: compression.map(str::to_owned),
        archive_tar: artifact.archive_tar || unpacked,
        prefix: match (&deploy.nfsrootfs, label) {
            (Some(root), "nfsrootfs") => root.prefix.clone(),
            _ => None,
        },
        checksum: artifact.checksum.as_ref().map(|checksum| match checksum {
            Checksum::Md5(digits) => ("md5".to_owned(), digits.clone()),
            Checksum::Sha256(digest) => ("sha256".to_owned(), digest.to_string()),
            Checksum::Sha512(digits) => ("sha512".to_owned(), digits.clone()),
        }),
    }
}

/// The compression that the name of an archive tells, for jobs that leave it out.
fn compression_by_name(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    [
        (".tar.gz", "gz"),
        (".tgz", "gz"),
        (".tar.xz", "xz"),
        (".txz", "xz"),
        (".tar.bz2", "bz2"),
        (".tar.zst", "zstd"),
    ]
    .into_iter()
    .find(|(ending, _)| path.ends_with(ending))
    .map(|(_, compression)| compression)
}
