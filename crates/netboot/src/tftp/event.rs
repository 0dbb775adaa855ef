//! What a root tells about its transfers.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

pub use super::packet::Direction;
use super::packet::ErrorCode;

/// Something that happened to one file that a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferEvent {
    /// Address and port of the client.
    pub client: SocketAddrV4,
    /// The file's name inside its root. For a refused request the path as asked for, shortened, control characters escaped.
    pub file: String,
    /// Whether the client reads or writes.
    pub direction: Direction,
    /// What happened.
    pub kind: TransferEventKind,
}

/// What happened to a transfer. Every `Started` is followed by one `Finished` or `Failed`; a `Failed` without `Started` means that
/// the file could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferEventKind {
    /// The file is open and the first answer is about to leave.
    Started {
        /// Size of the file in bytes; for an upload the size that the client announced, if it did.
        size: Option<u64>,
        /// Bytes a block.
        block_size: usize,
        /// Blocks an acknowledgement.
        window: u64,
    },
    /// Every byte was acknowledged (download), or is stored under its final name (upload).
    Finished {
        /// Bytes of the file.
        bytes: u64,
        /// From the request to the last acknowledgement.
        duration: Duration,
        /// Packets that were sent again.
        retransmits: u64,
    },
    /// The transfer ended early.
    Failed {
        /// Bytes acknowledged (download) or received (upload) until then.
        bytes: u64,
        /// From the request to the end.
        duration: Duration,
        /// Packets that were sent again.
        retransmits: u64,
        /// Why.
        reason: TransferFailure,
    },
    /// The request was answered with an error; no transfer began.
    Refused {
        /// The sentence for people; the client got it too.
        reason: String,
    },
}

/// Why a transfer ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferFailure {
    /// The client sent an ERROR packet. Boot ROMs do so on purpose after asking for a size.
    #[error("the client ended it with error {code}: {text}")]
    ClientError {
        /// TFTP error code.
        code: u16,
        /// The client's text, control characters escaped.
        text: String,
    },
    /// Nothing useful came from the client although everything was sent again several times.
    #[error("no answer from the client after {retries} retransmissions, waiting for {awaited}")]
    TimedOut {
        /// How often the packet was sent again.
        retries: u32,
        /// What should have come.
        awaited: String,
    },
    /// The client's host said that nobody listens on the client's port any more.
    #[error("the client's port is closed")]
    ClientGone,
    /// The same client port asked again, or sent the same file again.
    #[error("replaced by a newer request of the client")]
    Replaced,
    /// The root was closed.
    #[error("the root was closed")]
    RootClosed,
    /// The file to be served cannot be read.
    #[error("cannot read the file: {0}")]
    Source(String),
    /// The file that the client sends cannot be stored.
    #[error("cannot store the file: {0}")]
    Store(String),
    /// The upload is larger than the root allows.
    #[error("the upload is larger than the limit of {limit} bytes")]
    UploadLimit {
        /// The limit in bytes.
        limit: u64,
    },
    /// The client broke the protocol.
    #[error("the client sent a block of {length} bytes where {block_size} were agreed")]
    OversizedBlock {
        /// Bytes that came.
        length: usize,
        /// Bytes that were agreed.
        block_size: usize,
    },
    /// The host could not open or use a socket.
    #[error("cannot talk to the client: {0}")]
    Socket(String),
    /// The task that served it died: a defect of this program.
    #[error("the task that served it died, a defect of this program")]
    Bug,
}

impl TransferFailure {
    /// The ERROR packet that tells the client, if it should be told.
    pub(crate) fn error_packet(&self) -> Option<(ErrorCode, String)> {
        let code = match self {
            // An error from the old port would only confuse the client's new transfer.
            Self::ClientError { .. } | Self::ClientGone | Self::Replaced | Self::Bug => {
                return None;
            }
            Self::UploadLimit { .. } | Self::Store(_) => ErrorCode::DiskFull,
            Self::OversizedBlock { .. } => ErrorCode::IllegalOperation,
            // Paths of the host are not the client's business.
            Self::Source(_) => {
                return Some((
                    ErrorCode::NotDefined,
                    "the server cannot read this file".to_owned(),
                ));
            }
            Self::TimedOut { .. } | Self::RootClosed | Self::Socket(_) => ErrorCode::NotDefined,
        };
        let text = match self {
            Self::Store(_) => "the server cannot store this file".to_owned(),
            other => other.to_string(),
        };
        Some((code, text))
    }
}

/// A request that named no open root: which board is lost, and where it thinks its files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrayRequest {
    /// Address of the client.
    pub client: Ipv4Addr,
    /// The path as asked for, shortened, control characters escaped.
    pub path: String,
    /// The sentence that the client got.
    pub reason: String,
}
