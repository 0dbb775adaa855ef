//! Boards and dispatchers: what they are doing now, as far as the server knows.

use basalt_model::{
    BoardHealth, BoardName, BoardState, DispatcherMode, DispatcherName, DispatcherState, Epoch,
    JobId, LeaseId, PowerState, RunId, UtcMicros,
};

use serde_json::json;

use crate::database::Transaction;
use crate::database::value::{Row, values};
use crate::error::unknown;
use crate::feed::News;
use crate::statements::account::AUDIT_INSERT;
use crate::statements::{board as sql, lab};
use crate::{FeedEntry, Store, StoreError, WebhookEvent};

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
        let statement = match retired {
            true => sql::BOARDS_WITH_RETIRED,
            false => sql::BOARDS,
        };
        let rows = self
            .database()
            .rows("list boards", statement, values![])
            .await?;
        rows.into_iter().map(read_board).collect()
    }

    /// One board, retired or not.
    pub async fn board(&self, name: &BoardName) -> Result<Option<Board>, StoreError> {
        let row = self
            .database()
            .row("read a board", sql::BOARD, values![name])
            .await?;
        row.map(read_board).transpose()
    }

    /// The next lease of a board gets an epoch above this one: its dispatcher has seen it, from
    /// when its host drove the board without a server. `false` if it would anyway.
    pub async fn raise_epoch(&self, board: &BoardName, epoch: Epoch) -> Result<bool, StoreError> {
        let mut transaction = self.database().write("raise a board's epoch").await?;
        let raised = transaction
            .execute(sql::RAISE_EPOCH, values![board, epoch])
            .await?;
        transaction.commit().await?;
        Ok(raised > 0)
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
        let mut transaction = self.database().write("set a board's health").await?;
        let row = transaction.row(sql::BOARD_HEALTH, values![board]).await?;
        let mut row = row.ok_or_else(|| unknown("board", board))?;
        let id: i64 = row.take()?;
        let was: BoardHealth = row.take()?;
        let reason_was: Option<String> = row.take()?;
        let kept = match actor {
            // A board that is not in the lab stays out, whoever asks.
            HealthActor::Person(_) => was == BoardHealth::Retired,
            HealthActor::Lab => matches!(was, BoardHealth::Maintenance | BoardHealth::Retired),
        };
        if kept || (was == health && reason_was.as_deref() == reason) {
            transaction.roll_back().await?;
            return Ok(None);
        }
        let name = match actor {
            HealthActor::Person(name) => name.as_str(),
            HealthActor::Lab => "lab",
        };
        transaction
            .execute(lab::BOARD_HEALTH, values![id, health, reason, name, now])
            .await?;
        let detail = json!({ "health": health, "reason": reason, "was": was });
        transaction
            .execute(
                AUDIT_INSERT,
                values![now, name, "board.health", board, detail.to_string()],
            )
            .await?;
        let mut news = News::default();
        news.board(board, json!({ "health": health, "reason": reason }))
            .and_webhooks(WebhookEvent::BoardHealth);
        let feed = news.write(&mut transaction, now).await?;
        transaction.commit().await?;
        Ok(Some(feed))
    }

    /// The dispatchers by name, retired ones too.
    pub async fn dispatchers(&self) -> Result<Vec<Dispatcher>, StoreError> {
        let rows = self
            .database()
            .rows("list dispatchers", sql::DISPATCHERS, values![])
            .await?;
        rows.into_iter().map(read_dispatcher).collect()
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
        let mut transaction = self.database().write("set a dispatcher's mode").await?;
        let count = transaction
            .execute(
                sql::DISPATCHER_SET_MODE,
                values![dispatcher, mode, reason, actor, now],
            )
            .await?;
        if count == 0 {
            return Err(unknown("dispatcher", dispatcher));
        }
        let detail = json!({ "mode": mode, "reason": reason });
        transaction
            .execute(
                AUDIT_INSERT,
                values![
                    now,
                    actor,
                    "dispatcher.mode",
                    dispatcher,
                    detail.to_string()
                ],
            )
            .await?;
        let mut news = News::default();
        news.dispatcher(dispatcher, detail);
        let feed = news.write(&mut transaction, now).await?;
        transaction.commit().await?;
        Ok(feed)
    }

    /// Notes that a dispatcher's link is up or down. `build` as it says at its hello.
    pub async fn set_dispatcher_state(
        &self,
        dispatcher: &DispatcherName,
        state: DispatcherState,
        build: Option<&str>,
        now: UtcMicros,
    ) -> Result<Vec<FeedEntry>, StoreError> {
        let mut transaction = self.database().write("note a dispatcher's state").await?;
        let row = transaction
            .row(sql::DISPATCHER_STATE, values![dispatcher])
            .await?;
        let mut row = row.ok_or_else(|| unknown("dispatcher", dispatcher))?;
        let was: DispatcherState = row.take()?;
        transaction
            .execute(
                sql::DISPATCHER_SET_STATE,
                values![dispatcher, state, now, build],
            )
            .await?;
        let mut news = News::default();
        if was != state {
            news.dispatcher(dispatcher, json!({ "state": state }));
        }
        let feed = news.write(&mut transaction, now).await?;
        transaction.commit().await?;
        Ok(feed)
    }

    /// Notes when dispatchers were heard of last; called every so often, not each heartbeat.
    pub async fn dispatchers_seen(
        &self,
        seen: &[(DispatcherName, UtcMicros)],
    ) -> Result<(), StoreError> {
        let mut transaction = self
            .database()
            .write_apart("note when dispatchers were seen")
            .await?;
        for (dispatcher, at) in seen {
            transaction
                .execute(sql::DISPATCHER_SEEN, values![dispatcher, *at])
                .await?;
        }
        transaction.commit().await
    }
}

fn read_board(mut row: Row) -> Result<Board, StoreError> {
    Ok(Board {
        name: row.take()?,
        device_type: row.take()?,
        dispatcher: row.take()?,
        tags: row.take_json()?,
        state: row.take()?,
        state_since: row.take()?,
        health: row.take()?,
        health_reason: row.take()?,
        health_set_by: row.take()?,
        health_since: row.take()?,
        power: row.take()?,
        power_since: row.take()?,
        console_open: row.take()?,
        console_reason: row.take()?,
        console_since: row.take()?,
        epoch: row.take()?,
        lease: row.take()?,
        run: row.take()?,
        job: row.take()?,
    })
}

fn read_dispatcher(mut row: Row) -> Result<Dispatcher, StoreError> {
    Ok(Dispatcher {
        name: row.take()?,
        state: row.take()?,
        state_since: row.take()?,
        mode: row.take()?,
        mode_reason: row.take()?,
        mode_set_by: row.take()?,
        mode_since: row.take()?,
        last_seen: row.take()?,
        build: row.take()?,
    })
}

/// Notes what a dispatcher says about a board, if it is news.
pub(crate) async fn note_fact(
    transaction: &mut Transaction<'_>,
    fact: &BoardFact,
    news: &mut News,
    now: UtcMicros,
) -> Result<(), StoreError> {
    let row = transaction
        .row(sql::FACTS_BEFORE, values![&fact.board])
        .await?;
    let Some(mut row) = row else {
        return Ok(());
    };
    let id: i64 = row.take()?;
    let owner: DispatcherName = row.take()?;
    let power_was: PowerState = row.take()?;
    let open_was: bool = row.take()?;
    let reason_was: Option<String> = row.take()?;
    if owner != fact.dispatcher {
        return Ok(());
    }
    if let Some((power, since)) = fact.power
        && power != power_was
    {
        note_power(transaction, id, power, since, now).await?;
        news.board(&fact.board, json!({ "power": power }));
    }
    if let Some((console, since)) = &fact.console
        && (console.is_ok(), console.as_ref().err()) != (open_was, reason_was.as_ref())
    {
        let reason = console.as_ref().err();
        transaction
            .execute(
                sql::SET_CONSOLE,
                values![id, console.is_ok(), reason, *since],
            )
            .await?;
        let word = if console.is_ok() { "open" } else { "closed" };
        transaction
            .execute(
                sql::FACT_INSERT,
                values![id, "console", word, reason, *since, now],
            )
            .await?;
        news.board(&fact.board, json!({ "console": word, "reason": reason }));
    }
    Ok(())
}

/// Sets a board's power state, and keeps the change.
pub(crate) async fn note_power(
    transaction: &mut Transaction<'_>,
    board: i64,
    power: PowerState,
    since: UtcMicros,
    now: UtcMicros,
) -> Result<(), StoreError> {
    transaction
        .execute(sql::SET_POWER, values![board, power, since])
        .await?;
    let reason: Option<&str> = None;
    transaction
        .execute(
            sql::FACT_INSERT,
            values![board, "power", power, reason, since, now],
        )
        .await
        .map(drop)
}
