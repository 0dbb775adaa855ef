//! `basalt check`.

use basalt_job::{Options, Reading as JobReading};

use crate::arguments::CheckArguments;
use crate::exit::Exit;
use crate::laboratory::Reading;
use crate::terminal::{Ink, Terminal};

/// Checks job files, all of them to their end.
pub fn perform(arguments: &CheckArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let mut reading = Reading::default();
    let options = Options {
        reading: match arguments.strict {
            true => JobReading::Strict,
            false => JobReading::Lax,
        },
        ..Options::default()
    };
    let mut good = Vec::new();
    let mut unreadable = false;
    for path in &arguments.files {
        match reading.job_with(path, &options) {
            Ok(Some(job)) => {
                // Whoever checks without a board still wants to know what no board will run.
                job.definition.warn_of_refusals(&mut reading.diagnostics);
                good.push((path, job.definition));
            }
            Ok(None) => {}
            // The others are looked at all the same.
            Err(error) => {
                terminal.say_error(&error);
                unreadable = true;
            }
        }
    }
    if arguments.json {
        let list = reading.diagnostics.to_json(&reading.sources);
        terminal.line(&serde_json::to_string_pretty(&list)?);
    } else {
        terminal.write(&reading.render(terminal.color));
        for (path, job) in good {
            let blocks = match job.actions.len() {
                1 => "1 block".to_owned(),
                count => format!("{count} blocks"),
            };
            let limit = basalt_yaml::format_duration(job.timeouts.job.duration);
            let name = crate::terminal::one_line(&job.job_name);
            terminal.line(&format!(
                "{} {}: {name:?}, {blocks}, at most {limit}",
                terminal.paint(Ink::Good, "✔"),
                path.display()
            ));
        }
        if !reading.diagnostics.is_empty() {
            let ink = if reading.diagnostics.has_errors() {
                Ink::Bad
            } else {
                Ink::Odd
            };
            terminal.line(&terminal.paint(ink, &reading.count()));
        }
    }
    let refused = unreadable || reading.diagnostics.has_errors();
    Ok(if refused { Exit::NO } else { Exit::DONE })
}
