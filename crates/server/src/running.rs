//! A server from its start to its end.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use basalt_clock::Clock;
use basalt_link::Down;
use basalt_model::{DispatcherName, DispatcherState, UserName};
use basalt_store::{Applied, Store, StoreConfig, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::actor::Actor;
use crate::app::{App, Shared};
use crate::config::{ServerConfig, StopMode, UnsafeLimits};
use crate::entrance::{Entrance, Listener};
use crate::error::{UseCaseError, causes};
use crate::folds::Folds;
use crate::hub::Hub;
use crate::ingest::{self, Ingest};
use crate::lab_in_force::{self, LabInForce};
use crate::planning::{Planning, is_error};
use crate::registry::Registry;
use crate::scheduling::{self, Message, Scheduling};
use crate::use_case::{FIRST_ADMINISTRATOR, revision_of};
use crate::{http, leases, link_endpoint, outbox, pages, secret, upkeep};

/// The embedded dispatcher's token, below the server's directory.
pub const DISPATCHER_TOKEN_FILE: &str = "dispatcher-token.json";
/// The local client's token, below the server's directory.
pub const CLIENT_TOKEN_FILE: &str = "client-token.json";
/// Which server this is.
const SERVER_ID_FILE: &str = "server-id";
/// Held by the process that serves from this directory.
const LOCK_FILE: &str = "lock";

/// How long the embedded dispatcher may take to end its runs.
const END_LIMIT: Duration = Duration::from_secs(180);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(100);
/// How long tasks may take to end.
const TASK_LIMIT: Duration = Duration::from_secs(10);

/// The server.
#[derive(Debug)]
pub struct Server;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Two could hold one board.
    #[error("the limits are not safe")]
    Limits(#[from] UnsafeLimits),
    /// A file of its directory cannot be used.
    #[error("cannot {doing} {path}")]
    State {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Another server serves from the same directory.
    #[error("another server serves from {0}")]
    Running(PathBuf),
    /// The store cannot be opened, or does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lab's files have mistakes.
    #[error("the lab's files have {} mistakes", .0.iter().filter(|one| is_error(one)).count())]
    Lab(Vec<basalt_api::Diagnostic>),
    /// No lab was ever applied, and none was given.
    #[error("there is no lab yet: give one with --lab")]
    NoLab,
    /// A first account or token cannot be made.
    #[error("cannot make the first account or a token")]
    Account(#[source] UseCaseError),
}

/// The local client's token on disk.
#[derive(Debug, Serialize, Deserialize)]
struct ClientToken {
    version: u32,
    user: UserName,
    token: String,
}

impl Server {
    /// Starts a server; returns once it listens.
    ///
    /// # Errors
    /// Why it cannot; nothing runs then.
    pub async fn start(config: ServerConfig) -> Result<RunningServer, StartError> {
        config.limits.check()?;
        make_directory(&config.state)?;
        let lock = lock(&config.state)?;
        let store = open_store(&config).await?;
        let clock = Clock::system();
        let (lab, held) = lab(&store, &config, &clock).await?;
        if let Some(board) = held {
            tracing::warn!(board.name = %board, "a run holds a board that the lab's new files do not have; the lab stays as it was");
        }
        let embedded = config.embedded.then(|| lab.lab.default_dispatcher.clone());
        let (scheduling, scheduling_inbox) = Scheduling::new();
        let (ingest, ingest_inbox) = Ingest::new();
        let app = App::new(Shared {
            registry: Registry::new(clock.now().boot),
            clock,
            store,
            hub: Hub::default(),
            limits: config.limits,
            public_url: config.public_url,
            server_id: server_id(&config.state)?,
            state: config.state,
            certificate_sha256: config.certificate_sha256,
            webhook_hosts: config.webhook_hosts,
            keep: config.keep,
            planning: Planning::default(),
            scheduling,
            embedded,
            lab: watch::Sender::new(lab),
            applying: tokio::sync::Mutex::default(),
            ingest,
            folds: Folds::default(),
            closing: CancellationToken::new(),
            stopping: AtomicBool::new(false),
        });
        nobody_is_connected(&app).await?;
        let login_link = first_account(&app).await?;
        if let Some(name) = app.embedded.clone() {
            embedded_token(&app, &name).await?;
        }

        let stop = CancellationToken::new();
        let ingesting = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(scheduling::run(app.clone(), scheduling_inbox, stop.clone()));
        tasks.spawn(ingest::run(app.clone(), ingest_inbox, ingesting.clone()));
        tasks.spawn(leases::run(app.clone(), stop.clone()));
        tasks.spawn(upkeep::run(app.clone(), stop.clone()));
        tasks.spawn(outbox::run(app.clone(), stop.clone()));
        let faces = http::router(app.clone()).merge(pages::router(app.clone()));
        let router = http::guarded(&app, faces).merge(link_endpoint::router(app.clone()));
        let entrance = Entrance::new(router, app.closing.clone());
        for tcp in config.tcp {
            tasks.spawn(entrance.clone().run(tcp.into()));
        }
        if let Some(unix) = config.unix {
            tasks.spawn(entrance.clone().run(Listener::Unix(unix)));
        }
        Ok(RunningServer {
            app,
            stop,
            ingesting,
            tasks,
            entrance,
            login_link,
            mode: watch::Sender::new(None),
            _lock: lock,
        })
    }
}

/// A server that runs. Dropping it ends it at once, as a kill would.
#[derive(Debug)]
pub struct RunningServer {
    app: App,
    /// Ends everything that begins something by itself.
    stop: CancellationToken,
    /// Ends taking what dispatchers send.
    ingesting: CancellationToken,
    tasks: JoinSet<()>,
    entrance: Entrance,
    login_link: Option<String>,
    /// How it was told to stop; told twice, it stops at once.
    mode: watch::Sender<Option<Stop>>,
    // Held for its lock.
    _lock: std::fs::File,
}

#[derive(Clone, Copy, Debug)]
struct Stop {
    mode: StopMode,
    at_once: bool,
}

/// Tells a server to stop while somebody else waits for its end; cheap to clone.
#[derive(Clone, Debug)]
pub struct Stopper {
    app: App,
    mode: watch::Sender<Option<Stop>>,
}

impl Stopper {
    /// Tells it to stop; told again, it stops at once, unless it drains and is told to end.
    pub fn stop(&self, mode: StopMode) {
        tracing::info!(?mode, "stopping");
        self.app.stopping.store(true, Ordering::Relaxed);
        self.mode.send_modify(|known| {
            let sooner = |known: &Stop| known.mode == StopMode::Drain && mode == StopMode::End;
            *known = Some(Stop {
                mode,
                at_once: known.as_ref().is_some_and(|known| !sooner(known)),
            });
        });
    }
}

impl RunningServer {
    /// What it shares with its faces.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// A link that logs the first administrator in, once; only at the first start of all.
    pub fn login_link(&self) -> Option<&str> {
        self.login_link.as_deref()
    }

    /// Tells it to stop; [`RunningServer::finished`] returns once it has. Told again, it stops at
    /// once.
    pub fn stop(&self, mode: StopMode) {
        self.stopper().stop(mode);
    }

    /// The same, for whoever cannot keep the server.
    pub fn stopper(&self) -> Stopper {
        Stopper {
            app: self.app.clone(),
            mode: self.mode.clone(),
        }
    }

    /// Waits until it was told to stop, and has.
    pub async fn finished(mut self) {
        let mut told = self.mode.subscribe();
        // The sender is here, so the wait ends by a value only.
        let _ = told.wait_for(Option::is_some).await;
        self.app.scheduling.tell(Message::Stop).await;
        loop {
            let stop = *told.borrow_and_update();
            let Some(Stop {
                mode,
                at_once: false,
            }) = stop
            else {
                break;
            };
            tokio::select! {
                () = self.dispatcher_stops(mode) => break,
                // The sender is here.
                _ = told.changed() => {}
            }
        }
        self.stop.cancel();
        self.app.registry.close_all();
        self.app.closing.cancel();
        let entrance = self.entrance.clone();
        if time::timeout(TASK_LIMIT, entrance.ended()).await.is_err() {
            tracing::warn!("connections did not end in time");
        }
        // Nothing comes any more; what came is committed.
        self.ingesting.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if time::timeout(TASK_LIMIT, ended).await.is_err() {
            tracing::warn!("not everything ended in time");
        }
        self.app.store.close().await;
    }

    /// Waits for the embedded dispatcher as long as this way of stopping asks for.
    async fn dispatcher_stops(&self, mode: StopMode) {
        match mode {
            StopMode::End => {
                let ending = self.embedded_ends(basalt_link::StopMode::End);
                if time::timeout(END_LIMIT, ending).await.is_err() {
                    tracing::warn!("the dispatcher did not end its runs in time");
                }
            }
            // As long as its runs may take, each of which has its deadline.
            StopMode::Drain => self.embedded_ends(basalt_link::StopMode::Drain).await,
            StopMode::Detach => {}
        }
    }

    /// Tells the embedded dispatcher to stop, and waits until it has no more runs and is gone.
    async fn embedded_ends(&self, mode: basalt_link::StopMode) {
        let app = &self.app;
        let Some(name) = app.embedded.clone() else {
            return;
        };
        if !app.registry.send(&name, Down::Stop { mode }) {
            return;
        }
        while app.is_connected(&name) {
            time::sleep(LOOK).await;
        }
    }
}

fn state_error(
    doing: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> StartError + use<> {
    let path = path.to_owned();
    move |source| StartError::State {
        doing,
        path,
        source,
    }
}

fn make_directory(path: &Path) -> Result<(), StartError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(state_error("make", path))
}

fn lock(state: &Path) -> Result<std::fs::File, StartError> {
    let path = state.join(LOCK_FILE);
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(state_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::Running(state.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(state_error("lock", &path)(source)),
    }
}

/// Writes a file that only its owner reads, whole or not at all.
fn write_secret(path: &Path, content: &[u8]) -> Result<(), StartError> {
    let new = path.with_extension("new");
    let written = || {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    written().map_err(state_error("write", path))
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StartError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(state_error("read", path)(source)),
    }
}

/// The same after a restart, so that a server that was killed leads again at once.
fn server_id(state: &Path) -> Result<String, StartError> {
    let path = state.join(SERVER_ID_FILE);
    if let Some(bytes) = read_if_there(&path)? {
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        if !text.is_empty() {
            return Ok(text);
        }
    }
    let id = uuid::Uuid::now_v7().to_string();
    write_secret(&path, id.as_bytes())?;
    Ok(id)
}

async fn open_store(config: &ServerConfig) -> Result<Store, StartError> {
    let database = config
        .database
        .clone()
        .unwrap_or_else(|| format!("sqlite:{}", config.state.join("basalt.db").display()));
    let objects = config
        .objects
        .clone()
        .unwrap_or_else(|| config.state.join("objects"));
    let store = StoreConfig::new(database, objects.display().to_string());
    Ok(Store::open(&store).await?)
}

type HeldBoard = Option<basalt_model::BoardName>;

/// Puts the given lab into force, or finds the one that is.
async fn lab(
    store: &Store,
    config: &ServerConfig,
    clock: &Clock,
) -> Result<(Arc<LabInForce>, HeldBoard), StartError> {
    let mut held = None;
    if !config.lab.is_empty() {
        let (lab, mistakes) = lab_in_force::read(&config.lab);
        let lab = lab.ok_or(StartError::Lab(mistakes))?;
        let first = store.current_revision_id().await?.is_none();
        let revision = revision_of(&lab, &config.lab, &Actor::System.label(), first);
        if let Applied::BoardHeld { board } =
            store.apply_revision(&revision, clock.now().utc).await?
        {
            held = Some(board);
        }
    }
    let revision = store.current_revision().await?.ok_or(StartError::NoLab)?;
    let lab = LabInForce::read(revision).map_err(StartError::Lab)?;
    Ok((lab, held))
}

/// Whoever was connected to the server before this one is not connected to this one.
async fn nobody_is_connected(app: &App) -> Result<(), StoreError> {
    for dispatcher in app.store.dispatchers().await? {
        if dispatcher.state == DispatcherState::Online {
            let state = DispatcherState::Offline;
            app.store
                .set_dispatcher_state(&dispatcher.name, state, None, app.now())
                .await?;
        }
    }
    Ok(())
}

/// Makes the first administrator if there is no account, and sees to the local client's token. A
/// login link for him, if he was made now.
async fn first_account(app: &App) -> Result<Option<String>, StartError> {
    let name = UserName::new(FIRST_ADMINISTRATOR);
    let made = app
        .store
        .create_first_administrator(&name, app.now())
        .await?;
    let path = app.state.join(CLIENT_TOKEN_FILE);
    let kept =
        read_if_there(&path)?.and_then(|bytes| serde_json::from_slice::<ClientToken>(&bytes).ok());
    let works = match &kept {
        Some(kept) => {
            let hash = secret::hash(&kept.token);
            app.store.token_by_hash(hash, app.now()).await?.is_some()
        }
        None => false,
    };
    let account = app.store.user(&name).await?;
    if !works && account.is_some_and(|account| !account.disabled) {
        // Whoever may write in this directory may do everything on this host's lab anyway.
        let new = basalt_api::NewToken {
            label: "local client".into(),
            user: Some(name.clone()),
            expires_utc_us: None,
        };
        let created = app
            .create_token(&Actor::System, &new)
            .await
            .map_err(StartError::Account)?;
        let token = ClientToken {
            version: 1,
            user: name.clone(),
            token: created.secret,
        };
        write_secret(&path, json(&token).as_bytes())?;
    }
    if made.is_none() {
        return Ok(None);
    }
    let link = app
        .login_link(&Actor::System, Some(&name))
        .await
        .map_err(StartError::Account)?;
    Ok(Some(link.url))
}

/// Sees to the embedded dispatcher's token. One that works is kept: a dispatcher that outlived the
/// server before has it.
async fn embedded_token(app: &App, name: &DispatcherName) -> Result<(), StartError> {
    let path = app.state.join(DISPATCHER_TOKEN_FILE);
    let kept = read_if_there(&path)?
        .and_then(|bytes| serde_json::from_slice::<basalt_api::DispatcherToken>(&bytes).ok())
        .filter(|kept| kept.dispatcher == *name);
    if let Some(kept) = kept {
        let hash = secret::hash(&kept.token);
        if app.store.token_by_hash(hash, app.now()).await?.is_some() {
            return Ok(());
        }
    }
    let token = app
        .new_dispatcher_token(name)
        .await
        .map_err(StartError::Account)?;
    write_secret(&path, json(&token).as_bytes())
}

fn json<T: Serialize>(value: &T) -> String {
    match serde_json::to_string(value) {
        Ok(text) => text,
        // Plain data with string keys.
        Err(error) => unreachable!("a token file is JSON: {}", causes(&error)),
    }
}
