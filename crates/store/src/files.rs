//! Files of runs, in the object store, addressed by their content.
//!
//! A file arrives in pieces that wait in a staging directory until it is whole; then its content
//! is checked and made durable, and a row names it. Small files never touch the staging.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use basalt_model::{RunId, Sha256, UtcMicros};
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use sha2::Digest as _;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use crate::database::Transaction;
use crate::database::value::{Row, values};
use crate::error::unknown;
use crate::objects::content_key;
use crate::statements::run as sql;
use crate::{Store, StoreError};

/// Files up to this size are put together in memory.
const SMALL_BYTES: u64 = 256 * 1024;
/// Larger ones are read back in pieces of this size; object stores want parts of 5 MiB at least.
const PIECE_BYTES: usize = 8 * 1024 * 1024;

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
    /// So many bytes are here; go on from there, if need be with nothing.
    Partial(u64),
    /// All of it is stored, durably.
    Complete,
}

/// Uploads that go on: one at a time of each file.
#[derive(Default)]
pub(crate) struct Uploads {
    going_on: Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
}

impl Uploads {
    fn of(&self, staged: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut going_on = self.going_on.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody waits for any more.
        going_on.retain(|_, lock| Arc::strong_count(lock) > 1);
        going_on.entry(staged.to_owned()).or_default().clone()
    }
}

impl Upload {
    fn file(&self, now: UtcMicros) -> RunFile {
        RunFile {
            path: self.path.clone(),
            sha256: self.sha256,
            bytes: self.bytes,
            stored: now,
        }
    }

    fn mismatch(&self, problem: String) -> StoreError {
        StoreError::Mismatch {
            what: format!("file {} of run {}", self.path, self.run),
            problem,
        }
    }

    fn check(&self, sha256: Sha256) -> Result<(), StoreError> {
        match sha256 == self.sha256 {
            true => Ok(()),
            false => Err(self.mismatch(format!(
                "its SHA-256 is {sha256}, announced was {}",
                self.sha256
            ))),
        }
    }
}

impl Store {
    /// Where an upload stands: how much of it need not be sent again.
    pub async fn upload_state(
        &self,
        upload: &Upload,
        now: UtcMicros,
    ) -> Result<UploadState, StoreError> {
        let known = self.file(upload.run, &upload.path).await?;
        if known.is_some_and(|file| file.sha256 == upload.sha256) {
            return Ok(UploadState::Complete);
        }
        let key = content_key(upload.sha256);
        if self.objects().has_fresh(&key, now).await? {
            return Ok(UploadState::Partial(upload.bytes));
        }
        match tokio::fs::metadata(self.staged(upload)).await {
            Ok(metadata) => Ok(UploadState::Partial(metadata.len().min(upload.bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(UploadState::Partial(0))
            }
            Err(source) => Err(failed("look at an upload", source)),
        }
    }

    /// Takes bytes of an upload from `offset` on, which must not lie behind what is here. What
    /// arrived of a large file stays when the stream breaks off. At the end the content is checked
    /// and made durable; the file is the run's only once its row is written, by
    /// [`Batch::files`](crate::Batch).
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] if the content is not as announced; it is thrown away then.
    pub async fn upload_content(
        &self,
        upload: &Upload,
        offset: u64,
        body: BoxStream<'_, std::io::Result<Bytes>>,
        now: UtcMicros,
    ) -> Result<UploadState, StoreError> {
        let _storing = self.objects().collecting.read().await;
        self.take_content(upload, offset, body, now).await
    }

    /// [`Store::upload_content`], with the row in a transaction of its own. A file that was there
    /// under the same path is replaced.
    pub async fn upload(
        &self,
        upload: &Upload,
        offset: u64,
        body: BoxStream<'_, std::io::Result<Bytes>>,
        now: UtcMicros,
    ) -> Result<UploadState, StoreError> {
        let _storing = self.objects().collecting.read().await;
        let state = self.take_content(upload, offset, body, now).await?;
        if state == UploadState::Complete {
            self.name_file(upload.run, &upload.file(now)).await?;
        }
        Ok(state)
    }

    /// Stores a small file of a run at once.
    pub async fn put_file(
        &self,
        run: RunId,
        path: &str,
        content: Bytes,
        now: UtcMicros,
    ) -> Result<RunFile, StoreError> {
        let file = RunFile {
            path: path.to_owned(),
            sha256: Sha256(sha2::Sha256::digest(&content).into()),
            bytes: content.len() as u64,
            stored: now,
        };
        let _storing = self.objects().collecting.read().await;
        let key = content_key(file.sha256);
        if !self.objects().has_fresh(&key, now).await? {
            self.objects().put(&key, content).await?;
        }
        self.name_file(run, &file).await?;
        Ok(file)
    }

    /// The files of a run by path.
    pub async fn files(&self, run: RunId) -> Result<Vec<RunFile>, StoreError> {
        let rows = self
            .database()
            .rows("list a run's files", sql::FILES, values![run])
            .await?;
        rows.into_iter().map(read_file).collect()
    }

    /// One file of a run.
    pub async fn file(&self, run: RunId, path: &str) -> Result<Option<RunFile>, StoreError> {
        let row = self
            .database()
            .row("look for a run's file", sql::FILE, values![run, path])
            .await?;
        row.map(read_file).transpose()
    }

    /// The content of a file, or a range of it (clipped to the file), as a stream of pieces.
    pub async fn read_file(
        &self,
        file: &RunFile,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let range = range.unwrap_or(0..file.bytes);
        let range = range.start..range.end.min(file.bytes);
        if range.is_empty() {
            return Ok(futures::stream::empty().boxed());
        }
        let key = content_key(file.sha256);
        self.objects().stream(&key, range).await
    }

    async fn take_content(
        &self,
        upload: &Upload,
        offset: u64,
        body: BoxStream<'_, std::io::Result<Bytes>>,
        now: UtcMicros,
    ) -> Result<UploadState, StoreError> {
        let key = content_key(upload.sha256);
        if self.objects().has_fresh(&key, now).await? {
            return Ok(UploadState::Complete);
        }
        if offset == 0 && upload.bytes <= SMALL_BYTES {
            let content = collect(upload, body).await?;
            upload.check(Sha256(sha2::Sha256::digest(&content).into()))?;
            self.objects().put(&key, content).await?;
            return Ok(UploadState::Complete);
        }
        let staged = self.staged(upload);
        let lock = self.inner.uploads.of(&staged);
        let _alone = lock.lock().await;
        let arrived = append(upload, &staged, offset, body).await?;
        if arrived < upload.bytes {
            return Ok(UploadState::Partial(arrived));
        }
        let digest = digest_of(staged.clone()).await?;
        if let Err(error) = upload.check(digest) {
            remove(&staged).await?;
            return Err(error);
        }
        let file = File::open(&staged)
            .await
            .map_err(|source| failed("open an upload", source))?;
        let pieces = futures::stream::try_unfold(file, |mut file| async move {
            let mut piece = BytesMut::with_capacity(PIECE_BYTES);
            while piece.len() < PIECE_BYTES {
                let count = file
                    .read_buf(&mut piece)
                    .await
                    .map_err(|source| failed("read an upload", source))?;
                if count == 0 {
                    break;
                }
            }
            Ok((!piece.is_empty()).then(|| (piece.freeze(), file)))
        });
        self.objects()
            .put_stream(&key, std::pin::pin!(pieces))
            .await?;
        remove(&staged).await?;
        Ok(UploadState::Complete)
    }

    async fn name_file(&self, run: RunId, file: &RunFile) -> Result<(), StoreError> {
        let mut transaction = self.database().write_apart("name a run's file").await?;
        note_file(&mut transaction, run, file).await?;
        transaction.commit().await
    }

    /// Where an upload waits.
    fn staged(&self, upload: &Upload) -> PathBuf {
        let path = Sha256(sha2::Sha256::digest(upload.path.as_bytes()).into()).to_string();
        let name = format!("{}-{}-{}", upload.run, &path[..16], upload.sha256);
        self.objects().staging().join(name)
    }

    /// Deletes uploads that nobody has gone on with since `before`.
    pub(crate) async fn collect_staging(&self, before: UtcMicros) -> Result<u64, StoreError> {
        const DOING: &str = "list unfinished uploads";
        let mut count = 0;
        let mut entries = tokio::fs::read_dir(self.objects().staging())
            .await
            .map_err(|source| failed(DOING, source))?;
        while let Some(entry) = entries
            .next_entry()
            .await
            .map_err(|source| failed(DOING, source))?
        {
            let modified = entry
                .metadata()
                .await
                .and_then(|metadata| metadata.modified())
                .map_err(|source| failed(DOING, source))?;
            let age = modified.duration_since(std::time::UNIX_EPOCH);
            if age.is_ok_and(|age| (age.as_micros() as i64) < before.0) {
                remove(&entry.path()).await?;
                count += 1;
            }
        }
        Ok(count)
    }
}

/// Writes the row that makes a content a run's file.
pub(crate) async fn note_file(
    transaction: &mut Transaction<'_>,
    run: RunId,
    file: &RunFile,
) -> Result<(), StoreError> {
    if transaction.row(sql::EXISTS, values![run]).await?.is_none() {
        return Err(unknown("run", run));
    }
    transaction
        .execute(
            sql::FILE_INSERT,
            values![run, &file.path, file.sha256, file.bytes, file.stored],
        )
        .await
        .map(drop)
}

fn read_file(mut row: Row) -> Result<RunFile, StoreError> {
    Ok(RunFile {
        path: row.take()?,
        sha256: row.take()?,
        bytes: row.take()?,
        stored: row.take()?,
    })
}

/// A small body, whole.
async fn collect(
    upload: &Upload,
    mut body: BoxStream<'_, std::io::Result<Bytes>>,
) -> Result<Bytes, StoreError> {
    let mut content = BytesMut::with_capacity(upload.bytes as usize);
    while let Some(piece) = body
        .try_next()
        .await
        .map_err(|source| failed("receive a file", source))?
    {
        content.extend_from_slice(&piece);
        if content.len() as u64 > upload.bytes {
            return Err(upload.mismatch(format!("it is longer than {} bytes", upload.bytes)));
        }
    }
    match content.len() as u64 == upload.bytes {
        true => Ok(content.freeze()),
        false => Err(failed(
            "receive a file",
            std::io::ErrorKind::UnexpectedEof.into(),
        )),
    }
}

/// Appends a body to what is staged; how much is there then.
async fn append(
    upload: &Upload,
    staged: &Path,
    offset: u64,
    mut body: BoxStream<'_, std::io::Result<Bytes>>,
) -> Result<u64, StoreError> {
    const DOING: &str = "write an upload";
    let mut file = tokio::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(staged)
        .await
        .map_err(|source| failed(DOING, source))?;
    let length = file
        .metadata()
        .await
        .map_err(|source| failed(DOING, source))?
        .len();
    if offset > length {
        return Err(upload.mismatch(format!(
            "the bytes begin at {offset}, but only {length} are here"
        )));
    }
    file.set_len(offset)
        .await
        .map_err(|source| failed(DOING, source))?;
    file.seek(std::io::SeekFrom::Start(offset))
        .await
        .map_err(|source| failed(DOING, source))?;
    let mut arrived = offset;
    let mut broken = None;
    while broken.is_none()
        && let Some(piece) = body.next().await
    {
        match piece {
            Ok(piece) => {
                arrived += piece.len() as u64;
                if arrived > upload.bytes {
                    remove(staged).await?;
                    let problem = format!("it is longer than {} bytes", upload.bytes);
                    return Err(upload.mismatch(problem));
                }
                file.write_all(&piece)
                    .await
                    .map_err(|source| failed(DOING, source))?;
            }
            Err(error) => broken = Some(error),
        }
    }
    file.flush().await.map_err(|source| failed(DOING, source))?;
    match broken {
        Some(source) => Err(failed("receive a file", source)),
        None => Ok(arrived),
    }
}

async fn digest_of(path: PathBuf) -> Result<Sha256, StoreError> {
    const DOING: &str = "read an upload";
    let work = tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::open(path)?;
        let mut digest = sha2::Sha256::new();
        std::io::copy(&mut file, &mut digest)?;
        Ok(Sha256(digest.finalize().into()))
    });
    match work.await {
        Ok(digest) => digest.map_err(|source| failed(DOING, source)),
        Err(error) => Err(failed(DOING, std::io::Error::other(error))),
    }
}

async fn remove(path: &Path) -> Result<(), StoreError> {
    match tokio::fs::remove_file(path).await {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("remove an upload", source))
        }
        _ => Ok(()),
    }
}

fn failed(doing: &str, source: std::io::Error) -> StoreError {
    StoreError::File {
        doing: doing.to_owned(),
        source,
    }
}
