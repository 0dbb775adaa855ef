//! What can go wrong on the way from a URL to a file.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Which file it is about: the head of every message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What the job calls it.
    pub label: String,
    /// Its URL, without credentials.
    pub url: String,
    /// Where the server sent us, if it did; without credentials.
    pub redirected: Option<String>,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.label, self.url)?;
        match &self.redirected {
            Some(url) => write!(f, " (redirected to {url})"),
            None => Ok(()),
        }
    }
}

/// Why there is no file. Each message names the URL without credentials, what happened and, where
/// there is one, the way out.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The request itself makes no sense.
    #[error("{subject}: {reason}; correct it in the job")]
    BadRequest {
        /// Which file.
        subject: Subject,
        /// What is wrong.
        reason: String,
    },
    /// A scheme that is not fetched.
    #[error("{subject}: {scheme}: URLs are not fetched; use http, https or file")]
    Scheme {
        /// Which file.
        subject: Subject,
        /// The scheme.
        scheme: String,
    },
    /// The host is one that jobs may not reach through this host (decision D21).
    #[error(
        "{subject}: jobs may not fetch from {host} ({why}); if this is meant, the lab's \
         allow_hosts must name it"
    )]
    ForbiddenHost {
        /// Which file.
        subject: Subject,
        /// The host as the URL names it.
        host: String,
        /// What is wrong with it: its address and kind.
        why: String,
    },
    /// A `file:` URL outside of the declared directories.
    #[error(
        "{subject}: the file does not lie below a directory that the lab's file_roots declare \
         ({roots})"
    )]
    ForbiddenFile {
        /// Which file.
        subject: Subject,
        /// The declared directories.
        roots: String,
    },
    /// A `file:` URL that cannot be read.
    #[error("{subject}: cannot be read; correct the URL in the job")]
    File {
        /// Which file.
        subject: Subject,
        /// What the system said.
        source: io::Error,
    },
    /// The server answers with another status than success.
    #[error("{subject}: the server answers {status}; {}", status_hint(*.status))]
    Status {
        /// Which file.
        subject: Subject,
        /// HTTP status.
        status: reqwest::StatusCode,
    },
    /// Redirects that lead nowhere.
    #[error("{subject}: {reason}; correct the URL in the job")]
    Redirect {
        /// Which file.
        subject: Subject,
        /// What is wrong.
        reason: String,
    },
    /// The server sends a page where a file was asked for: a login page, an index, an error.
    #[error(
        "{subject}: the server sends an HTML page ({evidence}) instead of a file; use the URL of \
         the file itself"
    )]
    Html {
        /// Which file.
        subject: Subject,
        /// How it was recognised.
        evidence: String,
    },
    /// The connection ended before the file did, each time.
    #[error(
        "{subject}: the file is truncated: {received} bytes arrived of {}, tried {tries} times; \
         the server or the way to it is broken",
        .expected.map_or("an unknown number".to_owned(), |bytes| bytes.to_string())
    )]
    Truncated {
        /// Which file.
        subject: Subject,
        /// What arrived at the last try.
        received: u64,
        /// What the server announced.
        expected: Option<u64>,
        /// How often it was tried.
        tries: u32,
    },
    /// The server went silent, each time.
    #[error("{subject}: the server sent nothing for {after:?}, tried {tries} times")]
    Silent {
        /// Which file.
        subject: Subject,
        /// The bound.
        after: Duration,
        /// How often it was tried.
        tries: u32,
    },
    /// No connection, each time.
    #[error("{subject}: the server cannot be reached: {reason}, tried {tries} times")]
    Unreachable {
        /// Which file.
        subject: Subject,
        /// What the system said.
        reason: String,
        /// How often it was tried.
        tries: u32,
    },
    /// Another file than the job states.
    #[error(
        "{subject}: {algorithm} is {got} where the job expects {expected}; the file was changed \
         or the checksum is of another one"
    )]
    Checksum {
        /// Which file.
        subject: Subject,
        /// `md5`, `sha256`, `sha512`.
        algorithm: &'static str,
        /// What the job states.
        expected: Box<str>,
        /// What arrived.
        got: Box<str>,
    },
    /// More than the lab allows.
    #[error("{subject}: {what} is larger than the {limit} bytes that the lab allows")]
    TooLarge {
        /// Which file.
        subject: Subject,
        /// `the download` or `the file unpacked`.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The file cannot be unpacked.
    #[error(
        "{subject}: is not valid {compression}: {reason}; correct `compression` in the job or \
         upload the file again"
    )]
    Undecodable {
        /// Which file.
        subject: Subject,
        /// `gz`, `xz`, `bz2`, `zstd`.
        compression: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// The cache's own directory fails.
    #[error("{subject}: {doing} {}", path.display())]
    Cache {
        /// Which file.
        subject: Subject,
        /// What was being done.
        doing: &'static str,
        /// To which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn status_hint(status: reqwest::StatusCode) -> &'static str {
    match status.as_u16() {
        404 | 410 => "the file is gone or the URL is wrong",
        401 | 403 | 407 => "the server wants credentials: state headers in the job",
        500..=599 => "the server is broken",
        _ => "correct the URL in the job",
    }
}

impl FetchError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest { .. } => "download-bad-request",
            Self::Scheme { .. } => "download-scheme",
            Self::ForbiddenHost { .. } => "download-forbidden-host",
            Self::ForbiddenFile { .. } => "download-forbidden-file",
            Self::File { .. } => "download-file",
            Self::Status { status, .. } => match status.as_u16() {
                404 | 410 => "download-404",
                401 | 403 | 407 => "download-denied",
                500..=599 => "download-server-error",
                _ => "download-status",
            },
            Self::Redirect { .. } => "download-redirect",
            Self::Html { .. } => "download-html",
            Self::Truncated { .. } => "download-truncated",
            Self::Silent { .. } => "download-silent",
            Self::Unreachable { .. } => "download-unreachable",
            Self::Checksum { .. } => "checksum-mismatch",
            Self::TooLarge { .. } => "download-too-large",
            Self::Undecodable { .. } => "download-undecodable",
            Self::Cache { .. } => "cache-failed",
        }
    }

    /// The job asks for something that cannot work. Everything else is the infrastructure: the
    /// network or the server behind it, and for `cache-failed` the host.
    pub fn is_job_fault(&self) -> bool {
        match self {
            Self::BadRequest { .. }
            | Self::Scheme { .. }
            | Self::ForbiddenHost { .. }
            | Self::ForbiddenFile { .. }
            | Self::File { .. }
            | Self::Redirect { .. }
            | Self::Html { .. }
            | Self::Checksum { .. }
            | Self::TooLarge { .. }
            | Self::Undecodable { .. } => true,
            Self::Status { status, .. } => {
                status.is_client_error() && !matches!(status.as_u16(), 408 | 429)
            }
            Self::Truncated { .. }
            | Self::Silent { .. }
            | Self::Unreachable { .. }
            | Self::Cache { .. } => false,
        }
    }
}
