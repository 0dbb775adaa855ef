//! `basalt config`.

use std::path::Path;

use crate::arguments::{ConfigArguments, ConfigCheckArguments, ConfigVerb};
use crate::columns::columns;
use crate::configuration::{self, EXAMPLE, Origin};
use crate::exit::Exit;
use crate::terminal::{Ink, Terminal};

/// Checks the settings, or prints an example.
pub fn perform(
    arguments: &ConfigArguments,
    state: Option<&Path>,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    match &arguments.verb {
        ConfigVerb::Check(verb) => check(verb, state, &terminal),
        ConfigVerb::Example(_) => {
            terminal.write(EXAMPLE);
            Ok(Exit::DONE)
        }
    }
}

fn check(
    arguments: &ConfigCheckArguments,
    state: Option<&Path>,
    terminal: &Terminal,
) -> anyhow::Result<Exit> {
    let reading = configuration::read(&arguments.settings, state, &|name| std::env::var_os(name))?;
    if arguments.json {
        let list = reading.diagnostics.to_json(&reading.sources);
        terminal.line(&serde_json::to_string_pretty(&list)?);
    } else {
        terminal.write(&reading.diagnostics.render(&reading.sources, terminal.color));
        if let Some(configuration) = &reading.configuration {
            let rows = configuration.rows().into_iter();
            let rows = rows.map(|(name, value, origin)| {
                let from = match origin {
                    Origin::Default => "–".to_owned(),
                    origin => reading.origin(origin),
                };
                vec![name.to_owned(), value, from]
            });
            let heads = ["setting", "holds", "said by"];
            terminal.write(&columns(&heads, rows.collect(), terminal));
            let file = match &reading.path {
                Some(path) => format!("the settings hold; {} was read", path.display()),
                None => "the settings hold; no file was read".to_owned(),
            };
            terminal.line("");
            terminal.line(&terminal.paint(Ink::Good, &file));
        }
    }
    Ok(match reading.configuration {
        Some(_) => Exit::DONE,
        None => Exit::NO,
    })
}
