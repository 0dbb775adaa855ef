//! `basalt results`.

use std::path::Path;

use basalt_report::Results;

use super::remote;
use crate::arguments::ResultsArguments;
use crate::ending;
use crate::exit::{Exit, refused};
use crate::terminal::Terminal;

/// Shows a run's results again; of several runs, their tables and the first two's histograms of
/// the same phase over each other. A number that is no directory is a job of the server.
pub async fn perform(arguments: &ResultsArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    if let [only] = arguments.runs.as_slice()
        && !only.exists()
        && let Some(job) = only.to_str().and_then(|text| text.parse().ok())
    {
        let server = arguments.server.server.as_deref();
        return remote::results(job, server, arguments.server.json, terminal).await;
    }
    let mut runs = Vec::new();
    for directory in &arguments.runs {
        runs.push((directory.as_path(), read(directory, terminal)?));
    }
    if arguments.server.json {
        let documents: Vec<&Results> = runs.iter().map(|(_, results)| results).collect();
        terminal.line(&serde_json::to_string_pretty(&documents)?);
        return Ok(Exit::DONE);
    }
    let text = match runs.as_slice() {
        [(directory, results)] => ending::text(results, directory, &terminal),
        several => ending::comparison(several, &terminal),
    };
    terminal.write(&text);
    Ok(Exit::DONE)
}

fn read(directory: &Path, terminal: Terminal) -> anyhow::Result<Results> {
    match ending::read(directory) {
        Ok(results) => Ok(results),
        // Not finished: as far as the journal goes.
        Err(_) if directory.join("journal").exists() => {
            let events = basalt_journal::read(&directory.join("journal"))?;
            terminal.note(&format!(
                "the run in {0} is not finished; `basalt run --resume {0}` goes on with it",
                directory.display()
            ));
            Ok(Results::from_events(&events)?)
        }
        Err(error) => Err(refused(format!(
            "{} is not a run's directory: {error:#}",
            directory.display()
        ))),
    }
}
