//! Boards and dispatchers: what they are doing now, as far as the server knows.

use basalt_model::{
    BoardHealth, BoardName, BoardState, DispatcherMode, DispatcherName, DispatcherState, Epoch,
    JobId, LeaseId, PowerState, RunId, UtcMicros,
};

use crate::{FeedEntry, Store, StoreError};

/// A board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// Its name.
    pub name: BoardName,
    /// Its type.
    pub device_type: String,
    /// Its dispatcher.
    pub dispatcher: DispatcherName,
    /// What jobs can ask for.
    pub tags: Vec<String>,
    /// What it is doing.
    pub state: BoardState,
    /// Since when.
    pub state_since: UtcMicros,
    /// Whether it may be used.
    pub health: BoardHealth,
    /// Why, if anybody said so.
    pub health_reason: Option<String>,
    /// Who set it.
    pub health_set_by: Option<String>,
    /// Since when.
    pub health_since: UtcMicros,
    /// What its relay says.
    pub power: PowerState,
    /// Since when.
    pub power_since: UtcMicros,
    /// Whether its console is open.
    pub console_open: bool,
    /// Why it is not.
    pub console_reason: Option<String>,
    /// Since when.
    pub console_since: UtcMicros,
    /// The epoch of its newest lease.
    pub epoch: Epoch,
    /// The lease that holds it.
    pub lease: Option<LeaseId>,
    /// The run that holds it.
    pub run: Option<RunId>,
    /// That run's job.
    pub job: Option<JobId>,
}

/// Something a dispatcher says about a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardFact {
    /// The board.
    pub board: BoardName,
    /// Who says so: facts from another than the board's dispatcher are dropped.
    pub dispatcher: DispatcherName,
    /// What its relay says, and since when.
    pub power: Option<(PowerState, UtcMicros)>,
    /// Its console: `Ok` if it is open, else why not; and since when.
    pub console: Option<(Result<(), String>, UtcMicros)>,
}

/// A dispatcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatcher {
    /// Its name.
    pub name: DispatcherName,
    /// Whether its link is up.
    pub state: DispatcherState,
    /// Since when.
    pub state_since: UtcMicros,
    /// Whether it gets new runs.
    pub mode: DispatcherMode,
    /// Why, if anybody said so.
    pub mode_reason: Option<String>,
    /// Who set the mode.
    pub mode_set_by: Option<String>,
    /// Since when.
    pub mode_since: UtcMicros,
    /// When it was heard of last.
    pub last_seen: Option<UtcMicros>,
    /// Its build, as it said at its last hello.
    pub build: Option<String>,
}

/// Who sets a board's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthActor {
    /// A person, by name: may set anything.
    Person(String),
    /// The lab itself, for what reason it has: never overwrites maintenance or retirement.
    Lab,
}

impl Store {
    /// The boards of the current lab by name; with `retired`, those that are gone as well.
    pub async fn boards(&self, retired: bool) -> Result<Vec<Board>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// One board, retired or not.
    pub async fn board(&self, name: &BoardName) -> Result<Option<Board>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Sets a board's health, with a row in the audit. `None` if the lab may not overwrite what a
    /// person set, or if nothing changed.
    pub async fn set_board_health(
        &self,
        board: &BoardName,
        health: BoardHealth,
        reason: Option<&str>,
        actor: &HealthActor,
        now: UtcMicros,
    ) -> Result<Option<Vec<FeedEntry>>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// The dispatchers by name, retired ones too.
    pub async fn dispatchers(&self) -> Result<Vec<Dispatcher>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Sets whether a dispatcher gets new runs, with a row in the audit.
    pub async fn set_dispatcher_mode(
        &self,
        dispatcher: &DispatcherName,
        mode: DispatcherMode,
        reason: Option<&str>,
        actor: &str,
        now: UtcMicros,
    ) -> Result<Vec<FeedEntry>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Notes that a dispatcher's link is up or down. `build` as it says at its hello.
    pub async fn set_dispatcher_state(
        &self,
        dispatcher: &DispatcherName,
        state: DispatcherState,
        build: Option<&str>,
        now: UtcMicros,
    ) -> Result<Vec<FeedEntry>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Notes when dispatchers were heard of last; called every so often, not each heartbeat.
    pub async fn dispatchers_seen(
        &self,
        seen: &[(DispatcherName, UtcMicros)],
    ) -> Result<(), StoreError> {
        Err(StoreError::NotYet)
    }
}
