//! Has all consoles of the lab captured, always, and tells how the ways to them are.

use std::sync::Arc;
use std::time::Duration;

use basalt_console::KeptConsole;
use basalt_console::client::{ConnectError, KeeperClient, RequestError};
use basalt_model::BoardName;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::common::{Common, Notice};

/// Between two looks for a keeper that was started or went away.
const MEET_PAUSE: Duration = Duration::from_millis(100);
/// How long a keeper may take to make everything durable and go, and how often that is looked at.
const END_LIMIT: Duration = Duration::from_secs(10);
const END_PAUSE: Duration = Duration::from_millis(10);
/// A keeper is not started more often than this.
const START_EVERY: Duration = Duration::from_secs(2);

/// Keeps the consoles captured for as long as this runs.
pub async fn keep(
    common: Arc<Common>,
    mut wanted: watch::Receiver<Vec<KeptConsole>>,
    notices: mpsc::Sender<Notice>,
) {
    loop {
        let is_any = wanted
            .wait_for(|consoles| !consoles.is_empty())
            .await
            .is_ok();
        if !is_any {
            return;
        }
        let client = meet(&common).await;
        tracing::info!(keeper.pid = client.pid(), "the console keeper is there");
        match attend(&client, &mut wanted, &notices).await {
            Ok(()) => return,
            Err(RequestError::Gone) => tracing::warn!("the console keeper went away"),
            Err(error) => {
                tracing::error!(%error, "the console keeper does not do as asked");
                tokio::time::sleep(START_EVERY).await;
            }
        }
        let consoles = wanted.borrow().clone();
        for console in consoles {
            let notice = Notice::Console {
                board: BoardName::new(&console.name),
                open: false,
                reason: "the console keeper went away".to_owned(),
            };
            if notices.send(notice).await.is_err() {
                return;
            }
        }
    }
}

/// Ends the keeper, with the lab that it was there for, and waits until it is gone. One that is not
/// there has ended already.
pub async fn end(common: &Common) {
    let client = match KeeperClient::connect(&common.state, "dispatcher").await {
        Ok(client) => client,
        Err(ConnectError::Connect { .. }) => return,
        Err(error) => return tracing::warn!(%error, "the console keeper does not end"),
    };
    if let Err(error) = client.shutdown().await {
        return tracing::warn!(%error, "the console keeper does not end");
    }
    let until = tokio::time::Instant::now() + END_LIMIT;
    while lives(client.pid()) {
        if tokio::time::Instant::now() >= until {
            return tracing::warn!(
                keeper.pid = client.pid(),
                "the console keeper takes long to end"
            );
        }
        tokio::time::sleep(END_PAUSE).await;
    }
}

/// Whether a process is more than the entry of one that nobody has asked about yet (proc(5)).
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !"ZX".contains(state))
}

/// Connects to a keeper, starting one where none answers, for as long as it takes: without a keeper
/// nothing of a board is heard.
async fn meet(common: &Common) -> KeeperClient {
    let mut next_start = tokio::time::Instant::now();
    loop {
        if let Ok(client) = KeeperClient::connect(&common.state, "dispatcher").await {
            return client;
        }
        if tokio::time::Instant::now() >= next_start {
            if let Err(error) = (common.keeper)().await {
                tracing::error!(%error, "the console keeper cannot be started");
            }
            next_start = tokio::time::Instant::now() + START_EVERY;
        }
        tokio::time::sleep(MEET_PAUSE).await;
    }
}

/// Has the wanted consoles kept until the keeper goes, or nobody wants any.
async fn attend(
    client: &KeeperClient,
    wanted: &mut watch::Receiver<Vec<KeptConsole>>,
    notices: &mpsc::Sender<Notice>,
) -> Result<(), RequestError> {
    let mut watched = JoinSet::new();
    loop {
        let consoles = wanted.borrow_and_update().clone();
        for console in &consoles {
            // One whose files cannot be made must not keep the others from being captured.
            match client.add(std::slice::from_ref(console)).await {
                Ok(()) => {}
                Err(RequestError::Refused(refusal)) => {
                    tracing::error!(board = %console.name, %refusal, "a console is not kept");
                    let board = BoardName::new(&console.name);
                    let reason = refusal.to_string();
                    let notice = Notice::Console {
                        board,
                        open: false,
                        reason,
                    };
                    if notices.send(notice).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        watched.abort_all();
        while watched.join_next().await.is_some() {}
        for console in consoles {
            match client.watch_source(&console.name).await {
                Ok(view) => {
                    watched.spawn(tell(console.name, view, notices.clone()));
                }
                Err(RequestError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
            }
            // They all end when the keeper goes.
            Some(_) = watched.join_next() => return Err(RequestError::Gone),
        }
    }
}

async fn tell(
    console: String,
    mut view: watch::Receiver<basalt_console::protocol::ConsoleView>,
    notices: mpsc::Sender<Notice>,
) {
    loop {
        let source = view.borrow_and_update().source.clone();
        let notice = Notice::Console {
            board: BoardName::new(&console),
            open: source.open,
            reason: source.reason,
        };
        if notices.send(notice).await.is_err() || view.changed().await.is_err() {
            return;
        }
    }
}
