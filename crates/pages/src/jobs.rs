//! `/jobs`: every job, filtered.

use askama::Template;
use basalt_model::{BoardName, JobId, JobState, Outcome, UserName, UtcMicros};

use crate::Chrome;
use crate::tag::Badge;
use crate::words;

/// A job in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Its number.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: JobState,
    /// What it came to, once it is over.
    pub outcome: Option<Outcome>,
    /// The board of its last run.
    pub board: Option<BoardName>,
    /// What it asks for: a device type or a board.
    pub wants: String,
    /// Who submitted it.
    pub submitter: UserName,
    /// When.
    pub submitted: UtcMicros,
    /// When its last run began.
    pub started: Option<UtcMicros>,
    /// When it was over.
    pub finished: Option<UtcMicros>,
    /// How many runs it has had.
    pub attempts: u32,
    /// The action that goes on, or what stands in one line about its end.
    pub note: Option<String>,
}

impl JobRow {
    /// Its state in one badge.
    pub fn badge(&self) -> Badge {
        words::job(self.state, self.outcome)
    }
}

/// What the list is narrowed to; as it stands in the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `queued`, `active`, or states' words joined by commas; empty for all.
    pub state: String,
    /// An outcome's word; empty for all.
    pub outcome: String,
    /// A board's name; empty for all.
    pub board: String,
    /// A device type's name; empty for all.
    pub device_type: String,
    /// An account's name; empty for all.
    pub submitter: String,
    /// Words in the job's name, or a number; empty for all.
    pub q: String,
}

impl Filter {
    /// Nothing is filtered.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The address of the list with one key changed.
    pub fn with(&self, key: &str, value: &str) -> String {
        let mut other = self.clone();
        match key {
            "state" => {
                other.state = value.to_owned();
                other.outcome = String::new();
            }
            "outcome" => {
                other.outcome = value.to_owned();
                other.state = String::new();
            }
            "board" => other.board = value.to_owned(),
            "device_type" => other.device_type = value.to_owned(),
            "submitter" => other.submitter = value.to_owned(),
            _ => other.q = value.to_owned(),
        }
        other.address()
    }

    /// The address of the list.
    pub fn address(&self) -> String {
        let parts: Vec<String> = [
            ("state", &self.state),
            ("outcome", &self.outcome),
            ("board", &self.board),
            ("device_type", &self.device_type),
            ("submitter", &self.submitter),
            ("q", &self.q),
        ]
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{key}={}", encode(value)))
        .collect();
        match parts.is_empty() {
            true => "/jobs".into(),
            false => format!("/jobs?{}", parts.join("&")),
        }
    }
}

/// A value in an address's query.
pub(crate) fn encode(value: &str) -> String {
    let mut encoded = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// `/jobs`.
#[derive(Clone, Debug, Template)]
#[template(path = "jobs.html")]
pub struct Jobs {
    /// The frame.
    pub chrome: Chrome,
    /// What is asked for.
    pub filter: Filter,
    /// The jobs, newest first.
    pub jobs: Vec<JobRow>,
    /// The cursor of the next page, where there is one.
    pub next: Option<String>,
    /// This is not the first page.
    pub is_later_page: bool,
    /// The boards to choose from.
    pub boards: Vec<String>,
    /// The device types to choose from.
    pub device_types: Vec<String>,
}

impl Jobs {
    /// The quick filters: key, value, word, whether it is the current one.
    fn chips(&self) -> Vec<(String, &'static str, bool)> {
        let state = |value: &'static str, word| {
            let current = self.filter.state == value && self.filter.outcome.is_empty();
            (self.filter.with("state", value), word, current)
        };
        let outcome = |value: &'static str| {
            let current = self.filter.outcome == value;
            (self.filter.with("outcome", value), value, current)
        };
        vec![
            state("", "all"),
            state("queued", "waiting"),
            state("running", "running"),
            outcome("pass"),
            outcome("fail"),
            outcome("invalid"),
            outcome("incomplete"),
            outcome("canceled"),
        ]
    }

    /// The address of the next page.
    fn next_address(&self, cursor: &str) -> String {
        let base = self.filter.address();
        let sign = if base.contains('?') { '&' } else { '?' };
        format!("{base}{sign}cursor={}", encode(cursor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_filter_is_changed_and_the_others_stay() {
        let filter = Filter {
            board: "virt 1".into(),
            q: "a&b".into(),
            ..Filter::default()
        };
        assert_eq!(
            filter.with("state", "running"),
            "/jobs?state=running&board=virt%201&q=a%26b"
        );
        assert_eq!(filter.with("board", ""), "/jobs?q=a%26b");
        assert_eq!(Filter::default().address(), "/jobs");
    }
}
