//! Over random histories the scheduler decides as the naive function does.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use basalt_model::{
    BoardHealth, BoardName, DispatcherMode, DispatcherName, DispatcherState, JobId, UtcMicros,
};
use basalt_scheduler::{
    BoardFacts, Change, Decision, DispatcherFacts, Holder, Occupancy, QueuedJob, Scheduler, Wants,
};

use crate::{at, board, dispatcher, job};

/// The rules written down as plainly as possible: everything is looked at each time.
#[derive(Default)]
struct Naive {
    queue: Vec<QueuedJob>,
    decided: BTreeMap<JobId, BoardName>,
    boards: BTreeMap<BoardName, BoardFacts>,
    dispatchers: BTreeMap<DispatcherName, DispatcherFacts>,
}

impl Naive {
    fn apply(&mut self, change: Change) {
        match change {
            Change::JobQueued(job) => {
                self.decided.remove(&job.id);
                self.queue.retain(|one| one.id != job.id);
                self.queue.push(job);
            }
            Change::JobGone(id) => {
                self.decided.remove(&id);
                self.queue.retain(|one| one.id != id);
            }
            Change::Board(facts) => {
                let name = facts.name.clone();
                let old = self.boards.insert(name.clone(), facts);
                let new = &self.boards[&name];
                if old.is_some_and(|old| {
                    old.occupancy != new.occupancy || old.occupancy_since != new.occupancy_since
                }) {
                    self.decided.retain(|_, board| *board != name);
                }
            }
            Change::BoardGone(name) => {
                self.boards.remove(&name);
                self.decided.retain(|_, board| *board != name);
            }
            Change::Dispatcher(facts) => {
                self.dispatchers.insert(facts.name.clone(), facts);
            }
            Change::DispatcherGone(name) => {
                self.dispatchers.remove(&name);
            }
        }
    }

    fn tick(&mut self, now: UtcMicros) -> Vec<Decision> {
        let mut decisions = Vec::new();
        self.queue
            .sort_by_key(|job| (std::cmp::Reverse(job.priority), job.submitted, job.id));
        for job in std::mem::take(&mut self.queue) {
            let best = self
                .boards
                .values()
                .filter(|board| self.is_free(board, now))
                .filter(|board| job.wants.matches(board))
                .filter(|board| !job.unsuitable.contains_key(&board.name))
                .min_by_key(|board| (board.tags.len(), board.occupancy_since, &board.name))
                .map(|board| board.name.clone());
            match best {
                Some(board) => {
                    self.decided.insert(job.id, board.clone());
                    decisions.push(Decision { job: job.id, board });
                }
                None => self.queue.push(job),
            }
        }
        decisions
    }

    fn is_free(&self, board: &BoardFacts, now: UtcMicros) -> bool {
        board.occupancy == Occupancy::Idle
            && matches!(board.health, BoardHealth::Good | BoardHealth::Unknown)
            && !self.decided.values().any(|name| *name == board.name)
            && self.dispatchers.get(&board.dispatcher).is_some_and(|one| {
                one.state == DispatcherState::Online
                    && one.mode == DispatcherMode::Active
                    && one.closed.is_none()
                    && one.boards_usable_from.is_none_or(|from| from <= now)
            })
    }
}

/// SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: i64) -> i64 {
        (self.next() % end as u64) as i64
    }

    fn one_in(&mut self, chances: i64) -> bool {
        self.below(chances) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as i64) as usize].clone()
    }

    fn tags(&mut self) -> Vec<String> {
        let all = ["rt", "fast", "net"];
        let tags = all.iter().filter(|_| self.one_in(3));
        tags.map(|tag| (*tag).to_owned()).collect()
    }

    fn board_name(&mut self) -> BoardName {
        BoardName::new(format!("b{}", self.below(8)))
    }

    fn job(&mut self) -> QueuedJob {
        let id = self.below(60);
        let unsuitable = match self.one_in(4) {
            true => [(self.board_name(), "no".to_owned())].into(),
            false => BTreeMap::new(),
        };
        QueuedJob {
            priority: self.pick(&[0, 50, 50, 100]),
            submitted: at(self.below(5)),
            wants: Wants {
                device_type: self.pick(&[None, Some("t".to_owned()), Some("u".to_owned())]),
                board: self.one_in(5).then(|| self.board_name()),
                tags: self.tags(),
            },
            unsuitable,
            ..job(id)
        }
    }

    fn board(&mut self) -> BoardFacts {
        let name = self.board_name();
        let holder = Holder::Job(JobId(self.below(60)));
        let idle = Occupancy::Idle;
        let occupancies = [idle.clone(), idle, Occupancy::Running(holder)];
        BoardFacts {
            device_type: self.pick(&["t".to_owned(), "u".to_owned()]),
            tags: self.tags(),
            dispatcher: DispatcherName::new(self.pick(&["main", "east"])),
            health: self.pick(&[
                BoardHealth::Good,
                BoardHealth::Unknown,
                BoardHealth::Maintenance,
            ]),
            occupancy: self.pick(&occupancies),
            occupancy_since: at(self.below(4)),
            ..board(name.as_str())
        }
    }

    fn dispatcher(&mut self, now: i64) -> DispatcherFacts {
        let until = now + self.below(6) - 2;
        DispatcherFacts {
            state: self.pick(&[
                DispatcherState::Online,
                DispatcherState::Online,
                DispatcherState::Offline,
            ]),
            mode: self.pick(&[
                DispatcherMode::Active,
                DispatcherMode::Active,
                DispatcherMode::Maintenance,
            ]),
            closed: self.one_in(5).then(|| basalt_scheduler::Closed {
                reason: "its disk is full".into(),
                since: at(now),
            }),
            boards_usable_from: self.one_in(3).then_some(at(until)),
            ..dispatcher(self.pick(&["main", "east"]))
        }
    }

    fn change(&mut self, now: i64) -> Change {
        match self.below(20) {
            0..8 => Change::JobQueued(self.job()),
            8..10 => Change::JobGone(JobId(self.below(60))),
            10..16 => Change::Board(self.board()),
            16 => Change::BoardGone(self.board_name()),
            17..19 => Change::Dispatcher(self.dispatcher(now)),
            _ => Change::DispatcherGone(DispatcherName::new(self.pick(&["main", "east"]))),
        }
    }
}

fn agrees(seed: u64) {
    let mut random = Random(seed);
    let mut scheduler = Scheduler::new();
    let mut naive = Naive::default();
    let mut decided = 0;
    for step in 0..200 {
        for _ in 0..random.below(6) {
            let change = random.change(step);
            scheduler.apply(change.clone());
            naive.apply(change);
        }
        let now = at(step);
        let decisions = naive.tick(now);
        assert_eq!(scheduler.tick(now), decisions, "seed {seed}, step {step}");
        decided += decisions.len();
        let queue: Vec<JobId> = scheduler.queue().map(|job| job.id).collect();
        let expected: Vec<JobId> = naive.queue.iter().map(|job| job.id).collect();
        assert_eq!(queue, expected, "seed {seed}, step {step}");
        if step % 40 != 0 {
            continue;
        }
        for job in &naive.queue {
            // After a tick nothing that is free is left to a job that could use it.
            let explanation = scheduler.explain(job.id, now).unwrap();
            let free = explanation
                .candidates
                .iter()
                .find(|candidate| candidate.reasons.is_empty());
            assert_eq!(free, None, "seed {seed}, step {step}: {explanation}");
        }
    }
    assert!(decided > 0, "seed {seed}: nothing was ever decided");
}

#[test]
fn it_decides_as_the_naive_function_over_random_histories() {
    // Always another; the seed stands in the message of a failure, and can be put in its place.
    let start = RandomState::new().hash_one(0);
    for number in 0..60 {
        agrees(start.wrapping_add(number));
    }
}
