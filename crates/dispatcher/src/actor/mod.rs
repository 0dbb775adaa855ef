//! A dispatcher's life: one task that owns all that changes, and is told by the others.

mod connection;
mod entry;
mod lab;
mod runs;
mod stopping;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use basalt_artifacts::Cache;
use basalt_clock::Clock;
use basalt_console::KeptConsole;
use basalt_link::{Down, FileClient, ReceiveError, StopMode};
use basalt_model::RunId;
use basalt_runner::host::HostState;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::acceptance::{Refusal, Taken};
use crate::away::{self, Away};
use crate::common::{Common, Notice};
use crate::config::{DispatcherConfig, DispatcherError};
use crate::facts::Facts;
use crate::instance::Place;
use crate::news::LinkNews;
use crate::performance::Performed;
use crate::reserve::{self, Reserve};
use crate::slice::{self, Slice};
use crate::{keeper, retention};
use connection::{Connection, Dialling, Opened};
use entry::Entry;

/// News of tasks that may wait to be heard.
const NOTICES: usize = 256;
/// How often old runs are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// So many connections carry files.
const FILE_CONNECTIONS: usize = 4;

/// Runs a dispatcher until it is told to stop, by `stop` or by its server. How it was to stop may
/// be said again, otherwise: the last word counts. Gives the word that it ended by.
///
/// # Errors
/// It cannot start, or its server does not want it.
pub async fn run(
    config: DispatcherConfig,
    stop: watch::Receiver<Option<StopMode>>,
) -> Result<StopMode, DispatcherError> {
    let clock = Clock::system();
    let host = HostState::open(&config.state)?;
    let server = config.server.endpoint().to_string();
    let place = Place::take(&config.state, &config.name, &server, clock.now().utc)?;
    let runs = config.state.join("runs");
    let cache_path = config.state.join("cache");
    let state = |doing: &'static str, path: &std::path::Path| {
        let path = path.to_owned();
        move |source| DispatcherError::State {
            doing,
            path,
            source,
        }
    };
    std::fs::create_dir_all(&runs).map_err(state("make", &runs))?;
    let cache = Cache::open(&cache_path).map_err(state("use", &cache_path))?;
    let reserve_path = place.file(reserve::DIRECTORY);
    let reserve = Reserve::take(&reserve_path, config.retention.reserve)
        .map_err(state("keep room on the disk in", &reserve_path))?;
    let common = Arc::new(Common::new(
        &config.state,
        host,
        cache,
        config.keeper.clone(),
        config.tempo,
        reserve,
    ));
    let (notifier, notices) = mpsc::channel(NOTICES);
    let consoles = watch::Sender::new(Vec::new());
    let mut keeping = JoinSet::new();
    keeping.spawn(keeper::keep(
        common.clone(),
        consoles.subscribe(),
        notifier.clone(),
    ));
    keeping.spawn(common.reserve.clone().watch());
    let files = (0..FILE_CONNECTIONS)
        .map(|_| config.server.files())
        .collect();
    let mut actor = Actor {
        away: Away::load(&place.file(away::FILE)),
        slice: Slice::load(&place.file(slice::FILE), &config.name),
        place,
        config,
        common,
        runs: HashMap::new(),
        performing: JoinSet::new(),
        accepting: JoinSet::new(),
        accepting_over: HashMap::new(),
        canceled: HashMap::new(),
        notifier,
        facts: Facts::default(),
        consoles,
        files,
        keeping,
        stopping: None,
        said_away: false,
        lab_to_come: None,
    };
    actor.serve_lab();
    let found = crate::lease::find(&runs).map_err(state("read", &runs))?;
    for found in found {
        actor.resume(found);
    }
    actor.live(stop, notices).await
}

/// What a dispatcher knows and does.
struct Actor {
    config: DispatcherConfig,
    place: Place,
    common: Arc<Common>,
    away: Away,
    slice: Option<Slice>,
    runs: HashMap<RunId, Entry>,
    performing: JoinSet<(RunId, Performed)>,
    accepting: JoinSet<(RunId, Result<Taken, Refusal>)>,
    /// Runs that are being accepted, and over which connection they came.
    accepting_over: HashMap<RunId, u64>,
    /// Runs that were canceled while they were being accepted, and why.
    canceled: HashMap<RunId, String>,
    notifier: mpsc::Sender<Notice>,
    facts: Facts,
    consoles: watch::Sender<Vec<KeptConsole>>,
    files: Vec<FileClient>,
    /// Has the consoles captured; ends with this.
    keeping: JoinSet<()>,
    stopping: Option<stopping::Stopping>,
    /// That the server is away was said.
    said_away: bool,
    /// The server has let it in, and sends this revision of the lab first.
    lab_to_come: Option<i64>,
}

/// What the actor wakes for.
enum Wake {
    Stop(Option<StopMode>),
    Opened(Opened),
    Heard(Result<Option<Down>, ReceiveError>),
    Performed(RunId, Performed),
    Accepted(RunId, Box<Result<Taken, Refusal>>),
    Notice(Notice),
    /// Runs are not taken any more, or taken again.
    Closed,
    Beat,
    Sweep,
    /// Only to look around.
    Look,
}

impl Actor {
    async fn live(
        &mut self,
        mut stop: watch::Receiver<Option<StopMode>>,
        mut notices: mpsc::Receiver<Notice>,
    ) -> Result<StopMode, DispatcherError> {
        let mut dialling = Dialling::new(&self.config);
        let mut connection: Option<Connection> = None;
        let mut connections = 0;
        let mut next_beat = Instant::now();
        let mut next_sweep = Instant::now();
        // What was said before this began counts too.
        stop.mark_changed();
        let mut closed = self.common.reserve.subscribe();
        let mut may_be_told = true;
        loop {
            if let Some(mode) = self.has_stopped(connection.is_some()) {
                self.leave(mode, connection).await;
                return Ok(mode);
            }
            let farewell = self.farewell();
            let wake = tokio::select! {
                changed = stop.changed(), if may_be_told => {
                    may_be_told = changed.is_ok();
                    Wake::Stop(*stop.borrow_and_update())
                }
                opened = dialling.open(), if connection.is_none() => Wake::Opened(opened),
                heard = heard(&mut connection) => heard,
                Some(performed) = self.performing.join_next() => match performed {
                    Ok((run, performed)) => Wake::Performed(run, performed),
                    // Panics are caught within; only an end of this process aborts.
                    Err(error) => {
                        tracing::error!(%error, "a run's task has ended without a word");
                        Wake::Look
                    }
                },
                Some(accepted) = self.accepting.join_next() => match accepted {
                    Ok((run, accepted)) => Wake::Accepted(run, Box::new(accepted)),
                    Err(error) => {
                        tracing::error!(%error, "an acceptance has ended without a word");
                        Wake::Look
                    }
                },
                Some(notice) = notices.recv() => Wake::Notice(notice),
                // Its sender is ours.
                Ok(()) = closed.changed() => Wake::Closed,
                () = tokio::time::sleep_until(next_beat) => Wake::Beat,
                () = tokio::time::sleep_until(next_sweep) => Wake::Sweep,
                () = tokio::time::sleep_until(farewell) => Wake::Look,
            };
            match wake {
                Wake::Stop(None) | Wake::Look => {}
                Wake::Stop(Some(mode)) => {
                    if self.stop_mode() != Some(mode) {
                        self.stop(mode, connection.as_ref());
                    }
                }
                Wake::Opened(Ok((sender, receiver))) => {
                    connections += 1;
                    let opened = connection.insert(Connection::new(connections, sender, receiver));
                    self.greet(opened);
                }
                Wake::Opened(Err(error)) => {
                    if !error.is_passing() && self.is_new() {
                        let reason = basalt_runner::session::chain(&error);
                        return Err(self.refused(reason).await);
                    }
                    dialling.failed(&error);
                }
                Wake::Heard(Ok(Some(down))) => {
                    if let Some(now) = &mut connection {
                        let was_welcome = now.is_welcome();
                        self.hear(down, now);
                        if now.is_welcome() && !was_welcome {
                            dialling.succeeded();
                            next_beat = Instant::now();
                        }
                        if let Some(reason) = now.refusal() {
                            if self.is_new() {
                                return Err(self.refused(reason).await);
                            }
                            dialling.refused(&reason);
                            connection = None;
                        }
                    }
                }
                Wake::Heard(ended) => {
                    let why = match ended {
                        Err(error) => basalt_runner::session::chain(&error),
                        Ok(_) => "the server closed it".to_owned(),
                    };
                    tracing::info!(link.reason = why, "the link is gone");
                    // One that was never welcome is no loss; dialling says what is wrong.
                    if connection.take().is_some_and(|lost| lost.is_welcome()) {
                        self.config.listener.tell(LinkNews::Lost(why));
                    }
                }
                Wake::Performed(run, performed) => {
                    self.performed(run, performed, &mut connection);
                }
                Wake::Accepted(run, accepted) => self.accepted(run, *accepted, &mut connection),
                Wake::Closed => {
                    self.end_on_full_disk();
                    if let Some(connection) = connection.as_ref().filter(|one| one.is_welcome()) {
                        self.tell_closed(connection);
                    }
                }
                Wake::Notice(notice) => self.notice(notice, connection.as_ref()),
                Wake::Beat => {
                    next_beat = Instant::now() + self.away.heartbeat;
                    if let Some(connection) = &mut connection {
                        connection.beat(&self.common.clock);
                    }
                    self.check_away();
                }
                Wake::Sweep => {
                    next_sweep = Instant::now() + SWEEP_EVERY;
                    self.sweep();
                }
            }
        }
    }

    /// Whether no server has ever let this dispatcher in, and nothing of it is left here.
    fn is_new(&self) -> bool {
        self.away.is_unheard() && self.runs.is_empty()
    }

    /// The end of a dispatcher that was never let in: what it was told to do is a mistake.
    async fn refused(&mut self, reason: String) -> DispatcherError {
        self.keeping.shutdown().await;
        keeper::end(&self.common).await;
        DispatcherError::Refused {
            name: self.config.name.clone(),
            reason,
        }
    }

    fn sweep(&self) {
        let (runs, retention) = (self.common.runs(), self.config.retention);
        tokio::task::spawn_blocking(move || {
            match retention::sweep(&runs, retention, SystemTime::now()) {
                Ok(0) => {}
                Ok(removed) => tracing::info!(runs.removed = removed, "old runs were removed"),
                Err(error) => tracing::error!(%error, "old runs cannot be removed"),
            }
        });
    }
}

/// What the connection of this moment brings; nothing where there is none.
async fn heard(connection: &mut Option<Connection>) -> Wake {
    match connection {
        // An uplink that has ended has said what there was to say.
        Some(connection) => connection.next().await.map_or(Wake::Look, Wake::Heard),
        None => std::future::pending().await,
    }
}
