//! Downloads by HTTP: redirects checked one by one, cuts resumed, pages told from files.

use std::error::Error as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::address::{HostRules, Rejected, public_url};
use crate::cache::{Source, cache_error};
use crate::error::{FetchError, Subject};
use crate::part::{Part, Validator};
use crate::request::{Patience, Policy, Progress, Wanted};

/// The most redirects that are followed.
const LONGEST_CHAIN: usize = 10;

/// The most tries of one download, however far each gets.
const MOST_TRIES: u32 = 50;

/// The longest pause between tries.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// One download.
pub(crate) struct Download<'a> {
    /// Where parts are kept.
    pub parts: &'a Path,
    pub key: &'a str,
    pub wanted: &'a Wanted,
    /// What the cache has of this URL.
    pub known: Option<&'a Validator>,
    pub policy: &'a Policy,
    pub forbidden_hosts: &'a [String],
    pub patience: &'a Patience,
    pub progress: &'a (dyn Fn(Progress<'_>) + Sync),
}

/// Why a try failed.
enum Failed {
    /// Another one would fail as well.
    ForGood(FetchError),
    /// Another one may do.
    Maybe(Trouble),
}

/// What another try may cure.
enum Trouble {
    Unreachable(String),
    Silent,
    Cut { expected: Option<u64> },
    Status(StatusCode),
}

impl From<FetchError> for Failed {
    fn from(error: FetchError) -> Self {
        Self::ForGood(error)
    }
}

impl Download<'_> {
    pub(crate) async fn run(&self) -> Result<Source, FetchError> {
        let mut subject = self.wanted.subject.clone();
        let mut part = open_part(self.parts, self.key, self.wanted).await?;
        let mut furthest = part.received;
        let mut idle_tries = 0;
        let mut delay = self.patience.retry_delay;
        let mut tries = 0;
        loop {
            tries += 1;
            let trouble = match self.attempt(&mut part, &mut subject).await {
                Ok(Some(validator)) => return self.finish(part, validator, subject).await,
                Ok(None) => {
                    self.discard(part)?;
                    return Ok(Source::NotModified);
                }
                Err(Failed::ForGood(error)) => {
                    if !matches!(error, FetchError::Cache { .. }) {
                        self.discard(part)?;
                    }
                    return Err(error);
                }
                Err(Failed::Maybe(trouble)) => trouble,
            };
            idle_tries += 1;
            if part.received > furthest {
                furthest = part.received;
                idle_tries = 0;
                delay = self.patience.retry_delay;
            }
            if idle_tries >= self.patience.tries || tries >= MOST_TRIES {
                let received = part.received;
                self.io(part.keep().await, part.path())?;
                return Err(trouble.into_error(subject, received, tries, self.patience));
            }
            debug!(url = subject.url, received = part.received, "trying again");
            sleep(delay).await;
            delay = (delay * 2).min(LONGEST_DELAY);
        }
    }

    /// One request and its answer. `None`: not modified.
    async fn attempt(
        &self,
        part: &mut Part,
        subject: &mut Subject,
    ) -> Result<Option<Validator>, Failed> {
        if part.received > 0 && part.validator.for_range().is_none() {
            self.io(part.restart().await, part.path())?;
        }
        let response = self.request(part, subject).await?;
        let status = response.status();
        if status == StatusCode::NOT_MODIFIED && self.known.is_some() {
            return Ok(None);
        }
        let resumes = status == StatusCode::PARTIAL_CONTENT
            && part.received > 0
            && range_start(response.headers()) == Some(part.received);
        if resumes {
            part.resumed = true;
        } else if part.received > 0 {
            self.io(part.restart().await, part.path())?;
        }
        match status {
            StatusCode::OK => {}
            StatusCode::PARTIAL_CONTENT if resumes => {}
            // What was asked for was the rest, and this is not it: ask for everything.
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                return Err(Failed::Maybe(Trouble::Status(status)));
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                return Err(Failed::Maybe(Trouble::Status(status)));
            }
            _ if status.is_server_error() => {
                return Err(Failed::Maybe(Trouble::Status(status)));
            }
            _ => {
                let subject = subject.clone();
                return Err(FetchError::Status { subject, status }.into());
            }
        }
        if let Some(kind) = html_type(response.headers()) {
            return Err(FetchError::Html {
                subject: subject.clone(),
                evidence: format!("its content type is {kind:?}"),
            }
            .into());
        }
        let validator = validator(response.headers());
        self.io(part.note(validator.clone()), part.path())?;
        self.receive(response, part, subject).await?;
        Ok(Some(validator))
    }

    /// Sends the request and follows redirects, each host checked before it is connected to.
    async fn request(&self, part: &Part, subject: &mut Subject) -> Result<Response, Failed> {
        let mut url = self.wanted.url.clone();
        subject.redirected = None;
        for _ in 0..=LONGEST_CHAIN {
            let client = self.client(&url, subject).await?;
            let request = client.get(url.clone()).headers(self.headers(&url, part));
            let response = match timeout(self.patience.silence, request.send()).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) if error.is_timeout() => {
                    let reason = format!("no connection within {:?}", self.patience.connect);
                    return Err(Failed::Maybe(Trouble::Unreachable(reason)));
                }
                Ok(Err(error)) => {
                    return Err(Failed::Maybe(Trouble::Unreachable(chain(error))));
                }
                Err(_) => return Err(Failed::Maybe(Trouble::Silent)),
            };
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED
            {
                return Ok(response);
            }
            url = next_hop(&url, &response, subject)?;
            subject.redirected = Some(public_url(url.as_str()));
        }
        Err(FetchError::Redirect {
            subject: subject.clone(),
            reason: format!("more than {LONGEST_CHAIN} redirects"),
        }
        .into())
    }

    /// A client that connects to the checked addresses of this URL and nowhere else.
    async fn client(&self, url: &Url, subject: &Subject) -> Result<Client, Failed> {
        let rules = HostRules {
            allow: &self.policy.allow_hosts,
            forbid: self.forbidden_hosts,
        };
        let addresses = match rules.resolve(url, self.patience.connect).await {
            Ok(addresses) => addresses,
            Err(Rejected::Forbidden { host, why }) => {
                return Err(FetchError::ForbiddenHost {
                    subject: subject.clone(),
                    host,
                    why,
                }
                .into());
            }
            Err(Rejected::Unresolved { reason }) => {
                return Err(Failed::Maybe(Trouble::Unreachable(reason)));
            }
        };
        build_client(url, &addresses, self.patience.connect)
            .map_err(|error| Failed::Maybe(Trouble::Unreachable(chain(error))))
    }

    fn headers(&self, url: &Url, part: &Part) -> HeaderMap {
        // Headers may hold tokens, which are for the host that the job names.
        let mut headers = if url.origin() == self.wanted.url.origin() {
            self.wanted.headers.clone()
        } else {
            HeaderMap::new()
        };
        // The file as it is, not as it would be packed for the way.
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        );
        for name in [
            header::RANGE,
            header::IF_RANGE,
            header::IF_NONE_MATCH,
            header::IF_MODIFIED_SINCE,
        ] {
            headers.remove(name);
        }
        let mut insert = |name, value: Option<&str>| {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(name, value);
            }
        };
        if part.received > 0 {
            let range = format!("bytes={}-", part.received);
            insert(header::RANGE, Some(&range));
            insert(header::IF_RANGE, part.validator.for_range());
        } else if let Some(known) = self.known {
            insert(header::IF_NONE_MATCH, known.etag.as_deref());
            insert(header::IF_MODIFIED_SINCE, known.last_modified.as_deref());
        }
        headers
    }

    async fn receive(
        &self,
        mut response: Response,
        part: &mut Part,
        subject: &Subject,
    ) -> Result<(), Failed> {
        let limit = self.policy.size_limit;
        let too_large = || FetchError::TooLarge {
            subject: subject.clone(),
            what: "the download",
            limit,
        };
        let total = response
            .content_length()
            .map(|bytes| bytes.saturating_add(part.received));
        if total.is_some_and(|total| total > limit) {
            return Err(too_large().into());
        }
        self.report(part, total);
        let mut head_checked = false;
        loop {
            let chunk = match timeout(self.patience.silence, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => break,
                Ok(Err(_)) => return Err(self.interrupted(part, Trouble::Cut { expected: total })),
                Err(_) => return Err(self.interrupted(part, Trouble::Silent)),
            };
            if part.received + chunk.len() as u64 > limit {
                return Err(too_large().into());
            }
            self.io(part.write(&chunk).await, part.path())?;
            if !head_checked && part.head_complete() {
                head_checked = true;
                refuse_page(part, subject)?;
            }
            self.report(part, total);
        }
        refuse_page(part, subject)?;
        if total.is_some_and(|total| part.received < total) {
            return Err(self.interrupted(part, Trouble::Cut { expected: total }));
        }
        Ok(())
    }

    fn interrupted(&self, part: &Part, trouble: Trouble) -> Failed {
        debug!(received = part.received, "download interrupted");
        Failed::Maybe(trouble)
    }

    fn report(&self, part: &Part, total: Option<u64>) {
        (self.progress)(Progress {
            label: &self.wanted.subject.label,
            received: part.received,
            total,
        });
    }

    async fn finish(
        &self,
        part: Part,
        validator: Validator,
        subject: Subject,
    ) -> Result<Source, FetchError> {
        debug!(%subject, bytes = part.received, resumed = part.resumed, "downloaded");
        let path = part.path().to_owned();
        let whole = self.io(part.finish().await, &path)?;
        Ok(Source::Downloaded(whole, validator))
    }

    fn discard(&self, part: Part) -> Result<(), FetchError> {
        let path = part.path().to_owned();
        self.io(part.discard(), &path)
    }

    fn io<T>(&self, result: std::io::Result<T>, path: &Path) -> Result<T, FetchError> {
        result.map_err(cache_error(&self.wanted.subject, "writing", path))
    }
}

impl Trouble {
    fn into_error(
        self,
        subject: Subject,
        received: u64,
        tries: u32,
        patience: &Patience,
    ) -> FetchError {
        match self {
            Self::Unreachable(reason) => FetchError::Unreachable {
                subject,
                reason,
                tries,
            },
            Self::Silent => FetchError::Silent {
                subject,
                after: patience.silence,
                tries,
            },
            Self::Cut { expected } => FetchError::Truncated {
                subject,
                received,
                expected,
                tries,
            },
            Self::Status(status) => FetchError::Status { subject, status },
        }
    }
}

/// Opens a part on a blocking thread: what an earlier try left behind must be read again.
pub(crate) async fn open_part(
    parts: &Path,
    key: &str,
    wanted: &Wanted,
) -> Result<Part, FetchError> {
    let (directory, key) = (parts.to_owned(), key.to_owned());
    let checksum = wanted.checksum.clone();
    let open = move || Part::open(&directory, &key, checksum.as_ref());
    tokio::task::spawn_blocking(open)
        .await
        .map_err(std::io::Error::other)
        .and_then(|part| part)
        .map_err(cache_error(&wanted.subject, "opening a part in", parts))
}

fn build_client(
    url: &Url,
    addresses: &[SocketAddr],
    connect: Duration,
) -> Result<Client, reqwest::Error> {
    // Fails only if somebody was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(connect)
        .user_agent(concat!("basalt/", env!("CARGO_PKG_VERSION")))
        .resolve_to_addrs(url.host_str().unwrap_or_default(), addresses);
    if url.scheme() == "http" {
        // Without TLS nobody needs the host's certificates, which may not even be installed.
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}

fn next_hop(url: &Url, response: &Response, subject: &Subject) -> Result<Url, FetchError> {
    let redirect = |reason: String| FetchError::Redirect {
        subject: subject.clone(),
        reason,
    };
    let location = response
        .headers()
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .ok_or_else(|| redirect(format!("{} without a location", response.status())))?;
    let next = url
        .join(location)
        .map_err(|error| redirect(format!("a redirect to a malformed URL: {error}")))?;
    match next.scheme() {
        "http" | "https" => Ok(next),
        scheme => Err(redirect(format!("a redirect to a {scheme}: URL"))),
    }
}

fn validator(headers: &HeaderMap) -> Validator {
    let text = |name| {
        let value: &HeaderValue = headers.get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    Validator {
        etag: text(header::ETAG),
        last_modified: text(header::LAST_MODIFIED),
        file: None,
    }
}

/// Where a partial answer begins: `Content-Range: bytes START-END/TOTAL`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (start, _) = range.strip_prefix("bytes ")?.split_once('-')?;
    start.parse().ok()
}

fn html_type(headers: &HeaderMap) -> Option<&str> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = kind.split(';').next().unwrap_or_default().trim();
    ["text/html", "application/xhtml+xml"]
        .iter()
        .any(|page| essence.eq_ignore_ascii_case(page))
        .then_some(kind)
}

fn refuse_page(part: &Part, subject: &Subject) -> Result<(), FetchError> {
    match part.html() {
        Some(evidence) => Err(FetchError::Html {
            subject: subject.clone(),
            evidence,
        }),
        None => Ok(()),
    }
}

/// The error and its causes, which reqwest leaves out of its text; without the URL, which may hold
/// credentials.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
