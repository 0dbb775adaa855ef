//! A file on its way in: `<name>.part` until it is complete, then renamed.

use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::event::TransferFailure;

/// Bytes gathered before they are written to the file.
const PIECE: usize = 256 * 1024;

/// An upload that is not complete. Dropped, it removes its part.
#[derive(Debug)]
pub(crate) struct PartFile {
    file: File,
    gathered: Vec<u8>,
    written: u64,
    limit: u64,
    part: PathBuf,
    target: PathBuf,
    done: bool,
}

impl PartFile {
    /// Starts the part, removing what a former attempt left. `name` must be a checked component.
    pub async fn create(directory: &Path, name: &str, limit: u64) -> Result<Self, TransferFailure> {
        let target = directory.join(name);
        let part = directory.join(format!("{name}.part"));
        let file = async {
            tokio::fs::create_dir_all(directory).await?;
            match tokio::fs::remove_file(&part).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            File::create_new(&part).await
        };
        let file = file.await.map_err(|error| store_failure(&part, &error))?;
        Ok(Self {
            file,
            gathered: Vec::new(),
            written: 0,
            limit,
            part,
            target,
            done: false,
        })
    }

    /// Adds the next bytes.
    pub async fn append(&mut self, payload: &[u8]) -> Result<(), TransferFailure> {
        self.written += payload.len() as u64;
        if self.written > self.limit {
            return Err(TransferFailure::UploadLimit { limit: self.limit });
        }
        self.gathered.extend_from_slice(payload);
        if self.gathered.len() >= PIECE {
            self.write_gathered().await?;
        }
        Ok(())
    }

    /// Makes the file durable and gives it its name.
    pub async fn commit(&mut self) -> Result<(), TransferFailure> {
        self.write_gathered().await?;
        let renamed = async {
            self.file.flush().await?;
            self.file.sync_all().await?;
            tokio::fs::rename(&self.part, &self.target).await?;
            let directory = self.target.parent().unwrap_or(Path::new("."));
            File::open(directory).await?.sync_all().await
        };
        renamed
            .await
            .map_err(|error| store_failure(&self.target, &error))?;
        self.done = true;
        Ok(())
    }

    async fn write_gathered(&mut self) -> Result<(), TransferFailure> {
        let written = self.file.write_all(&self.gathered).await;
        self.gathered.clear();
        written.map_err(|error| store_failure(&self.part, &error))
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.done
            && let Err(error) = std::fs::remove_file(&self.part)
        {
            tracing::warn!(tftp.part = %self.part.display(), %error, "the part of an ended upload stays behind");
        }
    }
}

fn store_failure(path: &Path, error: &std::io::Error) -> TransferFailure {
    TransferFailure::Store(format!("{}: {error}", path.display()))
}
