//! `basalt dispatch`.

mod keepers;

use std::path::{Path, PathBuf};

use anyhow::Context;
use basalt_api::DispatcherToken;
use basalt_dispatcher::{
    DispatcherConfig, DispatcherError, InForce, LinkNews, Listener, Retention, StopMode, Tempo,
};
use basalt_link::{Dialer, Endpoint, Token, Trust};
use basalt_model::{BoardName, DispatcherName};
use tokio::sync::watch;

use crate::arguments::DispatchArguments;
use crate::exit::{Exit, refused};
use crate::keeping::Keeping;
use crate::laboratory;
use crate::serving::greeting::timed;
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
    let (config, keepers) = prepare(arguments, state, terminal)?;
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
    terminal: Terminal,
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
    let listener = Listener::new({
        let (name, server) = (name.clone(), server.endpoint().to_string());
        move |news| terminal.note(&timed(&heard(&name, &server, &news)))
    });
    let config = DispatcherConfig {
        state,
        name,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        server,
        keeper: keepers.restart(),
        retention: Retention::default(),
        tempo: Tempo::default(),
        listener,
    };
    Ok((config, keepers))
}

/// What happened to the link, in a line.
fn heard(name: &DispatcherName, server: &str, news: &LinkNews) -> String {
    match news {
        LinkNews::Connected(Some(lab)) => {
            format!(
                "dispatcher {name} is connected to {server}: {}",
                in_force(lab)
            )
        }
        LinkNews::Connected(None) => format!(
            "dispatcher {name} is connected to {server}, and the lab cannot be served here: the \
             server may be of a later release"
        ),
        LinkNews::Lab(lab) => format!("dispatcher {name}: {}", in_force(lab)),
        LinkNews::Lost(why) => {
            format!("dispatcher {name} has lost {server} ({why}); runs go on, trying on")
        }
        LinkNews::Unreached(why) => {
            format!("dispatcher {name} does not reach {server} ({why}); trying on")
        }
        LinkNews::Refused(why) => format!(
            "{server} does not let dispatcher {name} in any more ({why}); tried again every minute \
             or so. `basalt dispatchers add {name} --token-file FILE` makes its token anew: bring \
             the file here and start this with it"
        ),
    }
}

fn in_force(lab: &InForce) -> String {
    let boards: Vec<_> = lab.boards.iter().map(BoardName::as_str).collect();
    let boards = match boards.as_slice() {
        [] => "no board of this dispatcher is in it".to_owned(),
        [one] => format!("board {one}"),
        some => format!("boards {}", some.join(", ")),
    };
    format!("lab {}, revision {}, {boards}", lab.lab, lab.revision)
}

/// Where the dispatcher keeps its state: which lab it works for it learns from its server, so that
/// without a wish the directory has the dispatcher's name.
fn directory(asked_for: Option<&Path>, name: &str) -> anyhow::Result<PathBuf> {
    let directory = state::directory(asked_for, &format!("dispatcher-{name}"))?;
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    laboratory::absolute(&directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_to_the_link_is_said_with_names_and_the_way_out() {
        let name = DispatcherName::new("rack-2");
        let said = |news| heard(&name, "https://lab.example:7270", &news);
        let lab = |boards: &[&str]| InForce {
            lab: "shelf".into(),
            revision: 3,
            boards: boards.iter().copied().map(BoardName::new).collect(),
        };
        let lines = [
            said(LinkNews::Connected(Some(lab(&["sim-1", "sim-2"])))),
            said(LinkNews::Lab(lab(&[]))),
            said(LinkNews::Lost("the server closed it".into())),
            said(LinkNews::Unreached("connection refused".into())),
            said(LinkNews::Refused("its token has ended".into())),
        ];
        let parts = [
            "rack-2 is connected to https://lab.example:7270: lab shelf, revision 3, boards sim-1, sim-2",
            "no board of this dispatcher",
            "has lost https://lab.example:7270 (the server closed it)",
            "does not reach https://lab.example:7270 (connection refused)",
            "(its token has ended); tried again every minute or so. `basalt dispatchers add rack-2 --token-file",
        ];
        for (line, part) in lines.iter().zip(parts) {
            assert!(line.contains(part), "{line}");
        }
    }
}
