//! Why the server did not do what it was asked.

use std::fmt;

use basalt_api::Problem;

/// Why a connection did not come about or broke: the innermost of the transport's reasons, which is
/// the one that a person understands.
#[derive(Debug)]
pub struct Cause {
    text: String,
}

impl Cause {
    pub(crate) fn of(error: reqwest::Error) -> Self {
        // The address stands beside it, and its query could hold what is nobody's business.
        let error = error.without_url();
        let mut innermost: &dyn std::error::Error = &error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        Self {
            text: innermost.to_string(),
        }
    }

    fn hint(&self) -> Option<&'static str> {
        let says = |words: &str| self.text.contains(words);
        if says("UnknownIssuer") || says("CaUsedAsEndEntity") {
            Some(
                "nobody whom this host believes signed its certificate; if the server signed it \
                 itself, `basalt login URL --certificate DIGEST` pins it, and its start prints the \
                 digest",
            )
        } else if says("invalid HTTP version") {
            Some("it may speak TLS: try https://")
        } else if says("InvalidContentType") {
            Some("it may speak plain HTTP: try http://")
        } else if says("Connection refused") {
            Some("does `basalt serve` run there, and listen on that address?")
        } else {
            None
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Cause {}

/// What happened says more than what kind of problem it is.
fn said(problem: &Problem) -> &str {
    match problem.detail.as_str() {
        "" => &problem.title,
        detail => detail,
    }
}

/// Why an answer did not come, or was no.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error("the server at {server} cannot be reached")]
    Unreachable {
        /// Its address.
        server: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The connection broke in the middle of an answer.
    #[error("the server at {server} broke off its answer")]
    BrokenOff {
        /// Its address.
        server: String,
        /// How.
        #[source]
        source: Cause,
    },
    /// The server said no, and why.
    #[error("{}", said(problem))]
    Refused {
        /// What it said.
        problem: Box<Problem>,
    },
    /// What answers there is no Basalt server, or one of another time.
    #[error("{server} answered {status} with something that is not Basalt's API: {said}")]
    NotBasalt {
        /// Its address.
        server: String,
        /// The HTTP status.
        status: u16,
        /// How the answer begins.
        said: String,
    },
    /// The settings do not make a client.
    #[error("{0}")]
    Settings(String),
}

impl ClientError {
    /// Whether another try may help: the server was away, or said that it is too busy.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::BrokenOff { .. } => true,
            Self::Refused { problem } => matches!(problem.status, 429 | 502 | 503 | 504),
            Self::NotBasalt { status, .. } => matches!(status, 502..=504),
            Self::Settings(_) => false,
        }
    }

    /// Whether the server could not be asked at all (exit code 69 of decision D19).
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::BrokenOff { .. })
    }

    /// What the user can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { source, .. } => source.hint().map(str::to_owned),
            Self::Refused { problem } => match problem.word() {
                // Said at the lines, or plain enough.
                "invalid" | "not-found" => None,
                "not-logged-in" => Some(
                    "`basalt login URL` makes a token known to this account, or set BASALT_SERVER \
                     and BASALT_TOKEN; `basalt login --show` says what is known"
                        .to_owned(),
                ),
                // The paths of the API are for programs.
                _ if problem.hint.contains("/api/v1") => None,
                _ => Some(problem.hint.clone()).filter(|hint| !hint.is_empty()),
            },
            Self::BrokenOff { .. } | Self::NotBasalt { .. } | Self::Settings(_) => None,
        }
    }

    /// What the server said, where it refused.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem } => Some(problem),
            _ => None,
        }
    }
}
