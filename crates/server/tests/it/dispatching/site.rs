//! A server in a runtime of its own, so that it can be killed as a process can.

use std::path::PathBuf;
use std::time::Duration;

use basalt_api::{ApplyLab, Job, LabFile};
use basalt_model::{BoardName, JobId, Role, RunId, UserName};
use basalt_server::{
    Actor, App, Limits, RunningServer, Server, ServerConfig, StopMode, TcpEntrance,
};
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::time::{self, Instant};

/// Generous: machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const JOB: &str = include_str!("../../jobs/ramdisk.yaml");

/// The directory of a lab's server, and what it is told at each start.
pub struct Site {
    directory: tempfile::TempDir,
    pub limits: Limits,
    /// SQLite without it.
    pub database: Option<String>,
    /// It listens over TCP too.
    pub tcp: bool,
}

/// A server that runs.
pub struct Process {
    server: Option<RunningServer>,
    runtime: Option<Runtime>,
    pub app: App,
    /// Where it listens over TCP, if it does.
    pub url: String,
}

impl Site {
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// In a directory that exists.
    pub fn below(parent: &std::path::Path) -> Self {
        Self {
            directory: tempfile::tempdir_in(parent).unwrap(),
            limits: Limits::default(),
            database: None,
            tcp: false,
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("server.sock")
    }

    pub fn state(&self) -> PathBuf {
        self.directory.path().join("server")
    }

    fn config(&self) -> ServerConfig {
        let socket = self.socket();
        let _ = std::fs::remove_file(&socket);
        ServerConfig {
            state: self.state(),
            database: self.database.clone(),
            tcp: self.tcp.then(entrance).into_iter().collect(),
            unix: Some(UnixListener::bind(socket).unwrap()),
            lab: lab_files(),
            limits: self.limits,
            public_url: "http://127.0.0.1:1".into(),
            objects: None,
            embedded: true,
            certificate_sha256: None,
            webhook_hosts: Vec::new(),
            keep: Default::default(),
        }
    }

    /// Starts the server; one that was killed just now may still be letting go of its lock.
    pub async fn start(&self) -> Process {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let entered = runtime.enter();
        let config = self.config();
        drop(entered);
        let address = config
            .tcp
            .first()
            .map(|tcp| tcp.listener.local_addr().unwrap());
        let started = runtime.spawn(Server::start(config)).await.unwrap();
        let server = started.unwrap();
        Process {
            app: server.app().clone(),
            server: Some(server),
            runtime: Some(runtime),
            url: address.map_or_else(String::new, |address| format!("http://{address}")),
        }
    }

    /// The token of the embedded dispatcher, as the server left it.
    pub fn token(&self) -> String {
        let bytes = std::fs::read(self.state().join("dispatcher-token.json")).unwrap();
        let token: basalt_api::DispatcherToken = serde_json::from_slice(&bytes).unwrap();
        token.token
    }
}

/// A port of this host that nobody has.
fn entrance() -> TcpEntrance {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    TcpEntrance {
        listener: tokio::net::TcpListener::from_std(listener).unwrap(),
        tls: None,
    }
}

impl Process {
    /// Ends it as `kill -9` does: nothing of it goes on.
    pub fn kill(mut self) {
        self.server.take();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub fn server(&self) -> &RunningServer {
        self.server.as_ref().unwrap()
    }

    /// Waits for the end of one that was told to stop.
    pub async fn finished(mut self) {
        let (server, runtime) = (self.server.take().unwrap(), self.runtime.take().unwrap());
        let finished = runtime.spawn(server.finished());
        time::timeout(PATIENCE, finished).await.unwrap().unwrap();
        runtime.shutdown_background();
    }

    pub async fn stop(self) {
        self.server().stop(StopMode::Detach);
        self.finished().await;
    }

    pub async fn submit(&self) -> JobId {
        self.submit_text(JOB).await
    }

    pub async fn submit_text(&self, text: &str) -> JobId {
        let submitted = self.app.submit(&admin(), text, None).await.unwrap();
        submitted.job.id
    }

    pub async fn job(&self, id: JobId) -> Job {
        self.app.job(&admin(), id).await.unwrap()
    }

    /// Waits until a job is as it should be.
    pub async fn job_that(&self, id: JobId, is: impl Fn(&Job) -> bool) -> Job {
        wait_for("a job's state", async || {
            Some(self.job(id).await).filter(&is)
        })
        .await
    }

    /// Sequence numbers of the stored events of a run.
    pub async fn stored_events(&self, run: RunId) -> Vec<u64> {
        let rows = self.app.store.events(run, 1, 10_000).await.unwrap();
        rows.into_iter().map(|row| row.seq).collect()
    }

    /// What the board said in a run, as the server has it.
    pub async fn log_text(&self, run: RunId) -> Vec<(u64, Vec<u8>)> {
        let range = basalt_api::LogRange::default();
        let page = self.app.log(&admin(), run, &range, 100_000).await.unwrap();
        assert_eq!(page.next, None);
        let lines = page.lines.into_iter();
        lines.map(|line| (line.number, line.text)).collect()
    }

    pub async fn maintain(&self, board: &str, on: bool) {
        let change = basalt_api::Maintenance { on, reason: None };
        let board = BoardName::new(board);
        self.app
            .set_maintenance(&admin(), &board, &change)
            .await
            .unwrap();
    }

    pub async fn apply(&self, files: Vec<basalt_lab::LabFile>) -> basalt_api::LabApplied {
        let files = files.into_iter().map(|file| LabFile {
            path: file.path,
            text: file.text,
        });
        let apply = ApplyLab {
            files: files.collect(),
            expected_revision: None,
        };
        self.app.apply_lab(&admin(), &apply).await.unwrap()
    }
}

/// Looks again and again until something is there; what it was waited for is said at the end.
pub async fn wait_for<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        time::sleep(Duration::from_millis(10)).await;
    }
}

pub fn admin() -> Actor {
    Actor::User {
        name: UserName::new("admin"),
        role: Role::Administrator,
    }
}

/// The lab of these tests: boards `board-1` and `board-2` of the dispatcher `main`, and `board-3`,
/// tagged `far`, of `rack-2`.
pub fn lab_files() -> Vec<basalt_lab::LabFile> {
    [
        ("lab.yaml", include_str!("../../lab/lab.yaml")),
        (
            "dispatchers/rack-2.yaml",
            include_str!("../../lab/dispatchers/rack-2.yaml"),
        ),
        (
            "relays/rack.yaml",
            include_str!("../../lab/relays/rack.yaml"),
        ),
        ("relays/far.yaml", include_str!("../../lab/relays/far.yaml")),
        (
            "boards/board-1.yaml",
            include_str!("../../lab/boards/board-1.yaml"),
        ),
        (
            "boards/board-2.yaml",
            include_str!("../../lab/boards/board-2.yaml"),
        ),
        (
            "boards/board-3.yaml",
            include_str!("../../lab/boards/board-3.yaml"),
        ),
    ]
    .map(|(path, text)| basalt_lab::LabFile {
        path: path.into(),
        text: text.into(),
    })
    .to_vec()
}
