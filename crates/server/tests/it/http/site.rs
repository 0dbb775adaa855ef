//! A server to talk to, and what tests say to it.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use basalt_api::{CreatedToken, Job, NewToken, NewUser, Problem};
use basalt_lab::LabFile;
use basalt_model::{
    BoardName, BootId, BootNanos, DispatcherName, Epoch, Event, EventBody, Failure, Health, JobId,
    LeaseId, Outcome, Part, Role, RunId, Stamp, UserName, UtcMicros,
};
use basalt_report::joblog::{LogLevel, LogLine, encode_batch};
use basalt_server::{
    Actor, App, Limits, RunningServer, Server, ServerConfig, StopMode, TcpEntrance,
};
use basalt_store::{
    Batch, EventRow, Fence, GrantRequest, Granted, JobEnd, LeaseAnswer, LogBatch, RunBatch, RunFate,
};
use futures::StreamExt;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::time;

/// Longer than anything here takes on a machine that does something else.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A job that board-1 and board-2 can run.
pub const JOB: &str = include_str!("../../jobs/ramdisk.yaml");

/// A server with two accounts: `ann` is a user, `root` an administrator.
pub struct Site {
    pub server: RunningServer,
    pub url: String,
    pub client: reqwest::Client,
    pub ann: String,
    pub root: String,
    directory: tempfile::TempDir,
}

impl Site {
    /// On SQLite.
    pub async fn start() -> Self {
        Self::on(None).await
    }

    /// On a database of this address.
    pub async fn on(database: Option<String>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut site = Self::open(directory, database).await;
        site.ann = site.account("ann", Role::User).await;
        site.root = site.account("root", Role::Administrator).await;
        site
    }

    /// Dies as if it were killed, and is started again over what it left behind; on SQLite.
    pub async fn killed_and_restarted(self) -> Self {
        drop(self.server);
        let site = Self::open(self.directory, None).await;
        Self {
            ann: self.ann,
            root: self.root,
            ..site
        }
    }

    async fn open(directory: tempfile::TempDir, database: Option<String>) -> Self {
        capture_log();
        // Fails only if another test was first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let config = ServerConfig {
            state: directory.path().join("server"),
            database,
            tcp: vec![TcpEntrance {
                listener,
                tls: None,
            }],
            unix: None,
            lab: lab_files(),
            limits: Limits::default(),
            public_url: url.clone(),
            objects: None,
            webhook_hosts: vec!["127.0.0.1".into()],
            keep: Default::default(),
            certificate_sha256: None,
            embedded: false,
        };
        let server = Server::start(config).await.unwrap();
        Self {
            server,
            url,
            client: reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .tls_certs_only([])
                .build()
                .unwrap(),
            ann: String::new(),
            root: String::new(),
            directory,
        }
    }

    pub fn app(&self) -> &App {
        self.server.app()
    }

    /// Makes an account and a token of it.
    pub async fn account(&self, name: &str, role: Role) -> String {
        let name = UserName::new(name);
        let new = NewUser {
            name: name.clone(),
            role,
        };
        self.app().add_user(&Actor::System, &new).await.unwrap();
        let new = NewToken {
            label: "test".into(),
            user: Some(name),
            expires_utc_us: None,
        };
        let CreatedToken { secret, .. } =
            self.app().create_token(&Actor::System, &new).await.unwrap();
        secret
    }

    /// A request with a token; without one if it is empty.
    pub fn request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        let request = self
            .client
            .request(method, format!("{}{path}", self.url))
            .timeout(PATIENCE);
        match token {
            "" => request,
            token => request.bearer_auth(token),
        }
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path, &self.ann)
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path, &self.ann)
    }

    pub async fn json<T: serde::de::DeserializeOwned>(&self, request: RequestBuilder) -> T {
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{status}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    pub async fn submit(&self) -> Job {
        let request = self.post("/api/v1/jobs");
        let request = request.header("content-type", "application/yaml").body(JOB);
        self.json(request).await
    }

    /// Opens a stream of events.
    pub async fn stream(&self, path: &str, last: Option<&str>) -> Stream {
        // Without a limit of its own: each event has one.
        let request = self.client.get(format!("{}{path}", self.url));
        let mut request = request.bearer_auth(&self.ann);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Stream::new(response)
    }

    /// A run of a new job on board-1, as its dispatcher has accepted it.
    pub async fn seed(&self) -> Seeded {
        let job = self.submit().await.id;
        let store = self.app().store.clone();
        let leader = store.leader().await.unwrap().expect("the server leads");
        let request = GrantRequest {
            job,
            board: BoardName::new("board-1"),
            run: RunId::from_uuid(uuid::Uuid::now_v7()),
            lease: LeaseId::from_uuid(uuid::Uuid::now_v7()),
            dispatcher: DispatcherName::new("main"),
            leader_term: leader.term,
        };
        let granted = store.grant(&request, self.app().now()).await.unwrap();
        let Granted::Yes { epoch, .. } = granted else {
            panic!("{granted:?}");
        };
        let seeded = Seeded {
            app: self.app().clone(),
            job,
            run: request.run,
            epoch,
            lines: Arc::default(),
            events: Arc::default(),
        };
        let answer = RunBatch {
            answer: Some(LeaseAnswer::Accepted),
            ..seeded.batch()
        };
        seeded.commit(answer).await;
        seeded
    }

    pub async fn stop(self) {
        self.server.stop(StopMode::Detach);
        time::timeout(PATIENCE, self.server.finished())
            .await
            .unwrap();
    }
}

/// A run whose dispatcher is played.
#[derive(Clone)]
pub struct Seeded {
    app: App,
    pub job: JobId,
    pub run: RunId,
    epoch: Epoch,
    lines: Arc<Mutex<u64>>,
    events: Arc<Mutex<u64>>,
}

impl Seeded {
    fn batch(&self) -> RunBatch {
        RunBatch {
            run: self.run,
            dispatcher: DispatcherName::new("main"),
            epoch: self.epoch,
            answer: None,
            events: Vec::<EventRow>::new(),
            logs: Vec::new(),
            finished: None,
            ended: None,
        }
    }

    async fn commit(&self, batch: RunBatch) {
        let batch = Batch {
            runs: vec![batch],
            ..Batch::default()
        };
        let report = self.app.store.commit(&batch, self.app.now()).await.unwrap();
        assert_eq!(report.runs[0].fate, RunFate::Taken);
    }

    /// Adds lines to its log, in one commit. Followers are not woken: they have to look.
    pub async fn say(&self, lines: &[(LogLevel, &[u8])]) {
        let from_line = *self.lines.lock().unwrap() + 1;
        let mut levels = 0;
        let lines: Vec<LogLine> = lines
            .iter()
            .zip(from_line..)
            .map(|((level, text), number)| {
                levels |= u32::from(level.bit());
                LogLine {
                    number,
                    utc: UtcMicros(1_763_900_000_000_000 + number as i64),
                    level: *level,
                    text: text.to_vec(),
                }
            })
            .collect();
        *self.lines.lock().unwrap() += lines.len() as u64;
        let logs = LogBatch {
            from_line,
            lines: lines.len() as u64,
            levels,
            first: lines[0].utc,
            last: lines[lines.len() - 1].utc,
            data: encode_batch(&lines).into(),
            cursor: from_line.to_string(),
        };
        let batch = RunBatch {
            logs: vec![logs],
            ..self.batch()
        };
        self.commit(batch).await;
    }

    /// Adds events.
    pub async fn happen(&self, bodies: impl IntoIterator<Item = EventBody>) {
        let mut seq = *self.events.lock().unwrap();
        let rows: Vec<EventRow> = bodies
            .into_iter()
            .map(|body| {
                seq += 1;
                let utc = UtcMicros(1_763_900_000_000_000 + seq as i64);
                let event = Event {
                    run: self.run,
                    seq,
                    stamp: Stamp {
                        utc,
                        boot: BootNanos(seq),
                    },
                    boot_id: BootId("boot".into()),
                    body,
                };
                let json = event.to_json();
                EventRow { seq, utc, json }
            })
            .collect();
        *self.events.lock().unwrap() = seq;
        for events in rows.chunks(5000) {
            let batch = RunBatch {
                events: events.to_vec(),
                ..self.batch()
            };
            self.commit(batch).await;
        }
    }

    /// Adds numbered console lines.
    pub async fn say_numbered(&self, count: u64) {
        let from = *self.lines.lock().unwrap() + 1;
        let texts: Vec<String> = (from..from + count)
            .map(|number| format!("[{number:10}] line\r\n"))
            .collect();
        let lines: Vec<(LogLevel, &[u8])> = texts
            .iter()
            .map(|text| (LogLevel::Target, text.as_bytes()))
            .collect();
        self.say(&lines).await;
    }

    /// Ends it.
    pub async fn end(&self) {
        let failure = Failure::infrastructure(Part::Host, "test", "the test ended it");
        let fence = Fence {
            reason: "the test ended it".into(),
            max_attempts: 0,
            end: JobEnd {
                outcome: Outcome::Incomplete,
                health: Health::Incomplete,
                failure: Some(failure),
            },
        };
        let now = self.app.now();
        self.app.store.fence(self.run, &fence, now).await.unwrap();
    }
}

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerEvent {
    pub id: Option<String>,
    pub name: Option<String>,
    pub data: String,
}

/// Reads server-sent events, written against the specification, not against the server.
pub struct Stream {
    bytes: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: Vec<u8>,
    pub last_id: Option<String>,
}

impl Stream {
    pub fn new(response: Response) -> Self {
        Self {
            bytes: response.bytes_stream().boxed(),
            buffer: Vec::new(),
            last_id: None,
        }
    }

    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<ServerEvent> {
        let next = time::timeout(PATIENCE, self.read());
        next.await.expect("an event in time")
    }

    async fn read(&mut self) -> Option<ServerEvent> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let block = String::from_utf8(block).unwrap();
                let mut event = ServerEvent::default();
                let mut has_data = false;
                for line in block.lines() {
                    let (field, value) = line.split_once(':').unwrap_or((line, ""));
                    let value = value.strip_prefix(' ').unwrap_or(value);
                    match field {
                        "id" => event.id = Some(value.to_owned()),
                        "event" => event.name = Some(value.to_owned()),
                        "data" => {
                            assert!(!has_data, "one line of data an event: {block:?}");
                            has_data = true;
                            event.data = value.to_owned();
                        }
                        "retry" | "" => {}
                        other => panic!("an unknown field {other:?}"),
                    }
                }
                if event.id.is_some() {
                    self.last_id.clone_from(&event.id);
                }
                if has_data {
                    return Some(event);
                }
            }
            match self.bytes.next().await {
                Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
                Some(Err(_)) | None => return None,
            }
        }
    }
}

/// The problem in an answer that must be one.
pub async fn problem(response: Response, status: StatusCode) -> Problem {
    let actual = response.status();
    let headers = response.headers().clone();
    let text = response.text().await.unwrap();
    assert_eq!(actual, status, "{text}");
    assert_eq!(
        headers["content-type"], "application/problem+json",
        "{text}"
    );
    let problem: Problem = serde_json::from_str(&text).unwrap();
    assert_eq!(problem.status, status.as_u16());
    assert!(!problem.hint.is_empty(), "{problem:?}");
    let id = problem.request_id.as_deref().expect("a request id");
    assert_eq!(headers["x-request-id"], id);
    problem
}

fn lab_files() -> Vec<LabFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab");
    let mut files = Vec::new();
    for directory in ["", "boards", "relays", "dispatchers"] {
        for entry in std::fs::read_dir(root.join(directory)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                let path = entry.path();
                files.push(LabFile {
                    path: path.strip_prefix(&root).unwrap().display().to_string(),
                    text: std::fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    files
}

/// Everything that is logged in this process, whatever the test.
static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();

#[derive(Clone)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn capture_log() {
    LOG.get_or_init(|| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let sink = Sink(log.clone());
        tracing_subscriber::fmt()
            .with_ansi(false)
            // Our own rooms say everything; of the others what a deployment would show.
            .with_env_filter("debug,basalt_server=trace,basalt_store=trace,sqlx=debug,hyper=debug")
            .with_writer(move || sink.clone())
            .init();
        log
    });
}

/// What was logged so far.
pub fn logged() -> String {
    let log = LOG.get().expect("a site was started");
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&log).into_owned()
}

/// Counts by key.
pub fn counted<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> HashMap<K, usize> {
    let mut counts = HashMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
}
