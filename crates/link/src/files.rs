//! How files of runs get to the server: HTTP PUT, resumable.
//!
//! `PUT /dispatch/v1/runs/RUN/files/PATH` with `Authorization`, `Content-Length` and
//! `X-Basalt-Sha256` (of the whole file) sends a file, `Content-Range: bytes FROM-LAST/TOTAL` its
//! end. The answers:
//!
//! - 200, 201, 204: the file is there, whole, durable, its digest checked; also where it was there
//!   before;
//! - 409 with `X-Basalt-Received: N`: `N` bytes are there, the next request goes on at `N`;
//! - 422: the digest is another than was said; nothing of the file is kept.
//!
//! `HEAD` at the same place answers 200 with `X-Basalt-Received: N`, or 404 where nothing is.
//!
//! Not done here: trying again later, and which files a run has.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use basalt_model::{RunId, Sha256};
use bytes::Bytes;
use futures::Stream;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, HOST};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::{Mutex, Notify};
use tokio::time;
use tokio_util::io::ReaderStream;

use crate::dial::{DialError, Dialer};

/// Where files of runs go; `/RUN/files/PATH` follows.
pub const RUNS_PATH: &str = "/dispatch/v1/runs";
/// The header with the SHA-256 of a whole file.
pub const SHA256_HEADER: &str = "x-basalt-sha256";
/// The header that says how many bytes of a file the server has.
pub const RECEIVED_HEADER: &str = "x-basalt-received";

/// Files above this are asked for first: what is there already need not be sent again.
const ASK_ABOVE: u64 = 1 << 20;
/// Files up to this are read at once: most of a run's files, each in fewer steps than a large one
/// needs to be opened.
const SMALL: u64 = 64 * 1024;
/// The server took or said nothing for so long.
const STALL_LIMIT: Duration = Duration::from_secs(60);
/// As much of an answer's text as is worth reading.
const LARGEST_ANSWER: usize = 16 * 1024;
/// How often a server may ask to go on elsewhere, in one call.
const MOST_RESUMES: u32 = 4;

/// A file that a run left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutFile {
    /// The run.
    pub run: RunId,
    /// Its name at the server: relative, `/` between its parts.
    pub name: String,
    /// Where it is on this host. It does not change any more.
    pub path: PathBuf,
}

/// A file did not get there. The same call goes on where this one ended.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The server was not reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection broke off.
    #[error("sending {name} broke off")]
    Broken {
        /// The file's name.
        name: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// Nothing moved for too long.
    #[error("the server took nothing of {name} for {} s", STALL_LIMIT.as_secs())]
    Stalled {
        /// The file's name.
        name: String,
    },
    /// The server does not want the file.
    #[error("the server does not take {name}: {status} {message}")]
    Refused {
        /// The file's name.
        name: String,
        /// The HTTP status.
        status: u16,
        /// What it said, without control characters.
        message: String,
    },
}

impl PutError {
    /// Whether the same may work a moment later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Read { .. } => false,
            Self::Dial(error) => error.is_passing(),
            Self::Broken { .. } | Self::Stalled { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429 || *status == 409,
        }
    }
}

type Body = BoxBody<Bytes, std::io::Error>;

/// Sends files of runs, one after the other, over a connection that it keeps. Cheap to clone;
/// clones share the connection.
#[derive(Clone, Debug)]
pub struct FileClient {
    dialer: Dialer,
    connection: Arc<Mutex<Option<SendRequest<Body>>>>,
}

/// What a server said.
struct Answer {
    status: StatusCode,
    received: Option<u64>,
    message: String,
}

/// What of a file is sent.
#[derive(Clone)]
struct Part {
    from: u64,
    length: u64,
    digest: Sha256,
    /// All of the file, where it is small.
    bytes: Option<Bytes>,
}

impl FileClient {
    pub(crate) fn new(dialer: Dialer) -> Self {
        Self {
            dialer,
            connection: Arc::default(),
        }
    }

    /// Sends a file, or what of it the server does not have yet. Returns how many bytes went over.
    ///
    /// # Errors
    /// The file did not get there.
    pub async fn put(&self, file: &PutFile) -> Result<u64, PutError> {
        let part = prepare(&file.path).await?;
        // One at a time: the files of a run compete for one disk and one line anyway.
        let mut connection = self.connection.lock().await;
        // A connection that was kept may have been closed meanwhile; a new one tells.
        let was_kept = connection.is_some();
        match self.put_over(&mut connection, file, part.clone()).await {
            Err(PutError::Broken { .. }) if was_kept => {
                self.put_over(&mut connection, file, part).await
            }
            put => put,
        }
    }

    async fn put_over(
        &self,
        connection: &mut Option<SendRequest<Body>>,
        file: &PutFile,
        mut part: Part,
    ) -> Result<u64, PutError> {
        let length = part.length;
        if length > ASK_ABOVE {
            let answer = self.request(connection, file, None).await?;
            part.from = answer.received.filter(|got| *got <= length).unwrap_or(0);
        }
        let mut sent = 0;
        for _ in 0..MOST_RESUMES {
            let answer = self.request(connection, file, Some(&part)).await?;
            sent += length - part.from;
            match (answer.status, answer.received) {
                (status, _) if status.is_success() => return Ok(sent),
                (StatusCode::CONFLICT, Some(received)) if received <= length => {
                    part.from = received;
                }
                (status, _) => return Err(refused(file, status, answer.message)),
            }
        }
        let message = "it asks again and again to go on elsewhere".to_owned();
        Err(refused(file, StatusCode::CONFLICT, message))
    }

    /// Asks what is there (`part` is none), or sends a part; the connection is kept where it is
    /// good for another request.
    async fn request(
        &self,
        connection: &mut Option<SendRequest<Body>>,
        file: &PutFile,
        part: Option<&Part>,
    ) -> Result<Answer, PutError> {
        let broken = |source| PutError::Broken {
            name: file.name.clone(),
            source,
        };
        let mut sender = match connection.take().filter(|kept| !kept.is_closed()) {
            Some(sender) => sender,
            None => self.connect().await?.map_err(broken)?,
        };
        let moved = Arc::new(Notify::new());
        let request = self.build(file, part, moved.clone()).await?;
        let answer = {
            let answering = async {
                sender.ready().await?;
                read_answer(sender.send_request(request).await?).await
            };
            tokio::pin!(answering);
            loop {
                tokio::select! {
                    answer = answering.as_mut() => break answer.map_err(broken)?,
                    () = moved.notified() => {}
                    () = time::sleep(STALL_LIMIT) => {
                        let name = file.name.clone();
                        return Err(PutError::Stalled { name });
                    }
                }
            }
        };
        *connection = Some(sender);
        Ok(answer)
    }

    async fn connect(&self) -> Result<hyper::Result<SendRequest<Body>>, PutError> {
        let stream = self.dialer.reach_in_time().await?;
        Ok(match http1::handshake(TokioIo::new(stream)).await {
            Ok((sender, connection)) => {
                // Ends when the sender is dropped; its errors come out of the requests.
                tokio::spawn(connection);
                Ok(sender)
            }
            Err(error) => Err(error),
        })
    }

    async fn build(
        &self,
        file: &PutFile,
        part: Option<&Part>,
        moved: Arc<Notify>,
    ) -> Result<Request<Body>, PutError> {
        let target = format!("{RUNS_PATH}/{}/files/{}", file.run, encoded(&file.name));
        let request = Request::builder()
            .uri(target)
            .header(HOST, self.dialer.endpoint().authority())
            .header(AUTHORIZATION, self.dialer.token().header());
        let (request, body) = match part {
            None => (request.method(Method::HEAD), empty()),
            Some(part) => {
                let Part {
                    from,
                    length,
                    digest,
                    ref bytes,
                } = *part;
                let mut request = request
                    .method(Method::PUT)
                    .header(CONTENT_LENGTH, length - from)
                    .header(SHA256_HEADER, digest.to_string());
                if from > 0 && from < length {
                    let range = format!("bytes {from}-{}/{length}", length - 1);
                    request = request.header(CONTENT_RANGE, range);
                } else if from > 0 {
                    // Everything is there; only its digest is to be checked.
                    request = request.header(CONTENT_RANGE, format!("bytes */{length}"));
                }
                let body = match bytes {
                    Some(bytes) => whole(bytes.slice(from as usize..)),
                    None => body(file, from, length, moved).await?,
                };
                (request, body)
            }
        };
        // A name cannot make a wrong target: it is encoded.
        request.body(body).map_err(|error| PutError::Refused {
            name: file.name.clone(),
            status: 0,
            message: error.to_string(),
        })
    }
}

fn refused(file: &PutFile, status: StatusCode, message: String) -> PutError {
    PutError::Refused {
        name: file.name.clone(),
        status: status.as_u16(),
        message,
    }
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

async fn read_answer(answer: Response<Incoming>) -> hyper::Result<Answer> {
    let status = answer.status();
    let received = answer
        .headers()
        .get(RECEIVED_HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    let body = Limited::new(answer.into_body(), LARGEST_ANSWER);
    // A body that is too long or breaks off takes nothing from the status.
    let text = body
        .collect()
        .await
        .map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
    let message = String::from_utf8_lossy(&text)
        .chars()
        .filter(|character| !character.is_control())
        .take(300)
        .collect();
    Ok(Answer {
        status,
        received,
        message,
    })
}

/// A file's bytes from an offset on.
async fn body(
    file: &PutFile,
    from: u64,
    length: u64,
    moved: Arc<Notify>,
) -> Result<Body, PutError> {
    let failed = |source| PutError::Read {
        path: file.path.clone(),
        source,
    };
    let mut opened = File::open(&file.path).await.map_err(failed)?;
    opened.seek(SeekFrom::Start(from)).await.map_err(failed)?;
    // Never more than was announced, also where somebody appends to the file.
    let bytes = ReaderStream::with_capacity(opened.take(length - from), 64 * 1024);
    Ok(BodyExt::boxed(StreamBody::new(Watched { bytes, moved })))
}

/// Says whenever a piece of a file is taken.
struct Watched {
    bytes: ReaderStream<tokio::io::Take<File>>,
    moved: Arc<Notify>,
}

impl Stream for Watched {
    type Item = Result<Frame<Bytes>, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut self.bytes).poll_next(context);
        if polled.is_ready() {
            self.moved.notify_one();
        }
        polled.map(|bytes| bytes.map(|bytes| bytes.map(Frame::data)))
    }
}

/// All of a file as a part: its length and digest, and its bytes where they are few.
async fn prepare(path: &Path) -> Result<Part, PutError> {
    use sha2::Digest;
    let failed = |source| PutError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() <= SMALL {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut bytes).map_err(failed)?;
        return Ok(Part {
            from: 0,
            length: bytes.len() as u64,
            digest: Sha256(sha2::Sha256::digest(&bytes).into()),
            bytes: Some(bytes.into()),
        });
    }
    let mut file = File::from_std(file);
    let mut digest = sha2::Sha256::new();
    let mut length = 0;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer).await.map_err(failed)?;
        if read == 0 {
            return Ok(Part {
                from: 0,
                length,
                digest: Sha256(digest.finalize().into()),
                bytes: None,
            });
        }
        digest.update(&buffer[..read]);
        length += read as u64;
    }
}

/// A name in a URL's path: all but unreserved characters (RFC 3986, section 2.3) and `/` encoded.
fn encoded(name: &str) -> String {
    use std::fmt::Write;
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                path.push(byte as char);
            }
            _ => write!(path, "%{byte:02X}").unwrap_or_default(),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_the_target() {
        assert_eq!(
            encoded("out put/a?b#c%d\r\né.txt"),
            "out%20put/a%3Fb%23c%25d%0D%0A%C3%A9.txt"
        );
    }
}
