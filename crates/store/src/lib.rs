//! Everything that the server keeps: rows in SQLite or PostgreSQL, logs and files in an object
//! store.
//!
//! Each operation is one method of [`Store`] and one transaction, with its guards inside it. Rows
//! go out as plain structs. Whatever changes something may be asked again when its answer was lost
//! ([`StoreError::is_transient`]): it finds out whether the first attempt took effect.
//!
//! Not done here: deciding (the scheduler's and the use cases' part), authorization, reading
//! clocks (every operation takes `now`), understanding logs and results (they are bytes and JSON).

mod account;
mod audit;
mod board;
mod database;
mod error;
mod feed;
mod files;
mod grant;
mod ingest;
mod job;
mod lab;
mod leader;
mod log;
mod objects;
mod outbox;
mod retention;
mod run;
mod seal;
mod sealed;
mod statements;
mod words;

use std::sync::Arc;
use std::time::Duration;

use database::Database;
use objects::Objects;

pub use account::{NewToken, NewTokenOwner, Token, TokenId, TokenKind, TokenOwner, User, UserId};
pub use audit::AuditEntry;
pub use board::{Board, BoardFact, Dispatcher, HealthActor};
pub use error::StoreError;
pub use feed::{FeedEntry, FeedId, FeedKind};
pub use files::{RunFile, Upload, UploadState};
pub use grant::{GrantRequest, Granted, LeaderTerm, NoLonger};
pub use ingest::{
    Batch, CommitReport, EventRow, Fence, Fenced, LatencyRow, LeaseAnswer, LogBatch, RunBatch,
    RunDisposition, RunEnded, RunFate, RunFinished, RunReport,
};
pub use job::{Canceled, Job, JobEnd, JobFilter, JobPage, NewJob, QueuedJob, Submitted, Wants};
pub use lab::{Applied, BoardEntry, LabFile, LabRevision, NewRevision};
pub use leader::Leader;
pub use log::{LogChunk, LogReader};
pub use outbox::{
    Attempt, Delivery, DeliveryId, DeliveryState, Webhook, WebhookEvent, WebhookId, WebhookSettings,
};
pub use run::{Run, StoredLatency, TrendFilter};
pub use seal::SealReport;

/// Where everything is kept.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// `sqlite:PATH` or `postgres://…`.
    pub database_url: String,
    /// A directory, as a path or `file://` URL.
    pub objects_url: String,
    /// The longest that one operation may take.
    pub time_limit: Duration,
}

impl StoreConfig {
    /// With the usual time limit.
    pub fn new(database_url: impl Into<String>, objects_url: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            objects_url: objects_url.into(),
            time_limit: Duration::from_secs(15),
        }
    }
}

/// The store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    objects: Objects,
    uploads: files::Uploads,
}

impl Store {
    /// Opens the database and the object store, makes what does not exist, and brings the tables
    /// to this version.
    pub async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let objects = Objects::open(&config.objects_url)?;
        let database = Database::open(&config.database_url, config.time_limit).await?;
        let inner = Inner {
            database,
            objects,
            uploads: files::Uploads::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Ends all connections.
    pub async fn close(&self) {
        self.inner.database.close().await;
    }

    /// How many writing transactions were committed since the store was opened.
    pub fn transactions(&self) -> u64 {
        self.inner.database.transactions()
    }

    fn database(&self) -> &Database {
        &self.inner.database
    }

    fn objects(&self) -> &Objects {
        &self.inner.objects
    }
}

/// Plain data as JSON.
fn json_text<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_string(value) {
        Ok(text) => text,
        // Structs with string keys and no foreign serializers.
        Err(error) => unreachable!("plain data is JSON: {error}"),
    }
}
