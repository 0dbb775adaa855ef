//! Lines of bounded length from a stream of bytes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Reads lines. [`LineReader::next`] may be dropped and called again without losing a byte.
pub(crate) struct LineReader<R> {
    reader: R,
    buffer: Vec<u8>,
    /// How much of `buffer` is known to hold no newline.
    searched: usize,
    limit: usize,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(crate) fn new(reader: R, limit: usize) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            searched: 0,
            limit,
        }
    }

    /// The next line without its newline; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let newline = self.buffer[self.searched..]
                .iter()
                .position(|byte| *byte == b'\n');
            if let Some(at) = newline {
                let rest = self.buffer.split_off(self.searched + at + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > self.limit {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("a line is longer than {} bytes", self.limit),
                ));
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}
