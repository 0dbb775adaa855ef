//! Why a use case did not do what it was asked for. What HTTP says to it is decided in one place,
//! [`crate::http`].

use basalt_api::Diagnostic;
use basalt_store::StoreError;

use crate::authorize::Forbidden;

/// Why a use case did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum UseCaseError {
    /// He who asks may not.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// There is no such thing, or not any more.
    #[error("there is no {what} {name}")]
    NotFound {
        /// `job`, `run`, `board`, ….
        what: &'static str,
        /// Its name or number.
        name: String,
    },
    /// What was handed in has mistakes in its own text.
    #[error("{message}")]
    Invalid {
        /// How many, of what.
        message: String,
        /// Each with its place.
        diagnostics: Vec<Diagnostic>,
    },
    /// A parameter makes no sense.
    #[error("{message}")]
    BadRequest {
        /// Which, and why.
        message: String,
        /// What to do instead, where that is known.
        hint: Option<String>,
    },
    /// It cannot be done as things stand.
    #[error("{message}")]
    Conflict {
        /// Why.
        message: String,
        /// What to do first, where that is known.
        hint: Option<String>,
    },
    /// The store cannot be reached now; asking again later may help.
    #[error("{message}")]
    Unavailable {
        /// What is away.
        message: String,
    },
    /// There is no room for it on the store's disk.
    #[error("{message}")]
    Full {
        /// What is full.
        message: String,
    },
    /// A bug, or a store whose content makes no sense.
    #[error("{message}")]
    Internal {
        /// What went wrong, for the log; not shown to clients.
        message: String,
    },
}

impl UseCaseError {
    /// There is no `what` called `name`.
    pub fn not_found(what: &'static str, name: impl ToString) -> Self {
        Self::NotFound {
            what,
            name: name.to_string(),
        }
    }

    /// A parameter makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::BadRequest {
            message: message.into(),
            hint: None,
        }
    }

    /// It cannot be done as things stand.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict {
            message: message.into(),
            hint: None,
        }
    }
}

impl From<StoreError> for UseCaseError {
    fn from(error: StoreError) -> Self {
        if error.is_full() {
            tracing::error!(error = %causes(&error), "the store's disk is full");
            return Self::Full {
                message: "the disk of the lab's database is full; nothing was changed".into(),
            };
        }
        if error.is_transient() {
            tracing::warn!(error = %causes(&error), "the store is away");
            return Self::Unavailable {
                message: "the database cannot be reached now".into(),
            };
        }
        match error {
            StoreError::Unknown { what, name } => Self::NotFound { what, name },
            StoreError::Mismatch { .. } => Self::bad_request(error.to_string()),
            error => Self::Internal {
                message: causes(&error),
            },
        }
    }
}

/// An error and its causes in one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}
