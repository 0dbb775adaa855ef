//! `basalt dispatchers`.

use basalt_api::{Dispatcher, ModeChange};
use basalt_model::{DispatcherMode, DispatcherName};

use super::{ago, connect, print_json};
use crate::arguments::{DispatchersArguments, DispatchersVerb};
use crate::exit::{Exit, refused};
use crate::terminal::Terminal;

/// Lists the dispatchers, or changes one.
pub async fn dispatchers(
    arguments: &DispatchersArguments,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    match &arguments.verb {
        None => {
            let dispatchers = client.dispatchers().await?;
            if arguments.server.json {
                print_json(&terminal, &dispatchers)?;
            } else {
                let rows = dispatchers.iter().map(row).collect();
                let heads = ["dispatcher", "state", "mode", "boards", "runs", "heard", ""];
                terminal.write(&crate::columns::columns(&heads, rows, &terminal));
            }
        }
        Some(DispatchersVerb::Add { name }) => {
            let token = client.add_dispatcher(&DispatcherName::new(name)).await?;
            // It is a file's content, whoever reads it.
            print_json(&terminal, &token)?;
            terminal.note(&format!(
                "keep it as a file that only its owner can read; on the dispatcher's host:\n  \
                 basalt dispatch --server {} --token-file FILE",
                client.server()
            ));
        }
        Some(DispatchersVerb::Mode { name, mode, reason }) => {
            let mode: DispatcherMode = mode.parse().map_err(|_| {
                refused(format!(
                    "{mode:?} is no mode; there are active, maintenance, retired"
                ))
            })?;
            let change = ModeChange {
                mode,
                reason: reason.clone(),
            };
            let dispatcher = client
                .dispatcher_mode(&DispatcherName::new(name), &change)
                .await?;
            if arguments.server.json {
                print_json(&terminal, &dispatcher)?;
            } else {
                terminal.line(&format!("{} is {} now", dispatcher.name, dispatcher.mode));
            }
        }
    }
    Ok(Exit::DONE)
}

fn row(dispatcher: &Dispatcher) -> Vec<String> {
    vec![
        dispatcher.name.to_string(),
        dispatcher.state.to_string(),
        dispatcher.mode.to_string(),
        dispatcher.boards.to_string(),
        dispatcher.runs.to_string(),
        dispatcher
            .heard_utc_us
            .map_or_else(|| "never".to_owned(), ago),
        dispatcher.problems.join("; "),
    ]
}
