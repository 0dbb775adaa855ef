//! A server from its start to its end.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use basalt_clock::Clock;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Shared};
use crate::config::{ServerConfig, StopMode, UnsafeLimits};
use crate::entrance::{Entrance, Listener};
use crate::hub::Hub;
use crate::{http, outbox, pages};

/// The server.
#[derive(Debug)]
pub struct Server;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Two could hold one board.
    #[error("the limits are not safe")]
    Limits(#[from] UnsafeLimits),
    /// Its directory cannot be made.
    #[error("cannot make {path}")]
    State {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl Server {
    /// Starts a server; returns once it listens.
    ///
    /// # Errors
    /// Why it cannot; nothing runs then.
    pub async fn start(config: ServerConfig) -> Result<RunningServer, StartError> {
        config.limits.check()?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.state)
            .map_err(|source| StartError::State {
                path: config.state.clone(),
                source,
            })?;
        let app = App::new(Shared {
            clock: Clock::system(),
            hub: Hub::default(),
            limits: config.limits,
            public_url: config.public_url,
            state: config.state,
        });
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let router = http::router(app.clone()).merge(pages::router(app.clone()));
        let entrance = Entrance::new(router, stop.clone());
        for tcp in config.tcp {
            tasks.spawn(entrance.clone().run(tcp.into()));
        }
        if let Some(unix) = config.unix {
            tasks.spawn(entrance.clone().run(Listener::Unix(unix)));
        }
        tasks.spawn(outbox::run(app.clone(), stop.clone()));
        Ok(RunningServer {
            app,
            stop,
            tasks,
            entrance,
        })
    }
}

/// A server that runs. Dropping it ends it at once, as a kill would.
#[derive(Debug)]
pub struct RunningServer {
    app: App,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    entrance: Entrance,
}

impl RunningServer {
    /// What it shares with its faces.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Tells it to stop; [`RunningServer::finished`] returns once it has.
    pub fn stop(&self, mode: StopMode) {
        tracing::info!(?mode, "stopping");
        self.stop.cancel();
    }

    /// Waits for its end.
    pub async fn finished(mut self) {
        while self.tasks.join_next().await.is_some() {}
        self.entrance.ended().await;
    }
}
