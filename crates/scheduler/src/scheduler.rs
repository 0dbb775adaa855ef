//! The queue and the boards, and who gets what.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use basalt_model::{BoardName, DispatcherName, JobId, UtcMicros};

use crate::change::{BoardFacts, Change, Decision, DispatcherFacts, Occupancy, QueuedJob};
use crate::class::{Class, ClassId, ClassKey, Order, Rank};

/// The queue, the boards and the dispatchers, as far as they decide who gets what.
#[derive(Debug, Default)]
pub struct Scheduler {
    pub(crate) jobs: HashMap<JobId, Entry>,
    pub(crate) queue: BTreeSet<Order>,
    pub(crate) boards: BTreeMap<BoardName, Board>,
    pub(crate) dispatchers: BTreeMap<DispatcherName, Dispatcher>,
    pub(crate) classes: BTreeMap<ClassId, Class>,
    class_ids: HashMap<ClassKey, ClassId>,
    next_class: u64,
    /// Classes that may have both a job and a free board: those that something has happened to.
    changed: BTreeSet<ClassId>,
    /// Moments at which boards of a dispatcher become usable.
    fences: BTreeSet<(UtcMicros, DispatcherName)>,
    looks: u64,
}

/// A job that is queued, or that a board was decided for.
#[derive(Debug)]
pub(crate) struct Entry {
    pub job: QueuedJob,
    pub standing: Standing,
}

#[derive(Debug)]
pub(crate) enum Standing {
    Waits(ClassId),
    Decided(BoardName),
}

#[derive(Debug)]
pub(crate) struct Board {
    pub facts: BoardFacts,
    /// The job that it was decided for, until the facts say more.
    pub decided_for: Option<JobId>,
    /// Its place among the free boards of its classes, if it is free.
    rank: Option<Rank>,
    classes: BTreeSet<ClassId>,
}

#[derive(Debug, Default)]
pub(crate) struct Dispatcher {
    /// Nothing where only boards have named it yet.
    pub facts: Option<DispatcherFacts>,
    fenced: bool,
    boards: BTreeSet<BoardName>,
}

impl Dispatcher {
    fn gives_boards(&self) -> bool {
        !self.fenced && self.facts.as_ref().is_some_and(DispatcherFacts::takes_jobs)
    }
}

impl Scheduler {
    /// Without jobs, boards or dispatchers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of a change. Nothing is decided before the next [`Scheduler::tick`].
    ///
    /// A pair that was decided counts as taken until a change says otherwise: for the job,
    /// [`Change::JobQueued`] or [`Change::JobGone`]; for the board, the same of its job, or
    /// [`Change::Board`] with another occupancy than it had.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::JobQueued(job) => {
                self.remove_job(job.id);
                self.add_job(job);
            }
            Change::JobGone(id) => self.remove_job(id),
            Change::Board(facts) => self.set_board(facts),
            Change::BoardGone(name) => self.remove_board(&name),
            Change::Dispatcher(facts) => self.set_dispatcher(facts),
            Change::DispatcherGone(name) => self.remove_dispatcher(&name),
        }
    }

    /// Gives free boards to the jobs that are next. The same state gives the same decisions.
    pub fn tick(&mut self, now: UtcMicros) -> Vec<Decision> {
        self.open_fences(now);
        let mut next = BinaryHeap::new();
        for id in std::mem::take(&mut self.changed) {
            self.looks += 1;
            next.extend(self.head(id).map(|order| Reverse((order, id))));
        }
        let mut decisions = Vec::new();
        while let Some(Reverse((order, class))) = next.pop() {
            self.looks += 1;
            // Another class may have taken its last free board meanwhile.
            let Some(rank) = self.classes.get(&class).and_then(|one| one.free.first()) else {
                continue;
            };
            let board = rank.board.clone();
            self.decide(order, class, &board);
            next.extend(self.head(class).map(|order| Reverse((order, class))));
            decisions.push(Decision {
                job: order.id,
                board,
            });
        }
        decisions
    }

    /// When the next tick may have something to decide although nothing was applied: a silent
    /// dispatcher's boards become usable.
    pub fn next_wake(&self) -> Option<UtcMicros> {
        self.fences.first().map(|(at, _)| *at)
    }

    /// The jobs that wait, the next first; without those that a board was decided for.
    pub fn queue(&self) -> impl Iterator<Item = &QueuedJob> {
        self.queue
            .iter()
            .filter_map(|order| self.jobs.get(&order.id))
            .map(|entry| &entry.job)
    }

    /// How many jobs wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The board, as it was told.
    pub fn board(&self, name: &BoardName) -> Option<&BoardFacts> {
        self.boards.get(name).map(|board| &board.facts)
    }

    /// How many classes and boards were looked at since the beginning: what the work costs, for
    /// tests and measurements.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// The next job of a class that has a free board.
    fn head(&self, id: ClassId) -> Option<Order> {
        let class = self.classes.get(&id)?;
        class.free.first()?;
        class.queue.first().copied()
    }

    fn decide(&mut self, order: Order, class: ClassId, board: &BoardName) {
        self.queue.remove(&order);
        if let Some(entry) = self.jobs.get_mut(&order.id) {
            entry.standing = Standing::Decided(board.clone());
        }
        if let Some(board) = self.boards.get_mut(board) {
            board.decided_for = Some(order.id);
        }
        self.refresh(board);
        self.leave_class(class, order);
    }

    fn add_job(&mut self, job: QueuedJob) {
        let order = Order::of(&job);
        let class = self.class_of(ClassKey::of(&job));
        if let Some(class) = self.classes.get_mut(&class) {
            class.queue.insert(order);
        }
        self.queue.insert(order);
        self.changed.insert(class);
        let standing = Standing::Waits(class);
        self.jobs.insert(job.id, Entry { job, standing });
    }

    /// Forgets a job; the board that was decided for it is free again unless it is known to be
    /// taken.
    fn remove_job(&mut self, id: JobId) {
        let Some(entry) = self.jobs.remove(&id) else {
            return;
        };
        match entry.standing {
            Standing::Waits(class) => {
                let order = Order::of(&entry.job);
                self.queue.remove(&order);
                self.leave_class(class, order);
            }
            Standing::Decided(name) => {
                if let Some(board) = self.boards.get_mut(&name)
                    && board.decided_for == Some(id)
                {
                    board.decided_for = None;
                    self.refresh(&name);
                }
            }
        }
    }

    /// The class of a key; a new one where no job has been alike.
    fn class_of(&mut self, key: ClassKey) -> ClassId {
        if let Some(id) = self.class_ids.get(&key) {
            return *id;
        }
        let id = ClassId(self.next_class);
        self.next_class += 1;
        let mut class = Class {
            key: key.clone(),
            queue: BTreeSet::new(),
            boards: BTreeSet::new(),
            free: BTreeSet::new(),
        };
        for (name, board) in &mut self.boards {
            self.looks += 1;
            if key.takes(&board.facts) {
                board.classes.insert(id);
                class.boards.insert(name.clone());
                class.free.extend(board.rank.clone());
            }
        }
        self.class_ids.insert(key, id);
        self.classes.insert(id, class);
        id
    }

    /// Takes a job out of its class; the last one takes the class with it.
    fn leave_class(&mut self, id: ClassId, order: Order) {
        let Some(class) = self.classes.get_mut(&id) else {
            return;
        };
        class.queue.remove(&order);
        if !class.queue.is_empty() {
            return;
        }
        if let Some(class) = self.classes.remove(&id) {
            for name in &class.boards {
                self.looks += 1;
                if let Some(board) = self.boards.get_mut(name) {
                    board.classes.remove(&id);
                }
            }
            self.class_ids.remove(&class.key);
        }
        self.changed.remove(&id);
    }

    fn set_board(&mut self, facts: BoardFacts) {
        let name = facts.name.clone();
        self.dispatchers
            .entry(facts.dispatcher.clone())
            .or_default()
            .boards
            .insert(name.clone());
        let Some(board) = self.boards.get_mut(&name) else {
            let board = Board {
                facts,
                decided_for: None,
                rank: None,
                classes: BTreeSet::new(),
            };
            self.boards.insert(name.clone(), board);
            self.join_classes(&name);
            self.refresh(&name);
            return;
        };
        let old = std::mem::replace(&mut board.facts, facts);
        let new = &board.facts;
        if (&old.occupancy, old.occupancy_since) != (&new.occupancy, new.occupancy_since) {
            board.decided_for = None;
        }
        let matches_as_before = old.device_type == new.device_type && old.tags == new.tags;
        if old.dispatcher != new.dispatcher {
            self.leave_dispatcher(&old.dispatcher, &name);
        }
        if !matches_as_before {
            self.leave_classes(&name);
            self.join_classes(&name);
        }
        self.refresh(&name);
    }

    fn remove_board(&mut self, name: &BoardName) {
        self.leave_classes(name);
        if let Some(board) = self.boards.remove(name) {
            self.leave_dispatcher(&board.facts.dispatcher, name);
        }
    }

    fn leave_dispatcher(&mut self, dispatcher: &DispatcherName, board: &BoardName) {
        if let Some(one) = self.dispatchers.get_mut(dispatcher) {
            one.boards.remove(board);
            if one.boards.is_empty() && one.facts.is_none() {
                self.dispatchers.remove(dispatcher);
            }
        }
    }

    fn leave_classes(&mut self, name: &BoardName) {
        let Some(board) = self.boards.get_mut(name) else {
            return;
        };
        let rank = board.rank.take();
        for id in std::mem::take(&mut board.classes) {
            self.looks += 1;
            if let Some(class) = self.classes.get_mut(&id) {
                class.boards.remove(name);
                if let Some(rank) = &rank {
                    class.free.remove(rank);
                }
            }
        }
    }

    /// Enters a board, which is not free yet, into the classes that can use it.
    fn join_classes(&mut self, name: &BoardName) {
        let Some(board) = self.boards.get_mut(name) else {
            return;
        };
        for (id, class) in &mut self.classes {
            self.looks += 1;
            if class.key.takes(&board.facts) {
                class.boards.insert(name.clone());
                board.classes.insert(*id);
            }
        }
    }

    /// Enters a board among the free ones of its classes, or takes it out, as its facts say.
    fn refresh(&mut self, name: &BoardName) {
        self.looks += 1;
        let Some(board) = self.boards.get_mut(name) else {
            return;
        };
        let is_free = board.decided_for.is_none()
            && board.facts.occupancy == Occupancy::Idle
            && board.facts.health.takes_jobs()
            && self
                .dispatchers
                .get(&board.facts.dispatcher)
                .is_some_and(Dispatcher::gives_boards);
        let rank = is_free.then(|| Rank::of(&board.facts));
        if board.rank == rank {
            return;
        }
        let old = std::mem::replace(&mut board.rank, rank.clone());
        for id in &board.classes {
            self.looks += 1;
            let Some(class) = self.classes.get_mut(id) else {
                continue;
            };
            if let Some(old) = &old {
                class.free.remove(old);
            }
            if let Some(rank) = &rank {
                class.free.insert(rank.clone());
                self.changed.insert(*id);
            }
        }
    }

    fn set_dispatcher(&mut self, facts: DispatcherFacts) {
        let name = facts.name.clone();
        self.forget_fence(&name);
        if let Some(until) = facts.boards_usable_from {
            self.fences.insert((until, name.clone()));
        }
        let dispatcher = self.dispatchers.entry(name.clone()).or_default();
        let gave = dispatcher.gives_boards();
        dispatcher.fenced = facts.boards_usable_from.is_some();
        dispatcher.facts = Some(facts);
        if gave != dispatcher.gives_boards() {
            self.refresh_boards_of(&name);
        }
    }

    fn remove_dispatcher(&mut self, name: &DispatcherName) {
        self.forget_fence(name);
        let Some(dispatcher) = self.dispatchers.get_mut(name) else {
            return;
        };
        let gave = dispatcher.gives_boards();
        dispatcher.facts = None;
        dispatcher.fenced = false;
        if dispatcher.boards.is_empty() {
            self.dispatchers.remove(name);
        } else if gave {
            self.refresh_boards_of(name);
        }
    }

    fn forget_fence(&mut self, name: &DispatcherName) {
        let until = self
            .dispatchers
            .get(name)
            .and_then(|one| one.facts.as_ref()?.boards_usable_from);
        if let Some(until) = until {
            self.fences.remove(&(until, name.clone()));
        }
    }

    fn open_fences(&mut self, now: UtcMicros) {
        while let Some((until, _)) = self.fences.first()
            && *until <= now
        {
            if let Some((_, name)) = self.fences.pop_first()
                && let Some(dispatcher) = self.dispatchers.get_mut(&name)
            {
                dispatcher.fenced = false;
                self.refresh_boards_of(&name);
            }
        }
    }

    fn refresh_boards_of(&mut self, name: &DispatcherName) {
        let boards = self
            .dispatchers
            .get(name)
            .map(|one| one.boards.clone())
            .unwrap_or_default();
        for board in &boards {
            self.refresh(board);
        }
    }
}
