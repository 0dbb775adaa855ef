//! Why a job waits, for programs and for people.

use std::fmt;

use basalt_model::{BoardHealth, BoardName, DispatcherMode, DispatcherName, JobId, UtcMicros};
use serde::{Deserialize, Serialize};

use crate::change::Holder;

/// A sentence names so many boards; of the rest it says how many there are.
const NAMED_BOARDS: usize = 5;

/// Why a job waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The job.
    pub job: JobId,
    /// When this was so.
    pub now: UtcMicros,
    /// Where it stands in the queue; `None` once a board was decided for it.
    pub place: Option<Place>,
    /// The board that was decided for it.
    pub given: Option<BoardName>,
    /// Every board that it wants, those first that it may get soonest.
    pub candidates: Vec<Candidate>,
    /// Why there is no board that it wants, where there is none.
    pub nobody: Option<String>,
}

/// Where a job stands in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// From 1.
    pub position: usize,
    /// How many jobs wait.
    pub of: usize,
    /// How many of those before it can use a board that it can use.
    pub rivals: usize,
}

/// A board that a job wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The board.
    pub board: BoardName,
    /// What is in the way, the longest-lasting first; nothing if it is free.
    pub reasons: Vec<Reason>,
}

/// Why a board is not given to a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// The job cannot run there.
    Unsuitable {
        /// Why: the plan's first complaint.
        message: String,
    },
    /// The board takes no jobs.
    Health {
        /// What it is.
        health: BoardHealth,
        /// Since when.
        since: UtcMicros,
        /// Why, where somebody said so.
        reason: Option<String>,
    },
    /// Its dispatcher has never been heard of.
    DispatcherUnknown {
        /// Which.
        dispatcher: DispatcherName,
    },
    /// Its dispatcher gets no new runs.
    DispatcherMode {
        /// Which.
        dispatcher: DispatcherName,
        /// What it is.
        mode: DispatcherMode,
        /// Since when.
        since: UtcMicros,
        /// Why, where somebody said so.
        reason: Option<String>,
    },
    /// Its dispatcher's link is down.
    DispatcherOffline {
        /// Which.
        dispatcher: DispatcherName,
        /// Since when.
        since: UtcMicros,
    },
    /// Its dispatcher takes no runs for a while, by its own word.
    DispatcherClosed {
        /// Which.
        dispatcher: DispatcherName,
        /// Since when.
        since: UtcMicros,
        /// Why.
        reason: String,
    },
    /// Its dispatcher was silent, and may still drive the board without the server's knowledge.
    Fenced {
        /// Which.
        dispatcher: DispatcherName,
        /// Until when.
        until: UtcMicros,
    },
    /// Somebody has it.
    Held {
        /// Who.
        by: Holder,
        /// Whether its dispatcher has accepted already.
        accepted: bool,
        /// Since when.
        since: UtcMicros,
    },
    /// It was just decided for another job.
    Decided {
        /// Which.
        job: JobId,
    },
}

impl Reason {
    /// How long it may last: the higher, the longer.
    pub(crate) fn weight(&self) -> u8 {
        match self {
            Self::Decided { .. } => 1,
            Self::Held { .. } => 2,
            Self::Fenced { .. } => 3,
            Self::DispatcherOffline { .. } | Self::DispatcherClosed { .. } => 4,
            Self::DispatcherMode { .. } => 5,
            Self::DispatcherUnknown { .. } => 6,
            Self::Health {
                health: BoardHealth::Retired,
                ..
            } => 8,
            Self::Health { .. } => 7,
            Self::Unsuitable { .. } => 9,
        }
    }

    /// What the board is: the sentence goes on after its name.
    pub fn clause(&self, now: UtcMicros) -> String {
        match self {
            Self::Unsuitable { message } => format!("cannot run it: {message}"),
            Self::Health {
                health,
                since,
                reason,
            } => {
                let time = since_then(*since, now);
                let text = match health {
                    BoardHealth::Maintenance => format!("has been in maintenance {time}"),
                    BoardHealth::Bad => format!("has been out of order {time}"),
                    BoardHealth::Looping => format!("has been proving its health {time}"),
                    BoardHealth::Retired => "is retired".to_owned(),
                    // These take jobs, and are no reason.
                    BoardHealth::Good | BoardHealth::Unknown => format!("is {health}"),
                };
                with_reason(text, reason.as_deref())
            }
            Self::DispatcherUnknown { dispatcher } => {
                format!("has a dispatcher, {dispatcher}, that has never connected")
            }
            Self::DispatcherMode {
                dispatcher,
                mode,
                since,
                reason,
            } => {
                let text = match mode {
                    DispatcherMode::Retired => format!("has a retired dispatcher, {dispatcher}"),
                    mode => format!(
                        "has a dispatcher, {dispatcher}, in {mode} {}",
                        since_then(*since, now)
                    ),
                };
                with_reason(text, reason.as_deref())
            }
            Self::DispatcherOffline { dispatcher, since } => format!(
                "has a dispatcher, {dispatcher}, that has been offline {}",
                since_then(*since, now)
            ),
            Self::DispatcherClosed {
                dispatcher,
                since,
                reason,
            } => format!(
                "has a dispatcher, {dispatcher}, that has taken no runs {}: {reason}",
                since_then(*since, now)
            ),
            Self::Fenced { dispatcher, until } => format!(
                "may still be driven by its dispatcher {dispatcher}, which was silent, and is kept \
                 back for another {}",
                duration(until.0.saturating_sub(now.0))
            ),
            Self::Held {
                by,
                accepted,
                since,
            } => {
                let time = since_then(*since, now);
                match (by, accepted) {
                    (Holder::Job(job), true) => format!("has been held by job {job} {time}"),
                    (Holder::Job(job), false) => {
                        format!("has been reserved for job {job} {time}")
                    }
                    (Holder::Other(who), _) => format!("has been held by {who} {time}"),
                }
            }
            Self::Decided { job } => format!("is about to be given to job {job}"),
        }
    }
}

fn with_reason(text: String, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{text} ({reason})"),
        None => text,
    }
}

impl Candidate {
    /// `qemu-1 has been held by job 12 for 3 min 20 s`.
    pub fn sentence(&self, now: UtcMicros) -> String {
        if self.reasons.is_empty() {
            return format!("{} is free", self.board);
        }
        let clauses: Vec<String> = self
            .reasons
            .iter()
            .map(|reason| reason.clause(now))
            .collect();
        format!("{} {}", self.board, clauses.join(" and "))
    }

    pub(crate) fn weight(&self) -> u8 {
        self.reasons.iter().map(Reason::weight).max().unwrap_or(0)
    }
}

impl fmt::Display for Explanation {
    /// One sentence without a full stop, for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {}", self.job)?;
        if let Some(board) = &self.given {
            return write!(f, " is about to get {board}");
        }
        if let Some(place) = self.place {
            write!(f, " is {} of {} in the queue", place.position, place.of)?;
            match place.rivals {
                0 => {}
                1 => f.write_str(", behind 1 other for the same boards")?,
                rivals => write!(f, ", behind {rivals} others for the same boards")?,
            }
        }
        if let Some(why) = &self.nobody {
            return write!(f, ", and cannot start: {why}");
        }
        let mut separator = ": ";
        for candidate in self.candidates.iter().take(NAMED_BOARDS) {
            write!(f, "{separator}{}", candidate.sentence(self.now))?;
            separator = "; ";
        }
        match self.candidates.len().saturating_sub(NAMED_BOARDS) {
            0 => Ok(()),
            1 => f.write_str("; and 1 more board is not free"),
            more => write!(f, "; and {more} more boards are not free"),
        }
    }
}

fn since_then(since: UtcMicros, now: UtcMicros) -> String {
    format!("for {}", duration(now.0.saturating_sub(since.0)))
}

/// `12 s`, `3 min 20 s`, `2 h 05 min`, `4 days`.
fn duration(micros: i64) -> String {
    let seconds = micros.max(0) / 1_000_000;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {:02} s", seconds % 60),
        3600..172_800 => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{} days", hours / 24),
    }
}
