//! Tells the server of one run, over one connection: a cursor on the run's files, and nothing that
//! is held back but what is on its way.

mod bundle;
mod source;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use basalt_console::segment::ChunkBody;
use basalt_link::connection::SendError;
use basalt_link::{FileClient, PutFile, RunCursor, Sender, Up};
use basalt_model::{BoardName, PowerState, RunId};
use basalt_report::joblog::UnknownVersion;
use basalt_runner::Grown;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::common::{Common, Notice};
use bundle::{Bundle, LogCursor};
use source::{Next, Source, SourceError};

/// Pauses between tries to send a file, doubling.
const FIRST_FILE_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_FILE_PAUSE: Duration = Duration::from_secs(10);
/// Files of a run that go to the server, beside its measurement files.
const FILES: [&str; 2] = ["environment.txt", "results.json"];
/// Measurement files.
const RAW: &str = "raw";

/// What the server has of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acked {
    /// The last event.
    pub events_seq: u64,
    /// The last line of the log.
    pub log_line: u64,
}

/// A run cannot be told any further over this connection.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    /// The connection is closed, or cannot take this.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The run's files.
    #[error("the run's files cannot be followed")]
    Source(#[from] SourceError),
    /// The server's cursor of the log.
    #[error("the server's cursor of the log cannot be read")]
    Cursor(#[source] serde_json::Error),
    /// A later release has begun the log.
    #[error(transparent)]
    Version(#[from] UnknownVersion),
    /// The run's directory.
    #[error("cannot list {}", path.display())]
    List {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Nobody performs the run any more, and it has not finished.
    #[error("the run has stopped without an end")]
    Stopped,
}

/// One run, over one connection.
pub struct Uplink {
    /// What all runs have in common.
    pub common: Arc<Common>,
    /// The run.
    pub run: RunId,
    /// Its board.
    pub board: BoardName,
    /// Its directory.
    pub path: PathBuf,
    /// How far its files have grown.
    pub grown: watch::Receiver<Grown>,
    /// Its results are written.
    pub ended: watch::Receiver<bool>,
    /// What the server has of it.
    pub acked: watch::Receiver<Acked>,
    /// To the server.
    pub server: Sender<Up>,
    /// For files.
    pub files: FileClient,
    /// To the actor.
    pub notices: mpsc::Sender<Notice>,
}

impl Uplink {
    /// Tells everything from where the server is to the end of the run, and that it has ended.
    pub async fn follow(mut self, cursor: RunCursor) -> Result<(), UplinkError> {
        let log: Option<LogCursor> = cursor
            .log
            .map(serde_json::from_value)
            .transpose()
            .map_err(UplinkError::Cursor)?;
        let mut bundle = Bundle::new(self.run, cursor.events_seq, log)?;
        let mut source = Source::new(
            &self.path,
            &self.common.state,
            self.board.as_str(),
            bundle.first_needed(),
        );
        let mut power = None;
        loop {
            let grown = *self.grown.borrow_and_update();
            self.drain(&mut source, &mut bundle, grown).await?;
            self.tell_power(&mut power, grown.power).await;
            if grown.finished {
                break;
            }
            self.wait(&mut bundle).await?;
        }
        bundle.end_line();
        self.send(&mut bundle).await?;
        let (events_seq, log_line) = bundle.last();
        let all = |acked: &Acked| acked.events_seq >= events_seq && acked.log_line >= log_line;
        if self.acked.wait_for(all).await.is_err() {
            return Err(UplinkError::Stopped);
        }
        if self.ended.wait_for(|ended| *ended).await.is_err() {
            return Err(UplinkError::Stopped);
        }
        self.send_files().await?;
        self.server.send(Up::Ended { run: self.run }).await?;
        Ok(())
    }

    /// Sends everything that is there.
    async fn drain(
        &mut self,
        source: &mut Source,
        bundle: &mut Bundle,
        grown: Grown,
    ) -> Result<(), UplinkError> {
        while let Some(next) = source.next(grown, bundle.console_offset())? {
            match next {
                Next::Event(event, json) => bundle.event(&event, &json),
                Next::Console(chunk) => {
                    let utc = chunk.stamp.utc;
                    if chunk.offset > bundle.console_offset() {
                        bundle.jump(chunk.offset);
                    }
                    match chunk.body {
                        ChunkBody::Data(bytes) => {
                            let mut rest = &bytes[..];
                            while !rest.is_empty() {
                                let taken = bundle.console(utc, rest);
                                rest = &rest[taken..];
                                if bundle.is_full() {
                                    self.send(bundle).await?;
                                }
                            }
                        }
                        ChunkBody::Gap(gap) => bundle.gap(utc, &gap.reason),
                        ChunkBody::Source(_) | ChunkBody::Input(_) => {}
                    }
                }
                Next::Unreadable(error) => {
                    tracing::error!(run.id = %self.run, %error, "a run's console cannot be read");
                    let now = self.common.clock.now().utc;
                    bundle.gap(now, &error.to_string());
                    bundle.jump(grown.console.max(bundle.console_offset() + 1));
                }
            }
            if bundle.is_full() {
                self.send(bundle).await?;
            }
        }
        self.send(bundle).await
    }

    async fn send(&self, bundle: &mut Bundle) -> Result<(), UplinkError> {
        if let Some(events) = bundle.take_events() {
            self.server.events(events).await?;
        }
        if let Some(lines) = bundle.take_lines() {
            self.server.log(lines).await?;
        }
        Ok(())
    }

    /// Waits until there is more; what comes in short order is taken together. A line that the
    /// board leaves unfinished is sent as it is.
    async fn wait(&mut self, bundle: &mut Bundle) -> Result<(), UplinkError> {
        let changed = match bundle.has_partial() {
            true => {
                let idle = self.common.tempo.idle;
                tokio::time::timeout(idle, self.grown.changed()).await.ok()
            }
            false => None,
        };
        let changed = match changed {
            Some(changed) => changed,
            None => {
                bundle.end_line();
                self.send(bundle).await?;
                self.grown.changed().await
            }
        };
        if changed.is_err() && !self.grown.borrow().finished {
            return Err(UplinkError::Stopped);
        }
        let gather = tokio::time::sleep(self.common.tempo.gather);
        tokio::select! {
            () = gather => {}
            // The end is urgent: the board may go to the next job. Nobody to tell it is no end.
            Ok(_) = self.grown.wait_for(|grown| grown.finished) => {}
        }
        Ok(())
    }

    async fn tell_power(&self, known: &mut Option<PowerState>, power: Option<PowerState>) {
        if *known == power {
            return;
        }
        *known = power;
        if let Some(power) = power {
            let board = self.board.clone();
            // The actor outlives this task.
            let _ = self.notices.send(Notice::Power { board, power }).await;
        }
    }

    /// Sends the run's files; what the server does not want at all is left here, and said.
    async fn send_files(&self) -> Result<(), UplinkError> {
        for name in self.list_files()? {
            let file = PutFile {
                run: self.run,
                path: self.path.join(&name),
                name,
            };
            let mut pause = FIRST_FILE_PAUSE;
            while let Err(error) = self.files.put(&file).await {
                if !error.is_passing() {
                    tracing::error!(run.id = %self.run, %error, "a run's file stays here");
                    break;
                }
                let wait = tokio::time::sleep_until(Instant::now() + pause);
                tokio::select! {
                    () = wait => {}
                    closed = self.server.closed() => return Err(SendError::from(closed).into()),
                }
                pause = (pause * 2).min(LONGEST_FILE_PAUSE);
            }
        }
        Ok(())
    }

    fn list_files(&self) -> Result<Vec<String>, UplinkError> {
        let raw = self.path.join(RAW);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| UplinkError::List { path, source }
        };
        let mut names = Vec::new();
        let entries = match std::fs::read_dir(&raw) {
            Ok(entries) => Some(entries),
            // A job that does not measure.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&raw)(error)),
        };
        for entry in entries.into_iter().flatten() {
            let entry = entry.map_err(failed(&raw))?;
            if entry.file_type().map_err(failed(&raw))?.is_file() {
                names.push(format!("{RAW}/{}", entry.file_name().to_string_lossy()));
            }
        }
        names.sort();
        let others = FILES.iter().filter(|name| self.path.join(name).exists());
        names.extend(others.map(|name| (*name).to_owned()));
        Ok(names)
    }
}
