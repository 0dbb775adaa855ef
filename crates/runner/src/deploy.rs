//! Files for a network boot: fetched and checked before the board is switched on, the overlay built,
//! the lease's boot root opened.

use std::path::PathBuf;

use basalt_artifacts::{Fetched, Policy, Progress, Request, cpio, kernel_identity, uimage};
use basalt_model::{Culprit, EventBody, Failure, Part};
use basalt_netboot::tftp::FileSource;
use basalt_plan::plan::{Block, BlockKind, Deploy, Download, action};
use tokio::time::Instant;

use crate::overlay::{self, OverlayFile};
use crate::roots::{NfsRoot, RootFiles, Roots};
use crate::run::{Place, Run};
use crate::session::chain;

/// Overlay and uploads have to fit; nothing that a kernel or root file system has reached yet.
const LARGEST_DOWNLOAD: u64 = 8 << 30;

impl Run {
    /// One attempt of a deploy block.
    pub(crate) async fn deploy(
        &mut self,
        block: &Block,
        deploy: &Deploy,
        attempt: u32,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let mut fetched = Vec::new();
        for (index, download) in deploy.downloads.iter().enumerate() {
            let name = if download.url.starts_with("file:") {
                action::FILE_DOWNLOAD
            } else {
                action::HTTP_DOWNLOAD
            };
            let here = Place {
                level: format!("{}.{}", block.level, index + 1),
                name: name.into(),
                attempt,
                deadline: deadline.min(Instant::now() + block.timeout_of(name)),
            };
            let file = self
                .action(here, async |run, deadline| {
                    run.download(download, deadline).await
                })
                .await?;
            fetched.push((download.clone(), file));
        }
        let number = deploy.downloads.len() as u32 + 1;
        let here = Place {
            level: format!("{}.{number}", block.level),
            name: action::OVERLAY.into(),
            attempt,
            deadline: deadline.min(Instant::now() + block.timeout_of(action::OVERLAY)),
        };
        self.action(here, async |run, _| run.write_overlay(deploy))
            .await?;
        let here = Place {
            level: format!("{}.{}", block.level, number + 1),
            name: action::PREPARE_TFTP.into(),
            attempt,
            deadline: deadline.min(Instant::now() + block.timeout_of(action::PREPARE_TFTP)),
        };
        self.action(here, async |run, deadline| {
            run.open_roots(deploy, &fetched, deadline).await
        })
        .await
    }

    /// Opens the roots again that an earlier start of the runner had open, before anything is done
    /// that may need them. The files are those that the run began with.
    pub(crate) async fn serve_again(&mut self) -> Result<(), Failure> {
        let Some(index) = self.closed_roots.take() else {
            return Ok(());
        };
        let block = self.plan.blocks[index].clone();
        let BlockKind::Deploy(deploy) = &block.kind else {
            return Ok(());
        };
        let deadline = Instant::now() + block.timeout;
        let mut fetched = Vec::new();
        for download in &deploy.downloads {
            let known = self.session.recorder.state().artifact(&download.label);
            let known = known.map(|known| known.sha256);
            let file = match known.and_then(|sha256| self.cache.kept(sha256)) {
                Some(file) => file,
                None => self.download(download, deadline).await?,
            };
            if known != Some(file.sha256) {
                // What the board runs now came from another file.
                self.may_reattach = false;
            }
            fetched.push((download.clone(), file));
        }
        self.write_overlay(deploy)?;
        let deadline = Instant::now() + block.timeout_of(action::PREPARE_TFTP);
        self.open_roots(deploy, &fetched, deadline).await
    }

    async fn download(
        &mut self,
        download: &Download,
        deadline: Instant,
    ) -> Result<Fetched, Failure> {
        let request = Request {
            label: download.label.clone(),
            url: download.url.clone(),
            headers: download.headers.clone(),
            compression: download.compression.clone(),
            checksum: download.checksum.clone(),
        };
        let policy = Policy {
            file_roots: self.plan.dispatcher.file_roots.clone(),
            allow_hosts: self.plan.dispatcher.allow_hosts.clone(),
            size_limit: LARGEST_DOWNLOAD,
        };
        let watcher = self.session.recorder.watcher().clone();
        let progress = move |progress: Progress<'_>| {
            watcher.progress(progress.label, progress.received, progress.total);
        };
        let awaited = format!(
            "{} from {}",
            download.label,
            basalt_artifacts::public_url(&download.url)
        );
        let ending = self.session.ending.clone();
        let fetched = tokio::select! {
            () = ending.asked() => return Err(ending.failure()),
            fetched = tokio::time::timeout_at(
                deadline,
                self.cache.fetch(&request, &policy, &progress),
            ) => fetched,
        };
        let fetched = match fetched {
            Err(_) => {
                let mut failure = Failure::infrastructure(
                    Part::Network,
                    "download-timeout",
                    "the download did not end within its time",
                );
                failure.awaited = Some(awaited);
                return Err(failure);
            }
            Ok(Err(error)) => {
                let culprit = if error.is_job_fault() {
                    Culprit::Job
                } else {
                    Culprit::Infrastructure
                };
                let mut failure = Failure::new(culprit, error.code(), chain(&error));
                failure.part = (culprit == Culprit::Infrastructure).then_some(Part::Network);
                return Err(failure);
            }
            Ok(Ok(fetched)) => fetched,
        };
        let linux_version = if download.label == "kernel" {
            self.kernel_identity(&fetched).await
        } else {
            None
        };
        let known = self.session.recorder.state().artifact(&download.label);
        if known.is_none_or(|known| known.sha256 != fetched.sha256) {
            self.journal(EventBody::ArtifactReady {
                label: download.label.clone(),
                url: basalt_artifacts::public_url(&download.url),
                sha256: fetched.sha256,
                bytes: fetched.bytes,
                linux_version,
            })?;
        }
        Ok(fetched)
    }

    /// What a kernel's image calls itself.
    async fn kernel_identity(&self, kernel: &Fetched) -> Option<String> {
        if let Some(identity) = self.shared.kernel(kernel.sha256) {
            return identity;
        }
        let path = kernel.path.clone();
        let read = tokio::task::spawn_blocking(move || kernel_identity(&path));
        let identity = read.await.ok().and_then(Result::ok)?;
        self.shared.remember_kernel(kernel.sha256, identity.clone());
        identity
    }

    fn overlay_files(&self) -> Vec<OverlayFile> {
        overlay::build(&self.plan, self.directory.record().job_number)
    }

    /// Writes the overlay: an archive for a ramdisk, a tree for an NFS root. Every file that is made
    /// costs more than all that stands in it.
    fn write_overlay(&mut self, deploy: &Deploy) -> Result<(), Failure> {
        let files = self.overlay_files();
        let host = |source: std::io::Error| {
            Failure::infrastructure(
                Part::Host,
                "host",
                format!("the overlay cannot be written: {source}"),
            )
        };
        if deploy.overlay_in_ramdisk {
            let entries: Vec<cpio::Entry> = with_parents(&files);
            let archive = cpio::write_newc(&entries);
            std::fs::write(self.directory.file("overlay.cpio"), archive).map_err(host)?;
        }
        if !deploy.overlay_in_nfsroot {
            return Ok(());
        }
        let tree = self.directory.file("overlay");
        for file in &files {
            let path = tree.join(file.path.trim_start_matches('/'));
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(host)?;
            }
            std::fs::write(&path, &file.content).map_err(host)?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(file.mode);
            std::fs::set_permissions(&path, mode).map_err(host)?;
        }
        Ok(())
    }

    async fn open_roots(
        &mut self,
        deploy: &Deploy,
        fetched: &[(Download, Fetched)],
        deadline: Instant,
    ) -> Result<(), Failure> {
        let mut files = Vec::new();
        let mut nfs = None;
        for (download, file) in fetched {
            match download.label.as_str() {
                "nfsrootfs" => {
                    nfs = Some(self.nfs_root(deploy, download, file, deadline).await?);
                }
                "ramdisk" if deploy.overlay_in_ramdisk => {
                    files.push(("ramdisk".to_owned(), self.ramdisk(deploy, file)?));
                }
                label => files.push((label.to_owned(), FileSource::Path(file.path.clone()))),
            }
        }
        let spec = RootFiles {
            token: self.directory.record().root_token.clone(),
            client: self
                .plan
                .board
                .network
                .as_ref()
                .map(|network| network.address),
            files,
            uploads: self.measures().then(|| self.directory.file("uploads")),
            nfs,
        };
        // The old root first: its name is the same.
        self.session.served = None;
        if let Some(old) = self.roots.take() {
            old.close().await;
        }
        let roots = Roots::open(&self.shared, &self.plan.dispatcher, spec).await?;
        self.session.served = Some(roots.events());
        self.roots = Some(roots);
        Ok(())
    }

    /// The ramdisk with the overlay behind it: the kernel unpacks archives that follow each other
    /// (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
    fn ramdisk(&self, deploy: &Deploy, file: &Fetched) -> Result<FileSource, Failure> {
        let overlay = self.directory.file("overlay.cpio");
        if !deploy.ramdisk_has_uboot_header {
            return Ok(FileSource::Concat(vec![file.path.clone(), overlay]));
        }
        let wrapped = uimage_with_overlay(&file.path, &overlay).map_err(|error| {
            Failure::new(
                Culprit::Job,
                "ramdisk-header",
                format!("the ramdisk's U-Boot header cannot be read: {error}"),
            )
        })?;
        let path = self.directory.file("ramdisk.uimage");
        std::fs::write(&path, wrapped).map_err(|error| {
            Failure::infrastructure(
                Part::Host,
                "host",
                format!("the ramdisk cannot be written: {error}"),
            )
        })?;
        Ok(FileSource::Path(path))
    }

    async fn nfs_root(
        &mut self,
        deploy: &Deploy,
        download: &Download,
        file: &Fetched,
        deadline: Instant,
    ) -> Result<NfsRoot, Failure> {
        let unpack = self.cache.unpacked_tar(file, download.prefix.as_deref());
        let base = match tokio::time::timeout_at(deadline, unpack).await {
            Ok(Ok(base)) => base,
            Ok(Err(error)) => {
                let (culprit, part) = if error.is_job_fault() {
                    (Culprit::Job, None)
                } else {
                    (Culprit::Infrastructure, Some(Part::Host))
                };
                let mut failure = Failure::new(culprit, error.code(), chain(&error));
                failure.part = part;
                return Err(failure);
            }
            Err(_) => {
                return Err(Failure::infrastructure(
                    Part::Host,
                    "unpack-timeout",
                    "the NFS root was not unpacked within its time",
                ));
            }
        };
        let mut graft: Vec<(String, PathBuf)> = Vec::new();
        if deploy.overlay_in_nfsroot {
            let root = self.overlay_root();
            let name = root.trim_start_matches('/');
            if name.contains('/') {
                return Err(Failure::new(
                    Culprit::Configuration,
                    "results-dir",
                    format!(
                        "{root} is not directly below /; an NFS root can carry only such an overlay"
                    ),
                ));
            }
            graft.push((name.to_owned(), self.directory.file("overlay").join(name)));
        }
        Ok(NfsRoot { base, graft })
    }
}

fn uimage_with_overlay(
    ramdisk: &std::path::Path,
    overlay: &std::path::Path,
) -> Result<Vec<u8>, String> {
    let image = std::fs::read(ramdisk).map_err(|error| error.to_string())?;
    let (header, data) = uimage::unwrap(&image)
        .map_err(|error| chain(&error))?
        .ok_or("it has none")?;
    let overlay = std::fs::read(overlay).map_err(|error| error.to_string())?;
    uimage::wrap(&cpio::append(data, &overlay), &header).ok_or_else(|| "it is too large".to_owned())
}

/// The files with their directories before them, each once.
fn with_parents(files: &[OverlayFile]) -> Vec<cpio::Entry> {
    let mut directories = std::collections::BTreeSet::new();
    for file in files {
        let mut path = file.path.trim_start_matches('/');
        while let Some((parent, _)) = path.rsplit_once('/') {
            directories.insert(parent.to_owned());
            path = parent;
        }
    }
    let directories = directories.into_iter().map(|path| cpio::Entry {
        path,
        mode: 0o755,
        kind: cpio::Kind::Directory,
    });
    let files = files.iter().map(|file| cpio::Entry {
        path: file.path.trim_start_matches('/').to_owned(),
        mode: file.mode,
        kind: cpio::Kind::File(file.content.clone()),
    });
    directories.chain(files).collect()
}
