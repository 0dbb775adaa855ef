//! What can go wrong with a relay.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use basalt_model::{PowerState, RelayName};

/// What was asked of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Switch the outlet on.
    On,
    /// Switch the outlet off.
    Off,
    /// Say whether the outlet is on.
    Read,
    /// Off, wait, on.
    Cycle,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::On => "switch on",
            Self::Off => "switch off",
            Self::Read => "read",
            Self::Cycle => "cycle",
        })
    }
}

/// Which relay, which outlet, and what was asked: the head of every message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The relay.
    pub relay: RelayName,
    /// The outlet, counted as the device counts.
    pub outlet: u32,
    /// What was asked. The halves of a cycle appear as `On` and `Off`.
    pub asked: Asked,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            relay,
            outlet,
            asked,
        } = self;
        write!(f, "relay {relay}, outlet {outlet}, asked to {asked}")
    }
}

/// Why a relay did not do as asked. No message holds credentials.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// Nobody answers at the relay's address, or its serial port cannot be used.
    #[error("{question}: cannot be reached: {reason}")]
    Unreachable {
        /// What was asked.
        question: Question,
        /// What the system said.
        reason: String,
    },
    /// The relay answered, but not with what it answers when it obeys.
    #[error("{question}: refused: {answer}")]
    Refused {
        /// What was asked.
        question: Question,
        /// What it answered; control characters escaped.
        answer: String,
    },
    /// The relay did not answer in time.
    #[error("{question}: no answer within {after:?}, tried {tries} times")]
    Timeout {
        /// What was asked.
        question: Question,
        /// The bound of one exchange.
        after: Duration,
        /// How often it was asked.
        tries: u32,
    },
    /// The relay says afterwards that the outlet is in another state than it was asked for: it
    /// lies or its contact is stuck.
    #[error("{question}: it accepted, but read back it says {said}")]
    StateMismatch {
        /// What was asked.
        question: Question,
        /// The state that it was to have.
        asked: PowerState,
        /// The state that the relay reports.
        said: PowerState,
    },
    /// The relay has no such outlet.
    #[error("{question}: this model counts its outlets from {first} to {last}")]
    BadOutlet {
        /// What was asked.
        question: Question,
        /// The first outlet.
        first: u32,
        /// The last outlet that the model's protocol can name.
        last: u32,
    },
    /// The off time of a cycle makes no sense.
    #[error("{question}: off time {off_time:?} is not between {shortest:?} and {longest:?}")]
    BadOffTime {
        /// What was asked.
        question: Question,
        /// The off time that was asked for.
        off_time: Duration,
        /// The shortest.
        shortest: Duration,
        /// The longest.
        longest: Duration,
    },
    /// Somebody else on this host uses the relay.
    #[error("{question}: in use by {holder}; waited {waited:?}")]
    Busy {
        /// What was asked.
        question: Question,
        /// Who, as he wrote into the lock file.
        holder: String,
        /// How long he was waited for.
        waited: Duration,
    },
    /// The lock file cannot be used.
    #[error("{question}: cannot use the lock file {}", path.display())]
    Lock {
        /// What was asked.
        question: Question,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The task that owns the relay is gone: the program is stopping, or it has a bug.
    #[error("{question}: the task that owns the relay has ended")]
    Stopped {
        /// What was asked.
        question: Question,
    },
}

impl PowerError {
    /// Which relay, outlet and request it is about.
    pub fn question(&self) -> &Question {
        match self {
            Self::Unreachable { question, .. }
            | Self::Refused { question, .. }
            | Self::Timeout { question, .. }
            | Self::StateMismatch { question, .. }
            | Self::BadOutlet { question, .. }
            | Self::BadOffTime { question, .. }
            | Self::Busy { question, .. }
            | Self::Lock { question, .. }
            | Self::Stopped { question } => question,
        }
    }

    /// What the relay says of the outlet although it did not do as asked.
    pub fn said(&self) -> PowerState {
        match self {
            Self::StateMismatch { said, .. } => *said,
            _ => PowerState::Unknown,
        }
    }

    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "relay-unreachable",
            Self::Refused { .. } => "relay-refused",
            Self::Timeout { .. } => "relay-timeout",
            Self::StateMismatch { .. } => "relay-state-mismatch",
            Self::BadOutlet { .. } => "relay-bad-outlet",
            Self::BadOffTime { .. } => "relay-bad-off-time",
            Self::Busy { .. } => "relay-busy",
            Self::Lock { .. } => "relay-lock",
            Self::Stopped { .. } => "relay-stopped",
        }
    }

    /// A file of the lab is wrong; everything else but [`PowerError::Stopped`] is the
    /// infrastructure.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::BadOutlet { .. } | Self::BadOffTime { .. })
    }
}
