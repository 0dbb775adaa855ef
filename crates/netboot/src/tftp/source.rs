//! Where the bytes of a served file come from, and reading them ahead of the network.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

/// Bytes read from a file at once. Two such pieces a transfer are in memory.
const PIECE: usize = 256 * 1024;
/// Parts of a concatenation start at multiples of this, as the kernel wants of joined cpio archives
/// (Documentation/driver-api/early-userspace/buffer-format.rst).
const PART_ALIGNMENT: u64 = 4;

/// A file to serve. Files are opened for each transfer; they must not change during one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSource {
    /// A file of the host.
    Path(PathBuf),
    /// Several files of the host as one, each padded with zeros to a multiple of 4 bytes: an initramfs with an overlay
    /// behind it, without writing the sum to disk.
    Concat(Vec<PathBuf>),
    /// Bytes in memory.
    Bytes(Bytes),
}

/// A source that is open, with its final size.
#[derive(Debug)]
pub(crate) struct OpenSource {
    parts: Vec<Part>,
    /// Bytes, padding included.
    pub size: u64,
}

#[derive(Debug)]
struct Part {
    path: PathBuf,
    content: Content,
    start: u64,
    length: u64,
}

#[derive(Debug)]
enum Content {
    File(File),
    Bytes(Bytes),
}

impl OpenSource {
    /// Opens all parts. Blocks on the file system. The error names the file.
    pub fn open(source: &FileSource) -> Result<Self, String> {
        let mut opened = Self {
            parts: Vec::new(),
            size: 0,
        };
        match source {
            FileSource::Bytes(bytes) => {
                opened.size = bytes.len() as u64;
                let content = Content::Bytes(bytes.clone());
                opened.parts.push(Part {
                    path: PathBuf::new(),
                    content,
                    start: 0,
                    length: opened.size,
                });
            }
            FileSource::Path(path) => opened.push_file(path.clone())?,
            FileSource::Concat(paths) => {
                for path in paths {
                    opened.push_file(path.clone())?;
                    opened.size = opened.size.next_multiple_of(PART_ALIGNMENT);
                }
            }
        }
        Ok(opened)
    }

    fn push_file(&mut self, path: PathBuf) -> Result<(), String> {
        let describe = |error: io::Error| format!("{}: {error}", path.display());
        // Looked at before it is opened, because opening a FIFO waits for its writer.
        if !std::fs::metadata(&path).map_err(describe)?.is_file() {
            return Err(format!("{}: not a regular file", path.display()));
        }
        let file = File::open(&path).map_err(describe)?;
        let length = file.metadata().map_err(describe)?.len();
        self.parts.push(Part {
            path,
            content: Content::File(file),
            start: self.size,
            length,
        });
        self.size += length;
        Ok(())
    }

    /// The bytes from `offset` on, `length` of them or fewer at the end. Blocks on the file system.
    fn read(&self, offset: u64, length: usize) -> Result<Bytes, String> {
        let end = self.size.min(offset + length as u64);
        if let [
            Part {
                content: Content::Bytes(bytes),
                ..
            },
        ] = self.parts.as_slice()
        {
            return Ok(bytes.slice(offset.min(end) as usize..end as usize));
        }
        let mut buffer = vec![0; end.saturating_sub(offset) as usize];
        for part in &self.parts {
            let from = part.start.max(offset);
            let to = (part.start + part.length).min(end);
            let Content::File(file) = &part.content else {
                continue;
            };
            if from < to {
                let target = &mut buffer[(from - offset) as usize..(to - offset) as usize];
                file.read_exact_at(target, from - part.start)
                    .map_err(|error| match error.kind() {
                        io::ErrorKind::UnexpectedEof => format!(
                            "{}: became shorter during the transfer",
                            part.path.display()
                        ),
                        _ => format!("{}: {error}", part.path.display()),
                    })?;
            }
        }
        Ok(buffer.into())
    }
}

/// Gives out the blocks of a source, reading the next piece while the current one is sent.
#[derive(Debug)]
pub(crate) struct BlockReader {
    source: Arc<OpenSource>,
    block_size: usize,
    blocks_per_piece: u64,
    /// Pieces in memory, in order; the first has the number `first_piece`.
    pieces: VecDeque<Bytes>,
    first_piece: u64,
    ahead: Option<JoinHandle<Result<Bytes, String>>>,
}

impl BlockReader {
    pub fn new(source: Arc<OpenSource>, block_size: usize) -> Self {
        let blocks_per_piece = (PIECE / block_size).max(1) as u64;
        Self {
            source,
            block_size,
            blocks_per_piece,
            pieces: VecDeque::new(),
            first_piece: 0,
            ahead: None,
        }
    }

    /// The payload of a block, counted from 1. It must not lie before one that was given to [`Self::forget`].
    pub async fn block(&mut self, number: u64) -> Result<Bytes, String> {
        let index = number - 1;
        let piece = index / self.blocks_per_piece;
        while self.first_piece + self.pieces.len() as u64 <= piece {
            let reading = match self.ahead.take() {
                Some(reading) => reading,
                None => self.read_next_piece(),
            };
            let bytes = reading.await.map_err(|error| error.to_string())??;
            self.pieces.push_back(bytes);
            self.ahead = Some(self.read_next_piece());
        }
        let bytes = &self.pieces[(piece - self.first_piece) as usize];
        let start = ((index % self.blocks_per_piece) as usize * self.block_size).min(bytes.len());
        Ok(bytes.slice(start..bytes.len().min(start + self.block_size)))
    }

    /// Blocks up to this one are acknowledged.
    pub fn forget(&mut self, acknowledged: u64) {
        while self.pieces.len() > 1
            && (self.first_piece + 1) * self.blocks_per_piece <= acknowledged
        {
            self.pieces.pop_front();
            self.first_piece += 1;
        }
    }

    fn read_next_piece(&self) -> JoinHandle<Result<Bytes, String>> {
        let length = self.blocks_per_piece as usize * self.block_size;
        let offset = (self.first_piece + self.pieces.len() as u64) * length as u64;
        let source = Arc::clone(&self.source);
        tokio::task::spawn_blocking(move || source.read(offset, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all_blocks(source: &FileSource, block_size: usize) -> Vec<u8> {
        let source = Arc::new(OpenSource::open(source).unwrap());
        let blocks = source.size / block_size as u64 + 1;
        let mut reader = BlockReader::new(source, block_size);
        let mut all = Vec::new();
        for number in 1..=blocks {
            let block = reader.block(number).await.unwrap();
            assert_eq!(
                block.len() < block_size,
                number == blocks,
                "only the last block is short"
            );
            all.extend_from_slice(&block);
            reader.forget(number.saturating_sub(3));
        }
        all
    }

    #[tokio::test]
    async fn parts_of_a_concatenation_are_padded_to_four_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (index, content) in ["abcde", "", "fgh", "ijkl"].iter().enumerate() {
            paths.push(directory.path().join(index.to_string()));
            std::fs::write(&paths[index], content).unwrap();
        }
        for block_size in [8, 512, 16] {
            assert_eq!(
                all_blocks(&FileSource::Concat(paths.clone()), block_size).await,
                b"abcde\0\0\0fgh\0ijkl"
            );
        }
    }

    #[tokio::test]
    async fn every_byte_of_a_large_file_is_given_once_across_pieces() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("large");
        let content: Vec<u8> = (0..PIECE * 3 + 17)
            .map(|index| (index * 7 + index / 251) as u8)
            .collect();
        std::fs::write(&path, &content).unwrap();
        for block_size in [512, 1468, 65464] {
            assert!(all_blocks(&FileSource::Path(path.clone()), block_size).await == content);
            assert!(
                all_blocks(&FileSource::Bytes(content.clone().into()), block_size).await == content
            );
        }
    }

    #[test]
    fn what_is_not_a_regular_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = OpenSource::open(&FileSource::Path(directory.path().to_owned())).unwrap_err();
        assert!(error.contains("not a regular file"), "{error}");
        let missing = directory.path().join("missing");
        let error = OpenSource::open(&FileSource::Concat(vec![missing.clone()])).unwrap_err();
        assert!(error.starts_with(&missing.display().to_string()), "{error}");
    }
}
