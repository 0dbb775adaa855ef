//! `basalt keeper`.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use basalt_console::keeper::{Ended, ServeError, serve};
use basalt_console::protocol::Status;
use basalt_console::{KeeperConfig, KeptConsole};

use crate::arguments::KeeperArguments;
use crate::exit::Exit;
use crate::keeping::{self, Keeping};
use crate::signals::Signals;
use crate::terminal::{Ink, Terminal};
use crate::{command::lab, laboratory, state, wording};

/// Runs, starts, ends or asks the keeper.
pub async fn perform(
    arguments: &KeeperArguments,
    state: Option<&Path>,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    if arguments.in_background {
        let directory = state.context("a keeper in the background needs --state")?;
        go_into_background(directory)?;
    }
    let place = find(arguments, state, &terminal)?;
    if arguments.status {
        return status(&place.state, arguments.json, &terminal).await;
    }
    if arguments.stop {
        return stop(&place.state, &terminal).await;
    }
    if arguments.detach {
        let keeping = Keeping {
            state: place.state,
            lab: arguments
                .lab
                .as_deref()
                .map(laboratory::absolute)
                .transpose()?,
            linger: arguments.linger,
        };
        let client = keeping.start_and_meet().await?;
        terminal.line(&format!(
            "console keeper {} runs in {}",
            client.pid(),
            keeping.state.display()
        ));
        return Ok(Exit::DONE);
    }
    keep(arguments, place, &terminal).await
}

/// Where a keeper works, and what it keeps.
struct Place {
    state: PathBuf,
    consoles: Vec<KeptConsole>,
}

fn find(
    arguments: &KeeperArguments,
    state: Option<&Path>,
    terminal: &Terminal,
) -> anyhow::Result<Place> {
    match (&arguments.lab, state) {
        (Some(lab), _) => {
            let lab = laboratory::open(lab, terminal)?;
            Ok(Place {
                state: state::open(state, &lab.name)?.path().to_owned(),
                consoles: lab.boards.iter().map(laboratory::kept_console).collect(),
            })
        }
        (None, Some(state)) => Ok(Place {
            state: laboratory::absolute(state)?,
            consoles: Vec::new(),
        }),
        (None, None) => Err(crate::exit::refused("say which lab with --lab")),
    }
}

async fn keep(
    arguments: &KeeperArguments,
    place: Place,
    terminal: &Terminal,
) -> anyhow::Result<Exit> {
    let mut signals = Signals::catch()?;
    let count = place.consoles.len();
    let config = KeeperConfig {
        consoles: place.consoles,
        linger: arguments.linger,
        ..KeeperConfig::new(&place.state)
    };
    terminal.note(&format!(
        "keeping {count} console{} in {}; Ctrl-C ends",
        if count == 1 { "" } else { "s" },
        place.state.display()
    ));
    let stop = async {
        signals.next().await;
    };
    match serve(config, stop).await {
        Ok(ended) => {
            terminal.note(match ended {
                Ended::Stopped => "ended by a signal; everything is on disk",
                Ended::Shutdown => "ended as asked; everything is on disk",
                Ended::Lingered => "nobody was there for long enough; everything is on disk",
            });
            Ok(Exit::DONE)
        }
        // Several may have been started at once; one is enough.
        Err(error @ ServeError::AlreadyRunning { .. }) if arguments.in_background => {
            terminal.note(&error.to_string());
            Ok(Exit::DONE)
        }
        Err(error) => Err(error.into()),
    }
}

async fn stop(state: &Path, terminal: &Terminal) -> anyhow::Result<Exit> {
    let Some(client) = keeping::meet(state, "basalt keeper").await else {
        terminal.line("no console keeper runs");
        return Ok(Exit::DONE);
    };
    let pid = client.pid();
    client
        .shutdown()
        .await
        .with_context(|| format!("console keeper {pid} does not end"))?;
    terminal.line(&format!("console keeper {pid} ends"));
    Ok(Exit::DONE)
}

async fn status(state: &Path, json: bool, terminal: &Terminal) -> anyhow::Result<Exit> {
    let Some(client) = keeping::meet(state, "basalt keeper").await else {
        match json {
            true => terminal.line("null"),
            false => terminal.line("no console keeper runs"),
        }
        return Ok(Exit::NO);
    };
    let status = client
        .status()
        .await
        .context("the console keeper does not say how it is")?;
    match json {
        true => terminal.line(&serde_json::to_string_pretty(&status)?),
        false => terminal.write(&show(&status, terminal)),
    }
    Ok(Exit::DONE)
}

fn show(status: &Status, terminal: &Terminal) -> String {
    let mut text = format!(
        "console keeper {} in {}\n\n",
        terminal.paint(Ink::Strong, &status.pid.to_string()),
        status.state_dir.display()
    );
    let rows = status.consoles.iter().map(|(name, console)| {
        let source = &console.view.source;
        let line = match source.open {
            true => format!("open since {}", wording::utc(source.since)),
            false => format!("down: {}", source.reason),
        };
        vec![
            name.clone(),
            lab::describe(&console.source),
            wording::bytes(console.view.end),
            console.writer.clone().unwrap_or_else(|| "–".into()),
            line,
        ]
    });
    let heads = ["console", "source", "captured", "writer", "line"];
    text.push_str(&crate::columns::columns(&heads, rows.collect(), terminal));
    text
}

/// A session of its own, and a log file instead of the terminal that started it.
fn go_into_background(state: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(state).with_context(|| format!("cannot make {}", state.display()))?;
    let path = state.join(keeping::LOG);
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    rustix::stdio::dup2_stdout(&log).context("cannot write to the log")?;
    rustix::stdio::dup2_stderr(&log).context("cannot write to the log")?;
    rustix::process::setsid().context("cannot begin a session")?;
    Ok(())
}
