//! `basalt dispatch`.

mod keepers;

use std::path::{Path, PathBuf};

use anyhow::Context;
use basalt_api::DispatcherToken;
use basalt_dispatcher::{DispatcherConfig, DispatcherError, Retention, StopMode, Tempo};
use basalt_link::{Dialer, Endpoint, Token, Trust};
use tokio::sync::watch;

use crate::arguments::DispatchArguments;
use crate::exit::{Exit, refused};
use crate::keeping::Keeping;
use crate::laboratory;
use crate::serving::{notify, token_file};
use crate::signals::{Ask, Signals, StopHow, next_stop};
use crate::state;
use crate::terminal::Terminal;
use keepers::Keepers;

/// Runs a dispatcher until it is told to stop.
pub async fn perform(
    arguments: &DispatchArguments,
    state: Option<&Path>,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    let mut signals = Signals::catch_with_drain()?;
    let (config, keepers) = prepare(arguments, state)?;
    terminal.note(&format!(
        "dispatcher {} for {} in {}; Ctrl-C ends its runs, SIGTERM lets them go on",
        config.name,
        config.server.endpoint(),
        config.state.display()
    ));
    let stop = watch::Sender::new(None);
    let running = basalt_dispatcher::run(config, stop.subscribe());
    tokio::pin!(running);
    notify::notify(notify::READY);
    let mut told = None;
    loop {
        tokio::select! {
            ended = running.as_mut() => {
                if matches!(ended, Ok(StopMode::End) | Err(DispatcherError::Refused { .. })) {
                    keepers.end().await;
                }
                return finish(ended, &terminal);
            }
            ask = signals.next() => {
                let wanted = arguments.on_stop.unwrap_or(match ask {
                    Ask::Interrupt => StopHow::End,
                    Ask::Terminate | Ask::Hangup | Ask::Drain => StopHow::Detach,
                });
                let Some(how) = next_stop(told, ask, wanted) else {
                    terminal.note("ended at once; boards stay as they are, runs go on at the next start");
                    std::process::exit(Exit::signal(ask.number()));
                };
                told = Some(how);
                notify::notify(notify::STOPPING);
                let mode = match how {
                    StopHow::End => {
                        terminal.note(
                            "ending runs and switching boards off; Ctrl-C again ends at once",
                        );
                        StopMode::End
                    }
                    StopHow::Drain => {
                        terminal.note(
                            "no new runs; waiting for those that go on (Ctrl-C ends them)",
                        );
                        StopMode::Drain
                    }
                    StopHow::Detach => StopMode::Detach,
                };
                // The dispatcher may have ended in this moment.
                let _ = stop.send(Some(mode));
            }
        }
    }
}

fn finish(ended: Result<StopMode, DispatcherError>, terminal: &Terminal) -> anyhow::Result<Exit> {
    match ended? {
        StopMode::End => terminal.note("ended: no run goes on, boards are off"),
        StopMode::Drain => terminal.note("ended: every run has finished"),
        StopMode::Detach => terminal.note("ended: boards go on, runs at the next start"),
    }
    Ok(Exit::DONE)
}

fn prepare(
    arguments: &DispatchArguments,
    state: Option<&Path>,
) -> anyhow::Result<(DispatcherConfig, Keepers)> {
    let endpoint: Endpoint = arguments
        .server
        .parse()
        .map_err(|error: basalt_link::EndpointError| refused(error.to_string()))?;
    let DispatcherToken {
        dispatcher: name,
        token,
        certificate_sha256,
        ..
    } = token_file::read(&arguments.token_file)?;
    let trust = match (certificate_sha256, &arguments.authorities) {
        // Whoever names authorities knows better than the file.
        (_, Some(path)) => Trust::Authorities(path.clone()),
        (Some(digest), None) => Trust::Pin(digest.parse().map_err(|_| {
            refused(format!(
                "{}: certificate_sha256 is no SHA-256",
                arguments.token_file.display()
            ))
        })?),
        (None, None) => Trust::System,
    };
    let token = Token::new(&token).ok_or_else(|| {
        refused(format!(
            "{}: there is no token in it",
            arguments.token_file.display()
        ))
    })?;
    let server = Dialer::new(endpoint, token, &trust)
        .map_err(|error| refused(crate::keeping::chain(&error)))?;
    let state = directory(state, name.as_str())?;
    let keepers = Keepers::new(Keeping {
        state: state.clone(),
        lab: None,
        // It captures consoles also while no dispatcher runs, for as long as that may be.
        linger: None,
    });
    let config = DispatcherConfig {
        state,
        name,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        server,
        keeper: keepers.restart(),
        retention: Retention::default(),
        tempo: Tempo::default(),
    };
    Ok((config, keepers))
}

/// Where the dispatcher keeps its state: which lab it works for it learns from its server, so that
/// without a wish the directory has the dispatcher's name.
fn directory(asked_for: Option<&Path>, name: &str) -> anyhow::Result<PathBuf> {
    let directory = state::directory(asked_for, &format!("dispatcher-{name}"))?;
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    laboratory::absolute(&directory)
}
