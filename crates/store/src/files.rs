//! Files of runs, in the object store, addressed by their content.

use std::ops::Range;

use basalt_model::{RunId, Sha256, UtcMicros};
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{Store, StoreError};

/// A file of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFile {
    /// Its path in the run's directory, with `/`.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: Sha256,
    /// Its size.
    pub bytes: u64,
    /// When it had arrived.
    pub stored: UtcMicros,
}

/// A file that is being sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The run.
    pub run: RunId,
    /// Its path in the run's directory, with `/`.
    pub path: String,
    /// SHA-256 of the whole content.
    pub sha256: Sha256,
    /// Size of the whole content.
    pub bytes: u64,
}

/// Where an upload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// So many bytes are here; go on from there.
    Partial(u64),
    /// All of it is stored, durably.
    Complete,
}

impl Store {
    /// Where an upload stands: how much of it need not be sent again.
    pub async fn upload_state(&self, upload: &Upload) -> Result<UploadState, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Takes bytes of an upload from `offset` on, which must not lie behind what is here. What
    /// arrived stays when the stream breaks off. At the end the content is checked, made durable,
    /// and noted as the run's file; a file that was there under the same path is replaced.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] if the content is not as announced; it is thrown away then.
    pub async fn upload(
        &self,
        upload: &Upload,
        offset: u64,
        body: BoxStream<'_, std::io::Result<Bytes>>,
        now: UtcMicros,
    ) -> Result<UploadState, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Stores a small file of a run at once.
    pub async fn put_file(
        &self,
        run: RunId,
        path: &str,
        content: Bytes,
        now: UtcMicros,
    ) -> Result<RunFile, StoreError> {
        Err(StoreError::NotYet)
    }

    /// The files of a run by path.
    pub async fn files(&self, run: RunId) -> Result<Vec<RunFile>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// One file of a run.
    pub async fn file(&self, run: RunId, path: &str) -> Result<Option<RunFile>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// The content of a file, or a range of it (clipped to the file), as a stream of pieces.
    pub async fn read_file(
        &self,
        file: &RunFile,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        Err(StoreError::NotYet)
    }
}
