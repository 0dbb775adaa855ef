//! The two databases behind one face: pools, transactions, and bounds on every wait.
//!
//! On SQLite there is one writer, which [`writer`] lets the transactions have in turn. On PostgreSQL a writing transaction holds an advisory lock from
//! its first moment, so that guards mean the same on both: what a transaction has read does not
//! change before it commits. Group commits keep the transactions few. A transaction that only
//! touches rows of its own concern (a token's last use, a delivery's claim) is begun apart.
//!
//! A connection on which anything went wrong, or whose user went away in the middle, is closed,
//! never given back; only SQLite's writer goes on with its own once the transaction is taken back.

pub(crate) mod open;
pub(crate) mod value;
mod writer;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{
    Arguments as _, AssertSqlSafe, PgPool, Postgres, SqlSafeStr, SqlStr, Sqlite, SqlitePool,
};
use tokio::time::{Instant, timeout_at};

use crate::StoreError;
use crate::error::database;
use value::{Row, Value};
use writer::{NoTurn, Turn, Writer};

/// How many connections to PostgreSQL there are at most.
const POSTGRES_CONNECTIONS: u32 = 10;
/// How many connections read from SQLite at most.
const SQLITE_READERS: u32 = 4;
/// The advisory lock of writers: `basalt` in ASCII.
const BEGIN_POSTGRES: &str = "begin; select pg_advisory_xact_lock(108170687114356)";

/// A database.
pub(crate) struct Database {
    pools: Pools,
    limit: Duration,
    transactions: AtomicU64,
}

enum Pools {
    Sqlite {
        /// For the migrations, and after that for `turns` alone.
        writer: SqlitePool,
        turns: Writer,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// A connection on loan; closed unless it is given back sound.
struct Lent {
    connection: Connection,
    sound: bool,
}

enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.sound {
            match &mut self.connection {
                Connection::Sqlite(connection) => connection.close_on_drop(),
                Connection::Postgres(connection) => connection.close_on_drop(),
            }
        }
    }
}

impl Lent {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            sound: false,
        }
    }

    async fn execute(&mut self, sql: SqlStr, values: Vec<Value>) -> Result<u64, sqlx::Error> {
        match &mut self.connection {
            Connection::Sqlite(connection) => sqlx::query_with(sql, sqlite_arguments(values)?)
                .execute(&mut **connection)
                .await
                .map(|done| done.rows_affected()),
            Connection::Postgres(connection) => sqlx::query_with(sql, postgres_arguments(values)?)
                .execute(&mut **connection)
                .await
                .map(|done| done.rows_affected()),
        }
    }

    async fn rows(&mut self, sql: SqlStr, values: Vec<Value>) -> Result<Vec<Row>, sqlx::Error> {
        match &mut self.connection {
            Connection::Sqlite(connection) => sqlx::query_with(sql, sqlite_arguments(values)?)
                .fetch_all(&mut **connection)
                .await
                .map(|rows| rows.into_iter().map(Row::from).collect()),
            Connection::Postgres(connection) => sqlx::query_with(sql, postgres_arguments(values)?)
                .fetch_all(&mut **connection)
                .await
                .map(|rows| rows.into_iter().map(Row::from).collect()),
        }
    }

    async fn begin(&mut self, apart: bool) -> Result<(), sqlx::Error> {
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                // A transaction that begins by reading and then writes is refused when another
                // wrote meanwhile; one that begins as a writer waits instead.
                let begin = sqlx::raw_sql("begin immediate");
                begin.execute(&mut **connection).await?;
            }
            Connection::Postgres(connection) => {
                let begin = sqlx::raw_sql(if apart { "begin" } else { BEGIN_POSTGRES });
                begin.execute(&mut **connection).await?;
            }
        }
        Ok(())
    }

    async fn end(&mut self, word: &'static str) -> Result<(), sqlx::Error> {
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                sqlx::raw_sql(word).execute(&mut **connection).await?;
            }
            Connection::Postgres(connection) => {
                sqlx::raw_sql(word).execute(&mut **connection).await?;
            }
        }
        Ok(())
    }
}

macro_rules! arguments {
    ($name:ident, $type:ty) => {
        fn $name(values: Vec<Value>) -> Result<$type, sqlx::Error> {
            let mut arguments = <$type>::default();
            for value in values {
                match value {
                    Value::Int(value) => arguments.add(value),
                    Value::Text(value) => arguments.add(value),
                    Value::Blob(value) => arguments.add(value),
                }
                .map_err(sqlx::Error::Encode)?;
            }
            Ok(arguments)
        }
    };
}

arguments!(sqlite_arguments, SqliteArguments);
arguments!(postgres_arguments, PgArguments);

impl Database {
    /// Begins a writing transaction: nobody else writes until it ends.
    pub(crate) async fn write(&self, doing: &'static str) -> Result<Transaction<'_>, StoreError> {
        self.begin(doing, false).await
    }

    /// Begins a writing transaction that may run beside others on PostgreSQL: for rows that no
    /// guard of another operation reads.
    pub(crate) async fn write_apart(
        &self,
        doing: &'static str,
    ) -> Result<Transaction<'_>, StoreError> {
        self.begin(doing, true).await
    }

    async fn begin(&self, doing: &'static str, apart: bool) -> Result<Transaction<'_>, StoreError> {
        let deadline = Instant::now() + self.limit;
        let place = match &self.pools {
            Pools::Sqlite { turns, .. } => {
                let turn = turns.begin(deadline).await;
                Place::Turn(turn.map_err(|why| self.no_turn(doing, why))?)
            }
            Pools::Postgres(_) => Place::Lent(self.begin_lent(doing, deadline, apart).await?),
        };
        Ok(Transaction {
            database: self,
            doing,
            deadline,
            place,
            failed: false,
        })
    }

    async fn begin_lent(
        &self,
        doing: &'static str,
        deadline: Instant,
        apart: bool,
    ) -> Result<Lent, StoreError> {
        let mut tries = 0;
        loop {
            let mut lent = self.lend(doing, deadline).await?;
            match timeout_at(deadline, lent.begin(apart)).await {
                Ok(Ok(())) => return Ok(lent),
                // Connections that lay idle while the database was restarted are found out here;
                // nothing was done on them yet.
                Ok(Err(error)) if is_broken(&error) && tries <= POSTGRES_CONNECTIONS => tries += 1,
                Ok(Err(error)) => return Err(database(doing, error)),
                Err(_) => return Err(self.slow(doing)),
            }
        }
    }

    /// Asks for rows, outside any transaction of ours.
    pub(crate) async fn rows(
        &self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let sql = sql.into_sql_str();
        let deadline = Instant::now() + self.limit;
        let mut tries = 0;
        loop {
            let mut lent = self.lend(doing, deadline).await?;
            match timeout_at(deadline, lent.rows(sql.clone(), values.clone())).await {
                Ok(Ok(rows)) => {
                    lent.sound = true;
                    return Ok(rows);
                }
                Ok(Err(error)) if is_broken(&error) && tries <= POSTGRES_CONNECTIONS => tries += 1,
                Ok(Err(error)) => {
                    // The statement was refused, not the connection.
                    lent.sound = !is_broken(&error);
                    return Err(database(doing, error));
                }
                Err(_) => return Err(self.slow(doing)),
            }
        }
    }

    /// Asks for one row at most.
    pub(crate) async fn row(
        &self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        values: Vec<Value>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(doing, sql, values).await?.into_iter().next())
    }

    /// How many writing transactions were committed.
    pub(crate) fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    /// Ends all connections.
    pub(crate) async fn close(&self) {
        match &self.pools {
            Pools::Sqlite {
                writer,
                turns,
                readers,
            } => {
                readers.close().await;
                turns.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }

    /// A connection; one of SQLite's only reads.
    async fn lend(&self, doing: &'static str, deadline: Instant) -> Result<Lent, StoreError> {
        let acquire = async {
            match &self.pools {
                Pools::Sqlite { readers, .. } => readers.acquire().await.map(Connection::Sqlite),
                Pools::Postgres(pool) => pool.acquire().await.map(Connection::Postgres),
            }
        };
        match timeout_at(deadline, acquire).await {
            Ok(Ok(connection)) => Ok(Lent::new(connection)),
            Ok(Err(error)) => Err(database(doing, error)),
            Err(_) => Err(self.slow(doing)),
        }
    }

    fn no_turn(&self, doing: &'static str, why: NoTurn) -> StoreError {
        match why {
            NoTurn::Late => self.slow(doing),
            NoTurn::Refused(error) => database(doing, error),
        }
    }

    fn slow(&self, doing: &'static str) -> StoreError {
        StoreError::Slow {
            doing,
            after: self.limit,
        }
    }
}

/// Whether the connection is of no use any more.
fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        // PostgreSQL's word before it closes a connection: shutting down, crashed, timed out.
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code.starts_with("57P") || code == "25P03"),
        _ => false,
    }
}

/// A writing transaction. Dropped without [`Transaction::commit`] it leaves nothing behind.
pub(crate) struct Transaction<'a> {
    database: &'a Database,
    pub(crate) doing: &'static str,
    deadline: Instant,
    place: Place,
    failed: bool,
}

/// Where a transaction's statements are done.
enum Place {
    Turn(Turn),
    Lent(Lent),
}

impl Place {
    async fn execute(&mut self, sql: SqlStr, values: Vec<Value>) -> Result<u64, NoTurn> {
        match self {
            Self::Turn(turn) => turn.execute(sql, values).await,
            Self::Lent(lent) => lent.execute(sql, values).await.map_err(NoTurn::Refused),
        }
    }

    async fn rows(&mut self, sql: SqlStr, values: Vec<Value>) -> Result<Vec<Row>, NoTurn> {
        match self {
            Self::Turn(turn) => turn.rows(sql, values).await,
            Self::Lent(lent) => lent.rows(sql, values).await.map_err(NoTurn::Refused),
        }
    }

    /// Ends the transaction by `commit` or `rollback`; the connection is sound after that.
    async fn end(&mut self, word: &'static str) -> Result<(), NoTurn> {
        match self {
            Self::Turn(turn) => turn.end(word).await,
            Self::Lent(lent) => {
                lent.end(word).await.map_err(NoTurn::Refused)?;
                lent.sound = true;
                Ok(())
            }
        }
    }
}

impl Transaction<'_> {
    /// Runs a statement; how many rows it touched.
    pub(crate) async fn execute(
        &mut self,
        sql: impl SqlSafeStr,
        values: Vec<Value>,
    ) -> Result<u64, StoreError> {
        let answer = timeout_at(
            self.deadline,
            self.place.execute(sql.into_sql_str(), values),
        )
        .await;
        self.judge(answer)
    }

    /// Runs a statement that gives rows.
    pub(crate) async fn rows(
        &mut self,
        sql: impl SqlSafeStr,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let answer = timeout_at(self.deadline, self.place.rows(sql.into_sql_str(), values)).await;
        self.judge(answer)
    }

    /// Runs a statement that gives one row at most.
    pub(crate) async fn row(
        &mut self,
        sql: impl SqlSafeStr,
        values: Vec<Value>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Inserts rows of `width` values each, many in one statement. `head` ends before `values`.
    pub(crate) async fn insert(
        &mut self,
        head: &'static str,
        width: usize,
        rows: Vec<Vec<Value>>,
    ) -> Result<(), StoreError> {
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            // A few sizes only, so that few statements are prepared.
            let size = *[64, 16, 4, 1]
                .iter()
                .find(|size| **size <= rows.len())
                .unwrap_or(&1);
            let values: Vec<Value> = rows.by_ref().take(size).flatten().collect();
            let sql = format!("{head} values {}", tuples(size, width));
            self.execute(AssertSqlSafe(sql), values).await?;
        }
        Ok(())
    }

    /// Makes it durable.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        debug_assert!(
            !self.failed,
            "a transaction with a failed statement is not committed"
        );
        let answer = timeout_at(self.deadline, self.place.end("commit")).await;
        self.judge(answer)?;
        self.database.transactions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Takes everything back and keeps the connection.
    pub(crate) async fn roll_back(mut self) -> Result<(), StoreError> {
        let answer = timeout_at(self.deadline, self.place.end("rollback")).await;
        self.judge(answer)?;
        Ok(())
    }

    fn judge<T>(
        &mut self,
        answer: Result<Result<T, NoTurn>, tokio::time::error::Elapsed>,
    ) -> Result<T, StoreError> {
        let error = match answer {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(why)) => self.database.no_turn(self.doing, why),
            Err(_) => self.database.slow(self.doing),
        };
        self.failed = true;
        Err(error)
    }
}

/// The row of an answer that always has one.
pub(crate) fn one(row: Option<Row>) -> Result<Row, StoreError> {
    row.ok_or_else(|| StoreError::Damaged {
        what: "an answer".into(),
        problem: "it has no row".into(),
    })
}

/// `($1, $2), ($3, $4)` for two tuples of two.
fn tuples(count: usize, width: usize) -> String {
    let mut text = String::with_capacity(count * width * 5);
    for tuple in 0..count {
        text.push_str(if tuple == 0 { "(" } else { ", (" });
        for column in 0..width {
            if column > 0 {
                text.push_str(", ");
            }
            text.push('$');
            text.push_str(&(tuple * width + column + 1).to_string());
        }
        text.push(')');
    }
    text
}

/// `$3, $4, $5` for three placeholders after two.
pub(crate) fn placeholders(after: usize, count: usize) -> String {
    let words: Vec<String> = (after + 1..=after + count)
        .map(|number| format!("${number}"))
        .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_are_numbered_through() {
        assert_eq!(tuples(2, 3), "($1, $2, $3), ($4, $5, $6)");
        assert_eq!(placeholders(2, 3), "$3, $4, $5");
    }
}
