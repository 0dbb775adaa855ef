//! What changed, in the order of commits (decision D15), for everybody who listens.

use basalt_model::{BoardName, DispatcherName, JobId, RunId, UtcMicros};

use crate::database::value::values;
use crate::database::{Transaction, one};
use crate::statements::feed as sql;
use crate::words::words;
use crate::{Store, StoreError, WebhookEvent};

/// The number of an entry: whoever has seen one has missed none with a smaller number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId(pub i64);

/// What kind of thing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeedKind {
    /// A job: `{"state", "outcome"?}`.
    Job,
    /// A board: `{"state", "health", "power", "console"}`, what of these changed.
    Board,
    /// A dispatcher: `{"state"?, "mode"?}`.
    Dispatcher,
    /// The lab: `{"revision"}`.
    Lab,
}

words!(FeedKind {
    Job = "job",
    Board = "board",
    Dispatcher = "dispatcher",
    Lab = "lab",
});

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// Its number.
    pub id: FeedId,
    /// When.
    pub at: UtcMicros,
    /// What kind of thing changed.
    pub kind: FeedKind,
    /// The job it is about.
    pub job: Option<JobId>,
    /// The run it is about.
    pub run: Option<RunId>,
    /// The board it is about.
    pub board: Option<BoardName>,
    /// The dispatcher it is about.
    pub dispatcher: Option<DispatcherName>,
    /// What changed, a JSON object.
    pub data: String,
}

impl Store {
    /// Entries after `last`, ascending, at most `limit`.
    pub async fn feed(&self, last: FeedId, limit: u32) -> Result<Vec<FeedEntry>, StoreError> {
        let rows = self
            .database()
            .rows("read the feed", sql::FEED_AFTER, values![last.0, limit])
            .await?;
        rows.into_iter()
            .map(|mut row| {
                Ok(FeedEntry {
                    id: FeedId(row.take()?),
                    at: row.take()?,
                    kind: row.take()?,
                    job: row.take()?,
                    run: row.take()?,
                    board: row.take()?,
                    dispatcher: row.take()?,
                    data: row.take()?,
                })
            })
            .collect()
    }

    /// The newest entry's number; 0 before the first.
    pub async fn feed_head(&self) -> Result<FeedId, StoreError> {
        let row = self
            .database()
            .row("read the feed", sql::FEED_HEAD, values![])
            .await?;
        Ok(FeedId(one(row)?.take()?))
    }

    /// Deletes entries older than `before`, at most 10 000 at once; how many. Numbers are never
    /// given again.
    pub async fn trim_feed(&self, before: UtcMicros) -> Result<u64, StoreError> {
        let mut transaction = self.database().write_apart("trim the feed").await?;
        let count = transaction.execute(sql::FEED_TRIM, values![before]).await?;
        transaction.commit().await?;
        Ok(count)
    }
}

/// What is told of in a transaction: gathered while it goes on, written at its end.
#[derive(Default)]
pub(crate) struct News {
    entries: Vec<FeedEntry>,
    events: Vec<(WebhookEvent, usize)>,
}

impl News {
    /// Tells of a job.
    pub(crate) fn job(
        &mut self,
        job: JobId,
        run: Option<RunId>,
        board: Option<&BoardName>,
        data: serde_json::Value,
    ) -> &mut Self {
        self.push(FeedKind::Job, data);
        if let Some(entry) = self.entries.last_mut() {
            entry.job = Some(job);
            entry.run = run;
            entry.board = board.cloned();
        }
        self
    }

    /// Tells of a board.
    pub(crate) fn board(&mut self, board: &BoardName, data: serde_json::Value) -> &mut Self {
        self.push(FeedKind::Board, data);
        if let Some(entry) = self.entries.last_mut() {
            entry.board = Some(board.clone());
        }
        self
    }

    /// Tells of a dispatcher.
    pub(crate) fn dispatcher(&mut self, dispatcher: &DispatcherName, data: serde_json::Value) {
        self.push(FeedKind::Dispatcher, data);
        if let Some(entry) = self.entries.last_mut() {
            entry.dispatcher = Some(dispatcher.clone());
        }
    }

    /// Tells of the lab.
    pub(crate) fn lab(&mut self, data: serde_json::Value) {
        self.push(FeedKind::Lab, data);
    }

    /// Webhooks are told of the newest entry, too.
    pub(crate) fn and_webhooks(&mut self, event: WebhookEvent) {
        self.events.push((event, self.entries.len() - 1));
    }

    fn push(&mut self, kind: FeedKind, data: serde_json::Value) {
        self.entries.push(FeedEntry {
            id: FeedId(0),
            at: UtcMicros(0),
            kind,
            job: None,
            run: None,
            board: None,
            dispatcher: None,
            data: data.to_string(),
        });
    }

    /// Writes it all, as the last thing before the commit: from here on no other transaction
    /// gets numbers (decision D15).
    pub(crate) async fn write(
        mut self,
        transaction: &mut Transaction<'_>,
        now: UtcMicros,
    ) -> Result<Vec<FeedEntry>, StoreError> {
        if self.entries.is_empty() {
            return Ok(self.entries);
        }
        for (event, index) in self.events {
            let entry = &self.entries[index];
            transaction
                .execute(
                    sql::OUTBOX_INSERT,
                    values![
                        format!("%,{},%", event.as_str()),
                        event.as_str(),
                        entry.job,
                        entry.board.as_ref(),
                        &entry.data,
                        now,
                    ],
                )
                .await?;
        }
        let count = self.entries.len() as i64;
        let row = transaction.row(sql::FEED_COUNT_UP, values![count]).await?;
        let last: i64 = one(row)?.take()?;
        let mut rows = Vec::with_capacity(self.entries.len());
        for (entry, id) in self.entries.iter_mut().zip(last - count + 1..) {
            entry.id = FeedId(id);
            entry.at = now;
            rows.push(values![
                id,
                now,
                entry.kind.as_str(),
                entry.job,
                entry.run,
                entry.board.as_ref(),
                entry.dispatcher.as_ref(),
                &entry.data,
            ]);
        }
        transaction.insert(sql::FEED_INSERT, 8, rows).await?;
        Ok(self.entries)
    }
}
