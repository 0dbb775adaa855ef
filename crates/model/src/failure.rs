//! Whose fault it was (invariant 8), with the evidence.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::outcome::PowerState;
use crate::time::UtcMicros;

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Culprit {
    /// The job asks for something that cannot work: a missing file, a wrong checksum.
    Job,
    /// The test definition or the payload.
    Test,
    /// The kernel under test: panic, hang, oops.
    Kernel,
    /// The lab: board, relay, console, network, host.
    Infrastructure,
    /// A file of the lab is wrong.
    Configuration,
    /// Basalt itself.
    Bug,
    /// A person or client ended the job.
    Canceled,
    /// The evidence does not tell.
    Unknown,
}

impl Culprit {
    /// The word in sentences and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Test => "test",
            Self::Kernel => "kernel",
            Self::Infrastructure => "infrastructure",
            Self::Configuration => "configuration",
            Self::Bug => "bug",
            Self::Canceled => "canceled",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which part of the infrastructure failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The board itself: it does not boot, it resets.
    Board,
    /// The relay or PDU.
    Relay,
    /// The serial console or the way to it.
    Console,
    /// TFTP, NFS, HTTP between host and board.
    Network,
    /// The dispatcher's host: disk, memory, ports.
    Host,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Board => "board",
            Self::Relay => "relay",
            Self::Console => "console",
            Self::Network => "network",
            Self::Host => "host",
        })
    }
}

/// Something that the kernel said about itself on the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelReport {
    /// `panic`, `oops`, `bug`, `warning`, `rcu_stall`, `soft_lockup`, `hard_lockup`, `reset`, ….
    pub kind: String,
    /// The whole text, from the start of its first line to the end of its last.
    pub text: String,
    /// Where in the console's bytes the text starts (count of bytes since the console was first
    /// captured).
    pub offset: u64,
    /// When the host read its first byte.
    pub read_at: UtcMicros,
    /// The board cannot go on after this.
    pub fatal: bool,
}

/// A failure: whose fault, in which action, and the evidence. [`Failure::sentence`] is what a
/// person reads first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose fault.
    pub culprit: Culprit,
    /// Which part of the infrastructure, where the culprit is [`Culprit::Infrastructure`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// A stable word for programs: `bootloader-timeout`, `checksum-mismatch`, ….
    pub code: String,
    /// What happened: a clause without a full stop, lower case.
    pub message: String,
    /// The action in which it happened, by LAVA's name where LAVA has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// What was awaited when it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaited: Option<String>,
    /// The last lines that the board said, oldest first, control characters removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<String>,
    /// What the kernel reported in the attempt that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel: Vec<KernelReport>,
    /// What the relay said about the board's outlet when it was last asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<PowerState>,
}

impl Failure {
    /// A failure without evidence yet.
    pub fn new(culprit: Culprit, code: &str, message: impl Into<String>) -> Self {
        Self {
            culprit,
            part: None,
            code: code.to_owned(),
            message: message.into(),
            action: None,
            awaited: None,
            last_lines: Vec::new(),
            kernel: Vec::new(),
            power: None,
        }
    }

    /// A failure of one part of the lab.
    pub fn infrastructure(part: Part, code: &str, message: impl Into<String>) -> Self {
        Self {
            part: Some(part),
            ..Self::new(Culprit::Infrastructure, code, message)
        }
    }

    /// One sentence: whose fault, what happened, what was awaited, what the board said last.
    pub fn sentence(&self) -> String {
        let mut text = match self.part {
            Some(part) => format!("{} ({part}): {}", self.culprit, self.message),
            None => format!("{}: {}", self.culprit, self.message),
        };
        if let Some(awaited) = &self.awaited {
            text.push_str(&format!("; awaited {awaited}"));
        }
        match self.last_lines.last() {
            Some(line) => text.push_str(&format!("; the board said last: {line:?}")),
            None if self.awaited.is_some() => text.push_str("; the board said nothing"),
            None => {}
        }
        text.push('.');
        text
    }

    /// LAVA's `error_type` for this failure (facts: lava_common/exceptions.py of LAVA 2026.07).
    /// LAVA blames the job for kernels that panic and for what nobody can tell.
    pub fn lava_error_type(&self) -> &'static str {
        match self.culprit {
            Culprit::Job | Culprit::Kernel | Culprit::Unknown => "Job",
            Culprit::Test => "Test",
            Culprit::Infrastructure => "Infrastructure",
            Culprit::Configuration => "Configuration",
            Culprit::Bug => "Bug",
            Culprit::Canceled => "Canceled",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_says_whose_fault_what_was_awaited_and_what_was_said_last() {
        let mut failure = Failure::infrastructure(
            Part::Board,
            "bootloader-timeout",
            "the boot loader did not answer within 30 s",
        );
        failure.awaited = Some("\"Hit any key\"".into());
        failure.last_lines = vec!["DRAM:  256 MiB".into()];
        assert_eq!(
            failure.sentence(),
            "infrastructure (board): the boot loader did not answer within 30 s; awaited \
             \"Hit any key\"; the board said last: \"DRAM:  256 MiB\"."
        );
        failure.last_lines.clear();
        assert!(failure.sentence().ends_with("; the board said nothing."));
    }
}
