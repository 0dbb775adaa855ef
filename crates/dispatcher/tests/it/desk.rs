//! A server of the tests' own: real links and file transfers over a Unix socket; what it is told, it
//! keeps and checks.

use std::collections::{BTreeMap, HashMap};
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, put};
use basalt_clock::Clock;
use basalt_link::{
    Assignment, Channel, Down, LabText, Message, Pace, RefusalCode, RunCursor, Sender, Up,
};
use basalt_model::{
    BoardName, BootNanos, Epoch, Event, EventBody, JobId, LeaseId, PowerState, RunId, UserName,
};
use basalt_report::joblog::{LogLevel, LogLine, decode_batch};
use futures::{SinkExt, StreamExt};
use sha2::Digest;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::site::{Site, until};

/// What the server has been told of a run.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub events: Vec<Event>,
    pub lines: Vec<LogLine>,
    pub cursor: Option<serde_json::Value>,
    pub files: BTreeMap<String, Vec<u8>>,
    /// Messages that held what had been acknowledged.
    pub repeated: u32,
    pub ended: u32,
}

impl Told {
    /// The run's last event, if it is its end.
    pub fn finished(&self) -> Option<&Event> {
        let last = self.events.last()?;
        matches!(last.body, EventBody::Finished { .. }).then_some(last)
    }

    /// The code of the failure that the run ended with.
    pub fn failure(&self) -> Option<&str> {
        match &self.finished()?.body {
            EventBody::Finished { failure, .. } => Some(failure.as_ref()?.code.as_str()),
            _ => None,
        }
    }

    /// The console's bytes.
    pub fn console(&self) -> Vec<u8> {
        let target = self
            .lines
            .iter()
            .filter(|line| line.level == LogLevel::Target);
        target.flat_map(|line| line.text.clone()).collect()
    }

    pub fn has(&self, kind: fn(&EventBody) -> bool) -> bool {
        self.events.iter().any(|event| kind(&event.body))
    }
}

/// What the server does and knows.
struct Shared {
    clock: Clock,
    lab: Vec<LabText>,
    limit_ms: u64,
    heartbeat_ms: u64,
    /// Heartbeats are not answered.
    mute: bool,
    /// Runs are not forgotten.
    hold: bool,
    /// A lab may have problems.
    problems: bool,
    /// The server is away; nothing is taken.
    away: bool,
    discard: Vec<RunId>,
    link: Option<Sender<Down>>,
    hellos: Vec<Up>,
    heard: Vec<Up>,
    runs: HashMap<RunId, Told>,
    last_answer: BootNanos,
    revision: Option<i64>,
}

/// The server.
pub struct Desk {
    runtime: Runtime,
    socket: PathBuf,
    shared: Arc<Mutex<Shared>>,
    listening: Option<JoinHandle<()>>,
}

const REVISION: i64 = 7;

impl Desk {
    pub fn open(site: &Site) -> Self {
        let shared = Shared {
            clock: Clock::system(),
            lab: site.lab_texts(),
            limit_ms: 60_000,
            heartbeat_ms: 200,
            mute: false,
            hold: false,
            problems: false,
            away: false,
            discard: Vec::new(),
            link: None,
            hellos: Vec::new(),
            heard: Vec::new(),
            runs: HashMap::new(),
            last_answer: BootNanos(0),
            revision: None,
        };
        let mut desk = Self {
            runtime: Runtime::new().unwrap(),
            socket: site.path().join("server.sock"),
            shared: Arc::new(Mutex::new(shared)),
            listening: None,
        };
        desk.come_back();
        desk
    }

    /// Where the dispatcher finds it.
    pub fn endpoint(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    /// Another lab, from the next greeting on.
    pub fn lab(&self, files: Vec<LabText>) {
        self.lock().lab = files;
    }

    /// Other limits, from the next welcome on.
    pub fn limits(&self, limit: Duration, heartbeat: Duration) {
        let mut shared = self.lock();
        shared.limit_ms = limit.as_millis() as u64;
        shared.heartbeat_ms = heartbeat.as_millis() as u64;
    }

    /// Answers no heartbeats from now on, or again.
    pub fn mute(&self, mute: bool) {
        self.lock().mute = mute;
    }

    /// Forgets no runs from now on.
    pub fn hold(&self) {
        self.lock().hold = true;
    }

    /// A lab that is sent from now on may have problems.
    pub fn expect_problems(&self) {
        self.lock().problems = true;
    }

    /// Gives a run up: the next welcome says so.
    pub fn discard(&self, run: RunId) {
        self.lock().discard.push(run);
    }

    /// Goes away as a process that was killed does.
    pub fn go_away(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
        }
        std::fs::remove_file(&self.socket).unwrap();
        let mut shared = self.lock();
        shared.away = true;
        if let Some(link) = shared.link.take() {
            link.close();
        }
    }

    /// Is there again.
    pub fn come_back(&mut self) {
        self.lock().away = false;
        let router = Router::new()
            .route(basalt_link::LINK_PATH, any(link))
            .route(
                "/dispatch/v1/runs/{run}/files/{*name}",
                put(take_file).head(head_file),
            )
            // Files of tests are small; the real server streams them.
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(self.shared.clone());
        let socket = self.socket.clone();
        let _within = self.runtime.enter();
        let listener = UnixListener::bind(&socket).unwrap();
        self.listening = Some(self.runtime.spawn(async move {
            // Only an abort ends it.
            let _ = axum::serve(listener, router).await;
        }));
    }

    /// Says something to the dispatcher that is connected.
    pub fn say(&self, down: Down) {
        let link = until("a link", || self.lock().link.clone());
        self.runtime.block_on(link.send(down)).unwrap();
    }

    /// Gives a run of a job to the dispatcher.
    pub fn assign(&self, site: &Site, board: &str, epoch: u64, job: &str) -> RunId {
        let run = RunId::from_uuid(Uuid::now_v7());
        let assignment = self.assignment(site, run, board, epoch, job);
        self.say(Down::Assign(Box::new(assignment)));
        run
    }

    pub fn assignment(
        &self,
        site: &Site,
        run: RunId,
        board: &str,
        epoch: u64,
        job: &str,
    ) -> Assignment {
        Assignment {
            run,
            lease: LeaseId::from_uuid(Uuid::now_v7()),
            job: JobId(41),
            attempt: 1,
            board: BoardName::new(board),
            epoch: Epoch(epoch),
            revision: REVISION,
            job_name: "tested".into(),
            job_text: job.to_owned(),
            plan: serde_json::to_value(site.plan(board, job)).unwrap(),
            submitter: UserName::new("alice"),
        }
    }

    /// What was told of a run.
    pub fn told(&self, run: RunId) -> Told {
        self.lock().runs.get(&run).cloned().unwrap_or_default()
    }

    /// Waits until something is true of what was told of a run.
    pub fn wait(&self, what: &str, run: RunId, mut is: impl FnMut(&Told) -> bool) -> Told {
        until(what, || {
            let shared = self.lock();
            let told = shared.runs.get(&run)?;
            is(told).then(|| told.clone())
        })
    }

    /// Waits until a run has ended and everything of it is here.
    pub fn wait_ended(&self, run: RunId) -> Told {
        self.wait("a run to have ended", run, |told| told.ended > 0)
    }

    /// Waits until the dispatcher has the lab and a link.
    pub fn wait_ready(&self) {
        until("the lab to be applied", || {
            let shared = self.lock();
            (shared.revision == Some(REVISION) && shared.link.is_some()).then_some(())
        });
    }

    /// Everything that was said beside streams and heartbeats.
    pub fn heard(&self) -> Vec<Up> {
        self.lock().heard.clone()
    }

    /// Waits for the answer to an assignment.
    pub fn wait_answer(&self, run: RunId) -> Result<(), (RefusalCode, String)> {
        until("an answer to an assignment", || {
            self.heard().into_iter().find_map(|up| match up {
                Up::Accepted { run: which } if which == run => Some(Ok(())),
                Up::Refused {
                    run: which,
                    code,
                    message,
                } if which == run => Some(Err((code, message))),
                _ => None,
            })
        })
    }

    /// What the dispatcher said last of a board's power.
    pub fn power(&self, board: &str) -> Option<PowerState> {
        self.heard().into_iter().rev().find_map(|up| match up {
            Up::BoardFact {
                board: which,
                power,
                ..
            } if which.as_str() == board => Some(power),
            _ => None,
        })
    }

    /// The greetings so far.
    pub fn hellos(&self) -> Vec<Up> {
        self.lock().hellos.clone()
    }

    /// When a heartbeat was answered last, on the host's boot-time clock.
    pub fn last_answer(&self) -> BootNanos {
        self.lock().last_answer
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

async fn link(
    State(shared): State<Arc<Mutex<Shared>>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if shared.lock().unwrap().away {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if headers
        .get("authorization")
        .is_none_or(|token| token != "Bearer token")
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    upgrade.on_upgrade(|socket| serve(shared, socket))
}

async fn serve(shared: Arc<Mutex<Shared>>, socket: WebSocket) {
    let (sink, stream) = socket.split();
    let incoming = stream.filter_map(|frame| {
        ready(match frame {
            Ok(Frame::Binary(bytes)) => Some(Ok(bytes)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    });
    let outgoing = sink.with(|bytes| ready(Ok::<_, axum::Error>(Frame::Binary(bytes))));
    let (sender, mut receiver) = Channel::new(incoming, outgoing).at_server(Pace::default());
    // Until the link ends, however it does.
    while let Ok(Some(message)) = receiver.next().await {
        let answers = take(&mut shared.lock().unwrap(), message, &sender);
        for answer in answers {
            if sender.send(answer).await.is_err() {
                return;
            }
        }
    }
}

/// Takes a message as a server does: only what follows on what it has, acknowledged when kept.
fn take(shared: &mut Shared, message: Message<Up>, sender: &Sender<Down>) -> Vec<Down> {
    match message {
        Message::Control(up) => take_control(shared, up, sender),
        Message::Events(events) => {
            let told = shared.runs.entry(events.run).or_default();
            let known = told.events.len() as u64;
            assert!(
                events.from_seq <= known + 1,
                "events are missing: {events:?}"
            );
            told.repeated += u32::from(events.from_seq <= known);
            for json in events.iter() {
                let event = Event::from_json(json).unwrap();
                if event.seq > told.events.len() as u64 {
                    assert_eq!(event.seq, told.events.len() as u64 + 1);
                    told.events.push(event);
                }
            }
            vec![ack(events.run, told)]
        }
        Message::Log(log) => {
            let told = shared.runs.entry(log.run).or_default();
            let known = told.lines.len() as u64;
            let lines = decode_batch(&log.batch).unwrap();
            assert_eq!(lines.len() as u32, log.count);
            assert_eq!(log.from_line, known + 1, "lines are missing or come again");
            for line in lines {
                assert_eq!(line.number, told.lines.len() as u64 + 1);
                told.lines.push(line);
            }
            told.cursor = log.cursor;
            vec![ack(log.run, told)]
        }
    }
}

fn ack(run: RunId, told: &Told) -> Down {
    Down::Ack {
        run,
        events_seq: told.events.len() as u64,
        log_line: told.lines.len() as u64,
    }
}

fn take_control(shared: &mut Shared, up: Up, sender: &Sender<Down>) -> Vec<Down> {
    match up {
        Up::Hello {
            ref runs, revision, ..
        } => {
            let cursors = runs
                .iter()
                .map(|standing| {
                    let told = shared.runs.get(&standing.run);
                    RunCursor {
                        run: standing.run,
                        events_seq: told.map_or(0, |told| told.events.len() as u64),
                        log: told.and_then(|told| told.cursor.clone()),
                    }
                })
                .collect();
            let welcome = Down::Welcome {
                protocol: 1,
                offline_limit_ms: shared.limit_ms,
                heartbeat_ms: shared.heartbeat_ms,
                window_bytes: 1 << 20,
                revision: REVISION,
                runs: cursors,
                discard: std::mem::take(&mut shared.discard),
            };
            shared.last_answer = shared.clock.now().boot;
            shared.link = Some(sender.clone());
            shared.revision = revision;
            shared.hellos.push(up);
            let lab = (revision != Some(REVISION)).then(|| Down::Lab {
                revision: REVISION,
                name: "test".into(),
                files: shared.lab.clone(),
            });
            std::iter::once(welcome).chain(lab).collect()
        }
        Up::Heartbeat { .. } if shared.mute => Vec::new(),
        Up::Heartbeat { number } => {
            shared.last_answer = shared.clock.now().boot;
            vec![Down::HeartbeatAck { number }]
        }
        Up::Ended { run } => {
            shared.runs.entry(run).or_default().ended += 1;
            match shared.hold {
                true => Vec::new(),
                false => vec![Down::Forget { run }],
            }
        }
        Up::Applied {
            revision,
            ref problems,
        } => {
            assert!(problems.is_empty() || shared.problems, "{problems:?}");
            shared.revision = Some(revision);
            shared.heard.push(up);
            Vec::new()
        }
        other => {
            shared.heard.push(other);
            Vec::new()
        }
    }
}

async fn take_file(
    State(shared): State<Arc<Mutex<Shared>>>,
    UrlPath((run, name)): UrlPath<(Uuid, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut shared = shared.lock().unwrap();
    if shared.away {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    assert_eq!(headers.get("authorization").unwrap(), "Bearer token");
    let digest: String = sha2::Sha256::digest(&body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let said = headers.get(basalt_link::files::SHA256_HEADER).unwrap();
    assert_eq!(said.to_str().unwrap(), digest);
    let told = shared.runs.entry(RunId::from_uuid(run)).or_default();
    told.files.insert(name, body.to_vec());
    StatusCode::CREATED.into_response()
}

async fn head_file() -> StatusCode {
    StatusCode::NOT_FOUND
}

/// Whether the numbers of a run's events have no hole, and none comes twice. The desk itself refuses
/// what does not follow; this looks at the journal beside it.
pub fn assert_same_as_journal(told: &Told, run: &Path) {
    let journal = basalt_journal::read(&run.join("journal")).unwrap();
    assert_eq!(told.events, journal);
}
