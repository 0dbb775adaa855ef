//! What a run came to, from its `results.json`.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use basalt_model::event::ActionEnd;
use basalt_model::{CaseOutcome, Outcome, Verdict};
use basalt_realtime::LatencyRecord;
use basalt_report::{Results, histogram, identity, overlay, table};

use crate::terminal::{Ink, Terminal, one_line};
use crate::wording;

/// Rows of bars in a histogram.
const HEIGHT: usize = 10;
/// More failed cases than these are counted.
const CASES: usize = 20;

/// Reads the results of a run.
pub fn read(directory: &Path) -> anyhow::Result<Results> {
    let path = directory.join("results.json");
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
}

/// Everything that people want to know at the end: times, evidence, histograms, table, and last
/// what it came to, because the last line is what is seen.
pub fn text(results: &Results, directory: &Path, terminal: &Terminal) -> String {
    let mut sections = vec![heading(results, terminal), blocks(results, terminal)];
    let phases = &results.phases;
    sections.push(identities(phases, terminal));
    sections.push(drawings(results, terminal));
    if !phases.is_empty() {
        sections.push(table(phases, terminal.report_style()));
    }
    sections.push(cases(results, terminal));
    sections.push(outcome(results, directory, terminal));
    sections.retain(|section| !section.is_empty());
    format!("\n{}", sections.join("\n"))
}

/// Several runs beside each other: of each what it was and its table, then the histograms of the
/// first two over each other, for the first phase that both have.
pub fn comparison(runs: &[(&Path, Results)], terminal: &Terminal) -> String {
    let style = terminal.report_style();
    let mut sections: Vec<String> = runs
        .iter()
        .map(|(directory, results)| {
            format!(
                "{}{}{}",
                heading(results, terminal),
                table(&results.phases, style),
                outcome(results, directory, terminal)
            )
        })
        .collect();
    if let [(_, first), (_, second), ..] = runs {
        let pair = first.phases.iter().find_map(|one| {
            let other = second
                .phases
                .iter()
                .find(|other| other.phase == one.phase)?;
            Some((one, other))
        });
        if let Some((one, other)) = pair {
            let names = names(&runs[0], &runs[1]);
            sections.push(overlay((&names.0, one), (&names.1, other), style, HEIGHT));
        }
    }
    format!("\n{}", sections.join("\n"))
}

/// What tells two runs apart: their boards, or their directories where the board is the same.
fn names(first: &(&Path, Results), second: &(&Path, Results)) -> (String, String) {
    let board = |run: &(&Path, Results)| run.1.board.name.to_string();
    if board(first) != board(second) {
        return (board(first), board(second));
    }
    let last = |run: &(&Path, Results)| {
        run.0
            .file_name()
            .map_or_else(|| board(run), |name| name.to_string_lossy().into_owned())
    };
    if last(first) != last(second) {
        return (last(first), last(second));
    }
    (
        first.0.display().to_string(),
        second.0.display().to_string(),
    )
}

fn heading(results: &Results, terminal: &Terminal) -> String {
    format!(
        " {} on {} ({})\n",
        terminal.paint(Ink::Strong, &one_line(&results.job.name)),
        terminal.paint(Ink::Strong, results.board.name.as_str()),
        one_line(&results.board.device_type),
    )
}

/// Wall time a block: all attempts together, as their actions were timed.
fn blocks(results: &Results, terminal: &Terminal) -> String {
    let mut blocks: Vec<Block> = Vec::new();
    for action in &results.actions {
        if action.level.contains('.') {
            continue;
        }
        let time = action.duration_ms.map(Duration::from_millis);
        match blocks.iter_mut().find(|block| block.level == action.level) {
            Some(block) => {
                block.attempts += 1;
                block.end = action.end;
                block.time += time.unwrap_or_default();
                block.whole &= time.is_some();
            }
            None => blocks.push(Block {
                level: &action.level,
                name: &action.name,
                attempts: 1,
                end: action.end,
                time: time.unwrap_or_default(),
                whole: time.is_some(),
            }),
        }
    }
    let width = blocks.iter().map(|block| block.name.chars().count()).max();
    let mut text = String::new();
    for block in &blocks {
        let sign = match block.end {
            Some(ActionEnd::Done) => terminal.paint(Ink::Good, "✔"),
            Some(_) => terminal.paint(Ink::Bad, "✘"),
            None => terminal.paint(Ink::Odd, "…"),
        };
        let attempts = match block.attempts {
            1 => String::new(),
            attempts => terminal.paint(Ink::Faint, &format!("  {attempts} attempts")),
        };
        // The time of an attempt that was cut off is not known.
        let about = if block.whole { " " } else { ">" };
        text.push_str(&format!(
            " {sign} {} {:width$} {:>13}{attempts}\n",
            one_line(block.level),
            one_line(block.name),
            format!("{about}{}", wording::time(block.time)),
            width = width.unwrap_or(0),
        ));
    }
    if let Some(finished) = results.finished_utc_us {
        let micros = finished.0.saturating_sub(results.started_utc_us.0).max(0) as u64;
        let again = match results.resumed {
            0 => String::new(),
            1 => ", resumed once".to_owned(),
            count => format!(", resumed {count} times"),
        };
        let all = format!(
            "   {:width$} {:>15}{again}",
            "in all",
            wording::time(Duration::from_micros(micros)),
            width = width.unwrap_or(0),
        );
        text.push_str(&terminal.paint(Ink::Faint, &all));
        text.push('\n');
    }
    text
}

struct Block<'r> {
    level: &'r str,
    name: &'r str,
    attempts: u32,
    end: Option<ActionEnd>,
    time: Duration,
    whole: bool,
}

/// The kernel, the evidence and the clock: once where all phases agree.
fn identities(phases: &[LatencyRecord], terminal: &Terminal) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for record in phases {
        let text = identity(record, terminal.report_style());
        match groups.iter_mut().find(|(known, _)| *known == text) {
            Some((_, names)) => names.push(one_line(&record.phase)),
            None => groups.push((text, vec![one_line(&record.phase)])),
        }
    }
    let several = groups.len() > 1;
    groups
        .into_iter()
        .map(|(text, names)| match several {
            true => format!(
                " {}\n{text}",
                terminal.paint(Ink::Strong, &names.join(", "))
            ),
            false => text,
        })
        .collect()
}

fn drawings(results: &Results, terminal: &Terminal) -> String {
    let style = terminal.report_style();
    let board = results.board.name.as_str();
    match results.phases.as_slice() {
        [first, second] => overlay((board, first), (board, second), style, HEIGHT),
        phases => {
            let drawn: Vec<String> = phases
                .iter()
                .map(|record| histogram(record, style, HEIGHT))
                .collect();
            drawn.join("\n")
        }
    }
}

/// How the tests' cases went: counted, those that failed by name.
fn cases(results: &Results, terminal: &Terminal) -> String {
    let phases: Vec<&str> = results
        .phases
        .iter()
        .map(|phase| phase.suite.as_str())
        .collect();
    let counted: Vec<_> = results
        .counted_cases()
        .into_iter()
        .filter(|case| case.suite != "lava" && !phases.contains(&case.suite.as_str()))
        .collect();
    if counted.is_empty() {
        return String::new();
    }
    let of = |outcome: CaseOutcome| counted.iter().filter(move |case| case.result == outcome);
    let counts: Vec<String> = [
        CaseOutcome::Pass,
        CaseOutcome::Fail,
        CaseOutcome::Skip,
        CaseOutcome::Unknown,
    ]
    .into_iter()
    .map(|outcome| (outcome, of(outcome).count()))
    .filter(|(_, count)| *count > 0)
    .map(|(outcome, count)| format!("{count} {outcome}"))
    .collect();
    let mut text = format!(" test cases: {}\n", counts.join(", "));
    for case in of(CaseOutcome::Fail).take(CASES) {
        let detail = case
            .detail
            .as_ref()
            .map_or(String::new(), |detail| format!(": {detail}"));
        text.push_str(&format!(
            "   {} {}\n",
            terminal.paint(Ink::Bad, "✘"),
            one_line(&format!("{} {}{detail}", case.suite, case.case))
        ));
    }
    let hidden = of(CaseOutcome::Fail).count().saturating_sub(CASES);
    if hidden > 0 {
        text.push_str(&format!("   and {hidden} more\n"));
    }
    text
}

fn outcome(results: &Results, directory: &Path, terminal: &Terminal) -> String {
    let (sign, ink) = match results.outcome {
        Outcome::Pass => ("✔", Ink::Good),
        Outcome::Fail => ("✘", Ink::Bad),
        Outcome::Invalid => ("?", Ink::Odd),
        Outcome::Incomplete => ("✘", Ink::Bad),
        Outcome::Canceled => ("■", Ink::Odd),
    };
    let unfinished = results.finished_utc_us.is_none();
    let mut text = String::new();
    for report in results.kernel_reports.iter().take(3) {
        let ink = if report.fatal { Ink::Bad } else { Ink::Odd };
        let first = one_line(report.text.lines().next().unwrap_or_default());
        let head = terminal.paint(ink, &format!("kernel {}:", one_line(&report.kind)));
        text.push_str(&format!(" {head} {first}\n"));
    }
    let head = match unfinished {
        true => terminal.paint(Ink::Odd, "… not finished"),
        false => terminal.paint(ink, &format!("{sign} {}", results.outcome)),
    };
    let why = match (&results.failure, results.outcome) {
        (Some(failure), _) => one_line(&failure.sentence()),
        (None, Outcome::Fail | Outcome::Invalid) => reasons(results),
        (None, _) => String::new(),
    };
    // A canceled job's sentence begins with the word that stands there already.
    let why = why
        .strip_prefix(&format!("{}: ", results.outcome))
        .unwrap_or(&why);
    let gap = if why.is_empty() { "" } else { "  " };
    text.push_str(&format!(" {head}{gap}{why}\n"));
    if !unfinished {
        text.push_str(&format!(" board {}\n", power(results, terminal)));
    }
    let shown = directory.display();
    let line = match unfinished {
        true => format!(" journal {shown}/journal"),
        false => format!(" results {shown}/results.json, junit.xml, console.bin, raw/"),
    };
    text.push_str(&terminal.paint(Ink::Faint, &line));
    text.push('\n');
    text
}

fn power(results: &Results, terminal: &Terminal) -> String {
    use basalt_model::PowerState;
    match results.power {
        PowerState::Off => "off, read back from its relay".to_owned(),
        PowerState::On => terminal.paint(Ink::Bad, "still on, says its relay"),
        PowerState::Unknown => terminal.paint(
            Ink::Odd,
            "power unknown: its relay did not say after switching off",
        ),
    }
}

/// Why a run is not good, in the words of its phases and cases; first what made it what it is.
fn reasons(results: &Results) -> String {
    let of = |verdict: Verdict| {
        results
            .phases
            .iter()
            .filter(move |record| record.verdict == verdict)
            .map(|record| one_line(&format!("{} ({})", record.sentence(), record.phase)))
    };
    let phases: Vec<&str> = results
        .phases
        .iter()
        .map(|phase| phase.suite.as_str())
        .collect();
    let failed = results
        .counted_cases()
        .into_iter()
        .filter(|case| case.suite != "lava" && !phases.contains(&case.suite.as_str()))
        .filter(|case| case.result == CaseOutcome::Fail)
        .count();
    let failed = match failed {
        0 => None,
        1 => Some("1 test case failed".to_owned()),
        count => Some(format!("{count} test cases failed")),
    };
    let reasons: Vec<String> = of(Verdict::Fail)
        .chain(failed)
        .chain(of(Verdict::Invalid))
        .collect();
    // The notes below the table tell of all of them.
    match reasons.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first, others @ ..] => format!("{first}; and {} more", others.len()),
    }
}
