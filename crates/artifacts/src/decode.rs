//! Decompression as a blocking reader, for blocking threads.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, XzDecoder, ZstdDecoder};
use tokio::io::{AsyncRead, BufReader, ReadBuf};

/// How a file is compressed; LAVA's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Gz,
    Xz,
    Bz2,
    Zstd,
}

impl Compression {
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "gz" => Self::Gz,
            "xz" => Self::Xz,
            "bz2" => Self::Bz2,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Gz => "gz",
            Self::Xz => "xz",
            Self::Bz2 => "bz2",
            Self::Zstd => "zstd",
        }
    }

    /// The bytes that a compressed file begins with.
    pub(crate) fn magic(self) -> &'static [u8] {
        match self {
            Self::Gz => &[0x1f, 0x8b, 0x08],
            Self::Xz => &[0xfd, b'7', b'z', b'X', b'Z', 0x00],
            Self::Bz2 => b"BZh",
            Self::Zstd => &[0x28, 0xb5, 0x2f, 0xfd],
        }
    }

    /// What a file that begins like this is compressed with.
    pub(crate) fn sniff(head: &[u8]) -> Option<Self> {
        [Self::Gz, Self::Xz, Self::Bz2, Self::Zstd]
            .into_iter()
            .find(|compression| head.starts_with(compression.magic()))
    }
}

/// The unpacked bytes of `source`; files of several members are read to their end.
pub(crate) fn reader<'a>(
    source: impl Read + Send + Unpin + 'a,
    compression: Compression,
) -> Box<dyn Read + Send + 'a> {
    let source = BufReader::with_capacity(1 << 16, Blocking(source));
    match compression {
        Compression::Gz => {
            let mut decoder = GzipDecoder::new(source);
            decoder.multiple_members(true);
            Box::new(Ready(decoder))
        }
        Compression::Xz => {
            let mut decoder = XzDecoder::new(source);
            decoder.multiple_members(true);
            Box::new(Ready(decoder))
        }
        Compression::Bz2 => {
            let mut decoder = BzDecoder::new(source);
            decoder.multiple_members(true);
            Box::new(Ready(decoder))
        }
        Compression::Zstd => {
            let mut decoder = ZstdDecoder::new(source);
            decoder.multiple_members(true);
            Box::new(Ready(decoder))
        }
    }
}

/// A blocking reader in asynchronous clothes: always ready.
struct Blocking<R>(R);

impl<R: Read + Unpin> AsyncRead for Blocking<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.0.read(buffer.initialize_unfilled());
        Poll::Ready(read.map(|count| buffer.advance(count)))
    }
}

/// The way back: a reader over sources that are always ready.
struct Ready<R>(R);

impl<R: AsyncRead + Unpin> Read for Ready<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.0).poll_read(&mut context, &mut buffer) {
            Poll::Ready(result) => result.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::Error::other("the decoder waits without a reason")),
        }
    }
}
