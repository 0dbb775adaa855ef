//! What a finished run leaves for people and programs: `console.bin`, `results.json`, `junit.xml`.
//!
//! All of it is derived from journal and console, and written again whenever it is asked for.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use basalt_console::segment;
use basalt_model::event::ActionEnd;
use basalt_model::{CaseOutcome, CaseResult, Failure, Outcome};
use basalt_report::Results;
use basalt_report::results::{CONSOLE_FILE, ConsoleResult, Gap, counted};

use crate::directory::{RunDirectory, write_durably, write_whole};
use crate::resources::Leaves;
use crate::session::chain;
use crate::state::RunState;

/// What the run comes to, given what stopped it.
pub(crate) fn outcome(state: &RunState, failure: Option<&Failure>) -> Outcome {
    let verdicts = state.phases.values().filter_map(|record| {
        serde_json::from_value(record.get("verdict").cloned().unwrap_or_default()).ok()
    });
    basalt_report::outcome(verdicts, failure, counted(&state.results))
}

/// Writes the results of a run.
pub(crate) fn write(
    directory: &RunDirectory,
    state: &RunState,
    state_directory: &Path,
    leaves: Leaves,
) -> io::Result<()> {
    let other = |error: &dyn std::error::Error| io::Error::other(chain(error));
    let events = basalt_journal::read(&directory.file("journal")).map_err(|error| other(&error))?;
    let mut results = Results::from_events(&events).map_err(|error| other(&error))?;
    if leaves == Leaves::Everything {
        results.console = Some(write_console(directory, state, state_directory)?);
    }
    results.cases = lava_cases(state);
    results.cases.extend(state.results.iter().cloned());
    let write = match leaves {
        Leaves::Everything => {
            let junit = basalt_report::junit(&results).map_err(|error| other(&error))?;
            write_durably(&directory.file("junit.xml"), junit.as_bytes())
                .map_err(|error| other(&error))?;
            write_durably
        }
        // A server makes JUnit of what it has whenever somebody asks.
        Leaves::WhatIsSent => write_whole,
    };
    // Last: whoever finds it finds the others.
    write(
        &directory.file("results.json"),
        results.to_json().as_bytes(),
    )
    .map_err(|error| other(&error))
}

/// The console's bytes of this run, lease after lease.
fn write_console(
    directory: &RunDirectory,
    state: &RunState,
    state_directory: &Path,
) -> io::Result<ConsoleResult> {
    let board = directory.record().board.as_str();
    let mut file = BufWriter::new(File::create(directory.file("console.new"))?);
    let mut gaps = Vec::new();
    let mut written = 0;
    for (index, span) in state.spans.iter().enumerate() {
        let last = index + 1 == state.spans.len();
        let to = if last { state.console_to } else { span.to };
        if index > 0 {
            gaps.push(Gap {
                offset: written,
                reason: "another lease had the board".into(),
            });
        }
        let exported = segment::export(state_directory, board, span.from, to, &mut file)
            .map_err(|error| io::Error::other(chain(&error)))?;
        gaps.extend(exported.gaps.into_iter().map(|gap| Gap {
            offset: written + (gap.offset - span.from),
            reason: gap.reason,
        }));
        written += exported.bytes;
    }
    file.flush()?;
    std::fs::rename(directory.file("console.new"), directory.file(CONSOLE_FILE))?;
    Ok(ConsoleResult {
        file: CONSOLE_FILE.into(),
        from: state.spans.first().map_or(0, |span| span.from),
        bytes: written,
        gaps,
    })
}

/// LAVA's infrastructure suite: one case an action, and `job` (facts: LAVA 2026.07, "result
/// record").
fn lava_cases(state: &RunState) -> Vec<CaseResult> {
    let case = |case: &str, passed: bool, attempt: u32| CaseResult {
        suite: "lava".into(),
        case: case.to_owned(),
        result: if passed {
            CaseOutcome::Pass
        } else {
            CaseOutcome::Fail
        },
        measurement: None,
        units: None,
        set: None,
        attempt,
        detail: None,
        reference: None,
    };
    let mut cases = vec![case(basalt_plan::plan::action::VALIDATE, true, 1)];
    cases.extend(state.actions.iter().map(|action| CaseResult {
        measurement: Some(action.duration_ms as f64 / 1000.0),
        units: Some("seconds".into()),
        detail: action.failure.as_ref().map(Failure::sentence),
        ..case(&action.name, action.end == ActionEnd::Done, action.attempt)
    }));
    if let Some((_, failure)) = &state.finished {
        let reports = state.kernel.len();
        let fatal = state.kernel.iter().any(|report| report.fatal);
        cases.push(CaseResult {
            detail: (reports > 0).then(|| format!("{reports} reports of the kernel")),
            ..case("kernel-messages", !fatal, 1)
        });
        cases.push(CaseResult {
            detail: failure
                .as_ref()
                .map(|failure| format!("{}: {}", failure.lava_error_type(), failure.sentence())),
            ..case("job", failure.is_none(), 1)
        });
    }
    cases
}
