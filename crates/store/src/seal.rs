//! Sealing: old tails of logs go from the database into compressed objects (decision D14).
//!
//! The object first, then one transaction for the parts of many runs: whatever breaks off in
//! between leaves the tails as they were, and an object that nobody refers to.

use std::collections::BTreeSet;

use basalt_model::{RunId, UtcMicros};
use futures::TryStreamExt;
use uuid::{NoContext, Timestamp, Uuid};

use crate::database::value::values;
use crate::log::read_batch;
use crate::objects::{CONTENT, LOGS, ORPHAN_AGE_US, content_of};
use crate::sealed::{self, Sealed};
use crate::statements::{log as sql, run};
use crate::{LogChunk, Store, StoreError};

const DOING: &str = "seal logs";
/// A tail of this size is sealed while its run goes on.
const LARGE_BYTES: u64 = 1024 * 1024;
/// The tail of an ended run is left this long: it is what people look at.
const ENDED_AGE_US: i64 = 60_000_000;
/// How many runs are looked at in one call.
const RUNS: u32 = 64;
/// How many bytes of tails are sealed in one call, before compression; the last run may exceed it
/// by its own part.
const CALL_BYTES: usize = 4 * 1024 * 1024;
/// How many bytes of one run are sealed in one call: all of them are in memory then.
const RUN_BYTES: usize = 2 * 1024 * 1024;
/// How many batches are read at once.
const BATCHES: u32 = 64;

/// What sealing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealReport {
    /// Runs whose tail was sealed.
    pub runs: usize,
    /// Batches that left the database.
    pub batches: u64,
    /// Objects written.
    pub objects: usize,
    /// Tails that are due may be left for the next call.
    pub more: bool,
}

/// A part of a run's log that goes into the object.
struct Piece {
    run: RunId,
    batches: Vec<LogChunk>,
    sealed: Sealed,
}

impl Piece {
    fn lines(&self) -> (u64, u64) {
        let from = self.batches.first().map_or(0, |batch| batch.from_line);
        let end = self.batches.last().map_or(0, LogChunk::end);
        (from, end)
    }

    fn plain_bytes(&self) -> u64 {
        self.batches
            .iter()
            .map(|batch| batch.data.len() as u64)
            .sum()
    }

    fn levels(&self) -> u32 {
        self.batches
            .iter()
            .fold(0, |levels, batch| levels | batch.levels)
    }
}

impl Store {
    /// Seals tails of at least 1 MiB, those of runs that ended more than 60 s ago, and those of
    /// runs in `now_please`. Bounded work; call again if there is more.
    pub async fn seal(
        &self,
        now_please: &[RunId],
        now: UtcMicros,
    ) -> Result<SealReport, StoreError> {
        let mut due: BTreeSet<RunId> = now_please.iter().copied().collect();
        let ended = UtcMicros(now.0.saturating_sub(ENDED_AGE_US));
        for (statement, bound) in [
            (sql::DUE_LARGE, values![LARGE_BYTES, RUNS]),
            (sql::DUE_ENDED, values![ended, RUNS]),
        ] {
            for mut row in self.database().rows(DOING, statement, bound).await? {
                due.insert(row.take()?);
            }
        }
        let mut report = SealReport {
            more: due.len() >= RUNS as usize,
            ..SealReport::default()
        };
        let mut pieces = Vec::new();
        let mut size = 0;
        for run in due {
            if size >= CALL_BYTES {
                report.more = true;
                break;
            }
            if let Some(piece) = self.piece(run).await? {
                let bytes = piece.plain_bytes() as usize;
                report.more |= bytes >= RUN_BYTES;
                size += bytes;
                pieces.push(piece);
            }
        }
        if pieces.is_empty() {
            return Ok(report);
        }
        if self.seal_pieces(&pieces, now).await? {
            report.runs = pieces.len();
            report.batches = pieces.iter().map(|piece| piece.batches.len() as u64).sum();
            report.objects = 1;
        } else {
            report.more = true;
        }
        Ok(report)
    }

    /// The begin of a run's tail, compressed; `None` if it has none.
    async fn piece(&self, run: RunId) -> Result<Option<Piece>, StoreError> {
        let mut batches: Vec<LogChunk> = Vec::new();
        let mut size = 0;
        loop {
            let from = batches.last().map_or(0, LogChunk::end);
            let rows = self
                .database()
                .rows(DOING, sql::TAIL_AFTER, values![run, from, BATCHES])
                .await?;
            let count = rows.len();
            for row in rows {
                let batch = read_batch(row)?;
                size += batch.data.len();
                batches.push(batch);
            }
            if count < BATCHES as usize || size >= RUN_BYTES {
                break;
            }
        }
        if batches.is_empty() {
            return Ok(None);
        }
        let work = tokio::task::spawn_blocking(move || (sealed::seal(&batches), batches));
        let (sealed, batches) = work.await.map_err(|error| StoreError::File {
            doing: "compress a log".into(),
            source: std::io::Error::other(error),
        })?;
        let sealed = sealed.map_err(|source| StoreError::File {
            doing: "compress a log".into(),
            source,
        })?;
        Ok(Some(Piece {
            run,
            batches,
            sealed,
        }))
    }

    /// Writes the object, then the rows; `false` if somebody else sealed one of the tails first.
    async fn seal_pieces(&self, pieces: &[Piece], now: UtcMicros) -> Result<bool, StoreError> {
        let time = Timestamp::from_unix(
            NoContext,
            (now.0 / 1_000_000).unsigned_abs(),
            (now.0 % 1_000_000).unsigned_abs() as u32 * 1000,
        );
        let object = format!("{LOGS}/{}", Uuid::new_v7(time).hyphenated());
        let whole: Vec<u8> = pieces
            .iter()
            .flat_map(|piece| piece.sealed.bytes.iter().copied())
            .collect();
        self.objects().put(&object, whole.into()).await?;
        let mut transaction = self.database().write(DOING).await?;
        let mut offset = 0_u64;
        for piece in pieces {
            let (from, end) = piece.lines();
            let deleted = transaction
                .execute(sql::TAIL_DELETE, values![piece.run, from, end])
                .await?;
            if deleted != piece.batches.len() as u64 {
                transaction.roll_back().await?;
                self.objects().delete(&object).await?;
                return Ok(false);
            }
            transaction
                .execute(sql::TAIL_SHRINK, values![piece.run, piece.plain_bytes()])
                .await?;
            let length = piece.sealed.bytes.len() as u64;
            transaction
                .execute(
                    sql::OBJECT_INSERT,
                    values![
                        piece.run,
                        from,
                        end - from,
                        piece.levels(),
                        &object,
                        offset,
                        length,
                        piece.sealed.footer_bytes as u64,
                    ],
                )
                .await?;
            offset += length;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Deletes objects and unfinished uploads older than a day that nothing refers to; how many.
    pub async fn collect_orphans(&self, now: UtcMicros) -> Result<u64, StoreError> {
        let before = UtcMicros(now.0.saturating_sub(ORPHAN_AGE_US));
        let mut count = self.collect_staging(before).await?;
        for prefix in [CONTENT, LOGS] {
            let mut found = self.objects().older_than(prefix, before);
            while let Some(key) = found.try_next().await? {
                let (statement, value) = match content_of(&key) {
                    Some(sha256) => (run::FILE_WITH_CONTENT, values![sha256]),
                    None => (sql::OBJECT_USED, values![&key]),
                };
                // Nobody stores the same content again between the question and the deletion.
                let _alone = self.objects().collecting.write().await;
                let used = self
                    .database()
                    .row("collect orphans", statement, value)
                    .await?;
                if used.is_none() && !self.objects().is_younger(&key, before).await? {
                    self.objects().delete(&key).await?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }
}
