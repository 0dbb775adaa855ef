//! The cache's directory, and the way of one file into it.
//!
//! ```text
//! DIR/v1/objects/SHA256          files as they are served; mode 0444, never changed
//! DIR/v1/index/url-KEY.json      what a URL led to, with its ETag or Last-Modified
//! DIR/v1/index/ALGORITHM-DIGITS-COMPRESSION.json   what a stated checksum led to
//! DIR/v1/parts/KEY.part, .json   downloads that are not whole yet
//! DIR/v1/trees/SHA256/           unpacked archives
//! ```
//! An object is synced before it gets its name. Index entries are not synced: one that is torn or
//! whose object is missing is a miss.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use basalt_model::Sha256;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256 as Sha256Hasher};
use tracing::debug;

use crate::decode::{self, Compression};
use crate::error::{FetchError, Subject};
use crate::part::{Validator, Whole, remove_if_present};
use crate::request::{Fetched, Patience, Policy, Progress, Request, Wanted};
use crate::{file, http};

/// The version of the directory's layout and of index entries.
const VERSION: u32 = 1;

/// What nobody has touched for so long, nobody will go on with.
const STALE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A cache of files, safe to be used by several tasks and processes at once.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    patience: Patience,
    forbidden_hosts: Vec<String>,
    /// Who downloads what the cache does not have, by its key: the others of this process wait.
    under_way: Arc<Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>>,
}

/// What a URL or checksum led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    v: u32,
    /// Without credentials; for people.
    url: String,
    #[serde(default)]
    pub validator: Validator,
    download_sha256: Sha256,
    sha256: Sha256,
    bytes: u64,
}

/// What a source came back with.
pub(crate) enum Source {
    /// What the cache has is what the source has.
    NotModified,
    /// The file, whole but not checked.
    Downloaded(Whole, Validator),
}

impl Cache {
    /// Opens a cache, making its directory if it is missing. Others of the host are kept out:
    /// archives may hold files that are set-user-id on the board.
    pub fn open(directory: impl AsRef<Path>) -> io::Result<Self> {
        let root = directory.as_ref().join(format!("v{VERSION}"));
        for name in ["objects", "index", "parts", "trees"] {
            fs::create_dir_all(root.join(name))?;
        }
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700))?;
        remove_stale(&root.join("parts"), "")?;
        remove_stale(&root.join("objects"), TEMPORARY)?;
        Ok(Self {
            root,
            patience: Patience::default(),
            forbidden_hosts: Vec::new(),
            under_way: Arc::default(),
        })
    }

    /// The same cache with other bounds.
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The same cache, refusing hosts of the lab: names and addresses of relays and consoles
    /// (decision D21). [`Policy::allow_hosts`] goes first.
    pub fn with_forbidden_hosts(self, forbidden_hosts: Vec<String>) -> Self {
        Self {
            forbidden_hosts,
            ..self
        }
    }

    /// Gets a file. One whose checksum is stated and known comes from the cache without asking
    /// anybody; else the source is always asked whether it changed. What is interrupted, by a cut,
    /// by dropping this future or by the end of the process, is resumed at the next try where the
    /// server can.
    ///
    /// Every single wait has a bound ([`Patience`]); the whole is for the caller to bound.
    pub async fn fetch(
        &self,
        request: &Request,
        policy: &Policy,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Fetched, FetchError> {
        let wanted = Wanted::read(request)?;
        let by_checksum = wanted.checksum.as_ref().map(|checksum| {
            let algorithm = checksum.algorithm.as_str();
            self.checksum_entry(algorithm, &checksum.digits, wanted.compression)
        });
        if let Some(path) = &by_checksum
            && let Some((_, fetched)) = self.look_up(path)
        {
            report_all(progress, &wanted.subject, fetched.bytes);
            return Ok(fetched);
        }
        let key = url_key(request);
        let by_url = self.root.join("index").join(format!("url-{key}.json"));
        // A stated checksum that is not known wants other bytes than those that are cached.
        let mut known = self.look_up(&by_url).filter(|_| by_checksum.is_none());
        let turn = self.turn(&key);
        // Held until this one has been published. A hundred runs that begin at once download once.
        let mut under_way = None;
        if known.is_none() {
            under_way = Some(turn.lock().await);
            if let Some((_, fetched)) = by_checksum.as_ref().and_then(|path| self.look_up(path)) {
                report_all(progress, &wanted.subject, fetched.bytes);
                return Ok(fetched);
            }
            known = self.look_up(&by_url).filter(|_| by_checksum.is_none());
        }
        if known.is_some() {
            // Asking whether it changed is cheap.
            drop(under_way.take());
        }
        let validator = known.as_ref().map(|(entry, _)| &entry.validator);
        let mut source = self
            .obtain(&wanted, &key, validator, policy, progress)
            .await?;
        // Pieces of two files, from a server that says they are one.
        if let Source::Downloaded(whole, _) = &source
            && whole.resumed
            && wanted.mismatch(whole).is_some()
        {
            self.remove(&wanted, &whole.path)?;
            source = self
                .obtain(&wanted, &key, validator, policy, progress)
                .await?;
        }
        match (source, known) {
            (Source::Downloaded(whole, validator), known) => {
                let digits = whole.sha256.to_string();
                let by_sha256 = self.checksum_entry("sha256", &digits, wanted.compression);
                // Served before, maybe by a server that does not say so: what came is thrown away.
                let had = self.look_up(&by_sha256);
                let is_new = had.is_none();
                let (entry, fetched) = match had {
                    Some(had) => self.pass_over(&wanted, &whole, validator, had)?,
                    None => self.publish(&wanted, whole, validator, policy).await?,
                };
                if known.is_none_or(|(known, _)| known != entry) {
                    self.remember(&wanted, &by_url, &entry)?;
                }
                if is_new {
                    self.remember(&wanted, &by_sha256, &entry)?;
                }
                if let Some(by_checksum) = by_checksum.filter(|path| *path != by_sha256) {
                    self.remember(&wanted, &by_checksum, &entry)?;
                }
                Ok(fetched)
            }
            (Source::NotModified, Some((_, fetched))) => {
                report_all(progress, &wanted.subject, fetched.bytes);
                Ok(fetched)
            }
            (Source::NotModified, None) => Err(FetchError::Status {
                subject: wanted.subject,
                status: reqwest::StatusCode::NOT_MODIFIED,
            }),
        }
    }

    /// The turn of whoever downloads under this key.
    fn turn(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = under_way.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        under_way.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        under_way.insert(key.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// A file that an earlier fetch left, by the digest of what is served. Nobody is asked: a run
    /// that goes on serves what it began with, whatever its URL holds now.
    pub fn kept(&self, sha256: Sha256) -> Option<Fetched> {
        let path = self.object(sha256);
        let bytes = std::fs::metadata(&path).ok()?.len();
        Some(Fetched {
            path,
            sha256,
            bytes,
            download_sha256: sha256,
            from_cache: true,
        })
    }

    async fn obtain(
        &self,
        wanted: &Wanted,
        key: &str,
        known: Option<&Validator>,
        policy: &Policy,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Source, FetchError> {
        let parts = &self.root.join("parts");
        match wanted.url.scheme() {
            "http" | "https" => {
                let download = http::Download {
                    parts,
                    key,
                    wanted,
                    known,
                    policy,
                    forbidden_hosts: &self.forbidden_hosts,
                    patience: &self.patience,
                    progress,
                };
                download.run().await
            }
            "file" => file::read(parts, key, wanted, known, policy, progress).await,
            scheme => Err(FetchError::Scheme {
                scheme: scheme.to_owned(),
                subject: wanted.subject.clone(),
            }),
        }
    }

    fn remove(&self, wanted: &Wanted, path: &Path) -> Result<(), FetchError> {
        remove_if_present(path).map_err(cache_error(&wanted.subject, "removing", path))
    }

    pub(crate) fn trees(&self) -> PathBuf {
        self.root.join("trees")
    }

    fn object(&self, sha256: Sha256) -> PathBuf {
        self.root.join("objects").join(sha256.to_string())
    }

    fn checksum_entry(
        &self,
        algorithm: &str,
        digits: &str,
        compression: Option<Compression>,
    ) -> PathBuf {
        let compression = compression.map_or("none", Compression::as_str);
        self.root
            .join("index")
            .join(format!("{algorithm}-{digits}-{compression}.json"))
    }

    /// What an index entry leads to; nothing if anything is wrong with it.
    fn look_up(&self, path: &Path) -> Option<(Entry, Fetched)> {
        let entry: Entry = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let object = self.object(entry.sha256);
        let size = fs::metadata(&object).ok()?.len();
        if entry.v != VERSION || size != entry.bytes {
            debug!(path = %path.display(), "index entry does not fit its object");
            return None;
        }
        let fetched = Fetched {
            path: object,
            sha256: entry.sha256,
            bytes: entry.bytes,
            download_sha256: entry.download_sha256,
            from_cache: true,
        };
        Some((entry, fetched))
    }

    fn remember(&self, wanted: &Wanted, path: &Path, entry: &Entry) -> Result<(), FetchError> {
        let temporary = unique(path);
        serde_json::to_vec(entry)
            .map_err(io::Error::from)
            .and_then(|json| fs::write(&temporary, json))
            .and_then(|()| fs::rename(&temporary, path))
            .map_err(cache_error(&wanted.subject, "writing", path))
    }

    /// Checks a download that the cache `had` already, and drops it: making files and waiting for
    /// the disk is most of what a small one costs.
    fn pass_over(
        &self,
        wanted: &Wanted,
        whole: &Whole,
        validator: Validator,
        had: (Entry, Fetched),
    ) -> Result<(Entry, Fetched), FetchError> {
        self.remove(wanted, &whole.path)?;
        if let Some(error) = wanted.mismatch(whole) {
            return Err(error);
        }
        let (entry, fetched) = had;
        let entry = Entry {
            url: wanted.subject.url.clone(),
            validator,
            ..entry
        };
        let from_cache = false;
        Ok((
            entry,
            Fetched {
                from_cache,
                ..fetched
            },
        ))
    }

    /// Checks, unpacks, and gives the file its name.
    async fn publish(
        &self,
        wanted: &Wanted,
        whole: Whole,
        validator: Validator,
        policy: &Policy,
    ) -> Result<(Entry, Fetched), FetchError> {
        if let Some(error) = wanted.mismatch(&whole) {
            self.remove(wanted, &whole.path)?;
            return Err(error);
        }
        let download_sha256 = whole.sha256;
        let objects = self.root.join("objects");
        let subject = wanted.subject.clone();
        let compression = wanted.compression;
        let limit = policy.size_limit;
        let work = move || place(&objects, &subject, whole, compression, limit);
        let (path, sha256, bytes) = tokio::task::spawn_blocking(work)
            .await
            .map_err(io::Error::other)
            .map_err(cache_error(&wanted.subject, "writing", &self.root))??;
        let entry = Entry {
            v: VERSION,
            url: wanted.subject.url.clone(),
            validator,
            download_sha256,
            sha256,
            bytes,
        };
        let fetched = Fetched {
            path,
            sha256,
            bytes,
            download_sha256,
            from_cache: false,
        };
        Ok((entry, fetched))
    }
}

/// How files begin that are not objects yet.
const TEMPORARY: &str = ".new-";

/// Moves a whole download, unpacked if need be, to its name. Blocks.
fn place(
    objects: &Path,
    subject: &Subject,
    whole: Whole,
    compression: Option<Compression>,
    limit: u64,
) -> Result<(PathBuf, Sha256, u64), FetchError> {
    let Some(compression) = compression else {
        let path = objects.join(whole.sha256.to_string());
        seal(&whole.file, &whole.path, &path).map_err(cache_error(subject, "writing", &path))?;
        return Ok((path, whole.sha256, whole.bytes));
    };
    let temporary = unique(&objects.join(TEMPORARY));
    let unpacked = unpack(&temporary, subject, &whole, compression, limit).and_then(
        |(file, sha256, bytes)| {
            let path = objects.join(sha256.to_string());
            seal(&file, &temporary, &path).map_err(cache_error(subject, "writing", &path))?;
            Ok((path, sha256, bytes))
        },
    );
    if unpacked.is_err() {
        remove_if_present(&temporary).map_err(cache_error(subject, "removing", &temporary))?;
    }
    remove_if_present(&whole.path).map_err(cache_error(subject, "removing", &whole.path))?;
    unpacked
}

fn unpack(
    target: &Path,
    subject: &Subject,
    whole: &Whole,
    compression: Compression,
    limit: u64,
) -> Result<(File, Sha256, u64), FetchError> {
    let opened = File::open(&whole.path);
    let opened = opened.map_err(cache_error(subject, "opening", &whole.path))?;
    let mut source = decode::reader(opened, compression);
    let mut file = File::create(target).map_err(cache_error(subject, "creating", target))?;
    let mut digest = Sha256Hasher::new();
    let mut buffer = vec![0; 1 << 17];
    let mut bytes = 0;
    loop {
        let count = source
            .read(&mut buffer)
            .map_err(|error| FetchError::Undecodable {
                subject: subject.clone(),
                compression: compression.as_str(),
                reason: error.to_string(),
            })?;
        if count == 0 {
            return Ok((file, Sha256(digest.finalize().into()), bytes));
        }
        bytes += count as u64;
        if bytes > limit {
            return Err(FetchError::TooLarge {
                subject: subject.clone(),
                what: "the file unpacked",
                limit,
            });
        }
        digest.update(&buffer[..count]);
        file.write_all(&buffer[..count])
            .map_err(cache_error(subject, "writing", target))?;
    }
}

/// Read-only, on the disk, and only then under its name.
fn seal(file: &File, from: &Path, to: &Path) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(0o444))?;
    file.sync_all()?;
    fs::rename(from, to)?;
    match to.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

pub(crate) fn cache_error<'a>(
    subject: &'a Subject,
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> FetchError + 'a {
    move |source| FetchError::Cache {
        subject: subject.clone(),
        doing,
        path: path.to_owned(),
        source,
    }
}

fn report_all(progress: &(dyn Fn(Progress<'_>) + Sync), subject: &Subject, bytes: u64) {
    progress(Progress {
        label: &subject.label,
        received: bytes,
        total: Some(bytes),
    });
}

/// A path beside this one that nobody else uses.
fn unique(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!("{}-{number}", std::process::id()));
    PathBuf::from(name)
}

/// Names what a request's URL leads to. Headers may decide what a server sends.
fn url_key(request: &Request) -> String {
    let mut digest = Sha256Hasher::new();
    let mut add = |text: &str| {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    };
    add(&request.url);
    add(request.compression.as_deref().unwrap_or_default());
    for (name, value) in &request.headers {
        add(name);
        add(value);
    }
    Sha256(digest.finalize().into()).to_string()
}

fn remove_stale(directory: &Path, prefix: &str) -> io::Result<()> {
    let now = SystemTime::now();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let age = match entry.metadata() {
            Ok(metadata) => now.duration_since(metadata.modified()?).unwrap_or_default(),
            // Somebody else was faster.
            Err(_) => continue,
        };
        if age > STALE {
            remove_if_present(&entry.path())?;
        }
    }
    Ok(())
}
