//! One run from its first event to its last, over any number of starts of the runner.
//!
//! The order of things is the plan's; what is left to do is the journal's. A start over a journal
//! that is not finished goes on where it stopped (decision D8): deploys and boots are redone,
//! payloads on the board are found again, complete phases stay as they are.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use basalt_artifacts::Cache;
use basalt_clock::{Clock, after, since};
use basalt_console::BoardConsole;
use basalt_journal::{Journal, JournalError};
use basalt_model::event::{ActionEnd, Level, PowerRequest};
use basalt_model::{Culprit, Epoch, EventBody, Failure, Outcome, Part, PowerState};
use basalt_plan::Plan;
use basalt_plan::plan::{Block, BlockKind, action};
use basalt_power::RelayHandle;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::directory::RunDirectory;
use crate::host::{BoardLock, HostError, HostState};
use crate::recorder::{Live, Recorder};
use crate::roots::Roots;
use crate::session::{Interruption, Session, UNSEEN, chain};
use crate::state::is_interruption;

/// How long a shell that was left behind may take to answer after the runner came back.
const REATTACH: Duration = Duration::from_secs(30);

/// The same for a board whose root file system was away with the runner: Linux tries to connect
/// again after 3 s, then after twice as long each time (net/sunrpc/xprtsock.c).
const REATTACH_NFS: Duration = Duration::from_secs(60);

/// What a run needs of its host.
pub struct Resources {
    /// Locks and state of the lab on this host.
    pub host: HostState,
    /// The board, taken.
    pub lock: BoardLock,
    /// Downloads.
    pub cache: Cache,
    /// Attaches the board's console, starting the keeper where there is none.
    pub attach: Attach,
    /// Who watches.
    pub live: mpsc::UnboundedSender<Live>,
    /// Ends the run.
    pub cancel: CancellationToken,
}

/// Attaches a console at an offset (`None`: at its end) as the writer of this name.
pub type Attach = Arc<
    dyn Fn(
            Option<u64>,
            String,
        ) -> std::pin::Pin<Box<dyn Future<Output = Result<BoardConsole, String>> + Send>>
        + Send
        + Sync,
>;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Summary {
    /// In our words.
    pub outcome: Outcome,
    /// Why it is incomplete.
    pub failure: Option<Failure>,
    /// What the relay said at the end.
    pub power: PowerState,
}

/// Why a run could not even be begun or gone on with.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal.
    #[error("the run's journal cannot be used")]
    Journal(#[from] JournalError),
    /// The lab's state on this host.
    #[error("the lab's state cannot be used")]
    Host(#[from] HostError),
    /// The results.
    #[error("the results cannot be written")]
    Results(#[source] std::io::Error),
    /// The run was planned otherwise.
    #[error("the run's plan is not the one that its journal was begun with")]
    AnotherPlan,
}

/// Where an action stands, and until when.
pub(crate) struct Place {
    pub level: String,
    pub name: Cow<'static, str>,
    pub attempt: u32,
    pub deadline: Instant,
}

/// A run that goes on.
pub(crate) struct Run {
    pub plan: Plan,
    pub directory: Arc<RunDirectory>,
    pub session: Session,
    pub relay: RelayHandle,
    pub cache: Cache,
    pub epoch: Epoch,
    pub roots: Option<Roots>,
    /// The deploy block whose roots an earlier start of the runner had open.
    pub closed_roots: Option<usize>,
    /// A shell of this lease answers.
    pub board_ready: bool,
    /// The board may be as the last start of the runner left it; asked once.
    pub may_reattach: bool,
    job_deadline: Instant,
}

/// Runs a job to its end, or goes on with one. The board is off afterwards as far as its relay can
/// be asked, and the results are written.
///
/// # Errors
/// Only where no result can be kept; whatever happens to the board or the job is in the summary.
pub async fn run(directory: RunDirectory, resources: Resources) -> Result<Summary, RunError> {
    let clock = Clock::system();
    let directory = Arc::new(directory);
    let path = directory.file("journal");
    let run_id = directory.record().run;
    let (journal, events) = if path.exists() {
        Journal::open(&path, run_id, clock.clone())?
    } else {
        (Journal::create(&path, run_id, clock.clone())?, Vec::new())
    };
    let mut recorder = Recorder::new(journal, &events, resources.live.clone());
    if recorder.state().finished.is_none() {
        let may_reattach = accept(&mut recorder, &directory, &resources.lock, &clock)?;
        recorder = drive(&directory, recorder, &resources, clock, may_reattach).await?;
    }
    let cost = recorder.cost();
    tracing::debug!(
        journal.syncs = cost.syncs,
        journal.bytes = cost.bytes,
        "what the run's journal has cost since this start"
    );
    let summary = summary(&recorder);
    crate::export::write(&directory, recorder.state(), resources.host.path())
        .map_err(RunError::Results)?;
    Ok(summary)
}

/// The first events of a run, or of another start over it. Whether the board may still be as the
/// last start left it.
fn accept(
    recorder: &mut Recorder,
    directory: &RunDirectory,
    lock: &BoardLock,
    clock: &Clock,
) -> Result<bool, RunError> {
    let plan = directory.plan();
    let plan_sha256 = directory.plan_sha256();
    if recorder.state().accepted.is_none() {
        recorder.record_durably(EventBody::Accepted {
            job_name: plan.job_name.clone(),
            board: plan.board.name.clone(),
            device_type: plan.board.device_type.clone(),
            job_sha256: plan.job_sha256,
            plan_sha256,
            timebase: plan.board.timebase.clone(),
        })?;
        return Ok(false);
    }
    if recorder.state().plan_sha256 != Some(plan_sha256) {
        return Err(RunError::AnotherPlan);
    }
    // The epoch tells whether somebody else had the board meanwhile.
    let same_lease =
        recorder.state().epoch.is_some() && recorder.state().epoch == Some(lock.highest_epoch());
    let downtime = match &recorder.state().last {
        Some((stamp, boot)) if boot == clock.boot_id() => {
            Some(since(stamp.boot, clock.now().boot).as_millis() as u64)
        }
        _ => None,
    };
    recorder.record_durably(EventBody::Resumed {
        downtime_ms: downtime,
        decision: if same_lease { "reattach" } else { "redo" }.into(),
    })?;
    Ok(same_lease)
}

async fn drive(
    directory: &Arc<RunDirectory>,
    mut recorder: Recorder,
    resources: &Resources,
    clock: Clock,
    may_reattach: bool,
) -> Result<Recorder, RunError> {
    let plan = directory.plan().clone();
    let relay = RelayHandle::spawn(&plan.relay, &resources.host.path().join("boards"));
    let who = format!("run {} of job {:?}", directory.record().run, plan.job_name);
    let from = may_reattach.then(|| recorder.state().console_to);
    let epoch = if may_reattach {
        resources.lock.highest_epoch()
    } else {
        resources.lock.grant()?
    };
    let console = match (resources.attach)(from, who).await {
        Ok(console) => console,
        Err(why) => {
            let failure = Failure::infrastructure(
                Part::Console,
                "console-gone",
                format!("the console cannot be attached: {why}"),
            );
            end_without_console(&mut recorder, &relay, &plan, epoch, failure).await?;
            return Ok(recorder);
        }
    };
    if !may_reattach {
        recorder.record_durably(EventBody::LeaseGranted {
            epoch,
            console_from: console.offset(),
        })?;
    }
    let job_deadline = job_deadline(&recorder, &clock, plan.job_timeout);
    let character_delay = plan.board.console.character_delay;
    let mut run = Run {
        session: Session::new(
            recorder,
            clock,
            resources.cancel.clone(),
            console,
            character_delay,
        ),
        plan,
        directory: directory.clone(),
        relay,
        cache: resources.cache.clone(),
        epoch,
        roots: None,
        closed_roots: None,
        board_ready: false,
        may_reattach,
        job_deadline,
    };
    let result = run.blocks().await;
    run.finalize(result).await
}

/// When the job must have ended; time in which nobody ran it counts.
fn job_deadline(recorder: &Recorder, clock: &Clock, timeout: Duration) -> Instant {
    let now = clock.now();
    let gone = match &recorder.state().accepted {
        Some((stamp, boot)) if boot == clock.boot_id() => since(stamp.boot, now.boot),
        // The host was restarted: only the wall clock spans that.
        Some((stamp, _)) => Duration::from_micros((now.utc.0 - stamp.utc.0).max(0) as u64),
        None => Duration::ZERO,
    };
    Instant::now() + timeout.saturating_sub(gone)
}

/// Finalizes a run that never had its console: the board off, the failure kept.
async fn end_without_console(
    recorder: &mut Recorder,
    relay: &RelayHandle,
    plan: &Plan,
    epoch: Epoch,
    failure: Failure,
) -> Result<(), RunError> {
    recorder.record_durably(EventBody::PowerIntent {
        request: PowerRequest::Off,
        epoch,
    })?;
    let answer = relay.set(plan.board.power.outlet, false).await;
    let state = answer
        .as_ref()
        .copied()
        .unwrap_or_else(|error| error.said());
    recorder.record(EventBody::PowerOutcome {
        request: PowerRequest::Off,
        state,
        error: answer.err().map(|error| chain(&error)),
    })?;
    recorder.log(Level::Error, failure.sentence())?;
    recorder.record_durably(EventBody::Finished {
        outcome: Outcome::Incomplete,
        failure: Some(Box::new(failure)),
        power: state,
    })?;
    Ok(())
}

fn summary(recorder: &Recorder) -> Summary {
    let state = recorder.state();
    let (outcome, failure) = state
        .finished
        .clone()
        .unwrap_or((Outcome::Incomplete, None));
    Summary {
        outcome,
        failure,
        power: state.power.unwrap_or(PowerState::Unknown),
    }
}

/// How often a block is done again because its console was interrupted.
const INTERRUPTIONS: usize = 5;

/// What a failure is where bytes of the console were lost before it: what was awaited was perhaps
/// among them.
fn unseen(mut failure: Failure) -> Failure {
    // A boot loader whose question was lost goes on by itself, to whatever kernel it finds.
    let perhaps = ["kernel-hang", "board-silent", "another-kernel"];
    if perhaps.contains(&failure.code.as_str()) || failure.code.ends_with("timeout") {
        failure.message = format!(
            "bytes of the console were lost, perhaps what was awaited among them ({})",
            failure.message
        );
        failure.code = UNSEEN.to_owned();
        failure.culprit = Culprit::Infrastructure;
        failure.part = Some(Part::Console);
    }
    failure
}

/// Whether a block has something that runs on the board.
fn has_payload(block: &Block) -> bool {
    matches!(block.kind, BlockKind::Test(_) | BlockKind::Realtime(_))
}

/// Whether another attempt can help.
fn worth_retrying(failure: &Failure) -> bool {
    !matches!(
        failure.culprit,
        Culprit::Canceled | Culprit::Configuration | Culprit::Bug
    )
}

impl Run {
    async fn blocks(&mut self) -> Result<(), Failure> {
        for index in 0..self.plan.blocks.len() {
            self.block(index).await?;
        }
        Ok(())
    }

    async fn block(&mut self, index: usize) -> Result<(), Failure> {
        let block = self.plan.blocks[index].clone();
        let state = self.session.recorder.state();
        if state.block_done(&block.level) {
            if matches!(block.kind, BlockKind::Deploy(_)) {
                self.closed_roots = Some(index);
            }
            return Ok(());
        }
        let before = state.blocks.get(&block.level).cloned().unwrap_or_default();
        if before.ended.is_some() {
            // The board is as a failed attempt left it.
            self.may_reattach = false;
            if let Some(failure) = self.exhausted(&block) {
                return self.give_up(&block, failure);
            }
        }
        let started = match &before.started {
            Some((stamp, boot)) if boot == self.session.clock.boot_id() => {
                since(stamp.boot, self.session.clock.now().boot)
            }
            _ => Duration::ZERO,
        };
        let deadline = self
            .job_deadline
            .min(Instant::now() + block.timeout.saturating_sub(started));
        self.serve_again().await?;
        let mut attempt = before.attempt;
        let interrupted = before.attempt > 0 && before.ended.is_none();
        if !(interrupted && self.go_on(&block, attempt).await?) {
            attempt += 1;
        }
        loop {
            let failure = match self.attempt(index, &block, attempt, deadline).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            self.board_ready = false;
            let time_left = deadline.saturating_duration_since(Instant::now());
            let blind = is_interruption(&failure);
            let interruptions = self.session.recorder.state().interruptions(&block.level);
            if blind && interruptions <= INTERRUPTIONS && !time_left.is_zero() {
                self.log_warning(format!(
                    "{} was interrupted ({}); it is done again",
                    block.name,
                    failure.sentence()
                ))?;
                self.may_reattach = true;
                if !self.go_on(&block, attempt).await? {
                    attempt += 1;
                }
                continue;
            }
            let failed = self.session.recorder.state().failures(&block.level).len();
            if blind || self.exhausted(&block).is_some() || time_left.is_zero() {
                return self.give_up(&block, failure);
            }
            self.log_warning(format!(
                "{} failed (attempt {attempt}, {failed} of {} failures): {}; trying again",
                block.name,
                block.attempts,
                failure.sentence()
            ))?;
            self.may_reattach = false;
            self.pause(block.retry_interval.min(time_left)).await?;
            attempt += 1;
        }
    }

    /// The last failure of a block that is not tried again.
    fn exhausted(&self, block: &Block) -> Option<Failure> {
        let failures = self.session.recorder.state().failures(&block.level);
        let last = *failures.last()?;
        let no_more = failures.len() >= block.attempts as usize || !worth_retrying(last);
        no_more.then(|| last.clone())
    }

    /// Waits, unless the job is canceled.
    async fn pause(&self, pause: Duration) -> Result<(), Failure> {
        tokio::select! {
            () = self.session.cancel.cancelled() => {
                Err(Failure::new(Culprit::Canceled, "canceled", "the job was canceled"))
            }
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    /// A block that failed for good: the end, unless the job says to skip it when its time is over.
    fn give_up(&mut self, block: &Block, failure: Failure) -> Result<(), Failure> {
        if block.skip_on_timeout && failure.code.ends_with("timeout") {
            self.log_warning(format!(
                "{} is skipped, as the job asks: {}",
                block.name,
                failure.sentence()
            ))?;
            return Ok(());
        }
        Err(failure)
    }

    async fn attempt(
        &mut self,
        index: usize,
        block: &Block,
        attempt: u32,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let place = Place {
            level: block.level.clone(),
            name: block.name.clone().into(),
            attempt,
            deadline,
        };
        self.watched(place, async |run, deadline| {
            run.perform(index, block, attempt, deadline).await
        })
        .await
    }

    /// As [`Run::action`]; says of a failure whether it may only be one because bytes of the
    /// console were lost.
    async fn watched(
        &mut self,
        place: Place,
        act: impl AsyncFnOnce(&mut Self, Instant) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let gaps = self.session.gaps();
        self.action(place, async |run, deadline| {
            match act(run, deadline).await {
                Err(failure) if run.session.gaps() != gaps => Err(unseen(failure)),
                result => result,
            }
        })
        .await
    }

    async fn perform(
        &mut self,
        index: usize,
        block: &Block,
        attempt: u32,
        deadline: Instant,
    ) -> Result<(), Failure> {
        if Instant::now() >= deadline {
            return Err(self.out_of_time(block));
        }
        if has_payload(block) && !self.board_ready && !self.is_measured(block) {
            self.ready_board(index, deadline).await?;
        }
        match &block.kind {
            BlockKind::Deploy(deploy) => self.deploy(block, deploy, attempt, deadline).await,
            BlockKind::Boot(boot) => self.boot(block, boot, attempt, deadline).await,
            BlockKind::Test(stage) => self.test_stage(block, stage, attempt, deadline).await,
            BlockKind::Realtime(realtime) => self.measure(block, realtime, attempt, deadline).await,
        }
    }

    /// Whether nothing is left to be measured in a block of measurements.
    fn is_measured(&self, block: &Block) -> bool {
        let BlockKind::Realtime(realtime) = &block.kind else {
            return false;
        };
        let phases = &self.session.recorder.state().phases;
        (0..realtime.phases.len()).all(|index| phases.contains_key(&(block.level.clone(), index)))
    }

    /// Whose fault it is that a block cannot even begin.
    fn out_of_time(&self, block: &Block) -> Failure {
        if self.session.recorder.state().resumes > 0 {
            return Failure::infrastructure(
                Part::Host,
                "downtime-timeout",
                format!(
                    "the time of {} was over before the run was gone on with",
                    block.name
                ),
            );
        }
        Failure::new(
            Culprit::Job,
            "job-timeout",
            format!("the job's time was over before {} began", block.name),
        )
    }

    /// Whether the interrupted attempt of a block goes on: its payload is on the board, and the
    /// board's shell answers. Everything else is done again.
    async fn go_on(&mut self, block: &Block, attempt: u32) -> Result<bool, Failure> {
        let state = self.session.recorder.state();
        let possible = match &block.kind {
            BlockKind::Realtime(_) => !self.is_measured(block),
            BlockKind::Test(_) => state.is_on_board(&block.level, attempt),
            BlockKind::Deploy(_) | BlockKind::Boot(_) => false,
        };
        Ok(possible && self.reattach(block, attempt).await?)
    }

    /// A shell on the board for a payload: the one that was left behind, else another boot.
    async fn ready_board(&mut self, index: usize, deadline: Instant) -> Result<(), Failure> {
        let block = self.plan.blocks[index].clone();
        if self.may_reattach && self.reattach(&block, 0).await? {
            return Ok(());
        }
        let boot = self.plan.blocks[..index]
            .iter()
            .rfind(|block| matches!(block.kind, BlockKind::Boot(_)))
            .cloned();
        let Some(boot_block) = boot else {
            return Err(Failure::new(
                Culprit::Job,
                "no-boot",
                "a test needs a boot before it",
            ));
        };
        let BlockKind::Boot(boot) = boot_block.kind.clone() else {
            return Ok(());
        };
        let attempt = self
            .session
            .recorder
            .state()
            .blocks
            .get(&boot_block.level)
            .map_or(1, |state| state.attempt + 1);
        self.log_warning("the board is booted again for what is left to do".to_owned())?;
        let place = Place {
            level: boot_block.level.clone(),
            name: action::UBOOT.into(),
            attempt,
            deadline: deadline.min(Instant::now() + boot_block.timeout),
        };
        self.watched(place, async |run, deadline| {
            run.boot(&boot_block, &boot, attempt, deadline).await
        })
        .await
    }

    /// Tries to find the shell again that an earlier start of the runner left behind.
    ///
    /// # Errors
    /// The kernel or the board ended it meanwhile, and says so on the console.
    async fn reattach(&mut self, block: &Block, attempt: u32) -> Result<bool, Failure> {
        if !std::mem::take(&mut self.may_reattach) {
            return Ok(false);
        }
        if self.power_state().await == PowerState::Off {
            return Ok(false);
        }
        self.session.enter(crate::session::Stage::Shell);
        if let BlockKind::Test(stage) = &block.kind
            && attempt > 0
        {
            // Strings that the test printed itself stand nowhere but on the console.
            self.session.listen(Some(crate::session::Listening {
                level: block.level.clone(),
                attempt,
                directory: self.stage_directory(stage, attempt),
                from_spool: false,
            }));
        }
        let over_nfs = |roots: &Roots| roots.nfs_path().is_some();
        let patience = match self.roots.as_ref().is_some_and(over_nfs) {
            true => REATTACH_NFS,
            false => REATTACH,
        };
        let deadline = self.job_deadline;
        let root = self.overlay_root();
        let test = format!("[ -x {root}/bin/basalt-stage ]");
        let answer = match self.session.catch_up().await {
            Ok(()) => self.session.command_anew(&test, patience, deadline).await,
            Err(why) => Err(why),
        };
        if !matches!(answer, Ok((0, _))) {
            // The spool is out of reach; what came is worth more than its order.
            self.session
                .release_signals(true)
                .map_err(|why| self.kernel_failure(&why, "the journal", "the journal fails"))?;
            self.session.listen(None);
        }
        match answer {
            Ok((0, _)) => {
                self.board_ready = true;
                self.session
                    .recorder
                    .log(
                        Level::Info,
                        "the board's shell answers; going on where the run stopped",
                    )
                    .map_err(|error| broken(&error))?;
                Ok(true)
            }
            Ok(_) | Err(Interruption::Timeout) => Ok(false),
            Err(why @ (Interruption::Kernel(_) | Interruption::Reset(_))) => {
                let failure =
                    self.kernel_failure(&why, "the shell that the run left behind", "it is gone");
                self.log_warning(failure.sentence())?;
                // What was going on failed while nobody looked; that is an attempt that failed.
                if attempt > 0 {
                    self.journal(EventBody::ActionFinished {
                        level: block.level.clone(),
                        name: block.name.clone(),
                        attempt,
                        end: ActionEnd::Failed,
                        duration_ms: 0,
                        failure: Some(Box::new(failure.clone())),
                    })?;
                    if let Some(failure) = self.exhausted(block) {
                        return Err(failure);
                    }
                }
                Ok(false)
            }
            Err(why) => Err(self.kernel_failure(&why, "the board's shell", "it does not answer")),
        }
    }

    /// Performs one action: begun and ended in the journal, its name in the failure.
    pub(crate) async fn action<T>(
        &mut self,
        place: Place,
        act: impl AsyncFnOnce(&mut Self, Instant) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let begun = self.session.clock.now().boot;
        let left = place.deadline.saturating_duration_since(Instant::now());
        self.journal(EventBody::ActionStarted {
            level: place.level.clone(),
            name: place.name.to_string(),
            attempt: place.attempt,
            deadline: after(begun, left),
        })?;
        let mut result = act(self, place.deadline).await;
        if let Err(failure) = &mut result {
            failure.action.get_or_insert_with(|| place.name.to_string());
        }
        let _ = self.session.mark_console();
        self.journal(EventBody::ActionFinished {
            level: place.level,
            name: place.name.to_string(),
            attempt: place.attempt,
            end: if result.is_ok() {
                ActionEnd::Done
            } else {
                ActionEnd::Failed
            },
            duration_ms: since(begun, self.session.clock.now().boot).as_millis() as u64,
            failure: result.as_ref().err().cloned().map(Box::new),
        })?;
        result
    }

    /// The end of every run: roots closed, board off, outcome kept. Bounded by the plan.
    async fn finalize(mut self, result: Result<(), Failure>) -> Result<Recorder, RunError> {
        let (relay, outlet) = (self.relay.clone(), self.plan.board.power.outlet);
        let finalized = self.finalize_on_record(result).await;
        if finalized.is_err() {
            // The journal takes nothing any more; the board must not stay on for that.
            if let Err(error) = relay.set(outlet, false).await {
                tracing::error!(error = %chain(&error), "the board cannot be switched off");
            }
        }
        finalized.map(|()| self.session.recorder)
    }

    async fn finalize_on_record(&mut self, result: Result<(), Failure>) -> Result<(), RunError> {
        // A canceled run is finalized all the same.
        self.session.cancel = CancellationToken::new();
        self.session.enter(crate::session::Stage::Loader);
        self.session.listen(None);
        let level = (self.plan.blocks.len() + 1).to_string();
        let deadline = Instant::now() + self.plan.finalize_timeout;
        if let Err(failure) = &result {
            self.session
                .recorder
                .log(Level::Error, failure.sentence())?;
        }
        let place = Place {
            level: level.clone(),
            name: action::FINALIZE.into(),
            attempt: self.session.recorder.state().resumes + 1,
            deadline,
        };
        let finalized = self
            .action(place, async |run, deadline| {
                run.shut_down(&level, deadline).await
            })
            .await;
        if let Err(failure) = &finalized {
            self.session
                .recorder
                .log(Level::Error, failure.sentence())?;
        }
        let failure = result.err();
        let power = self
            .session
            .recorder
            .state()
            .power
            .unwrap_or(PowerState::Unknown);
        let state = self.session.recorder.state();
        let outcome = crate::export::outcome(state, failure.as_ref());
        self.session.recorder.record_durably(EventBody::Finished {
            outcome,
            failure: failure.map(Box::new),
            power,
        })?;
        Ok(())
    }

    async fn shut_down(&mut self, level: &str, deadline: Instant) -> Result<(), Failure> {
        self.session.served = None;
        if let Some(roots) = self.roots.take() {
            roots.close().await;
        }
        let here = Place {
            level: format!("{level}.1"),
            name: action::POWER_OFF.into(),
            attempt: 1,
            deadline,
        };
        let off = self
            .action(here, async |run, deadline| {
                match tokio::time::timeout_at(deadline, run.switch(PowerRequest::Off)).await {
                    Ok(result) => result,
                    Err(_) => Err(Failure::infrastructure(
                        Part::Relay,
                        "relay-timeout",
                        "the relay did not answer within the time for finalizing",
                    )),
                }
            })
            .await;
        self.session.catch_up_quietly().await;
        if let Err(why) = self.session.sync_console().await {
            self.log_warning(format!("the console could not be made durable: {why:?}"))?;
        }
        // A keeper that was started again just now has something to say about the time before.
        self.session.catch_up_quietly().await;
        self.session
            .end_console()
            .map_err(|why| self.kernel_failure(&why, "the journal", "the journal fails"))?;
        off
    }

    /// Whether any block measures.
    pub(crate) fn measures(&self) -> bool {
        let measures = |block: &Block| matches!(block.kind, BlockKind::Realtime(_));
        self.plan.blocks.iter().any(measures)
    }

    /// Whether any block needs the overlay on the board.
    pub(crate) fn needs_overlay(&self) -> bool {
        let needs =
            |block: &Block| matches!(block.kind, BlockKind::Realtime(_) | BlockKind::Test(_));
        self.plan.blocks.iter().any(needs)
    }

    /// The overlay's directory on the board.
    pub(crate) fn overlay_root(&self) -> String {
        crate::overlay::root(&self.plan, self.directory.record().job_number)
    }

    pub(crate) fn journal(&mut self, body: EventBody) -> Result<(), Failure> {
        self.session
            .recorder
            .record(body)
            .map_err(|error| broken(&error))
    }

    pub(crate) fn journal_durably(&mut self, body: EventBody) -> Result<(), Failure> {
        self.session
            .recorder
            .record_durably(body)
            .map_err(|error| broken(&error))
    }

    pub(crate) fn log_warning(&mut self, message: String) -> Result<(), Failure> {
        self.session
            .recorder
            .log(Level::Warning, message)
            .map_err(|error| broken(&error))
    }
}

/// The host itself fails.
fn broken(error: &JournalError) -> Failure {
    Failure::infrastructure(Part::Host, "host", chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_awaited_can_be_among_the_bytes_that_were_lost() {
        let silence = Failure::new(Culprit::Kernel, "kernel-hang", "the kernel printed nothing");
        let blamed = unseen(silence);
        assert!(is_interruption(&blamed));
        assert_eq!(blamed.part, Some(Part::Console));
        let panic = Failure::new(Culprit::Kernel, "kernel-panic", "the kernel reported panic");
        assert_eq!(unseen(panic.clone()), panic);
    }
}
