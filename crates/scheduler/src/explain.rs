//! Looks up why a job waits.

use basalt_model::{DispatcherMode, DispatcherState, JobId, UtcMicros};

use crate::change::{Occupancy, QueuedJob};
use crate::class::Order;
use crate::explanation::{Candidate, Explanation, Place, Reason};
use crate::scheduler::{Board, Scheduler, Standing};

impl Scheduler {
    /// Why a job waits; `None` if it is not in the queue. Costs as much as there are boards and
    /// jobs before it: made for a person who asks.
    pub fn explain(&self, job: JobId, now: UtcMicros) -> Option<Explanation> {
        let entry = self.jobs.get(&job)?;
        let (place, given) = match &entry.standing {
            Standing::Waits(_) => (Some(self.place(&entry.job)), None),
            Standing::Decided(board) => (None, Some(board.clone())),
        };
        let mut candidates: Vec<Candidate> = self
            .boards
            .values()
            .filter(|board| entry.job.wants.matches(&board.facts))
            .map(|board| Candidate {
                board: board.facts.name.clone(),
                reasons: self.reasons(&entry.job, board, now),
            })
            .collect();
        // Boards of equal weight stay in the order of their names.
        candidates.sort_by_key(Candidate::weight);
        let nobody = match candidates.is_empty() {
            true => Some(self.nobody(&entry.job)),
            false => None,
        };
        Some(Explanation {
            job,
            now,
            place,
            given,
            candidates,
            nobody,
        })
    }

    fn place(&self, job: &QueuedJob) -> Place {
        let order = Order::of(job);
        let own = self
            .jobs
            .get(&job.id)
            .and_then(|entry| match entry.standing {
                Standing::Waits(class) => self.classes.get(&class),
                Standing::Decided(_) => None,
            });
        let rivals = own.map_or(0, |own| {
            self.classes
                .values()
                .filter(|class| !class.boards.is_disjoint(&own.boards))
                .map(|class| class.queue.range(..order).count())
                .sum()
        });
        Place {
            position: self.queue.range(..=order).count(),
            of: self.queue.len(),
            rivals,
        }
    }

    fn reasons(&self, job: &QueuedJob, board: &Board, now: UtcMicros) -> Vec<Reason> {
        let facts = &board.facts;
        if let Some(message) = job.unsuitable.get(&facts.name) {
            let message = message.clone();
            return vec![Reason::Unsuitable { message }];
        }
        let mut reasons = Vec::new();
        if !facts.health.takes_jobs() {
            reasons.push(Reason::Health {
                health: facts.health,
                since: facts.health_since,
                reason: facts.health_reason.clone(),
            });
        }
        self.dispatcher_reasons(board, now, &mut reasons);
        match &facts.occupancy {
            Occupancy::Idle => {}
            Occupancy::Reserved(by) | Occupancy::Running(by) => reasons.push(Reason::Held {
                by: by.clone(),
                accepted: matches!(facts.occupancy, Occupancy::Running(_)),
                since: facts.occupancy_since,
            }),
        }
        if let Some(other) = board.decided_for.filter(|other| *other != job.id) {
            reasons.push(Reason::Decided { job: other });
        }
        reasons
    }

    fn dispatcher_reasons(&self, board: &Board, now: UtcMicros, reasons: &mut Vec<Reason>) {
        let name = &board.facts.dispatcher;
        let known = self
            .dispatchers
            .get(name)
            .and_then(|one| one.facts.as_ref());
        let Some(facts) = known else {
            let dispatcher = name.clone();
            reasons.push(Reason::DispatcherUnknown { dispatcher });
            return;
        };
        if facts.mode != DispatcherMode::Active {
            reasons.push(Reason::DispatcherMode {
                dispatcher: name.clone(),
                mode: facts.mode,
                since: facts.mode_since,
                reason: facts.mode_reason.clone(),
            });
        }
        if let Some(closed) = facts
            .closed
            .as_ref()
            .filter(|_| facts.state == DispatcherState::Online)
        {
            reasons.push(Reason::DispatcherClosed {
                dispatcher: name.clone(),
                since: closed.since,
                reason: closed.reason.clone(),
            });
        }
        if facts.state == DispatcherState::Offline {
            reasons.push(Reason::DispatcherOffline {
                dispatcher: name.clone(),
                since: facts.state_since,
            });
        } else if let Some(until) = facts.boards_usable_from.filter(|until| *until > now) {
            reasons.push(Reason::Fenced {
                dispatcher: name.clone(),
                until,
            });
        }
    }

    /// Why no board matches what a job wants.
    fn nobody(&self, job: &QueuedJob) -> String {
        let wants = &job.wants;
        if let Some(name) = &wants.board {
            let Some(board) = self.boards.get(name) else {
                return format!("there is no board {name}");
            };
            return match &wants.device_type {
                Some(wanted) if *wanted != board.facts.device_type => format!(
                    "board {name} is of type {}, not {wanted}",
                    board.facts.device_type
                ),
                _ => {
                    let missing = wants
                        .tags
                        .iter()
                        .filter(|tag| !board.facts.tags.contains(tag));
                    format!("board {name} lacks {}", tags(missing))
                }
            };
        }
        let of_type = |wanted: &String| {
            self.boards
                .values()
                .any(|board| board.facts.device_type == *wanted)
        };
        match &wants.device_type {
            Some(wanted) if !of_type(wanted) => format!("no board is of type {wanted}"),
            Some(wanted) => format!("no board of type {wanted} has {}", tags(&wants.tags)),
            None if self.boards.is_empty() => "there is no board".to_owned(),
            None => format!("no board has {}", tags(&wants.tags)),
        }
    }
}

/// `the tag rt`, `the tags rt, fast`.
fn tags<'t>(names: impl IntoIterator<Item = &'t String>) -> String {
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    match names.as_slice() {
        [one] => format!("the tag {one}"),
        several => format!("the tags {}", several.join(", ")),
    }
}
