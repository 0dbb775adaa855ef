//! The object store: contents under keys, whole or by range, durable once put.
//!
//! Which objects there are is known from rows; an object that no row knows is an orphan of
//! something that was broken off, and is collected.

use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use basalt_model::{Sha256, UtcMicros};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _, WriteMultipart};

use tokio::sync::RwLock;

use crate::StoreError;

/// Where objects of files begin.
pub(crate) const CONTENT: &str = "content";
/// Where objects of logs begin.
pub(crate) const LOGS: &str = "logs";
/// An object is an orphan only after this time: younger ones may wait for their row.
pub(crate) const ORPHAN_AGE_US: i64 = 24 * 3_600_000_000;
/// An object that is put again is written again if it is older than this, so that nobody who
/// looks for orphans takes it away before its new row is there.
const FRESH_US: i64 = ORPHAN_AGE_US / 24;

/// Objects in a directory. Another place would be another `ObjectStore`.
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    staging: PathBuf,
    /// Read by whoever stores a content and its row, written by whoever collects orphans.
    pub(crate) collecting: RwLock<()>,
}

impl Objects {
    /// Opens the store that `url` names, a directory.
    pub(crate) fn open(url: &str) -> Result<Self, StoreError> {
        let directory = match url.split_once("://") {
            None => PathBuf::from(url),
            Some(("file", path)) => PathBuf::from(path),
            Some((scheme, _)) => {
                return Err(StoreError::Setting {
                    setting: "objects",
                    value: format!("{scheme}://…"),
                    problem: "this build keeps objects in a directory: write its path",
                });
            }
        };
        let staging = directory.join("staging");
        std::fs::create_dir_all(&staging).map_err(|source| StoreError::File {
            doing: format!("make the directory {}", staging.display()),
            source,
        })?;
        let store = LocalFileSystem::new_with_prefix(&directory)
            .map_err(|source| failed("open the directory", directory.display(), source))?
            .with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
            staging,
            collecting: RwLock::new(()),
        })
    }

    /// Where uploads wait until they are whole.
    pub(crate) fn staging(&self) -> &FilePath {
        &self.staging
    }

    /// Stores an object.
    pub(crate) async fn put(&self, key: &str, content: Bytes) -> Result<(), StoreError> {
        self.store
            .put(&Path::from(key), content.into())
            .await
            .map(drop)
            .map_err(|source| failed("write the object", key, source))
    }

    /// Stores an object piece by piece. It appears when all of it is durable.
    pub(crate) async fn put_stream(
        &self,
        key: &str,
        mut pieces: impl futures::Stream<Item = Result<Bytes, StoreError>> + Unpin,
    ) -> Result<(), StoreError> {
        const DOING: &str = "write the object";
        let upload = self
            .store
            .put_multipart(&Path::from(key))
            .await
            .map_err(|source| failed(DOING, key, source))?;
        let mut writer = WriteMultipart::new(upload);
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => {
                    // Bounded: no more than this many parts are under way.
                    writer
                        .wait_for_capacity(2)
                        .await
                        .map_err(|source| failed(DOING, key, source))?;
                    writer.put(piece);
                }
                Err(error) => {
                    writer
                        .abort()
                        .await
                        .map_err(|source| failed("abandon the object", key, source))?;
                    return Err(error);
                }
            }
        }
        writer
            .finish()
            .await
            .map(drop)
            .map_err(|source| failed(DOING, key, source))
    }

    /// Whether an object is there, and young enough to be relied on until its row is written.
    pub(crate) async fn has_fresh(&self, key: &str, now: UtcMicros) -> Result<bool, StoreError> {
        match self.store.head(&Path::from(key)).await {
            Ok(meta) => Ok(now.0.saturating_sub(modified(&meta).0) < FRESH_US),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(failed("look for the object", key, source)),
        }
    }

    /// Whether an object was written at `time` or later, or is gone.
    pub(crate) async fn is_younger(&self, key: &str, time: UtcMicros) -> Result<bool, StoreError> {
        match self.store.head(&Path::from(key)).await {
            Ok(meta) => Ok(modified(&meta) >= time),
            Err(object_store::Error::NotFound { .. }) => Ok(true),
            Err(source) => Err(failed("look for the object", key, source)),
        }
    }

    /// A part of an object.
    pub(crate) async fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.store
            .get_range(&Path::from(key), range)
            .await
            .map_err(|source| failed("read the object", key, source))
    }

    /// A part of an object, piece by piece.
    pub(crate) async fn stream(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        const DOING: &str = "read the object";
        let options = object_store::GetOptions {
            range: Some(range.into()),
            ..Default::default()
        };
        let found = self
            .store
            .get_opts(&Path::from(key), options)
            .await
            .map_err(|source| failed(DOING, key, source))?;
        let key = key.to_owned();
        Ok(found
            .into_stream()
            .map_err(move |source| failed(DOING, &key, source))
            .boxed())
    }

    /// Objects below a prefix that were last written before `before`.
    pub(crate) fn older_than(
        &self,
        prefix: &str,
        before: UtcMicros,
    ) -> BoxStream<'static, Result<String, StoreError>> {
        let prefix = prefix.to_owned();
        self.store
            .list(Some(&Path::from(prefix.as_str())))
            .map_err(move |source| failed("list the objects of", &prefix, source))
            .try_filter(move |meta| futures::future::ready(modified(meta) < before))
            .map_ok(|meta| meta.location.to_string())
            .boxed()
    }

    /// Deletes an object; one that is not there is deleted already.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), StoreError> {
        match self.store.delete(&Path::from(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(failed("delete the object", key, source)),
        }
    }
}

/// The key of a content.
pub(crate) fn content_key(sha256: Sha256) -> String {
    let digest = sha256.to_string();
    let (group, rest) = digest.split_at(2);
    format!("{CONTENT}/{group}/{rest}")
}

/// The content that a key stands for.
pub(crate) fn content_of(key: &str) -> Option<Sha256> {
    let (group, rest) = key
        .strip_prefix(CONTENT)?
        .strip_prefix('/')?
        .split_once('/')?;
    format!("{group}{rest}").parse().ok()
}

fn modified(meta: &ObjectMeta) -> UtcMicros {
    UtcMicros(meta.last_modified.timestamp_micros())
}

fn failed(
    doing: &'static str,
    object: impl std::fmt::Display,
    source: object_store::Error,
) -> StoreError {
    StoreError::Object {
        doing,
        object: object.to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_found_again_from_its_key() {
        let digest = Sha256([0xa5; 32]);
        assert_eq!(content_of(&content_key(digest)), Some(digest));
        assert_eq!(content_of("logs/00/11"), None);
    }
}
