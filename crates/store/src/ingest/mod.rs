//! What dispatchers send, many runs in one transaction (decision D7).
//!
//! Everything here may be asked again: what is stored already is left out, what does not follow on
//! what is stored is left out too, and the report says where each run stands.

mod apply;
mod standing;

use basalt_model::{
    BoardName, CaseResult, DispatcherName, Epoch, JobId, LeaseState, Outcome, PowerState, RunId,
    UtcMicros, Verdict,
};
use bytes::Bytes;

use crate::board::note_fact;
use crate::feed::News;
use crate::files::note_file;
use crate::statements::ingest as sql;
use crate::{BoardFact, FeedEntry, JobEnd, RunFile, Store, StoreError};
use standing::Standing;

/// One group commit.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What came, a run each; no run twice.
    pub runs: Vec<RunBatch>,
    /// What dispatchers said about boards.
    pub facts: Vec<BoardFact>,
    /// Files whose content [`Store::upload_content`] has made durable.
    pub files: Vec<(RunId, RunFile)>,
}

/// What came from one run.
#[derive(Clone, Debug)]
pub struct RunBatch {
    /// The run.
    pub run: RunId,
    /// Who sends it.
    pub dispatcher: DispatcherName,
    /// The epoch of the sender's lease.
    pub epoch: Epoch,
    /// Its answer to the assignment.
    pub answer: Option<LeaseAnswer>,
    /// Events, ascending.
    pub events: Vec<EventRow>,
    /// Log batches, ascending.
    pub logs: Vec<LogBatch>,
    /// The run's last event is among or before `events`: its board is free.
    pub finished: Option<RunFinished>,
    /// Everything of the run has arrived: its job ends, or goes back to the queue.
    pub ended: Option<RunEnded>,
}

/// What a dispatcher says to an assignment.
#[expect(
    clippy::large_enum_variant,
    reason = "one a run, beside kilobytes of events"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum LeaseAnswer {
    /// It is durable there.
    Accepted,
    /// It does not take it. The job goes back to the queue, unless that counts and it had its
    /// attempts.
    Refused {
        /// `old-epoch`, `board-held`, ….
        code: String,
        /// In words.
        message: String,
        /// How many runs a job may have; `None` where this one does not count as one.
        max_attempts: Option<u32>,
        /// How the job ends when it had them.
        end: JobEnd,
    },
}

/// One event as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its place in the run, from 1.
    pub seq: u64,
    /// When it was written.
    pub utc: UtcMicros,
    /// The event as JSON.
    pub json: String,
}

/// Some lines of a run's log, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogBatch {
    /// The number of its first line, from 1.
    pub from_line: u64,
    /// How many lines it has, at least 1.
    pub lines: u64,
    /// Bit n is set if a line has level n (`basalt_report::joblog`'s order).
    pub levels: u32,
    /// Time of its first line.
    pub first: UtcMicros,
    /// Time of its last line.
    pub last: UtcMicros,
    /// The lines, encoded.
    pub data: Bytes,
    /// Where the sender goes on after these lines: given back to it as it is.
    pub cursor: String,
}

/// The end of a run's work on its board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFinished {
    /// The sequence number of its last event. Nothing happens until that one is stored.
    pub seq: u64,
    /// When.
    pub at: UtcMicros,
    /// What it came to.
    pub outcome: Outcome,
    /// What the relay said about the board at the end.
    pub power: PowerState,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEnded {
    /// The sequence number of its last event. Nothing happens until that one is stored.
    pub seq: u64,
    /// The number of the last line of its log. Nothing happens until that one is stored.
    pub log_line: u64,
    /// Its results, as JSON (`basalt_report::Results`).
    pub results: String,
    /// Its cases.
    pub cases: Vec<CaseResult>,
    /// Its latency records.
    pub latency: Vec<LatencyRow>,
    /// How its job ends, if it does.
    pub end: JobEnd,
    /// `Some(n)`: it ended because of the lab, so its job goes back to the queue unless it had n
    /// runs already, or is being canceled.
    pub requeue: Option<u32>,
}

/// A latency record, with the numbers that trends are drawn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyRow {
    /// Its suite: `0_idle`.
    pub suite: String,
    /// Its phase: `idle`.
    pub phase: String,
    /// The program: `cyclictest`.
    pub measure: String,
    /// The names of the loads joined by `+`, or `idle`.
    pub loads: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Samples of all threads.
    pub samples: Option<u64>,
    /// Largest latency, microseconds.
    pub max_us: Option<u64>,
    /// 99.99th percentile, microseconds; with `p9999_at_least`, only a lower bound.
    pub p9999_us: Option<u64>,
    /// The percentile lies among the samples that the histogram does not hold.
    pub p9999_at_least: bool,
    /// The largest latency that passes, microseconds.
    pub limit_us: Option<u64>,
    /// Which kernel: what the trend is marked with.
    pub kernel: String,
    /// What the board's clock is worth, where its file says so.
    pub timebase: Option<String>,
    /// When it was measured.
    pub measured: UtcMicros,
    /// Smallest latency, microseconds.
    pub min_us: Option<u64>,
    /// Mean latency, nanoseconds.
    pub avg_ns: Option<u64>,
    /// 99th percentile, microseconds; with `p99_at_least`, only a lower bound.
    pub p99_us: Option<u64>,
    /// As [`LatencyRow::p9999_at_least`].
    pub p99_at_least: bool,
    /// `uname -v` of the kernel.
    pub kernel_version: Option<String>,
    /// SHA-256 of the kernel's image, as hexadecimal digits.
    pub image_sha256: Option<String>,
    /// The whole record as JSON (`basalt_realtime::LatencyRecord`).
    pub record: String,
}

/// What a group commit did.
#[derive(Clone, Debug, Default)]
pub struct CommitReport {
    /// One for each run of the batch, in its order.
    pub runs: Vec<RunReport>,
    /// What listeners are told, with the ids that the database gave.
    pub feed: Vec<FeedEntry>,
}

/// Where a run stands after a commit: what may be acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// The run.
    pub run: RunId,
    /// Its job; `None` if the run is unknown.
    pub job: Option<JobId>,
    /// Whether it was taken at all.
    pub fate: RunFate,
    /// Its last stored event.
    pub events_seq: u64,
    /// Its last stored line.
    pub log_line: u64,
    /// Where its sender goes on with the log.
    pub log_cursor: Option<String>,
    /// Its lease.
    pub lease: LeaseState,
    /// Its board is free by its own last event (now or before).
    pub finished: bool,
    /// What the end of the run did (now or before).
    pub ended: Option<RunDisposition>,
    /// Its board, to be told to the scheduler if it became free.
    pub board: Option<BoardName>,
    /// The board became idle in this commit.
    pub board_freed: bool,
}

/// Whether a run's batch was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunFate {
    /// Yes, as far as it follows on what was stored.
    Taken,
    /// There is no such run.
    Unknown,
    /// The run belongs to another dispatcher or epoch.
    NotOwner,
    /// The run was given up by the server: nothing of it is taken any more.
    Fenced,
}

/// What became of a job when its run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunDisposition {
    /// The job is finished.
    Finished(Outcome),
    /// The job waits for another run.
    Requeued,
}

/// Why a run is given up.
#[derive(Clone, Debug, PartialEq)]
pub struct Fence {
    /// In words.
    pub reason: String,
    /// How many runs a job may have before it ends as `end`.
    pub max_attempts: u32,
    /// How the job ends when it had them.
    pub end: JobEnd,
}

/// What giving a run up did.
#[derive(Clone, Debug)]
pub enum Fenced {
    /// The board is free, the job ended or waits again.
    Now {
        /// The job.
        job: JobId,
        /// What became of it.
        disposition: RunDisposition,
        /// The board.
        board: BoardName,
        /// What listeners are told.
        feed: Vec<FeedEntry>,
    },
    /// The run had ended by itself, or was given up before.
    Already,
    /// There is no such run.
    Unknown,
}

impl Store {
    /// Stores what dispatchers sent. Durable when it returns.
    pub async fn commit(&self, batch: &Batch, now: UtcMicros) -> Result<CommitReport, StoreError> {
        let mut transaction = self.database().write("store what dispatchers sent").await?;
        let ids: Vec<RunId> = batch.runs.iter().map(|run| run.run).collect();
        let mut standings = Standing::load(&mut transaction, &ids).await?;
        let mut work = apply::Work {
            transaction: &mut transaction,
            now,
            news: News::default(),
            events: Vec::new(),
            tail: Vec::new(),
        };
        let mut runs = Vec::with_capacity(batch.runs.len());
        for run in &batch.runs {
            runs.push(match standings.get_mut(&run.run) {
                Some(standing) => work.take(run, standing).await?,
                None => RunReport::unknown(run.run),
            });
        }
        let apply::Work {
            mut news,
            events,
            tail,
            ..
        } = work;
        transaction.insert(sql::EVENTS_INSERT, 4, events).await?;
        transaction.insert(sql::TAIL_INSERT, 7, tail).await?;
        for fact in &batch.facts {
            note_fact(&mut transaction, fact, &mut news, now).await?;
        }
        for (run, file) in &batch.files {
            note_file(&mut transaction, *run, file).await?;
        }
        let feed = news.write(&mut transaction, now).await?;
        transaction.commit().await?;
        Ok(CommitReport { runs, feed })
    }

    /// Gives up a run whose dispatcher is silent for too long (decision D2), or that its
    /// dispatcher does not know: its lease ends, its board is free, its job goes back to the queue.
    pub async fn fence(
        &self,
        run: RunId,
        fence: &Fence,
        now: UtcMicros,
    ) -> Result<Fenced, StoreError> {
        let mut transaction = self.database().write("give a run up").await?;
        let mut standings = Standing::load(&mut transaction, &[run]).await?;
        let Some(standing) = standings.get_mut(&run) else {
            transaction.roll_back().await?;
            return Ok(Fenced::Unknown);
        };
        if standing.ended.is_some() {
            transaction.roll_back().await?;
            return Ok(Fenced::Already);
        }
        let mut work = apply::Work {
            transaction: &mut transaction,
            now,
            news: News::default(),
            events: Vec::new(),
            tail: Vec::new(),
        };
        let ending = apply::Ending {
            lease: LeaseState::Ended,
            end: &fence.end,
            requeue: Some(apply::Requeue::Below(fence.max_attempts)),
            reason: Some(&fence.reason),
            fenced: true,
        };
        let disposition = work.end(standing, &ending).await?;
        let news = work.news;
        let feed = news.write(&mut transaction, now).await?;
        transaction.commit().await?;
        Ok(Fenced::Now {
            job: standing.job,
            disposition,
            board: standing.board.clone(),
            feed,
        })
    }
}
