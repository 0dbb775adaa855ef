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
use basalt_journal::{Journal, JournalError};
use basalt_model::event::{ActionEnd, Level, PowerRequest};
use basalt_model::{Epoch, EventBody, Failure, Outcome, Part, PowerState};
use basalt_plan::Plan;
use basalt_plan::plan::{Block, BlockKind, action};
use basalt_power::RelayHandle;
use tokio::time::Instant;

use crate::directory::RunDirectory;
use crate::ending::{Ending, LEASE_LOST};
use crate::host::{BoardLock, HostError};
use crate::recorder::Recorder;
use crate::resources::{Resources, RunError, Summary};
use crate::roots::Roots;
use crate::session::{Session, chain};
use crate::shared::Shared;

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
    pub shared: Shared,
    pub epoch: Epoch,
    pub roots: Option<Roots>,
    /// The deploy block whose roots an earlier start of the runner had open.
    pub closed_roots: Option<usize>,
    /// A shell of this lease answers.
    pub board_ready: bool,
    /// The board may be as the last start of the runner left it; asked once.
    pub may_reattach: bool,
    /// When the whole job must have ended.
    pub job_deadline: Instant,
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
    let mut recorder = Recorder::new(journal, &events, resources.watcher.clone());
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
    // Whoever hears of the last event may want the board at once; results need only the files.
    drop(resources.lock);
    crate::export::write(
        &directory,
        recorder.state(),
        resources.host.path(),
        resources.leaves,
    )
    .map_err(RunError::Results)?;
    Ok(summary)
}

/// Ends a run that cannot go on in this process, with a failure of ours: the board off, the failure
/// kept. Does nothing to a run that has ended.
///
/// # Errors
/// As [`run`].
pub async fn give_up(
    directory: RunDirectory,
    resources: Resources,
    failure: Failure,
) -> Result<Summary, RunError> {
    let clock = Clock::system();
    let path = directory.file("journal");
    let run_id = directory.record().run;
    let (journal, events) = if path.exists() {
        Journal::open(&path, run_id, clock.clone())?
    } else {
        (Journal::create(&path, run_id, clock.clone())?, Vec::new())
    };
    let mut recorder = Recorder::new(journal, &events, resources.watcher.clone());
    if recorder.state().finished.is_none() {
        accept(&mut recorder, &directory, &resources.lock, &clock)?;
        let plan = directory.plan();
        let lock_dir = resources.host.path().join("boards");
        let relay = resources.shared.relay(&plan.relay, &lock_dir);
        let epoch = resources
            .epoch
            .unwrap_or_else(|| resources.lock.highest_epoch());
        match resources.lock.accept(epoch) {
            Ok(()) => end_without_console(&mut recorder, &relay, plan, epoch, failure).await?,
            Err(HostError::OldEpoch { .. }) => end_untouched(&mut recorder, failure)?,
            Err(error) => return Err(error.into()),
        }
    }
    let summary = summary(&recorder);
    drop(resources.lock);
    crate::export::write(
        &directory,
        recorder.state(),
        resources.host.path(),
        resources.leaves,
    )
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
    let lock_dir = resources.host.path().join("boards");
    let relay = resources.shared.relay(&plan.relay, &lock_dir);
    let who = format!("run {} of job {:?}", directory.record().run, plan.job_name);
    let from = may_reattach.then(|| recorder.state().console_to);
    let granted = match resources.epoch {
        Some(epoch) => resources.lock.accept(epoch).map(|()| epoch),
        None if may_reattach => Ok(resources.lock.highest_epoch()),
        None => resources.lock.grant(),
    };
    let epoch = match granted {
        Ok(epoch) => epoch,
        // The board is another lease's: not even its relay is ours to touch.
        Err(error @ HostError::OldEpoch { .. }) => {
            let failure = Failure::infrastructure(Part::Board, LEASE_LOST, chain(&error));
            end_untouched(&mut recorder, failure)?;
            return Ok(recorder);
        }
        Err(error) => return Err(error.into()),
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
            resources.ending.clone(),
            console,
            character_delay,
        ),
        plan,
        directory: directory.clone(),
        relay,
        cache: resources.cache.clone(),
        shared: resources.shared.clone(),
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

/// Ends a run whose board it may not touch.
fn end_untouched(recorder: &mut Recorder, failure: Failure) -> Result<(), RunError> {
    recorder.log(Level::Error, failure.sentence())?;
    recorder.record_durably(EventBody::Finished {
        outcome: Outcome::Incomplete,
        failure: Some(Box::new(failure)),
        power: PowerState::Unknown,
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

impl Run {
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
        // A run that is ended is finalized all the same.
        self.session.ending = Ending::new();
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
        let keepers_lost = self.session.keepers_lost();
        if let Err(why) = self.session.sync_console().await {
            self.log_warning(format!("the console could not be made durable: {why:?}"))?;
        }
        if self.session.keepers_lost() != keepers_lost {
            // One that was started again just now has something to say about the time before.
            self.session.catch_up_quietly().await;
        }
        self.session
            .end_console()
            .map_err(|why| self.kernel_failure(&why, "the journal", "the journal fails"))?;
        off
    }

    /// Whether any block measures.
    pub(crate) fn measures(&self) -> bool {
        crate::directory::measures(&self.plan)
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
pub(crate) fn broken(error: &JournalError) -> Failure {
    Failure::infrastructure(Part::Host, "host", chain(error))
}
