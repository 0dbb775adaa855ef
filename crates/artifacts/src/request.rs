//! What is asked of the cache, and what it answers.

use std::path::PathBuf;
use std::time::Duration;

use basalt_model::Sha256;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::address::public_url;
use crate::decode::Compression;
use crate::error::{FetchError, Subject};
use crate::part::Whole;

/// One file to get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// What the job calls it: `kernel`, `ramdisk`, `dtb`, `nfsrootfs`.
    pub label: String,
    /// `http:`, `https:` or `file:`.
    pub url: String,
    /// Request headers. They are not sent on to another host by a redirect.
    pub headers: Vec<(String, String)>,
    /// `gz`, `xz`, `bz2`, `zstd`: what is served is the file unpacked.
    pub compression: Option<String>,
    /// `md5`, `sha256` or `sha512`, and the digits; of the file as downloaded.
    pub checksum: Option<(String, String)>,
}

/// The bounds of the waits in a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For looking a host up, and for a connection.
    pub connect: Duration,
    /// From the request to the first bytes, and from bytes to bytes.
    pub silence: Duration,
    /// How often a download is tried without getting further.
    pub tries: u32,
    /// Pause before the second try; it doubles each time, up to 5 s.
    pub retry_delay: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            tries: 4,
            retry_delay: Duration::from_millis(250),
        }
    }
}

/// What a lab allows (decision D21).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Directories below which `file:` URLs may lie.
    pub file_roots: Vec<PathBuf>,
    /// Hosts, by name or address, that URLs may name although they are loopback, link-local or a
    /// host of the lab itself.
    pub allow_hosts: Vec<String>,
    /// The largest file, downloaded or unpacked, in bytes.
    pub size_limit: u64,
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The request's label.
    pub label: &'a str,
    /// Bytes so far.
    pub received: u64,
    /// Bytes in all, where the server says so.
    pub total: Option<u64>,
}

/// A file in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is: read-only, never changed, named after its digest.
    pub path: PathBuf,
    /// Digest of that file: of what is served.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub bytes: u64,
    /// Digest of the file as downloaded; the same where it was not compressed.
    pub download_sha256: Sha256,
    /// Nothing was downloaded.
    pub from_cache: bool,
}

/// A checksum that a job states; digits in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub algorithm: Algorithm,
    pub digits: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Md5,
    Sha256,
    Sha512,
}

impl Algorithm {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// A request that has been understood.
pub(crate) struct Wanted {
    pub subject: Subject,
    pub url: Url,
    pub headers: HeaderMap,
    pub compression: Option<Compression>,
    pub checksum: Option<Checksum>,
}

impl Wanted {
    pub(crate) fn read(request: &Request) -> Result<Self, FetchError> {
        let subject = Subject {
            label: request.label.clone(),
            url: public_url(&request.url),
            redirected: None,
        };
        let bad = |reason: String| FetchError::BadRequest {
            subject: subject.clone(),
            reason,
        };
        let url = Url::parse(&request.url).map_err(|error| bad(format!("bad URL: {error}")))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let bad_header = || bad(format!("the header {name:?} is malformed"));
            let name = HeaderName::try_from(name.as_str()).map_err(|_| bad_header())?;
            let value = HeaderValue::try_from(value.as_str()).map_err(|_| bad_header())?;
            headers.append(name, value);
        }
        let compression = match request.compression.as_deref() {
            None => None,
            Some(word) => Some(Compression::from_word(word).ok_or_else(|| {
                bad(format!("compression {word:?} is none of gz, xz, bz2, zstd"))
            })?),
        };
        let checksum = match &request.checksum {
            None => None,
            Some((algorithm, digits)) => Some(read_checksum(algorithm, digits).map_err(bad)?),
        };
        Ok(Self {
            subject,
            url,
            headers,
            compression,
            checksum,
        })
    }
}

impl Wanted {
    /// What is wrong with a file that arrived, if it is not the one that the job means.
    pub(crate) fn mismatch(&self, whole: &Whole) -> Option<FetchError> {
        let checksum = self.checksum.as_ref()?;
        (checksum.digits != whole.checksum_digits).then(|| FetchError::Checksum {
            subject: self.subject.clone(),
            algorithm: checksum.algorithm.as_str(),
            expected: checksum.digits.as_str().into(),
            got: whole.checksum_digits.as_str().into(),
        })
    }
}

fn read_checksum(algorithm: &str, digits: &str) -> Result<Checksum, String> {
    let algorithm = match algorithm {
        "md5" => Algorithm::Md5,
        "sha256" => Algorithm::Sha256,
        "sha512" => Algorithm::Sha512,
        other => return Err(format!("checksum {other:?} is none of md5, sha256, sha512")),
    };
    let digits = digits.trim().to_ascii_lowercase();
    let hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if digits.len() != algorithm.digits() || !hexadecimal {
        return Err(format!(
            "a checksum by {} has {} hexadecimal digits",
            algorithm.as_str(),
            algorithm.digits()
        ));
    }
    Ok(Checksum { algorithm, digits })
}
