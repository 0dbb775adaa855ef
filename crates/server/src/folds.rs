//! What runs come to so far: their stored events folded once, and then only what came since.
//!
//! A run's page is asked for again every few moments by everybody who looks at it, and the events of
//! a long run are many. The folds of the runs that were looked at last are kept, as many as
//! [`MOST_BYTES`] of their events; another process that stores events of the same runs is no matter,
//! because each look reads on from where the fold is.
//!
//! Not done here: what a run came to at its end, which is stored with it (`ingest::end`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use basalt_api::{Step, StepState};
use basalt_model::event::ActionEnd;
use basalt_model::{Event, EventBody, RunId};
use basalt_report::fold::FoldError;
use basalt_report::{Results, RunFold};
use basalt_store::Store;

use crate::error::causes;
use crate::ingest::end::EndError;

/// So many bytes of JSON may the events have been that are kept, folded. A run of a hundred
/// thousand cases has about half of it.
const MOST_BYTES: usize = 64 << 20;
/// So many runs are kept at most, however small they are.
const MOST_RUNS: usize = 256;
/// Events that are read at once.
const PAGE: u32 = 1000;

/// The folds of runs that somebody looked at.
#[derive(Debug)]
pub(crate) struct Folds {
    kept: Mutex<Kept>,
    most_bytes: usize,
    most_runs: usize,
    events: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    runs: HashMap<RunId, Entry>,
    bytes: usize,
    /// Counts looks.
    looks: u64,
}

#[derive(Debug)]
struct Entry {
    /// Whoever folds has the lock; the others wait for what he makes.
    folded: Arc<tokio::sync::Mutex<Folded>>,
    bytes: usize,
    /// The last look.
    look: u64,
}

impl Default for Folds {
    fn default() -> Self {
        Self::with_limits(MOST_BYTES, MOST_RUNS)
    }
}

impl Folds {
    fn with_limits(most_bytes: usize, most_runs: usize) -> Self {
        Self {
            kept: Mutex::default(),
            most_bytes,
            most_runs,
            events: AtomicU64::new(0),
        }
    }

    /// How many events have been folded since the start.
    pub(crate) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Looks at a run whose last stored event is `events_seq`, or at one that is farther still.
    pub(crate) async fn look<T>(
        &self,
        store: &Store,
        run: RunId,
        events_seq: u64,
        look: impl FnOnce(&Folded) -> T,
    ) -> Result<T, EndError> {
        let entry = self.entry(run);
        let mut folded = entry.lock().await;
        while folded.seq < events_seq {
            let page = store.events(run, folded.seq + 1, PAGE).await?;
            if page.is_empty() {
                break;
            }
            let before = folded.seq;
            let added: Result<(), EndError> = page.iter().try_for_each(|row| {
                let event = Event::from_json(row.json.as_bytes()).map_err(|source| {
                    let seq = row.seq;
                    EndError::Event { run, seq, source }
                })?;
                folded.add(&event, row.json.len());
                Ok(())
            });
            self.events
                .fetch_add(folded.seq - before, Ordering::Relaxed);
            self.charge(run, &entry, folded.bytes);
            added?;
        }
        Ok(look(&folded))
    }

    fn entry(&self, run: RunId) -> Arc<tokio::sync::Mutex<Folded>> {
        let mut kept = self.lock();
        kept.looks += 1;
        let look = kept.looks;
        let entry = kept.runs.entry(run).or_insert_with(|| Entry {
            folded: Arc::default(),
            bytes: 0,
            look,
        });
        entry.look = look;
        let folded = entry.folded.clone();
        kept.forget(self.most_bytes, self.most_runs);
        folded
    }

    /// Notes how large a run has become.
    fn charge(&self, run: RunId, folded: &Arc<tokio::sync::Mutex<Folded>>, bytes: usize) {
        let mut kept = self.lock();
        let Some(entry) = kept.runs.get_mut(&run) else {
            return;
        };
        // It may have been forgotten and begun again meanwhile.
        if Arc::ptr_eq(&entry.folded, folded) {
            let before = std::mem::replace(&mut entry.bytes, bytes);
            kept.bytes = kept.bytes + bytes - before;
            kept.forget(self.most_bytes, self.most_runs);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Forgets what was not looked at for the longest time until there is no more than that.
    fn forget(&mut self, most_bytes: usize, most_runs: usize) {
        while self.bytes > most_bytes || self.runs.len() > most_runs {
            let oldest = self.runs.iter().min_by_key(|(_, entry)| entry.look);
            let Some(run) = oldest.map(|(run, _)| *run) else {
                return;
            };
            if let Some(entry) = self.runs.remove(&run) {
                self.bytes -= entry.bytes;
            }
        }
    }
}

/// What the events of a run come to, as far as they have been folded.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    seq: u64,
    bytes: usize,
    fold: Option<RunFold>,
    /// Why there are no results.
    failed: Option<FoldError>,
    steps: Steps,
}

impl Folded {
    fn add(&mut self, event: &Event, bytes: usize) {
        self.seq = event.seq;
        if leaves_something(&event.body) {
            self.bytes += bytes;
        }
        self.steps.add(event);
        if self.failed.is_some() {
            return;
        }
        let fold = match self.fold.take() {
            Some(fold) => Ok(fold),
            None => RunFold::begin(event),
        };
        match fold {
            Ok(mut fold) => {
                self.failed = fold.add(event).err();
                self.fold = Some(fold);
            }
            Err(error) => self.failed = Some(error),
        }
    }

    /// What is known of its results; nothing before it has begun, or where they cannot be read.
    pub(crate) fn known(&self) -> Option<&RunFold> {
        self.fold.as_ref().filter(|_| self.failed.is_none())
    }

    /// Its results so far; `None` before it has begun. The error is a sentence.
    pub(crate) fn results(&self) -> Result<Option<Results>, String> {
        match &self.failed {
            Some(error) => Err(causes(error)),
            None => Ok(self.fold.as_ref().map(RunFold::results)),
        }
    }

    /// Blocks and actions in the order they began, every attempt; in a run that is over none goes
    /// on.
    pub(crate) fn steps(&self, is_over: bool) -> Vec<Step> {
        let mut steps = self.steps.list.clone();
        if is_over {
            for step in &mut steps {
                if step.state == StepState::Running {
                    step.state = StepState::Interrupted;
                }
            }
        }
        steps
    }
}

/// Whether a fold grows by it.
fn leaves_something(body: &EventBody) -> bool {
    !matches!(
        body,
        EventBody::Log { .. }
            | EventBody::Served { .. }
            | EventBody::Input { .. }
            | EventBody::Signal { .. }
            | EventBody::Console { .. }
            | EventBody::PowerIntent { .. }
            | EventBody::PowerOutcome { .. }
            | EventBody::Unknown { .. }
    )
}

#[derive(Debug, Default)]
struct Steps {
    list: Vec<Step>,
    /// Where the last of each level is: only that one goes on.
    last: HashMap<String, usize>,
}

impl Steps {
    fn add(&mut self, event: &Event) {
        match &event.body {
            EventBody::ActionStarted {
                level,
                name,
                attempt,
                ..
            } => {
                let last = self.last.insert(level.clone(), self.list.len());
                // The same began before: whoever did it was killed.
                if let Some(last) = last
                    && self.list[last].state == StepState::Running
                {
                    self.list[last].state = StepState::Interrupted;
                }
                self.list.push(Step {
                    level: level.clone(),
                    name: name.clone(),
                    attempt: *attempt,
                    state: StepState::Running,
                    started_utc_us: event.stamp.utc,
                    duration_ms: None,
                    failure: None,
                });
            }
            EventBody::ActionFinished {
                level,
                attempt,
                end,
                duration_ms,
                failure,
                ..
            } => {
                let Some(last) = self.last.get(level) else {
                    return;
                };
                // Nearly always the last of its level.
                let mut until_last = self.list[..=*last].iter_mut().rev();
                let step = until_last.find(|step| step.level == *level && step.attempt == *attempt);
                if let Some(step) = step {
                    step.state = match end {
                        ActionEnd::Done => StepState::Done,
                        ActionEnd::Failed => StepState::Failed,
                    };
                    step.duration_ms = Some(*duration_ms);
                    step.failure = failure.as_ref().map(|failure| failure.sentence());
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "folds_tests.rs"]
mod tests;
