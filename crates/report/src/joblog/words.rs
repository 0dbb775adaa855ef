//! What is said about an event in the log.

use std::fmt::{self, Write as _};
use std::time::Duration;

use basalt_model::event::{ActionEnd, Level, PowerRequest};
use basalt_model::{BootNanos, CaseResult, Event, EventBody, Failure, PowerState, Verdict};
use basalt_realtime::LatencyRecord;
use serde_json::Value;

use super::fold::LONGEST_LINE;
use super::line::LogLevel;
use crate::wording;

/// Writes the line of an event, and says of which level it is; `None` for events that say nothing
/// to people, or whose matter stands in the log already.
///
/// What comes from jobs and boards is written through [`Tame`]: the line stays one line, and cannot
/// move a cursor.
pub(super) fn of_event(event: &Event, text: &mut String) -> Option<LogLevel> {
    let mut text = Tame(text);
    // Writing to a string does not fail.
    write_event(event, &mut text).unwrap_or_default()
}

/// Adds text with what could end the line or move a cursor replaced.
pub(super) fn push_tame(text: &mut String, more: &str) {
    text.extend(
        more.chars()
            .map(|one| if one.is_control() { ' ' } else { one }),
    );
}

/// Cuts a text that is longer than a line may be. All of it stands in the journal.
pub(super) fn shorten(text: &mut String) {
    const MARK: &str = "…";
    if text.len() > LONGEST_LINE {
        let mut end = LONGEST_LINE - MARK.len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(MARK);
    }
}

/// Writes without control characters.
struct Tame<'t>(&'t mut String);

impl fmt::Write for Tame<'_> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        push_tame(self.0, more);
        Ok(())
    }
}

type Written = Result<Option<LogLevel>, fmt::Error>;

fn write_event(event: &Event, text: &mut Tame<'_>) -> Written {
    let level = match &event.body {
        // The gap stands among the console's bytes.
        EventBody::Console { .. } | EventBody::ConsoleGap { .. } => return Ok(None),
        EventBody::Accepted {
            job_name,
            board,
            device_type,
            timebase,
            ..
        } => {
            write!(text, "job {job_name:?} on board {board} ({device_type})")?;
            if let Some(timebase) = timebase {
                write!(text, ", timebase {timebase}")?;
            }
            LogLevel::Info
        }
        EventBody::LeaseGranted { epoch, .. } => {
            write!(text, "the board is held (epoch {})", epoch.0)?;
            LogLevel::Debug
        }
        EventBody::Resumed {
            downtime_ms,
            decision,
        } => resumed(*downtime_ms, decision, text)?,
        EventBody::ActionStarted {
            level,
            name,
            attempt,
            deadline,
        } => {
            write!(text, "start: {level} {name}")?;
            again(*attempt, text)?;
            let left = remaining(event.stamp.boot, *deadline);
            write!(text, ", at most {}", wording::time(left))?;
            of_step(level)
        }
        EventBody::ActionFinished { .. } => return finished_action(&event.body, text),
        EventBody::Log { level, message } => {
            text.write_str(message)?;
            match level {
                Level::Debug => LogLevel::Debug,
                Level::Info => LogLevel::Info,
                Level::Warning => LogLevel::Warning,
                Level::Error => LogLevel::Error,
            }
        }
        EventBody::ArtifactReady {
            label,
            url,
            sha256,
            bytes,
            linux_version,
        } => {
            let size = wording::bytes(*bytes);
            let digest: String = sha256.to_string().chars().take(12).collect();
            write!(text, "{label}: {size} from {url}, sha256 {digest}…")?;
            if let Some(version) = linux_version {
                write!(text, ", {version}")?;
            }
            LogLevel::Info
        }
        EventBody::Served { .. } => served(&event.body, text)?,
        EventBody::PowerIntent { request, .. } => {
            write!(text, "power {}: asking the relay", asked(*request))?;
            LogLevel::Debug
        }
        EventBody::PowerOutcome {
            request,
            state,
            error,
        } => power(*request, *state, error.as_deref(), text)?,
        EventBody::Input { text: typed } => {
            input(typed, text)?;
            LogLevel::Input
        }
        EventBody::LoaderBanner { line } => {
            write!(text, "boot loader: {line}")?;
            LogLevel::Info
        }
        EventBody::KernelBanner { line } => {
            write!(text, "kernel: {line}")?;
            LogLevel::Info
        }
        EventBody::Kernel { report, .. } => {
            let first = report.text.lines().next().unwrap_or_default();
            write!(text, "kernel {}: {first}", report.kind)?;
            match report.fatal {
                true => LogLevel::Error,
                false => LogLevel::Warning,
            }
        }
        EventBody::Signal {
            text: signal,
            from_spool,
            ..
        } => {
            write!(text, "signal: {signal}")?;
            match from_spool {
                true => {
                    text.write_str(" (lost on the console, read back from the board)")?;
                    LogLevel::Warning
                }
                false => LogLevel::Debug,
            }
        }
        EventBody::Result { result } => {
            case(result, text)?;
            LogLevel::Results
        }
        EventBody::PayloadStarted { name, attempt, .. } => {
            write!(text, "on the board: {name}")?;
            again(*attempt, text)?;
            LogLevel::Info
        }
        EventBody::RawFile {
            path,
            bytes,
            sha256,
            board_sha256,
            via,
        } => {
            write!(text, "{path}: {} over {via}, ", wording::bytes(*bytes))?;
            match sha256 == board_sha256 {
                true => {
                    text.write_str("checksum as on the board")?;
                    LogLevel::Info
                }
                false => {
                    text.write_str("checksum is not the board's")?;
                    LogLevel::Warning
                }
            }
        }
        EventBody::PhaseFinished {
            phase,
            verdict,
            reason,
            record,
            ..
        } => {
            phase_finished(phase, *verdict, reason, record, text)?;
            LogLevel::Results
        }
        EventBody::Finished {
            outcome,
            failure,
            power,
        } => {
            write!(text, "finished: {outcome}; power: {power}")?;
            match failure {
                Some(failure) => {
                    write!(text, "; {}", sentence(failure))?;
                    LogLevel::Error
                }
                None => LogLevel::Info,
            }
        }
        EventBody::Unknown { kind, .. } => {
            write!(text, "event `{kind}`, which this build does not know")?;
            LogLevel::Debug
        }
    };
    Ok(Some(level))
}

/// Blocks are for everybody, the actions in them for whoever looks closely; LAVA's loggers do so.
fn of_step(level: &str) -> LogLevel {
    match level.contains('.') {
        true => LogLevel::Debug,
        false => LogLevel::Info,
    }
}

fn again(attempt: u32, text: &mut Tame<'_>) -> fmt::Result {
    match attempt {
        0 | 1 => Ok(()),
        attempt => write!(text, " (attempt {attempt})"),
    }
}

fn remaining(now: BootNanos, deadline: BootNanos) -> Duration {
    // To the nearest second: the event was written a moment after the deadline was set.
    let nanos = deadline.0.saturating_sub(now.0);
    Duration::from_secs(nanos.saturating_add(500_000_000) / 1_000_000_000)
}

/// The sentence without its full stop, to go on after it.
fn sentence(failure: &Failure) -> String {
    let mut sentence = failure.sentence();
    if sentence.ends_with('.') {
        sentence.pop();
    }
    sentence
}

fn resumed(
    downtime_ms: Option<u64>,
    decision: &str,
    text: &mut Tame<'_>,
) -> Result<LogLevel, fmt::Error> {
    match downtime_ms {
        Some(downtime) => {
            let gone = wording::time(Duration::from_millis(downtime));
            write!(text, "resumed after {gone}")?;
        }
        None => text.write_str("resumed after a restart of the host")?,
    }
    let how = match decision {
        "reattach" => "the board may still be as it was left",
        "redo" => "somebody else had the board meanwhile",
        other => other,
    };
    write!(text, ": {how}")?;
    Ok(LogLevel::Warning)
}

fn finished_action(body: &EventBody, text: &mut Tame<'_>) -> Written {
    let EventBody::ActionFinished {
        level,
        name,
        attempt,
        end,
        duration_ms,
        failure,
    } = body
    else {
        return Ok(None);
    };
    write!(text, "end: {level} {name}")?;
    again(*attempt, text)?;
    let took = wording::time(Duration::from_millis(*duration_ms));
    Ok(Some(match end {
        ActionEnd::Done => {
            write!(text, ", after {took}")?;
            of_step(level)
        }
        ActionEnd::Failed => {
            write!(text, ", failed after {took}")?;
            if let Some(failure) = failure {
                // A block says the same as the action in it; once with all evidence is enough.
                match level.contains('.') {
                    true => write!(text, ": {}", sentence(failure))?,
                    false => write!(text, ": {}", failure.message)?,
                }
            }
            LogLevel::Error
        }
    }))
}

fn served(body: &EventBody, text: &mut Tame<'_>) -> Result<LogLevel, fmt::Error> {
    if let EventBody::Served {
        protocol,
        name,
        bytes,
        duration_ms,
        retransmits,
    } = body
    {
        // Boot roots have unguessable names; the file's own name is what tells.
        let file = name.rsplit('/').next().unwrap_or(name);
        let size = wording::bytes(*bytes);
        let took = wording::time(Duration::from_millis(*duration_ms));
        write!(text, "{protocol}: {file}, {size} in {took}")?;
        if let Some(rate) = bytes.saturating_mul(1000).checked_div(*duration_ms) {
            write!(text, " ({}/s)", wording::bytes(rate))?;
        }
        if *retransmits > 0 {
            write!(text, ", {retransmits} blocks sent again")?;
        }
    }
    Ok(LogLevel::Info)
}

fn asked(request: PowerRequest) -> &'static str {
    match request {
        PowerRequest::On => "on",
        PowerRequest::Off => "off",
        PowerRequest::Cycle => "cycle",
    }
}

fn power(
    request: PowerRequest,
    state: PowerState,
    error: Option<&str>,
    text: &mut Tame<'_>,
) -> Result<LogLevel, fmt::Error> {
    write!(text, "power {}", asked(request))?;
    match error {
        Some(error) => {
            write!(text, " failed: {error}; read back: {state}")?;
            Ok(LogLevel::Error)
        }
        None => {
            write!(text, "; read back: {state}")?;
            Ok(match state {
                PowerState::Unknown => LogLevel::Warning,
                _ => LogLevel::Info,
            })
        }
    }
}

/// What was typed, without the newline at its end; keys that have no letter by their escapes, and
/// in quotes where nothing else would be seen.
fn input(typed: &str, text: &mut Tame<'_>) -> fmt::Result {
    let line = typed.trim_end_matches(['\r', '\n']);
    if line.trim().is_empty() {
        return write!(text, "{typed:?}");
    }
    for character in line.chars() {
        match character.is_control() {
            true => write!(text, "{}", character.escape_default())?,
            false => text.write_char(character)?,
        }
    }
    Ok(())
}

fn case(result: &CaseResult, text: &mut Tame<'_>) -> fmt::Result {
    write!(text, "{}: {}", result.result, result.suite)?;
    if let Some(set) = &result.set {
        write!(text, " {set}")?;
    }
    write!(text, " {}", result.case)?;
    if let Some(measurement) = result.measurement {
        let units = result.units.as_deref().unwrap_or_default();
        write!(text, " = {measurement}")?;
        if !units.is_empty() {
            write!(text, " {units}")?;
        }
    }
    if let Some(detail) = &result.detail {
        write!(text, " ({detail})")?;
    }
    Ok(())
}

fn phase_finished(
    phase: &str,
    verdict: Verdict,
    reason: &str,
    record: &Value,
    text: &mut Tame<'_>,
) -> fmt::Result {
    write!(text, "{verdict}: measurement {phase}")?;
    // An older release's record may not be readable as this one's; its reason always is.
    let record = <LatencyRecord as serde::Deserialize>::deserialize(record).ok();
    if let Some(totals) = record.as_ref().and_then(|record| record.totals.as_ref()) {
        write!(text, ", {} samples, max {} µs", totals.samples, totals.max)?;
    }
    if let Some(limit) = record.as_ref().and_then(|record| record.limit_us) {
        write!(text, ", limit {limit} µs")?;
    }
    if verdict != Verdict::Pass {
        let why = record.map_or_else(|| reason.to_owned(), |record| record.sentence());
        write!(text, ": {why}")?;
    }
    Ok(())
}
