//! Gives boards to jobs: one task owns the [`Scheduler`], hears what changes, and makes what it
//! decides true in the store before it tells a dispatcher.
//!
//! What the task knows is a copy. A grant is one guarded transaction; where the store refuses it,
//! or an answer was lost, the truth is read again, so that a message that came late or never costs
//! a look at the store and nothing else.

mod facts;
mod grant;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use basalt_model::{BoardName, DispatcherName, JobId, JobState};
use basalt_scheduler::{Change, Decision, Explanation, Holder, Occupancy, QueuedJob, Scheduler};
use basalt_store::{LeaderTerm, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use crate::App;
use crate::error::{UseCaseError, causes};
pub(crate) use facts::of_new_job;
use grant::GrantEnd;
pub(crate) use grant::{AssignError, assignment};

/// Changes that may wait for the task.
const MESSAGES: usize = 4096;
/// Grants that are being made true at the same time.
const GRANTS: usize = 4;
/// For how long this server leads without saying so again (decision D16).
const LEAD: Duration = Duration::from_secs(30);
/// How often it says so, or asks whether it may.
const LEAD_PERIOD: Duration = Duration::from_secs(10);
/// Pause before the truth is read again after it could not be.
const RETRY: Duration = Duration::from_millis(500);
/// How long a question may wait for its answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// What the task hears. Committed before it is said.
#[derive(Debug)]
pub(crate) enum Message {
    /// A new job.
    Queued(Box<QueuedJob>),
    /// A job may be back in the queue, or out of it.
    Job(JobId),
    /// A job has left the queue.
    Gone(JobId),
    /// A dispatcher has accepted.
    Accepted { board: BoardName, job: JobId },
    /// A board is free of this job.
    Freed { board: BoardName, job: JobId },
    /// A board was refused, and is left alone for a while.
    Refused { board: BoardName, why: String },
    /// A person changed something about a board.
    Board(BoardName),
    /// A dispatcher came, went, or changed its mode.
    Dispatcher(DispatcherName),
    /// Everything may be different.
    Reload,
    /// No more grants.
    Stop,
    /// Why does it wait?
    Explain(JobId, oneshot::Sender<Option<Explanation>>),
    /// What waits?
    Queue(usize, oneshot::Sender<QueueHead>),
}

/// The head of the queue.
#[derive(Clone, Debug)]
pub struct QueueHead {
    /// How many jobs wait.
    pub waiting: usize,
    /// The first of them, each with its reason.
    pub first: Vec<(QueuedJob, Explanation)>,
}

/// How the task is spoken to; cheap to clone.
#[derive(Clone, Debug)]
pub struct Scheduling {
    messages: mpsc::Sender<Message>,
}

/// The task's end of it.
#[derive(Debug)]
pub(crate) struct Inbox(mpsc::Receiver<Message>);

impl Scheduling {
    pub(crate) fn new() -> (Self, Inbox) {
        let (messages, inbox) = mpsc::channel(MESSAGES);
        (Self { messages }, Inbox(inbox))
    }

    /// Tells the task. It reads the truth when it begins, so nothing is lost where it has ended.
    pub(crate) async fn tell(&self, message: Message) {
        let _ = self.messages.send(message).await;
    }

    /// Why a job waits; `None` if the scheduler does not know that it does.
    ///
    /// # Errors
    /// The task is busy with a store that does not answer.
    pub async fn explain(&self, job: JobId) -> Result<Option<Explanation>, UseCaseError> {
        self.ask(|answer| Message::Explain(job, answer)).await
    }

    /// The first `most` jobs of the queue.
    ///
    /// # Errors
    /// As [`Scheduling::explain`].
    pub async fn queue(&self, most: usize) -> Result<QueueHead, UseCaseError> {
        self.ask(|answer| Message::Queue(most, answer)).await
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Message,
    ) -> Result<T, UseCaseError> {
        let (sender, answer) = oneshot::channel();
        let asked = async {
            self.tell(question(sender)).await;
            answer.await.ok()
        };
        match time::timeout(ANSWER_LIMIT, asked).await {
            Ok(Some(answer)) => Ok(answer),
            _ => Err(UseCaseError::Unavailable {
                message: "the scheduler does not answer now".into(),
            }),
        }
    }
}

/// A board that was refused.
#[derive(Debug)]
struct Held {
    until: Instant,
    /// How often in a row.
    times: u32,
    why: String,
}

/// How long a board is left alone after so many refusals in a row.
fn hold_off(times: u32) -> Duration {
    Duration::from_millis(200 << times.min(9)).min(Duration::from_secs(60))
}

struct Task {
    app: App,
    scheduler: Scheduler,
    term: Option<LeaderTerm>,
    /// Decided, and waiting for their turn to be made true.
    decided: VecDeque<Decision>,
    /// Tasks of their own: a grant that nobody drives would keep the store's only writer, and the
    /// scheduler would wait for that writer as soon as it asks the store for anything itself.
    grants: JoinSet<(Decision, GrantEnd)>,
    held: HashMap<BoardName, Held>,
    stopped: bool,
    /// When the truth is to be read again after it could not be.
    reload_at: Option<Instant>,
}

/// Runs until `stop`.
pub(crate) async fn run(app: App, mut inbox: Inbox, stop: CancellationToken) {
    let mut task = Task {
        app,
        scheduler: Scheduler::new(),
        term: None,
        decided: VecDeque::new(),
        grants: JoinSet::new(),
        held: HashMap::new(),
        stopped: false,
        reload_at: None,
    };
    let mut lead = time::interval(LEAD_PERIOD);
    lead.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        let wake = task.next_wake();
        tokio::select! {
            () = stop.cancelled() => break,
            _ = lead.tick() => task.lead().await,
            message = inbox.0.recv() => {
                let Some(message) = message else { break };
                task.hear(message).await;
                // All changes of one transaction before the next tick.
                while let Ok(message) = inbox.0.try_recv() {
                    task.hear(message).await;
                }
            }
            Some(joined) = task.grants.join_next() => task.joined(joined).await,
            () = time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
        }
        task.wake().await;
        task.decide();
    }
    // Grants under way are finished, so that what they made true is told to a dispatcher now and
    // not only when it asks again.
    let ended = async {
        while let Some(joined) = task.grants.join_next().await {
            task.joined(joined).await;
        }
        if let Some(term) = task.term {
            let now = task.app.now();
            if let Err(error) = task.app.store.release_lead(term, now).await {
                tracing::warn!(error = %causes(&error), "the lead could not be given back");
            }
        }
    };
    if time::timeout(ANSWER_LIMIT, ended).await.is_err() {
        tracing::warn!("the scheduler ended before its grants were answered");
    }
}

impl Task {
    /// When something is to be done although nobody says anything.
    fn next_wake(&self) -> Option<Instant> {
        let now = self.app.now();
        let fence = self.scheduler.next_wake().map(|at| {
            let micros = u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0);
            Instant::now() + Duration::from_micros(micros)
        });
        let held = self.held.values().map(|held| held.until).min();
        [fence, held, self.reload_at].into_iter().flatten().min()
    }

    /// Does what was to be done at a moment that has come.
    async fn wake(&mut self) {
        let now = Instant::now();
        if self.reload_at.is_some_and(|at| at <= now) {
            self.reload().await;
        }
        let over: Vec<BoardName> = self
            .held
            .iter()
            .filter(|(_, held)| held.until <= now)
            .map(|(board, _)| board.clone())
            .collect();
        for board in over {
            // Kept for the count; a grant that holds removes it.
            if let Some(held) = self.held.get_mut(&board) {
                held.until = now + Duration::from_secs(3600);
                held.why.clear();
            }
            self.read_board(&board).await;
        }
    }

    async fn hear(&mut self, message: Message) {
        match message {
            Message::Queued(job) => self.scheduler.apply(Change::JobQueued(*job)),
            Message::Gone(job) => self.scheduler.apply(Change::JobGone(job)),
            Message::Job(job) => self.read_job(job).await,
            Message::Accepted { board, job } => {
                self.held.remove(&board);
                self.occupy(&board, Occupancy::Running(Holder::Job(job)));
            }
            Message::Freed { board, job } => {
                let holds = self.scheduler.board(&board).is_some_and(|facts| {
                    matches!(
                        &facts.occupancy,
                        Occupancy::Reserved(Holder::Job(holder))
                        | Occupancy::Running(Holder::Job(holder)) if *holder == job
                    )
                });
                // Otherwise the store has said something newer meanwhile.
                if holds {
                    self.occupy(&board, Occupancy::Idle);
                }
            }
            Message::Refused { board, why } => {
                let times = self.held.get(&board).map_or(0, |held| held.times + 1);
                let until = Instant::now() + hold_off(times);
                let held = Held { until, times, why };
                self.occupy(&board, Occupancy::Running(Holder::Other(held.why.clone())));
                self.held.insert(board, held);
            }
            Message::Board(board) => self.read_board(&board).await,
            Message::Dispatcher(name) => self.read_dispatcher(&name).await,
            Message::Reload => self.reload().await,
            Message::Stop => {
                self.stopped = true;
                self.decided.clear();
            }
            Message::Explain(job, answer) => {
                let _ = answer.send(self.scheduler.explain(job, self.app.now()));
            }
            Message::Queue(most, answer) => {
                let _ = answer.send(self.queue(most));
            }
        }
    }

    fn queue(&self, most: usize) -> QueueHead {
        let now = self.app.now();
        let first = self.scheduler.queue().take(most).filter_map(|job| {
            let explanation = self.scheduler.explain(job.id, now)?;
            Some((job.clone(), explanation))
        });
        QueueHead {
            first: first.collect(),
            waiting: self.scheduler.waiting(),
        }
    }

    /// Takes the lead, or keeps it.
    async fn lead(&mut self) {
        let (app, now) = (self.app.clone(), self.app.now());
        let led = self.term.is_some();
        let answer = match self.term {
            Some(term) => app
                .store
                .renew_lead(term, LEAD, now)
                .await
                .map(|kept| kept.then_some(term)),
            None => app.store.acquire_lead(&app.server_id, LEAD, now).await,
        };
        match answer {
            Ok(term) => self.term = term,
            // Every grant checks the term, so that going on is safe.
            Err(error) => tracing::warn!(error = %causes(&error), "cannot say who leads"),
        }
        match (led, self.term) {
            (false, Some(_)) => self.reload().await,
            (true, None) => {
                tracing::warn!("another server leads the scheduler now");
                self.decided.clear();
            }
            (false, None) => tracing::debug!("another server leads the scheduler"),
            (true, Some(_)) => {}
        }
    }

    /// Decides, and begins to make true what was decided.
    fn decide(&mut self) {
        let Some(term) = self.term.filter(|_| !self.stopped) else {
            return;
        };
        self.decided.extend(self.scheduler.tick(self.app.now()));
        while self.grants.len() < GRANTS
            && let Some(decision) = self.decided.pop_front()
        {
            let app = self.app.clone();
            self.grants.spawn(async move {
                let end = grant::grant(&app, &decision, term).await;
                (decision, end)
            });
        }
    }

    async fn joined(&mut self, joined: Result<(Decision, GrantEnd), JoinError>) {
        match joined {
            Ok((decision, end)) => self.granted(decision, end).await,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only who ends the runtime ends a grant.
                Err(_) => self.reload_later(),
            },
        }
    }

    async fn granted(&mut self, decision: Decision, end: GrantEnd) {
        let Decision { job, board } = decision;
        match end {
            GrantEnd::Done => {
                self.scheduler.apply(Change::JobGone(job));
                self.occupy(&board, Occupancy::Reserved(Holder::Job(job)));
            }
            GrantEnd::Unsuitable(reason) => {
                tracing::info!(job.id = %job, board.name = %board, reason, "a job cannot run on a board");
                self.read_job_with(job, Some((board, reason))).await;
            }
            GrantEnd::NoLonger => {
                self.read_job(job).await;
                self.read_board(&board).await;
            }
            GrantEnd::DispatcherNotActive(dispatcher) => {
                self.read_dispatcher(&dispatcher).await;
                self.read_board(&board).await;
                self.read_job(job).await;
            }
            GrantEnd::NotLeader => {
                self.term = None;
                self.read_job(job).await;
            }
            GrantEnd::Failed(error) => {
                tracing::error!(job.id = %job, board.name = %board, error, "a grant failed");
                self.reload_later();
            }
        }
    }

    fn occupy(&mut self, board: &BoardName, occupancy: Occupancy) {
        let Some(facts) = self.scheduler.board(board) else {
            return;
        };
        let mut facts = facts.clone();
        facts.occupancy = occupancy;
        facts.occupancy_since = self.app.now();
        self.scheduler.apply(Change::Board(facts));
    }

    async fn read_job(&mut self, job: JobId) {
        self.read_job_with(job, None).await;
    }

    async fn read_job_with(&mut self, id: JobId, unsuitable: Option<(BoardName, String)>) {
        let read = async {
            let Some(job) = self.app.store.job(id).await? else {
                return Ok(None);
            };
            if !matches!(job.state, JobState::Submitted | JobState::Scheduling) {
                return Ok(None);
            }
            facts::of_job(&self.app, &job).await.map(Some)
        };
        match read.await {
            Ok(Some(mut job)) => {
                job.unsuitable.extend(unsuitable);
                self.scheduler.apply(Change::JobQueued(job));
            }
            Ok(None) => self.scheduler.apply(Change::JobGone(id)),
            Err(error) => self.cannot_read(&error),
        }
    }

    async fn read_board(&mut self, name: &BoardName) {
        match self.app.store.board(name).await {
            Ok(Some(board)) => {
                let mut facts = facts::of_board(&board);
                if let Some(held) = self.held.get(name).filter(|held| !held.why.is_empty())
                    && facts.occupancy == Occupancy::Idle
                {
                    facts.occupancy = Occupancy::Running(Holder::Other(held.why.clone()));
                }
                self.scheduler.apply(Change::Board(facts));
            }
            Ok(None) => self.scheduler.apply(Change::BoardGone(name.clone())),
            Err(error) => self.cannot_read(&error),
        }
    }

    async fn read_dispatcher(&mut self, name: &DispatcherName) {
        match self.app.store.dispatchers().await {
            Ok(all) => {
                let change = match all.iter().find(|one| one.name == *name) {
                    Some(one) => Change::Dispatcher(facts::of_dispatcher(&self.app, one)),
                    None => Change::DispatcherGone(name.clone()),
                };
                self.scheduler.apply(change);
            }
            Err(error) => self.cannot_read(&error),
        }
    }

    /// Begins anew from the store.
    async fn reload(&mut self) {
        self.reload_at = None;
        match facts::everything(&self.app).await {
            Ok(changes) => {
                self.scheduler = Scheduler::new();
                self.decided.clear();
                for change in changes {
                    self.scheduler.apply(change);
                }
                tracing::debug!(jobs.waiting = self.scheduler.waiting(), "read the queue");
            }
            Err(error) => self.cannot_read(&error),
        }
    }

    fn cannot_read(&mut self, error: &StoreError) {
        tracing::warn!(error = %causes(error), "cannot read what to schedule; trying again");
        self.reload_later();
    }

    fn reload_later(&mut self) {
        self.reload_at.get_or_insert(Instant::now() + RETRY);
    }
}
