//! The boot root of one lease: TFTP, and NFS where the job boots from it (decision D22).

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use basalt_lab::profile::DispatcherProfile;
use basalt_model::{Failure, Part};
use basalt_netboot::nfs::{Export, ExportSpec, NfsServer};
use basalt_netboot::tftp::{FileSource, Root, RootSpec, TftpServer, TransferEvent};
use tokio::sync::broadcast;

use crate::session::chain;
use crate::shared::Shared;

/// What a lease serves.
#[derive(Debug)]
pub(crate) struct RootFiles {
    /// The unguessable name; the same over a restart of the runner.
    pub token: String,
    /// The only address that is served.
    pub client: Option<Ipv4Addr>,
    /// Names and contents.
    pub files: Vec<(String, FileSource)>,
    /// Where the board's uploads go, where it has any to send.
    pub uploads: Option<PathBuf>,
    /// The NFS root.
    pub nfs: Option<NfsRoot>,
}

/// A root file system and what is laid over it.
#[derive(Debug)]
pub(crate) struct NfsRoot {
    /// The unpacked archive; never written.
    pub base: PathBuf,
    /// Top-level names and what stands there.
    pub graft: Vec<(String, PathBuf)>,
}

/// Open roots; closed when dropped.
#[derive(Debug)]
pub(crate) struct Roots {
    address: Ipv4Addr,
    server: Arc<TftpServer>,
    root: Root,
    nfs: Option<(Arc<NfsServer>, Export)>,
}

impl Roots {
    /// Opens the roots, on servers that are bound where nobody needed them before.
    pub async fn open(
        shared: &Shared,
        dispatcher: &DispatcherProfile,
        files: RootFiles,
    ) -> Result<Self, Failure> {
        let host = |code: &str, message: String| Failure::infrastructure(Part::Host, code, message);
        let server = shared
            .tftp(dispatcher.tftp_listen)
            .map_err(|error| host("tftp-bind", chain(&error)))?;
        let spec = RootSpec {
            client: files.client,
            files: files.files,
            uploads: files.uploads,
            upload_limit: crate::transfer::LARGEST,
        };
        let root = server
            .reopen_root(&files.token, spec)
            .map_err(|error| host("tftp-root", chain(&error)))?;
        let nfs = match files.nfs {
            None => None,
            Some(nfs) => {
                let server = shared
                    .nfs(dispatcher.nfs_listen)
                    .map_err(|error| host("nfs-bind", chain(&error)))?;
                let spec = ExportSpec {
                    client: files.client,
                    base: nfs.base,
                    graft: nfs.graft,
                };
                let export = server
                    .reexport(&format!("/r/{}", files.token), &spec)
                    .map_err(|error| host("nfs-export", chain(&error)))?;
                Some((server, export))
            }
        };
        Ok(Self {
            address: dispatcher.address,
            server,
            root,
            nfs,
        })
    }

    /// What happens in the TFTP root.
    pub fn events(&self) -> broadcast::Receiver<TransferEvent> {
        self.root.events()
    }

    /// How the board asks for a file.
    pub fn tftp_path(&self, file: &str) -> String {
        format!("{}/{file}", self.root.name())
    }

    /// Where NFS listens.
    pub fn nfs_port(&self) -> Option<u16> {
        self.nfs
            .as_ref()
            .map(|(server, _)| server.local_addr().port())
    }

    /// What the board mounts.
    pub fn nfs_path(&self) -> Option<String> {
        self.nfs.as_ref().map(|(_, export)| export.path())
    }

    /// Address, port and directory for uploads.
    pub fn upload_target(&self) -> (Ipv4Addr, u16, String) {
        (
            self.address,
            self.server.local_addr().port(),
            self.root.name().to_owned(),
        )
    }

    /// Closes the roots; waits for transfers, at most a few seconds.
    pub async fn close(self) {
        self.root.close().await;
    }
}
