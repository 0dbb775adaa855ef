//! Why the server did not do what it was asked.

use basalt_api::Problem;

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
        source: reqwest::Error,
    },
    /// The connection broke in the middle of an answer.
    #[error("the server at {server} broke off its answer")]
    BrokenOff {
        /// Its address.
        server: String,
        /// How.
        #[source]
        source: reqwest::Error,
    },
    /// The server said no, and why.
    #[error("{problem}")]
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

    /// What the server said, where it refused.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem } => Some(problem),
            _ => None,
        }
    }
}
