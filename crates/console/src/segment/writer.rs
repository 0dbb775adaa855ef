//! The one who appends to a console's segments.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use basalt_model::Stamp;

use super::record::{Body, Decoded, Record, decode, encode_data};
use super::{HEADER, HeaderError, check_header, header, list, segment_path};

/// A console's segments cannot be opened for appending.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system refused.
    #[error("cannot open the console segments at {}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The newest file is not a segment of this format.
    #[error("cannot append to {}", path.display())]
    Header {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: HeaderError,
    },
}

/// What was found when a console's segments were opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// When the last whole record was written; nothing for a new console.
    pub last: Option<Stamp>,
    /// How many bytes of an unfinished record were cut off.
    pub cut: u64,
}

/// Appends to one console's segments. The owner sees to it that there is only one (the keeper
/// holds a lock).
#[derive(Debug)]
pub struct SegmentWriter {
    dir: PathBuf,
    file: Arc<File>,
    /// The stream offset at the file's start.
    start: u64,
    /// The stream offset of the next data byte.
    end: u64,
    /// Bytes of the file that hold whole records.
    length: u64,
    limit: u64,
    /// What was changed since it was last taken for a sync.
    unsynced: Vec<Arc<File>>,
    dirty: bool,
    scratch: Vec<u8>,
    bytes_written: u64,
}

impl SegmentWriter {
    /// Opens the newest segment, cutting off what a crash left unfinished, or begins the first.
    /// `limit`: how many bytes a segment may grow to.
    pub fn open(dir: &Path, limit: u64) -> Result<(Self, Recovered), OpenError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        fs::create_dir_all(dir).map_err(at(dir))?;
        let directory = Arc::new(File::open(dir).map_err(at(dir))?);
        let starts = list(dir).map_err(at(dir))?;
        let start = starts.last().copied().unwrap_or(0);
        let path = segment_path(dir, start);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(at(&path))?;
        let size = file.metadata().map_err(at(&path))?.len();
        let contents = scan(&file, size).map_err(|error| error.at(&path))?;
        let mut last = contents.last;
        // A segment that was just begun may hold no record: the one before it does.
        for earlier in starts.iter().rev().skip(1) {
            if last.is_some() {
                break;
            }
            let path = segment_path(dir, *earlier);
            let file = File::open(&path).map_err(at(&path))?;
            let size = file.metadata().map_err(at(&path))?.len();
            last = scan(&file, size).map_err(|error| error.at(&path))?.last;
        }
        let mut writer = Self {
            dir: dir.to_owned(),
            file: Arc::new(file),
            start,
            end: start + contents.data,
            length: contents.length,
            limit,
            unsynced: Vec::new(),
            dirty: false,
            scratch: Vec::new(),
            bytes_written: 0,
        };
        let cut = size - contents.length.min(size);
        if contents.length < size {
            writer.file.set_len(contents.length).map_err(at(&path))?;
        }
        if contents.length == 0 {
            writer.file.write_all_at(&header(), 0).map_err(at(&path))?;
            writer.length = HEADER as u64;
            writer.bytes_written += HEADER as u64;
        }
        writer.unsynced = vec![directory, Arc::clone(&writer.file)];
        writer.dirty = true;
        Ok((writer, Recovered { last, cut }))
    }

    /// The stream offset of the next data byte.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes went into files, headers and all.
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    /// Appends data as it was read. On an error nothing was appended.
    pub fn append_data(&mut self, stamp: Stamp, bytes: &[u8]) -> io::Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        encode_data(stamp, bytes, &mut scratch);
        let result = self.append_bytes(&scratch);
        self.scratch = scratch;
        result?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Appends a record. On an error nothing was appended.
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        if let Body::Data(bytes) = &record.body {
            return self.append_data(record.stamp, bytes);
        }
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        self.append_bytes(&bytes)
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        // A segment without data would give the next one its own name.
        if self.end > self.start && self.length + bytes.len() as u64 > self.limit {
            self.rotate()?;
        }
        if let Err(error) = self.file.write_all_at(bytes, self.length) {
            // Readers must not meet half a record in front of the next one. If this fails too, the
            // next write covers the half, or the next open cuts it.
            if let Err(error) = self.file.set_len(self.length) {
                tracing::warn!(error = %error, path = %self.dir.display(), "cannot cut off half a console record");
            }
            return Err(error);
        }
        self.length += bytes.len() as u64;
        self.bytes_written += bytes.len() as u64;
        self.dirty = true;
        self.note_unsynced();
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let directory = Arc::new(File::open(&self.dir)?);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(segment_path(&self.dir, self.end))?;
        file.write_all_at(&header(), 0)?;
        self.file = Arc::new(file);
        self.start = self.end;
        self.length = HEADER as u64;
        self.bytes_written += HEADER as u64;
        self.unsynced.push(directory);
        Ok(())
    }

    /// Whether something was appended since [`SegmentWriter::take_unsynced`].
    pub fn dirty(&self) -> bool {
        self.dirty
    }

    /// The files that have to be synced so that everything appended so far is durable. They are
    /// given out once; where the sync fails, what was appended may not be durable ever.
    pub fn take_unsynced(&mut self) -> Synced {
        self.dirty = false;
        Synced {
            files: std::mem::take(&mut self.unsynced),
            end: self.end,
        }
    }

    /// After a sync that failed: the newest segment is to be synced again.
    pub fn sync_again(&mut self) {
        self.dirty = true;
        self.note_unsynced();
    }

    fn note_unsynced(&mut self) {
        if !self
            .unsynced
            .iter()
            .any(|file| Arc::ptr_eq(file, &self.file))
        {
            self.unsynced.push(Arc::clone(&self.file));
        }
    }
}

/// Files that have to be synced, and what is durable then.
#[derive(Debug)]
pub struct Synced {
    files: Vec<Arc<File>>,
    /// The stream offset up to which everything is durable after [`Synced::sync`].
    pub end: u64,
}

impl Synced {
    /// Calls fdatasync on each file and counts the calls. Blocks.
    pub fn sync(&self, fsyncs: &AtomicU64) -> io::Result<()> {
        for file in &self.files {
            fsyncs.fetch_add(1, Ordering::Relaxed);
            file.sync_data()?;
        }
        Ok(())
    }
}

/// What a segment holds.
struct Contents {
    /// Bytes of header and whole records; 0 if not even the header is whole.
    length: u64,
    /// Bytes of data in them.
    data: u64,
    /// When the last of them was written.
    last: Option<Stamp>,
}

enum ScanError {
    Io(io::Error),
    Header(HeaderError),
}

impl ScanError {
    fn at(self, path: &Path) -> OpenError {
        let path = path.to_owned();
        match self {
            Self::Io(source) => OpenError::Io { path, source },
            Self::Header(source) => OpenError::Header { path, source },
        }
    }
}

/// Reads a segment up to its first record that is not whole.
fn scan(file: &File, size: u64) -> Result<Contents, ScanError> {
    const WINDOW: usize = 4 * 1024 * 1024;
    let mut contents = Contents {
        length: 0,
        data: 0,
        last: None,
    };
    let mut buffer = vec![0; WINDOW.min(size as usize)];
    let mut filled = 0;
    let mut used = 0;
    let mut read = 0;
    loop {
        let (taken, whole) = if contents.length == 0 {
            match check_header(&buffer[used..filled]) {
                Ok(true) => (HEADER, true),
                Ok(false) => (0, false),
                Err(error) => return Err(ScanError::Header(error)),
            }
        } else {
            match decode(&buffer[used..filled]) {
                Decoded::Record(record, taken) => {
                    contents.last = Some(record.stamp);
                    if let Body::Data(bytes) = record.body {
                        contents.data += bytes.len() as u64;
                    }
                    (taken, true)
                }
                Decoded::Short(_) => (0, false),
                Decoded::Damaged => return Ok(contents),
            }
        };
        if whole {
            used += taken;
            contents.length += taken as u64;
            continue;
        }
        // The window is larger than the longest record, so there is always room to read more.
        buffer.copy_within(used..filled, 0);
        filled -= used;
        used = 0;
        let count = file
            .read_at(&mut buffer[filled..], read)
            .map_err(ScanError::Io)?;
        if count == 0 {
            return Ok(contents);
        }
        read += count as u64;
        filled += count;
    }
}
