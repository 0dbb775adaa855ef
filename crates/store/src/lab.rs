//! The applied lab: immutable revisions (decision D10), and the tables of boards, types and
//! dispatchers that go with the newest one.

use std::collections::HashMap;

use basalt_model::{BoardHealth, BoardName, DispatcherName, Sha256, UtcMicros};

use sha2::Digest as _;

use crate::database::value::{Row, values};
use crate::database::{Transaction, one};
use crate::error::unknown;
use crate::feed::News;
use crate::statements::account::AUDIT_INSERT;
use crate::statements::lab as sql;
use crate::{FeedEntry, Store, StoreError, json_text};

/// One file of a lab.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LabFile {
    /// Its path in the lab's directory, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A lab as it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabRevision {
    /// Its number, from 1.
    pub id: i64,
    /// The lab's name.
    pub name: String,
    /// All its files.
    pub files: Vec<LabFile>,
    /// Who applied it.
    pub actor: String,
    /// When.
    pub applied: UtcMicros,
}

/// A board as a lab describes it.
#[derive(Clone, Debug)]
pub struct BoardEntry {
    /// Its name.
    pub name: BoardName,
    /// The name it had before, if this is a renamed board: its history stays with it.
    pub was: Option<BoardName>,
    /// Its type.
    pub device_type: String,
    /// The dispatcher that owns its relay.
    pub dispatcher: DispatcherName,
    /// What jobs can ask for.
    pub tags: Vec<String>,
    /// Its health if it is new, or was retired.
    pub initial_health: BoardHealth,
}

/// A lab to be applied. What an earlier one had and this one has not is retired.
#[derive(Clone, Debug)]
pub struct NewRevision {
    /// The lab's name.
    pub name: String,
    /// All its files.
    pub files: Vec<LabFile>,
    /// Who applies it.
    pub actor: String,
    /// Its boards.
    pub boards: Vec<BoardEntry>,
    /// Its dispatchers: the name, and the one it had before.
    pub dispatchers: Vec<(DispatcherName, Option<DispatcherName>)>,
    /// Its device types: the name, and the one it had before.
    pub device_types: Vec<(String, Option<String>)>,
}

/// What applying did.
#[derive(Clone, Debug)]
pub enum Applied {
    /// It is the lab now.
    New {
        /// Its number.
        revision: i64,
        /// What listeners are told.
        feed: Vec<FeedEntry>,
    },
    /// It is the lab already, file for file.
    Unchanged {
        /// The current number.
        revision: i64,
    },
    /// A board that would be removed or given to another dispatcher is held by a run.
    BoardHeld {
        /// Which.
        board: BoardName,
    },
}

impl Store {
    /// Makes a lab the current one, with its boards, dispatchers and types, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if a board names a type or dispatcher that is not in the revision.
    pub async fn apply_revision(
        &self,
        revision: &NewRevision,
        now: UtcMicros,
    ) -> Result<Applied, StoreError> {
        let files = json_text(&revision.files);
        let digest = Sha256(sha2::Sha256::digest(files.as_bytes()).into());
        let mut transaction = self.database().write("apply a lab").await?;
        if let Some(mut row) = transaction.row(sql::REVISION_CURRENT_ID, values![]).await? {
            let (current, sha256, name): (i64, Sha256, String) =
                (row.take()?, row.take()?, row.take()?);
            if sha256 == digest && name == revision.name {
                transaction.roll_back().await?;
                return Ok(Applied::Unchanged { revision: current });
            }
        }
        rename_all(&mut transaction, revision).await?;
        let types = device_types(&mut transaction, revision).await?;
        let dispatchers = dispatchers(&mut transaction, revision, now).await?;
        let mut news = News::default();
        let places = Places { types, dispatchers };
        if let Some(board) = boards(&mut transaction, revision, &places, &mut news, now).await? {
            transaction.roll_back().await?;
            return Ok(Applied::BoardHeld { board });
        }
        retire_dispatchers(&mut transaction, revision, &places, now).await?;
        let row = transaction
            .row(
                sql::REVISION_INSERT,
                values![&revision.name, &files, digest, &revision.actor, now],
            )
            .await?;
        let id: i64 = one(row)?.take()?;
        let detail = serde_json::json!({ "revision": id }).to_string();
        transaction
            .execute(
                AUDIT_INSERT,
                values![now, &revision.actor, "lab.apply", &revision.name, detail],
            )
            .await?;
        news.lab(serde_json::json!({ "revision": id }));
        let feed = news.write(&mut transaction, now).await?;
        transaction.commit().await?;
        Ok(Applied::New { revision: id, feed })
    }

    /// The current lab; `None` before the first was applied.
    pub async fn current_revision(&self) -> Result<Option<LabRevision>, StoreError> {
        let row = self
            .database()
            .row("read the lab", sql::REVISION_CURRENT, values![])
            .await?;
        row.map(read_revision).transpose()
    }

    /// A lab by its number.
    pub async fn revision(&self, id: i64) -> Result<Option<LabRevision>, StoreError> {
        let row = self
            .database()
            .row("read the lab", sql::REVISION, values![id])
            .await?;
        row.map(read_revision).transpose()
    }

    /// The current lab's number and the SHA-256 of its files.
    pub async fn current_revision_id(&self) -> Result<Option<(i64, Sha256)>, StoreError> {
        let row = self
            .database()
            .row("read the lab", sql::REVISION_CURRENT_ID, values![])
            .await?;
        row.map(|mut row| Ok((row.take()?, row.take()?)))
            .transpose()
    }
}

/// The keys of what boards refer to.
struct Places {
    types: HashMap<String, i64>,
    dispatchers: HashMap<DispatcherName, i64>,
}

/// A board as it stands before the revision.
struct Standing {
    id: i64,
    dispatcher: i64,
    device_type: i64,
    tags: String,
    health: BoardHealth,
    held: bool,
}

fn read_revision(mut row: Row) -> Result<LabRevision, StoreError> {
    Ok(LabRevision {
        id: row.take()?,
        name: row.take()?,
        files: row.take_json()?,
        actor: row.take()?,
        applied: row.take()?,
    })
}

/// Renames by way of names that nobody can have, so that two may change places.
async fn rename_all(
    transaction: &mut Transaction<'_>,
    revision: &NewRevision,
) -> Result<(), StoreError> {
    let boards = revision.boards.iter().filter_map(|board| {
        let was = board.was.as_ref()?;
        Some((sql::BOARD_RENAME, was.as_str(), board.name.as_str()))
    });
    let dispatchers = revision.dispatchers.iter().filter_map(|(name, was)| {
        let was = was.as_ref()?;
        Some((sql::DISPATCHER_RENAME, was.as_str(), name.as_str()))
    });
    let types = revision.device_types.iter().filter_map(|(name, was)| {
        let was = was.as_ref()?;
        Some((sql::DEVICE_TYPE_RENAME, was.as_str(), name.as_str()))
    });
    let renames: Vec<_> = boards.chain(dispatchers).chain(types).collect();
    for (index, (statement, was, _)) in renames.iter().enumerate() {
        let between = format!("renaming {index}");
        transaction
            .execute(*statement, values![*was, between])
            .await?;
    }
    for (index, (statement, _, name)) in renames.iter().enumerate() {
        let between = format!("renaming {index}");
        transaction
            .execute(*statement, values![between, *name])
            .await?;
    }
    Ok(())
}

async fn device_types(
    transaction: &mut Transaction<'_>,
    revision: &NewRevision,
) -> Result<HashMap<String, i64>, StoreError> {
    let mut keys = HashMap::new();
    for (name, _) in &revision.device_types {
        let row = transaction
            .row(sql::DEVICE_TYPE_UPSERT, values![name])
            .await?;
        keys.insert(name.clone(), one(row)?.take()?);
    }
    for mut row in transaction.rows(sql::DEVICE_TYPES, values![]).await? {
        let (id, name): (i64, String) = (row.take()?, row.take()?);
        if !keys.contains_key(&name) {
            transaction
                .execute(sql::DEVICE_TYPE_RETIRE, values![id])
                .await?;
        }
    }
    Ok(keys)
}

async fn dispatchers(
    transaction: &mut Transaction<'_>,
    revision: &NewRevision,
    now: UtcMicros,
) -> Result<HashMap<DispatcherName, i64>, StoreError> {
    let mut keys = HashMap::new();
    for (name, _) in &revision.dispatchers {
        let row = transaction
            .row(sql::DISPATCHER_UPSERT, values![name, now])
            .await?;
        keys.insert(name.clone(), one(row)?.take()?);
    }
    Ok(keys)
}

async fn retire_dispatchers(
    transaction: &mut Transaction<'_>,
    revision: &NewRevision,
    places: &Places,
    now: UtcMicros,
) -> Result<(), StoreError> {
    for mut row in transaction.rows(sql::DISPATCHERS, values![]).await? {
        let (id, name): (i64, DispatcherName) = (row.take()?, row.take()?);
        if !places.dispatchers.contains_key(&name) {
            transaction
                .execute(sql::DISPATCHER_RETIRE, values![id, now, &revision.actor])
                .await?;
        }
    }
    Ok(())
}

/// Brings the boards to the revision; the name of one that is held and would be taken away.
async fn boards(
    transaction: &mut Transaction<'_>,
    revision: &NewRevision,
    places: &Places,
    news: &mut News,
    now: UtcMicros,
) -> Result<Option<BoardName>, StoreError> {
    let mut standing = HashMap::new();
    for mut row in transaction.rows(sql::BOARDS, values![]).await? {
        let id = row.take()?;
        let name: BoardName = row.take()?;
        let board = Standing {
            id,
            dispatcher: row.take()?,
            device_type: row.take()?,
            tags: row.take()?,
            health: row.take()?,
            held: row.take::<Option<Vec<u8>>>()?.is_some(),
        };
        standing.insert(name, board);
    }
    for entry in &revision.boards {
        let device_type = *places
            .types
            .get(&entry.device_type)
            .ok_or_else(|| unknown("device type", &entry.device_type))?;
        let dispatcher = *places
            .dispatchers
            .get(&entry.dispatcher)
            .ok_or_else(|| unknown("dispatcher", &entry.dispatcher))?;
        let tags = json_text(&entry.tags);
        let Some(board) = standing.remove(&entry.name) else {
            let health = entry.initial_health;
            transaction
                .execute(
                    sql::BOARD_INSERT,
                    values![&entry.name, device_type, dispatcher, tags, now, health],
                )
                .await?;
            news.board(&entry.name, serde_json::json!({ "health": health }));
            continue;
        };
        if board.held && board.dispatcher != dispatcher {
            return Ok(Some(entry.name.clone()));
        }
        if (board.dispatcher, board.device_type, &board.tags) != (dispatcher, device_type, &tags) {
            transaction
                .execute(
                    sql::BOARD_UPDATE,
                    values![board.id, device_type, dispatcher, tags],
                )
                .await?;
        }
        if board.health == BoardHealth::Retired {
            let health = entry.initial_health;
            set_health(transaction, board.id, health, &revision.actor, now).await?;
            news.board(&entry.name, serde_json::json!({ "health": health }));
        }
    }
    for (name, board) in standing {
        if board.held {
            return Ok(Some(name));
        }
        if board.health != BoardHealth::Retired {
            let health = BoardHealth::Retired;
            set_health(transaction, board.id, health, &revision.actor, now).await?;
            news.board(&name, serde_json::json!({ "health": health }));
        }
    }
    Ok(None)
}

async fn set_health(
    transaction: &mut Transaction<'_>,
    board: i64,
    health: BoardHealth,
    actor: &str,
    now: UtcMicros,
) -> Result<(), StoreError> {
    let reason: Option<&str> = None;
    transaction
        .execute(
            sql::BOARD_HEALTH,
            values![board, health, reason, actor, now],
        )
        .await
        .map(drop)
}
