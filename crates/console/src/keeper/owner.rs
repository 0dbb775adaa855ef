//! The task that owns one console: its source, its segments, and what is typed at it.
//!
//! It alone reads the source and appends. What it reads is in the file before the view that
//! wakes readers changes; it never waits for a reader. File writes are done in place: they go to
//! the page cache, and a host whose disk stalls has to stop capturing anyway. Only fdatasync
//! leaves the task.

use std::collections::VecDeque;
use std::fs::File;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use basalt_clock::Clock;
use basalt_lab::profile::ConsoleSource;
use basalt_model::UtcMicros;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::recorder::{Counters, Recorder};
use super::source::{self, Stream};
use super::typing::{self, Job, Typed};
use crate::protocol::{ConsoleView, Refusal, SourceState};
use crate::segment::{Body, InputRecord, Recovered, SegmentWriter, StartRecord};

/// How often dirty segments are synced (decision D7).
const SYNC_PERIOD: Duration = Duration::from_secs(1);
/// The first pause between attempts to open a source; doubles up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between attempts to open a source.
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// A source that stays open this long is worth an attempt at once when it is lost.
const STEADY: Duration = Duration::from_secs(1);
/// Bytes that are read from a source at once.
const READ_SIZE: usize = 64 * 1024;
/// Writes that may wait for the one before them.
const MAX_QUEUED: usize = 64;

/// What an owner is asked.
pub(super) enum Command {
    /// Type.
    Type(Job),
    /// Make durable; answered with the offset up to which everything is.
    Sync(oneshot::Sender<Result<u64, Refusal>>),
    /// Use another source from now on, unless it is the same.
    Reopen(ConsoleSource),
    /// What came since then was read late or not at all.
    Gap {
        /// Since when.
        from: UtcMicros,
        /// Why.
        reason: String,
    },
    /// End; the task is over when everything is durable.
    Stop,
}

enum Link {
    Open {
        reader: Box<dyn AsyncRead + Send + Unpin>,
        /// Away while something is typed.
        writer: Option<Box<dyn AsyncWrite + Send + Unpin>>,
        since: Instant,
    },
    Opening(Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>),
    Waiting(Instant),
}

enum Happening {
    Read(io::Result<usize>),
    Opened(io::Result<Stream>),
    Retry,
    Typed(Typed),
    Synced(io::Result<u64>),
    SyncDue,
    Command(Option<Command>),
}

pub(super) struct Owner {
    name: String,
    source: ConsoleSource,
    recorder: Recorder,
    commands: mpsc::Receiver<Command>,
    link: Link,
    pause: Duration,
    /// Since when and why the source is down, once that is on record.
    down: Option<(UtcMicros, String)>,
    /// What is missing from before this keeper started, until it is on record.
    absence: Option<(UtcMicros, String)>,
    queue: VecDeque<Job>,
    typing: Option<Pin<Box<dyn Future<Output = Typed> + Send>>>,
    /// Keeps the next keeper out for as long as this one may append.
    _lock: Arc<File>,
    syncing: Option<JoinHandle<io::Result<u64>>>,
    sync_due: Option<Instant>,
    /// Who waits for the sync that is under way.
    sync_waiters: Vec<oneshot::Sender<Result<u64, Refusal>>>,
    /// Who needs the next one.
    sync_queued: Vec<oneshot::Sender<Result<u64, Refusal>>>,
}

impl Owner {
    /// The owner of an opened console; it works while [`Owner::run`] is polled.
    pub(super) fn new(
        name: String,
        source: ConsoleSource,
        (writer, recovered): (SegmentWriter, Recovered),
        clock: Clock,
        counters: Arc<Counters>,
        lock: Arc<File>,
    ) -> (Self, mpsc::Sender<Command>, watch::Receiver<ConsoleView>) {
        let (command_sender, commands) = mpsc::channel(16);
        let (view, view_receiver) = watch::channel(ConsoleView {
            end: writer.end(),
            records: 0,
            source: SourceState {
                open: false,
                reason: "not opened yet".into(),
                since: clock.now().utc,
            },
        });
        let absence = recovered.last.map(|last| {
            let mut reason = format!("keeper was not running since {}", time_text(last.utc));
            if recovered.cut > 0 {
                reason += &format!("; {} bytes of a torn record were cut off", recovered.cut);
            }
            (last.utc, reason)
        });
        let owner = Self {
            link: Link::Opening(Box::pin(source::open(source.clone()))),
            recorder: Recorder::new(name.clone(), writer, clock, view, counters),
            name,
            source,
            commands,
            pause: FIRST_PAUSE,
            down: None,
            absence,
            queue: VecDeque::new(),
            typing: None,
            _lock: lock,
            syncing: None,
            sync_due: None,
            sync_waiters: Vec::new(),
            sync_queued: Vec::new(),
        };
        (owner, command_sender, view_receiver)
    }

    /// Captures until it is told to stop.
    pub(super) async fn run(mut self) {
        self.recorder.record(Body::Start(StartRecord {
            boot_id: self.recorder.clock.boot_id().0.clone(),
            pid: std::process::id(),
        }));
        let mut buffer = vec![0; READ_SIZE];
        loop {
            match self.next(&mut buffer).await {
                Happening::Read(Ok(0)) => self.lose("end of stream".into()),
                Happening::Read(Ok(count)) => self.recorder.store_data(&buffer[..count]),
                Happening::Read(Err(error)) => self.lose(error.to_string()),
                Happening::Opened(Ok(stream)) => self.opened(stream),
                Happening::Opened(Err(error)) => self.not_opened(error.to_string()),
                Happening::Retry => self.reopen(),
                Happening::Typed(typed) => self.typed(typed),
                Happening::Synced(result) => self.synced(result),
                Happening::SyncDue => {
                    self.sync_due = None;
                    if self.syncing.is_none() {
                        self.begin_sync();
                    }
                }
                Happening::Command(Some(Command::Type(job))) => self.enqueue(job),
                Happening::Command(Some(Command::Sync(answer))) => self.sync(answer),
                Happening::Command(Some(Command::Reopen(source))) => self.change(source),
                Happening::Command(Some(Command::Gap { from, reason })) => {
                    // A way that was closed has a record of its own.
                    if matches!(self.link, Link::Open { .. }) {
                        self.recorder.record_gap(from, reason);
                    }
                }
                Happening::Command(Some(Command::Stop) | None) => {
                    self.stop().await;
                    return;
                }
            }
            self.start_typing();
            if self.recorder.writer.dirty() && self.sync_due.is_none() {
                self.sync_due = Some(Instant::now() + SYNC_PERIOD);
            }
        }
    }

    async fn next(&mut self, buffer: &mut [u8]) -> Happening {
        let Self {
            link,
            typing,
            syncing,
            sync_due,
            commands,
            ..
        } = self;
        let source = async {
            match link {
                Link::Open { reader, .. } => Happening::Read(reader.read(buffer).await),
                Link::Opening(opening) => Happening::Opened(opening.await),
                Link::Waiting(until) => {
                    tokio::time::sleep_until(*until).await;
                    Happening::Retry
                }
            }
        };
        let typed = async {
            match typing {
                Some(typing) => Happening::Typed(typing.await),
                None => pending().await,
            }
        };
        let synced = async {
            match syncing {
                Some(task) => Happening::Synced(task.await.unwrap_or_else(|error| {
                    Err(io::Error::other(format!("the sync task failed: {error}")))
                })),
                None => pending().await,
            }
        };
        let due = async {
            match sync_due {
                Some(due) => tokio::time::sleep_until(*due).await,
                None => pending().await,
            }
        };
        tokio::select! {
            happening = source => happening,
            happening = typed => happening,
            happening = synced => happening,
            () = due => Happening::SyncDue,
            command = commands.recv() => Happening::Command(command),
        }
    }

    fn opened(&mut self, stream: Stream) {
        self.recorder.counters.opens.fetch_add(1, Ordering::Relaxed);
        self.record_absence();
        if let Some((from, reason)) = self.down.take() {
            self.recorder
                .record_gap(from, format!("console source was down: {reason}"));
        }
        let reason = source::describe(&self.source);
        tracing::info!(console = %self.name, source = %reason, "console opened");
        self.link = Link::Open {
            reader: stream.reader,
            writer: Some(stream.writer),
            since: Instant::now(),
        };
        self.recorder.record_source(true, reason);
    }

    fn not_opened(&mut self, reason: String) {
        self.record_absence();
        let reason = format!("cannot open {}: {reason}", source::describe(&self.source));
        self.went_down(reason);
        self.link = Link::Waiting(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LAST_PAUSE);
    }

    fn lose(&mut self, reason: String) {
        let steady = matches!(&self.link, Link::Open { since, .. } if since.elapsed() >= STEADY);
        self.typing = None;
        self.went_down(format!("lost {}: {reason}", source::describe(&self.source)));
        if steady {
            self.pause = FIRST_PAUSE;
            self.link = Link::Waiting(Instant::now());
        } else {
            // A source that closes as soon as it is open must not be tried without pause.
            self.link = Link::Waiting(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(LAST_PAUSE);
        }
    }

    fn went_down(&mut self, reason: String) {
        for job in self.queue.drain(..) {
            job.refuse(Refusal::Down {
                console: self.name.clone(),
                reason: reason.clone(),
            });
        }
        match &mut self.down {
            // One record for each time that it is down, whatever the attempts say meanwhile.
            Some(_) => self.recorder.view.send_if_modified(|view| {
                let changed = view.source.reason != reason;
                view.source.reason.clone_from(&reason);
                changed
            }),
            None => {
                tracing::warn!(console = %self.name, reason = %reason, "console is down");
                self.down = Some((self.recorder.clock.now().utc, reason.clone()));
                self.recorder.record_source(false, reason);
                true
            }
        };
    }

    fn reopen(&mut self) {
        self.link = Link::Opening(Box::pin(source::open(self.source.clone())));
    }

    fn change(&mut self, source: ConsoleSource) {
        if source == self.source {
            return;
        }
        if matches!(self.link, Link::Open { .. }) {
            self.lose("the lab names another source".into());
        }
        self.source = source;
        self.pause = FIRST_PAUSE;
        self.reopen();
    }

    fn enqueue(&mut self, job: Job) {
        if let Some((_, reason)) = &self.down {
            let reason = reason.clone();
            job.refuse(Refusal::Down {
                console: self.name.clone(),
                reason,
            });
        } else if self.queue.len() >= MAX_QUEUED {
            job.refuse(Refusal::Busy {
                console: self.name.clone(),
            });
        } else {
            self.queue.push_back(job);
        }
    }

    /// Begins the next write, once the one before it is through and the source is open.
    fn start_typing(&mut self) {
        while self.typing.is_none() {
            let Link::Open { writer, .. } = &mut self.link else {
                return;
            };
            if writer.is_none() || self.queue.is_empty() {
                return;
            }
            let (Some(job), Some(half)) = (self.queue.pop_front(), writer.take()) else {
                return;
            };
            let input = InputRecord {
                writer: job.writer.clone(),
                bytes: job.bytes.clone(),
            };
            if let Err(error) = self.recorder.store(Body::Input(input)) {
                job.refuse(Refusal::Host {
                    reason: format!("cannot record what is typed: {error}"),
                });
                self.give_back(half);
                continue;
            }
            self.typing = Some(Box::pin(typing::run(self.name.clone(), half, job)));
        }
    }

    fn typed(&mut self, typed: Typed) {
        self.typing = None;
        self.recorder
            .counters
            .bytes_typed
            .fetch_add(typed.bytes, Ordering::Relaxed);
        match typed.failure {
            // A source that cannot be written is opened anew, even if it still can be read.
            Some(reason) => self.lose(reason),
            None => self.give_back(typed.half),
        }
    }

    fn give_back(&mut self, half: Box<dyn AsyncWrite + Send + Unpin>) {
        if let Link::Open { writer, .. } = &mut self.link {
            *writer = Some(half);
        }
    }

    fn sync(&mut self, answer: oneshot::Sender<Result<u64, Refusal>>) {
        match (self.recorder.writer.dirty(), self.syncing.is_some()) {
            (false, false) => {
                // Whoever asked may have gone.
                let _ = answer.send(Ok(self.recorder.writer.end()));
            }
            (false, true) => self.sync_waiters.push(answer),
            (true, true) => self.sync_queued.push(answer),
            (true, false) => {
                self.sync_queued.push(answer);
                self.begin_sync();
            }
        }
    }

    fn begin_sync(&mut self) {
        let files = self.recorder.writer.take_unsynced();
        let counters = Arc::clone(&self.recorder.counters);
        self.sync_waiters.append(&mut self.sync_queued);
        self.syncing = Some(tokio::task::spawn_blocking(move || {
            files.sync(&counters.fsyncs).map(|()| files.end)
        }));
    }

    fn synced(&mut self, result: io::Result<u64>) {
        self.syncing = None;
        let answer = result.map_err(|error| {
            tracing::error!(console = %self.name, error = %error, "console segments cannot be synced");
            self.recorder.writer.sync_again();
            Refusal::Host {
                reason: format!("cannot sync the segments of {}: {error}", self.name),
            }
        });
        for waiter in self.sync_waiters.drain(..) {
            // Whoever asked may have gone.
            let _ = waiter.send(answer.clone());
        }
        if !self.sync_queued.is_empty() {
            self.begin_sync();
        }
    }

    async fn stop(&mut self) {
        self.typing = None;
        if self.down.is_none() {
            self.record_absence();
            self.recorder.record_source(false, "keeper stopped".into());
        }
        if let Some(task) = self.syncing.take() {
            let result = task
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error)));
            self.synced(result);
        }
        if self.syncing.is_none() && self.recorder.writer.dirty() {
            self.begin_sync();
        }
        if let Some(task) = self.syncing.take() {
            let result = task
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error)));
            self.synced(result);
        }
    }

    fn record_absence(&mut self) {
        if let Some((from, reason)) = self.absence.take() {
            self.recorder.record_gap(from, reason);
        }
    }
}

/// A time for people, to the second: `2026-01-31T12:00:00Z`.
fn time_text(utc: UtcMicros) -> String {
    match jiff::Timestamp::from_second(utc.0.div_euclid(1_000_000)) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{} us after 1970", utc.0),
    }
}

/// A write that a client asked for, as the owner is told.
pub(super) fn job(
    writer: String,
    bytes: Bytes,
    character_delay: Duration,
) -> (Job, oneshot::Receiver<Result<(), Refusal>>) {
    let (answer, receiver) = oneshot::channel();
    let job = Job {
        writer,
        bytes,
        character_delay,
        answer,
    };
    (job, receiver)
}
