//! `fill DATABASE OBJECTS JOBS`: repeats the newest finished job of a store until there are so many
//! jobs, for benches. No server may run on the store meanwhile.
//!
//! Everything goes through the store's own operations: each job is submitted, granted a board and
//! run to its end, with the events, lines, results and cases of the one that is repeated; then logs
//! are sealed as a server would. Only times are made up: one job a second, the last one now.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use basalt_model::{
    BoardName, DispatcherName, JobState, LeaseId, Outcome, PowerState, RunId, UtcMicros,
};
use basalt_store::{
    Batch, Board, EventRow, GrantRequest, Granted, Job, JobEnd, JobFilter, LeaderTerm, LeaseAnswer,
    LogBatch, NewJob, Run, RunBatch, RunEnded, RunFinished, Store, StoreConfig, Submitted,
};
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const MOST_EVENTS: u32 = 10_000;
const SECOND: i64 = 1_000_000;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [database, objects, count] = words.as_slice() else {
        return Err("usage: fill DATABASE OBJECTS JOBS".into());
    };
    let count = count.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = Store::open(&StoreConfig::new(database, objects)).await?;
        fill(&store, count).await?;
        store.close().await;
        Ok(())
    })
}

async fn fill(store: &Store, count: i64) -> Result<()> {
    let now = now()?;
    let term = store
        .acquire_lead("fill", Duration::from_secs(86_400), now)
        .await?
        .ok_or("another server leads")?;
    let template = Template::read(store).await?;
    let boards = store.boards(false).await?;
    let there: u64 = store.job_counts().await?.iter().map(|(_, jobs)| jobs).sum();
    let missing = count - i64::try_from(there)?;
    let mut done = 0;
    while done < missing {
        let mut batch = Batch::default();
        let mut at = now;
        for board in boards.iter().take(usize::try_from(missing - done)?) {
            done += 1;
            at = UtcMicros(now.0 - (missing - done) * SECOND);
            batch
                .runs
                .push(template.granted(store, board, term, at).await?);
        }
        let report = store.commit(&batch, at).await?;
        if report.runs.iter().any(|run| run.ended.is_none()) {
            return Err("a run did not end".into());
        }
    }
    // Old enough for all logs to be due.
    let later = UtcMicros(now.0 + 3_600 * SECOND);
    while store.seal(&[], later).await?.more {}
    store.release_lead(term, now).await?;
    println!("{done} jobs were added");
    Ok(())
}

/// The job that is repeated, with its run.
struct Template {
    job: Job,
    definition: String,
    run: Run,
    events: Vec<EventRow>,
    logs: Vec<LogBatch>,
    ended: RunEnded,
}

impl Template {
    async fn read(store: &Store) -> Result<Self> {
        let filter = JobFilter {
            states: vec![JobState::Finished],
            outcomes: vec![Outcome::Pass],
            ..JobFilter::default()
        };
        let job = store.jobs(&filter, None, 1).await?.jobs.pop();
        let job = job.ok_or("there is no job that passed")?;
        let id = job.run.ok_or("the job has no run")?;
        let run = store.run(id).await?.ok_or("the run is missing")?;
        let mut logs = Vec::new();
        let mut reader = store.read_log(id, 1, u32::MAX);
        while let Some(chunk) = reader.next().await? {
            logs.push(LogBatch {
                from_line: chunk.from_line,
                lines: chunk.lines,
                levels: chunk.levels,
                first: chunk.first,
                last: chunk.last,
                data: chunk.data,
                cursor: run.log_cursor.clone().unwrap_or_default(),
            });
        }
        let latency = store.latency_of_run(id).await?;
        Ok(Self {
            definition: store
                .job_definition(job.id)
                .await?
                .ok_or("the job has no text")?,
            events: store.events(id, 1, MOST_EVENTS).await?,
            ended: RunEnded {
                seq: run.events_seq,
                log_line: run.log_line,
                results: store.results(id).await?.ok_or("there are no results")?,
                cases: store.cases(id).await?,
                latency: latency.into_iter().map(|record| record.row).collect(),
                end: JobEnd {
                    outcome: job.outcome.ok_or("the job has no outcome")?,
                    health: job.health,
                    failure: job.failure.clone(),
                },
                requeue: None,
            },
            job,
            run,
            logs,
        })
    }

    /// Submits the job again and gives it a board; what its run says until its end.
    async fn granted(
        &self,
        store: &Store,
        board: &Board,
        leader_term: LeaderTerm,
        at: UtcMicros,
    ) -> Result<RunBatch> {
        let job = NewJob {
            definition: self.definition.clone(),
            definition_sha256: self.job.definition_sha256,
            name: self.job.name.clone(),
            priority: self.job.priority,
            submitter: self.job.submitter.clone(),
            wants: self.job.wants.clone(),
            resubmit_of: None,
            idempotency_key: Uuid::now_v7().to_string(),
            request_sha256: self.job.definition_sha256,
        };
        let Submitted::New { job, .. } = store.submit(&job, at).await? else {
            return Err("a job was not new".into());
        };
        let run = RunId::from_uuid(Uuid::now_v7());
        let request = GrantRequest {
            job: job.id,
            board: BoardName::new(board.name.as_str()),
            run,
            lease: LeaseId::from_uuid(Uuid::now_v7()),
            dispatcher: DispatcherName::new(board.dispatcher.as_str()),
            leader_term,
        };
        let Granted::Yes { epoch, .. } = store.grant(&request, at).await? else {
            return Err("a board was not free".into());
        };
        let (old, new) = (self.run.id.to_string(), run.to_string());
        let of_run = |text: &str| text.replace(&old, &new);
        Ok(RunBatch {
            run,
            dispatcher: request.dispatcher,
            epoch,
            answer: Some(LeaseAnswer::Accepted),
            events: self
                .events
                .iter()
                .map(|event| EventRow {
                    json: of_run(&event.json),
                    ..event.clone()
                })
                .collect(),
            logs: self.logs.clone(),
            finished: Some(RunFinished {
                seq: self.run.events_seq,
                at,
                outcome: self.ended.end.outcome,
                power: PowerState::Off,
            }),
            ended: Some(RunEnded {
                results: of_run(&self.ended.results),
                ..self.ended.clone()
            }),
        })
    }
}

fn now() -> Result<UtcMicros> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(UtcMicros(i64::try_from(since.as_micros())?))
}
