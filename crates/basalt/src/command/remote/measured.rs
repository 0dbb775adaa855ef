//! `basalt results ID`, `basalt latency ID`.

use basalt_api::{Latency, RunResults};
use basalt_model::CaseOutcome;
use basalt_report::{histogram, identity, overlay, table};

use super::{connect, print_json, run_of};
use crate::arguments::LatencyArguments;
use crate::exit::Exit;
use crate::terminal::{Ink, Terminal, one_line};

/// Rows of bars in a histogram.
const HEIGHT: usize = 10;
/// More cases than these are counted, unless they are asked for.
const CASES: usize = 20;

/// Shows the measurements of a job's last run.
pub async fn latency(arguments: &LatencyArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let run = run_of(&client, arguments.job).await?;
    let latency = client.latency(run).await?;
    if arguments.server.json {
        print_json(&terminal, &latency)?;
    } else if latency.records.is_empty() {
        terminal.note(&format!("job {} has measured nothing", arguments.job));
    } else {
        terminal.write(&drawings(&latency, &terminal));
    }
    Ok(Exit::DONE)
}

/// Shows every case of a job's last run.
pub async fn results(
    job: i64,
    server: Option<&str>,
    json: bool,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    let client = connect(server)?;
    let run = run_of(&client, job).await?;
    let results = client.results(run).await?;
    if json {
        print_json(&terminal, &results)?;
        return Ok(Exit::DONE);
    }
    let rows: Vec<Vec<String>> = results
        .cases
        .iter()
        .filter(|case| case.counted)
        .map(|case| {
            let measurement = case.measurement.map_or_else(String::new, |number| {
                format!("{number} {}", case.units.as_deref().unwrap_or_default())
            });
            vec![
                case.suite.clone(),
                case.case.clone(),
                case.result.to_string(),
                measurement.trim_end().to_owned(),
                case.detail.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let heads = ["suite", "case", "result", "measured", ""];
    terminal.write(&crate::columns::columns(&heads, rows, &terminal));
    let counts = &results.counts;
    terminal.line(&format!(
        " {} pass, {} fail, {} skip, {} unknown",
        counts.pass, counts.fail, counts.skip, counts.unknown
    ));
    Ok(Exit::DONE)
}

/// Evidence, histograms and the table of a run's measurements.
pub fn drawings(latency: &Latency, terminal: &Terminal) -> String {
    let records = &latency.records;
    if records.is_empty() {
        return String::new();
    }
    let style = terminal.report_style();
    let mut text = String::from("\n");
    let mut told: Vec<String> = Vec::new();
    for record in records {
        let words = identity(record, style);
        if !told.contains(&words) {
            text.push_str(&words);
            told.push(words);
        }
    }
    text.push('\n');
    let board = latency.board.as_str();
    match records.as_slice() {
        [first, second] => text.push_str(&overlay((board, first), (board, second), style, HEIGHT)),
        records => {
            for record in records {
                text.push_str(&histogram(record, style, HEIGHT));
                text.push('\n');
            }
        }
    }
    text.push('\n');
    text.push_str(&table(records, style));
    text.push('\n');
    text
}

/// How the tests' own cases went: counted, those that failed by name.
pub fn cases(results: &RunResults, latency: &Latency, terminal: &Terminal) -> String {
    let measured = |suite: &str| latency.records.iter().any(|record| record.suite == suite);
    let own: Vec<_> = results
        .cases
        .iter()
        .filter(|case| case.counted && case.suite != "lava" && !measured(&case.suite))
        .collect();
    if own.is_empty() {
        return String::new();
    }
    let of = |outcome: CaseOutcome| own.iter().filter(move |case| case.result == outcome);
    let counts: Vec<String> = CaseOutcome::ALL
        .iter()
        .map(|outcome| (outcome, of(*outcome).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    let mut text = format!(" test cases: {}\n", counts.join(", "));
    for case in of(CaseOutcome::Fail).take(CASES) {
        let detail = case
            .detail
            .as_ref()
            .map_or_else(String::new, |detail| format!(": {detail}"));
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
