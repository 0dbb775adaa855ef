//! A download in progress: the bytes so far, their digests, and what it takes to go on later.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use basalt_model::Sha256;
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256 as Sha256Hasher, Sha512};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use crate::request::{Algorithm, Checksum};

/// How much of a file's beginning is kept to see what it is.
const HEAD: usize = 512;

/// The version of the file beside a part.
const VERSION: u32 = 1;

/// What a server says about which version of a file it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Validator {
    /// `ETag`, as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `Last-Modified`, as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// For `file:`: size, inode and times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Validator {
    /// The value for `If-Range`: weak tags do not promise the same bytes (RFC 9110, 13.1.5).
    pub(crate) fn for_range(&self) -> Option<&str> {
        match &self.etag {
            Some(etag) if !etag.starts_with("W/") => Some(etag),
            Some(_) => None,
            None => self.last_modified.as_deref(),
        }
    }
}

/// The file beside a part.
#[derive(Serialize, Deserialize)]
struct Beside {
    v: u32,
    /// The host's boot in which the part was written: parts are not synced, so after a power cut
    /// their bytes cannot be trusted.
    boot_id: String,
    validator: Validator,
}

/// Digests of the bytes so far.
struct Digests {
    sha256: Sha256Hasher,
    md5: Option<Md5>,
    sha512: Option<Sha512>,
}

impl Digests {
    fn new(checksum: Option<&Checksum>) -> Self {
        let algorithm = checksum.map(|checksum| checksum.algorithm);
        Self {
            sha256: Sha256Hasher::new(),
            md5: (algorithm == Some(Algorithm::Md5)).then(Md5::new),
            sha512: (algorithm == Some(Algorithm::Sha512)).then(Sha512::new),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
    }
}

/// A file that arrived whole.
pub(crate) struct Whole {
    pub path: PathBuf,
    /// Holds the lock, so it must live until the file has been moved away.
    pub file: File,
    pub bytes: u64,
    /// The bytes came in several pieces.
    pub resumed: bool,
    pub sha256: Sha256,
    /// The digits of the checksum that was asked for, else of SHA-256.
    pub checksum_digits: String,
}

/// A download in progress.
pub(crate) struct Part {
    path: PathBuf,
    beside: PathBuf,
    file: tokio::fs::File,
    checksum: Option<Checksum>,
    digests: Digests,
    head: Vec<u8>,
    /// Bytes so far.
    pub received: u64,
    /// Which version of the file the bytes are of.
    pub validator: Validator,
    /// The bytes came in several pieces.
    pub resumed: bool,
}

impl Part {
    /// Opens the part of that key, with what an earlier try left behind; if another process or
    /// task is at it, begins one of its own.
    pub(crate) fn open(
        directory: &Path,
        key: &str,
        checksum: Option<&Checksum>,
    ) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut name = key.to_owned();
        let mut file = loop {
            let path = directory.join(format!("{name}.part"));
            let file = open(&path)?;
            match file.try_lock() {
                // Between opening and locking, the one before may have moved it into the cache.
                Ok(()) if is_at(&file, &path)? => break file,
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let number = NEXT.fetch_add(1, Ordering::Relaxed);
                    name = format!("{key}-{}-{number}", std::process::id());
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        };
        let path = directory.join(format!("{name}.part"));
        let beside = directory.join(format!("{name}.json"));
        let mut digests = Digests::new(checksum);
        let mut head = Vec::new();
        let mut received = 0;
        let validator = read_beside(&beside).unwrap_or_default();
        if validator.for_range().is_some() {
            received = digest_file(&mut file, &mut digests, &mut head)?;
        } else {
            file.set_len(0)?;
        }
        Ok(Self {
            path,
            beside,
            file: tokio::fs::File::from_std(file),
            checksum: checksum.cloned(),
            digests,
            head,
            received,
            validator,
            resumed: received > 0,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets what arrived; the next bytes are the file's first ones.
    pub(crate) async fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0).await?;
        self.file.seek(SeekFrom::Start(0)).await?;
        self.digests = Digests::new(self.checksum.as_ref());
        self.head.clear();
        self.received = 0;
        self.resumed = false;
        Ok(())
    }

    /// Notes which version of the file is arriving.
    pub(crate) fn note(&mut self, validator: Validator) -> io::Result<()> {
        if validator.for_range().is_none() {
            // Nothing could go on with it, so nothing is kept of it.
            self.validator = validator;
            return remove_if_present(&self.beside);
        }
        if self.validator == validator && self.beside.exists() {
            return Ok(());
        }
        let beside = Beside {
            v: VERSION,
            boot_id: boot_id(),
            validator: validator.clone(),
        };
        self.validator = validator;
        fs::write(&self.beside, serde_json::to_vec(&beside)?)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let missing = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..missing]);
        self.digests.update(bytes);
        self.received += bytes.len() as u64;
        self.file.write_all(bytes).await
    }

    /// How the file begins, if it begins like an HTML page.
    pub(crate) fn html(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.head);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let lower = text.to_ascii_lowercase();
        let page = ["<!doctype html", "<html"]
            .iter()
            .any(|start| lower.starts_with(start));
        page.then(|| {
            let line = text.lines().next().unwrap_or_default();
            let shown: String = line.chars().take(60).collect();
            format!("it begins with {shown:?}")
        })
    }

    /// Enough of the file is there to say whether it is a page.
    pub(crate) fn head_complete(&self) -> bool {
        self.head.len() >= HEAD
    }

    /// Keeps what arrived for another try.
    pub(crate) async fn keep(&mut self) -> io::Result<()> {
        self.file.flush().await
    }

    /// Throws everything away.
    pub(crate) fn discard(self) -> io::Result<()> {
        remove_if_present(&self.beside)?;
        remove_if_present(&self.path)
    }

    /// The file is whole.
    pub(crate) async fn finish(mut self) -> io::Result<Whole> {
        self.file.flush().await?;
        remove_if_present(&self.beside)?;
        let sha256 = Sha256(self.digests.sha256.finalize().into());
        let checksum_digits = match (self.digests.md5, self.digests.sha512) {
            (Some(md5), _) => hexadecimal(&md5.finalize()),
            (_, Some(sha512)) => hexadecimal(&sha512.finalize()),
            (None, None) => sha256.to_string(),
        };
        Ok(Whole {
            path: self.path,
            file: self.file.into_std().await,
            bytes: self.received,
            resumed: self.resumed,
            sha256,
            checksum_digits,
        })
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(theirs) => Ok((ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn read_beside(path: &Path) -> Option<Validator> {
    // Whatever is wrong with it, the answer is to begin again.
    let beside: Beside = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    (beside.v == VERSION && beside.boot_id == boot_id()).then_some(beside.validator)
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

fn digest_file(file: &mut File, digests: &mut Digests, head: &mut Vec<u8>) -> io::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(total);
        }
        let missing = HEAD.saturating_sub(head.len()).min(count);
        head.extend_from_slice(&buffer[..missing]);
        digests.update(&buffer[..count]);
        total += count as u64;
    }
}

pub(crate) fn remove_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
