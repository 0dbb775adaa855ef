//! What an interrupted wait amounts to: whose fault it was, with the evidence of the moment.

use basalt_model::{Culprit, Failure, Part, PowerState};

use super::{Interruption, KEEPER_LOST, Session};

/// How many lines of the board stand in a failure.
const EVIDENCE_LINES: usize = 8;

impl Session {
    /// A failure with the evidence of this moment.
    pub fn failure(
        &self,
        culprit: Culprit,
        part: Option<Part>,
        code: &str,
        message: impl Into<String>,
        awaited: Option<String>,
    ) -> Failure {
        let state = self.recorder.state();
        let mut failure = Failure::new(culprit, code, message);
        failure.part = part;
        failure.awaited = awaited;
        failure.last_lines = self.expect.last_lines(EVIDENCE_LINES);
        failure.kernel = state
            .kernel
            .iter()
            .filter(|report| report.fatal)
            .cloned()
            .collect();
        failure.power = state.power.filter(|power| *power != PowerState::Unknown);
        failure
    }

    /// The failure that an interruption amounts to, whatever was awaited; `None` for a timeout,
    /// which only the action can judge.
    pub fn judge(&self, interruption: &Interruption, awaited: &str) -> Option<Failure> {
        let awaited = Some(awaited.to_owned());
        Some(match interruption {
            Interruption::Timeout => {
                let (_, reason) = self.source_down.as_ref()?;
                self.failure(
                    Culprit::Infrastructure,
                    Some(Part::Console),
                    "console-gone",
                    format!("the console is gone: {reason}"),
                    awaited,
                )
            }
            Interruption::Kernel(report) => {
                let first = report.text.lines().next().unwrap_or_default().trim();
                let first = basalt_console::terminal::sanitize(first);
                self.failure(
                    Culprit::Kernel,
                    None,
                    &format!("kernel-{}", report.kind.replace('_', "-")),
                    format!("the kernel reported {}: {first}", report.kind),
                    awaited,
                )
            }
            Interruption::Reset(line) => {
                let line = basalt_console::terminal::sanitize(line.trim());
                let panicked = self
                    .recorder
                    .state()
                    .kernel
                    .iter()
                    .any(|report| report.fatal);
                if panicked {
                    self.failure(
                        Culprit::Kernel,
                        None,
                        "kernel-reset",
                        format!("the board restarted after a kernel panic ({line})"),
                        awaited,
                    )
                } else {
                    self.failure(
                        Culprit::Infrastructure,
                        Some(Part::Board),
                        "unexpected-reset",
                        format!(
                            "the board restarted by itself, without a word of the kernel ({line})"
                        ),
                        awaited,
                    )
                }
            }
            Interruption::ConsoleGone(reason) => self.failure(
                Culprit::Infrastructure,
                Some(Part::Console),
                "console-gone",
                format!("the console is gone: {reason}"),
                awaited,
            ),
            Interruption::KeeperLost => self.failure(
                Culprit::Infrastructure,
                Some(Part::Host),
                KEEPER_LOST,
                "the way to the console was lost while something was typed",
                awaited,
            ),
            // Nothing went wrong: what was awaited and said last is no evidence of anything.
            Interruption::Ended => self.ending.failure(),
            Interruption::Broken(why) => self.failure(
                Culprit::Infrastructure,
                Some(Part::Host),
                "host",
                why.clone(),
                awaited,
            ),
        })
    }
}
