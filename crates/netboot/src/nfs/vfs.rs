//! What one connection sees: `nfs3_server`'s file system interface on the exports that its client may use.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nfs3_server::nfs3_types::nfs3::{
    createverf3, fattr3, filename3, nfspath3, nfsstat3, sattr3, stable_how,
};
use nfs3_server::vfs::{
    DirEntryPlus, NextResult, NfsFileSystem, NfsReadFileSystem, ReadDirPlusIterator,
    VFSCapabilities,
};

use super::export::{Names, Node, OpenExport, file_id};
use super::handle::Handle;
use super::server::Shared;

/// Largest read in bytes; nfs3_server announces the same as `rtmax`.
const LARGEST_READ: usize = 1024 * 1024;
/// Entries of a directory whose attributes are read at once.
const ENTRIES_AT_ONCE: usize = 64;

/// The file system of one client address.
#[derive(Debug)]
pub(crate) struct ClientView {
    pub shared: Arc<Shared>,
    pub client: Ipv4Addr,
}

impl ClientView {
    /// Does something with the file that a handle names, off the async threads.
    async fn with<T: Send + 'static>(
        &self,
        handle: &Handle,
        work: impl FnOnce(&OpenExport, Node) -> Result<T, nfsstat3> + Send + 'static,
    ) -> Result<T, nfsstat3> {
        let export = self
            .shared
            .export(handle.export(), self.client)
            .ok_or(nfsstat3::NFS3ERR_STALE)?;
        let node = export.node(handle)?;
        on_disk(move || work(&export, node)).await
    }
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, nfsstat3> + Send + 'static,
) -> Result<T, nfsstat3> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "reading for an NFS client died, a defect of this program");
            Err(nfsstat3::NFS3ERR_SERVERFAULT)
        }
    }
}

impl NfsReadFileSystem for ClientView {
    type Handle = Handle;

    /// There is nothing above the exports: they cannot be listed.
    fn root_dir(&self) -> Handle {
        Handle::NOTHING
    }

    /// Only `r/<token>` and what lies below can be mounted.
    async fn lookup_by_path(&self, path: &str) -> Result<Handle, nfsstat3> {
        let mut components = path.split('/').filter(|component| !component.is_empty());
        let (Some("r"), Some(token)) = (components.next(), components.next()) else {
            tracing::warn!(nfs.client = %self.client, nfs.path = ?path, "a client wants to mount what is not exported");
            return Err(nfsstat3::NFS3ERR_NOENT);
        };
        let Some(export) = self.shared.export_of_token(token, self.client) else {
            tracing::warn!(nfs.client = %self.client, nfs.path = ?path, "a client wants to mount an export that is closed or not its own");
            return Err(nfsstat3::NFS3ERR_NOENT);
        };
        let mut handle = export.handle(export.root());
        for component in components {
            handle = self.lookup(&handle, &component.as_bytes().into()).await?;
        }
        export.mounts.fetch_add(1, Ordering::Relaxed);
        Ok(handle)
    }

    async fn lookup(&self, directory: &Handle, name: &filename3<'_>) -> Result<Handle, nfsstat3> {
        let name = name.as_ref().to_vec();
        self.with(directory, move |export, node| {
            export
                .look_up(node, &name)
                .map(|(found, _)| export.handle(found))
        })
        .await
    }

    async fn getattr(&self, handle: &Handle) -> Result<fattr3, nfsstat3> {
        self.with(handle, OpenExport::attributes).await
    }

    async fn read(
        &self,
        handle: &Handle,
        offset: u64,
        count: u32,
    ) -> Result<(Vec<u8>, bool), nfsstat3> {
        let count = LARGEST_READ.min(count as usize);
        self.with(handle, move |export, node| export.read(node, offset, count))
            .await
    }

    async fn readdirplus(
        &self,
        directory: &Handle,
        cookie: u64,
    ) -> Result<impl ReadDirPlusIterator<Handle>, nfsstat3> {
        let export = self
            .shared
            .export(directory.export(), self.client)
            .ok_or(nfsstat3::NFS3ERR_STALE)?;
        let node = export.node(directory)?;
        let names = self
            .with(directory, move |export, node| {
                export.list(node, cookie != 0)
            })
            .await?;
        let position = usize::try_from(cookie).unwrap_or(usize::MAX);
        Ok(Listing {
            export,
            directory: node,
            names,
            position,
            ready: VecDeque::new(),
        })
    }

    async fn readlink(&self, handle: &Handle) -> Result<nfspath3<'_>, nfsstat3> {
        self.with(handle, OpenExport::read_link)
            .await
            .map(nfspath3::from)
    }
}

/// A directory being read. An entry's cookie is its place in the sorted names, from 1.
#[derive(Debug)]
struct Listing {
    export: Arc<OpenExport>,
    directory: Node,
    names: Names,
    position: usize,
    ready: VecDeque<DirEntryPlus<Handle>>,
}

impl Listing {
    async fn read_more(&mut self) -> Result<(), nfsstat3> {
        let (export, directory, names) = (
            Arc::clone(&self.export),
            self.directory,
            Arc::clone(&self.names),
        );
        let from = self.position;
        let to = self.names.len().min(from + ENTRIES_AT_ONCE);
        self.ready = on_disk(move || {
            let mut entries = VecDeque::new();
            for (index, name) in names[from..to].iter().enumerate() {
                match export.look_up(directory, name) {
                    Ok((node, attributes)) => entries.push_back(DirEntryPlus {
                        fileid: file_id(node),
                        name: filename3::from(name.to_vec()),
                        cookie: (from + index + 1) as u64,
                        name_attributes: Some(attributes),
                        name_handle: Some(export.handle(node)),
                    }),
                    // Gone since the names were read, or a mount: as if it were not there.
                    Err(nfsstat3::NFS3ERR_NOENT | nfsstat3::NFS3ERR_STALE) => {}
                    Err(status) => return Err(status),
                }
            }
            Ok(entries)
        })
        .await?;
        self.position = to;
        Ok(())
    }
}

impl ReadDirPlusIterator<Handle> for Listing {
    async fn next(&mut self) -> NextResult<DirEntryPlus<Handle>> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return NextResult::Ok(entry);
            }
            if self.position >= self.names.len() {
                return NextResult::Eof;
            }
            if let Err(status) = self.read_more().await {
                return NextResult::Err(status);
            }
        }
    }
}

/// Everything that would write is refused. `nfs3_server` has an adapter for read-only file systems, but it takes the
/// set-user-ID, sticky and write bits from the modes, and without those a root file system does not work.
impl NfsFileSystem for ClientView {
    fn capabilities(&self) -> VFSCapabilities {
        VFSCapabilities::ReadOnly
    }

    async fn setattr(&self, _: &Handle, _: sattr3) -> Result<fattr3, nfsstat3> {
        Err(nfsstat3::NFS3ERR_ROFS)
    }

    async fn write(
        &self,
        _: &Handle,
        _: u64,
        _: &[u8],
        _: stable_how,
    ) -> Result<(fattr3, stable_how), nfsstat3> {
        Err(nfsstat3::NFS3ERR_ROFS)
    }

    async fn create(
        &self,
        _: &Handle,
        _: &filename3<'_>,
        _: sattr3,
    ) -> Result<(Handle, fattr3), nfsstat3> {
        Err(nfsstat3::NFS3ERR_ROFS)
    }

    async fn create_exclusive(
        &self,
        _: &Handle,
        _: &filename3<'_>,
        _: createverf3,
    ) -> Result<Handle, nfsstat3> {
        Err(nfsstat3::NFS3ERR_ROFS)
    }

    async fn mkdir(&self, _: &Handle, _: &filename3<'_>) -> Result<(Handle, fattr3), nfsstat3> {
        Err(nfsstat3::NFS3ERR_ROFS)
    }

    async fn remove(&self, _: &Handle, _: &filename3<'_>) -> Result<(), nfsstat3> {
        Err(nfsstat3::NFS3ERR_ROFS)
    }

    async fn rename<'a>(
        &self,
        _: &Handle,
        _: &filename3<'a>,
        _: &Handle,
        _: &filename3<'a>,
    ) -> Result<(), nfsstat3> {
        Err(nfsstat3::NFS3ERR_ROFS)
    }

    async fn symlink<'a>(
        &self,
        _: &Handle,
        _: &filename3<'a>,
        _: &nfspath3<'a>,
        _: &sattr3,
    ) -> Result<(Handle, fattr3), nfsstat3> {
        Err(nfsstat3::NFS3ERR_ROFS)
    }

    async fn commit(&self, _: &Handle, _: u64, _: u32) -> Result<(), nfsstat3> {
        Err(nfsstat3::NFS3ERR_ROFS)
    }
}
