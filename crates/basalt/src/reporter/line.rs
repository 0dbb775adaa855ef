//! An event as lines that people care about.

use std::time::Duration;

use basalt_model::event::{ActionEnd, Level, PowerRequest};
use basalt_model::{CaseOutcome, EventBody, PowerState, Verdict};
use basalt_realtime::LatencyRecord;
use basalt_runner::results::Effect;

use crate::terminal::{Ink, one_line};
use crate::wording;

/// A line of the live log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How far it stands in: 0 for blocks, 1 for actions, 2 for what happens in them.
    pub depth: usize,
    /// What of it is coloured: the head.
    pub head: String,
    /// In which colour.
    pub ink: Ink,
    /// The rest, plain.
    pub text: String,
    /// And what is said in passing, faint.
    pub aside: String,
}

impl Line {
    fn new(depth: usize, ink: Ink, head: impl Into<String>) -> Self {
        Self {
            depth,
            head: head.into(),
            ink,
            text: String::new(),
            aside: String::new(),
        }
    }

    fn text(self, text: impl AsRef<str>) -> Self {
        Self {
            text: one_line(text.as_ref()),
            ..self
        }
    }

    fn aside(self, aside: impl AsRef<str>) -> Self {
        Self {
            aside: one_line(aside.as_ref()),
            ..self
        }
    }
}

/// The lines of an event. `is_phase` tells suites that are measurements: their numbers come in one
/// line when the phase is complete.
pub fn lines(body: &EventBody, is_phase: impl Fn(&str) -> bool) -> Vec<Line> {
    match body {
        EventBody::Accepted { .. }
        | EventBody::LeaseGranted { .. }
        | EventBody::PowerIntent { .. }
        | EventBody::Input { .. }
        | EventBody::Signal { .. }
        | EventBody::Console { .. }
        // The end is said with the results.
        | EventBody::Finished { .. }
        | EventBody::Unknown { .. } => Vec::new(),
        EventBody::Resumed {
            downtime_ms,
            decision,
        } => vec![resumed(*downtime_ms, decision)],
        EventBody::ActionStarted {
            level,
            name,
            attempt,
            ..
        } => vec![started(level, name, *attempt)],
        EventBody::ActionFinished {
            level,
            name,
            attempt,
            end,
            duration_ms,
            failure,
        } => {
            let failure = failure.as_ref().map(|failure| failure.message.as_str());
            let duration = Duration::from_millis(*duration_ms);
            finished(level, name, *attempt, *end, duration, failure).into_iter().collect()
        }
        EventBody::Log { level, message } => log(*level, message).into_iter().collect(),
        EventBody::ArtifactReady {
            label,
            sha256,
            bytes,
            linux_version,
            ..
        } => {
            let digest: String = sha256.to_string().chars().take(12).collect();
            let mut lines = vec![
                Line::new(2, Ink::Plain, label.clone())
                    .aside(format!("{}  sha256 {digest}…", wording::bytes(*bytes))),
            ];
            lines.extend(
                linux_version.as_ref().map(|version| Line::new(2, Ink::Plain, "").aside(version)),
            );
            lines
        }
        EventBody::Served {
            protocol,
            name,
            bytes,
            duration_ms,
            retransmits,
        } => vec![served(protocol, name, *bytes, *duration_ms, *retransmits)],
        EventBody::PowerOutcome {
            request,
            state,
            error,
        } => vec![power(*request, *state, error.as_deref())],
        EventBody::LoaderBanner { line } => vec![Line::new(2, Ink::Accent, "loader ").text(line)],
        EventBody::KernelBanner { line } => vec![Line::new(2, Ink::Accent, "kernel ").text(line)],
        EventBody::Kernel { report, .. } => {
            let ink = if report.fatal { Ink::Bad } else { Ink::Odd };
            let first = report.text.lines().next().unwrap_or_default();
            vec![Line::new(2, ink, format!("kernel {}: ", report.kind)).text(first)]
        }
        EventBody::ConsoleGap { reason, .. } => {
            vec![Line::new(2, Ink::Odd, "console gap: ").text(reason)]
        }
        EventBody::Result { result } => match result.suite.as_str() {
            "lava" => Vec::new(),
            suite if is_phase(suite) => Vec::new(),
            _ => vec![case(result)],
        },
        EventBody::PayloadStarted { name, attempt, .. } => {
            let again = if *attempt > 1 { format!("attempt {attempt}") } else { String::new() };
            vec![Line::new(2, Ink::Accent, "on the board: ").text(name).aside(again)]
        }
        EventBody::RawFile {
            path, bytes, via, ..
        } => vec![
            Line::new(2, Ink::Plain, path.clone())
                .aside(format!("{} over {via}, checksum as on the board", wording::bytes(*bytes))),
        ],
        EventBody::PhaseFinished {
            phase,
            verdict,
            reason,
            record,
            ..
        } => phase_finished(phase, *verdict, reason, record),
    }
}

/// The lines of what one signal of a test brought.
pub fn effect(effect: &Effect) -> Line {
    match effect {
        Effect::Result(result) => case(result),
        Effect::Raise(why) => Line::new(2, Ink::Bad, "the test ends the job: ").text(why),
        Effect::Complaint(complaint) => Line::new(2, Ink::Odd, "warning: ").text(complaint),
    }
}

fn resumed(downtime_ms: Option<u64>, decision: &str) -> Line {
    let gone = match downtime_ms {
        Some(downtime) => format!("after {}", wording::time(Duration::from_millis(downtime))),
        None => "after a restart of the host".to_owned(),
    };
    let how = match decision {
        "reattach" => "the board may still be as it was left",
        "redo" => "somebody else had the board meanwhile",
        other => other,
    };
    Line::new(0, Ink::Odd, "↻ resumed ").text(gone).aside(how)
}

fn is_block(level: &str) -> bool {
    !level.contains('.')
}

fn again(attempt: u32) -> String {
    match attempt {
        0 | 1 => String::new(),
        attempt => format!(" (attempt {attempt})"),
    }
}

fn started(level: &str, name: &str, attempt: u32) -> Line {
    match is_block(level) {
        true => Line::new(
            0,
            Ink::Strong,
            format!("▶ {level} {name}{}", again(attempt)),
        ),
        // The attempt is the block's, and said there.
        false => Line::new(1, Ink::Accent, format!("▸ {name}")),
    }
}

fn finished(
    level: &str,
    name: &str,
    attempt: u32,
    end: ActionEnd,
    duration: Duration,
    failure: Option<&str>,
) -> Option<Line> {
    let depth = usize::from(!is_block(level));
    let took = wording::time(duration);
    match end {
        ActionEnd::Done if depth == 0 => {
            Some(Line::new(0, Ink::Good, format!("✔ {level} {name}")).aside(took))
        }
        ActionEnd::Done => None,
        ActionEnd::Failed => {
            let head = match depth {
                0 => format!("✘ {level} {name}{}", again(attempt)),
                _ => format!("✘ {name}"),
            };
            let line = Line::new(depth, Ink::Bad, head).aside(took);
            // The block says the same as the action in it; once is enough.
            Some(match failure {
                Some(failure) if depth > 0 => line.text(format!(" {failure}")),
                _ => line,
            })
        }
    }
}

fn log(level: Level, message: &str) -> Option<Line> {
    match level {
        Level::Debug => None,
        Level::Info => Some(Line::new(2, Ink::Plain, "").text(message)),
        Level::Warning => Some(Line::new(2, Ink::Odd, "warning: ").text(message)),
        Level::Error => Some(Line::new(2, Ink::Bad, "error: ").text(message)),
    }
}

fn served(protocol: &str, name: &str, bytes: u64, duration_ms: u64, retransmits: u64) -> Line {
    let mut aside = format!(
        "{} in {}",
        wording::bytes(bytes),
        wording::time(Duration::from_millis(duration_ms))
    );
    if let Some(rate) = bytes.saturating_mul(1000).checked_div(duration_ms) {
        aside.push_str(&format!(" ({}/s)", wording::bytes(rate)));
    }
    if retransmits > 0 {
        aside.push_str(&format!(", {retransmits} blocks sent again"));
    }
    // Boot roots have unguessable names; the file's own name is what tells.
    let file = name.rsplit('/').next().unwrap_or(name);
    Line::new(2, Ink::Plain, format!("{protocol} "))
        .text(file)
        .aside(aside)
}

fn power(request: PowerRequest, state: PowerState, error: Option<&str>) -> Line {
    let asked = match request {
        PowerRequest::On => "on",
        PowerRequest::Off => "off",
        PowerRequest::Cycle => "cycle",
    };
    match error {
        Some(error) => Line::new(2, Ink::Bad, format!("power {asked}: ")).text(error),
        None => {
            let ink = if state == PowerState::Unknown {
                Ink::Odd
            } else {
                Ink::Accent
            };
            Line::new(2, ink, format!("power {asked}")).aside(format!("read back: {state}"))
        }
    }
}

fn case(result: &basalt_model::CaseResult) -> Line {
    let (sign, ink) = match result.result {
        CaseOutcome::Pass => ("✔", Ink::Good),
        CaseOutcome::Fail => ("✘", Ink::Bad),
        CaseOutcome::Skip => ("↷", Ink::Faint),
        CaseOutcome::Unknown => ("?", Ink::Odd),
    };
    let mut aside = String::new();
    if let Some(measurement) = result.measurement {
        aside = format!(
            "{measurement} {}",
            result.units.as_deref().unwrap_or_default()
        );
    }
    let set = result
        .set
        .as_ref()
        .map_or(String::new(), |set| format!("{set} "));
    Line::new(2, ink, format!("{sign} {} ", result.result))
        .text(format!("{} {set}{}", result.suite, result.case))
        .aside(aside)
}

fn phase_finished(
    phase: &str,
    verdict: Verdict,
    reason: &str,
    record: &serde_json::Value,
) -> Vec<Line> {
    let (sign, ink) = match verdict {
        Verdict::Pass => ("✔", Ink::Good),
        Verdict::Fail => ("✘", Ink::Bad),
        Verdict::Invalid => ("?", Ink::Odd),
        Verdict::Measured => ("•", Ink::Strong),
    };
    // What is written in the journal is this build's own record; an older one is shown without
    // numbers.
    let record: Option<LatencyRecord> = serde_json::from_value(record.clone()).ok();
    let numbers = record.as_ref().and_then(|record| {
        let totals = record.totals.as_ref()?;
        let limit = record
            .limit_us
            .map_or(String::new(), |limit| format!(", limit {limit} µs"));
        Some(format!(
            "{} samples, max {} µs{limit}",
            totals.samples, totals.max
        ))
    });
    let head = Line::new(1, ink, format!("{sign} {} {verdict}", one_line(phase)))
        .aside(numbers.unwrap_or_default());
    let why = record.map_or_else(|| reason.to_owned(), |record| record.sentence());
    match verdict {
        Verdict::Pass => vec![head],
        _ => vec![head, Line::new(2, Ink::Plain, "").text(&why)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(body: &EventBody) -> Line {
        let mut lines = lines(body, |suite| suite == "0_idle");
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }

    #[test]
    fn attempts_are_numbered_from_the_second() {
        let mut body = EventBody::ActionStarted {
            level: "2".into(),
            name: "uboot-action".into(),
            attempt: 1,
            deadline: basalt_model::BootNanos(0),
        };
        assert_eq!(only(&body).head, "▶ 2 uboot-action");
        if let EventBody::ActionStarted { attempt, .. } = &mut body {
            *attempt = 2;
        }
        assert_eq!(only(&body).head, "▶ 2 uboot-action (attempt 2)");
    }

    #[test]
    fn an_unknown_power_state_is_said_to_be_one() {
        let body = EventBody::PowerOutcome {
            request: PowerRequest::Off,
            state: PowerState::Unknown,
            error: None,
        };
        let line = only(&body);
        assert_eq!(
            (line.ink, line.aside.as_str()),
            (Ink::Odd, "read back: unknown")
        );
    }

    #[test]
    fn what_a_board_says_in_a_log_line_stays_on_that_line() {
        let body = EventBody::Log {
            level: Level::Warning,
            message: "the board said \u{1b}[2J\nboo".into(),
        };
        assert_eq!(only(&body).text, "the board said  boo");
    }
}
