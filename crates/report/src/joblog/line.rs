//! One line of a job's log.

use std::fmt;
use std::str::FromStr;

use basalt_model::UtcMicros;
use serde::{Deserialize, Serialize};

/// What a line is: LAVA's words (facts: the `lvl` of its logs), and `gap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum LogLevel {
    /// What the board said.
    Target = 0,
    /// What was typed.
    Input = 1,
    /// What another board of the same job said.
    Feedback = 2,
    /// For whoever debugs the lab.
    Debug = 3,
    /// What is being done.
    Info = 4,
    /// Odd, but the run goes on.
    Warning = 5,
    /// Why the run does not go on.
    Error = 6,
    /// A result.
    Results = 7,
    /// Bytes of the console were lost here.
    Gap = 8,
}

impl LogLevel {
    /// Every level, in the order of their numbers.
    pub const ALL: &'static [Self] = &[
        Self::Target,
        Self::Input,
        Self::Feedback,
        Self::Debug,
        Self::Info,
        Self::Warning,
        Self::Error,
        Self::Results,
        Self::Gap,
    ];

    /// The word on the wire and in pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Input => "input",
            Self::Feedback => "feedback",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Results => "results",
            Self::Gap => "gap",
        }
    }

    /// Its bit in a mask of levels.
    pub fn bit(self) -> u16 {
        1 << self as u8
    }

    /// The level of a number in a batch.
    pub(super) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is no level's word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no level of a log")]
pub struct UnknownLevel(pub String);

impl FromStr for LogLevel {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|level| level.as_str() == text)
            .ok_or_else(|| UnknownLevel(text.to_owned()))
    }
}

/// A line that is looked at where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its place in the log, from 1, without holes.
    pub number: u64,
    /// When its first byte was read, or its event written.
    pub utc: UtcMicros,
    /// What it is.
    pub level: LogLevel,
    /// The console's bytes with their terminator, where it is [`LogLevel::Target`]; else UTF-8 of
    /// one line without terminator or control characters.
    pub text: &'a [u8],
}

/// A line that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// As in [`Line`].
    pub number: u64,
    /// As in [`Line`].
    pub utc: UtcMicros,
    /// As in [`Line`].
    pub level: LogLevel,
    /// As in [`Line`].
    pub text: Vec<u8>,
}

impl LogLine {
    /// The same, looked at.
    pub fn as_line(&self) -> Line<'_> {
        Line {
            number: self.number,
            utc: self.utc,
            level: self.level,
            text: &self.text,
        }
    }
}

impl From<Line<'_>> for LogLine {
    fn from(line: Line<'_>) -> Self {
        Self {
            number: line.number,
            utc: line.utc,
            level: line.level,
            text: line.text.to_vec(),
        }
    }
}

/// Takes lines as they come.
pub trait Lines {
    /// Takes the next one.
    fn line(&mut self, line: Line<'_>);
}

impl Lines for Vec<LogLine> {
    fn line(&mut self, line: Line<'_>) {
        self.push(line.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_back_by_word_and_by_number() {
        for (number, level) in LogLevel::ALL.iter().enumerate() {
            assert_eq!(level.as_str().parse(), Ok(*level));
            let number = u8::try_from(number).unwrap();
            assert_eq!(*level as u8, number);
            assert_eq!(LogLevel::of_number(number), Some(*level));
            let json = serde_json::to_string(level).unwrap();
            assert_eq!(json, format!("\"{level}\""));
        }
        assert!("exception".parse::<LogLevel>().is_err());
        assert_eq!(LogLevel::of_number(9), None);
    }
}
