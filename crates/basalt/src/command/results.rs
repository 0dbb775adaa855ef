//! `basalt results`.

use basalt_report::Results;

use crate::arguments::ResultsArguments;
use crate::ending;
use crate::exit::{Exit, refused};
use crate::terminal::Terminal;

/// Shows a run's results again.
pub fn perform(arguments: &ResultsArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let directory = &arguments.directory;
    let results = match ending::read(directory) {
        Ok(results) => results,
        // Not finished: as far as the journal goes.
        Err(_) if directory.join("journal").exists() => {
            let events = basalt_journal::read(&directory.join("journal"))?;
            terminal.note("this run is not finished; `basalt run --resume` goes on with it");
            Results::from_events(&events)?
        }
        Err(error) => {
            return Err(refused(format!(
                "{} is not a run's directory: {error:#}",
                directory.display()
            )));
        }
    };
    terminal.write(&ending::text(&results, directory, &terminal));
    Ok(Exit::DONE)
}
