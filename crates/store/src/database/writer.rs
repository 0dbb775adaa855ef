//! The one writer of an SQLite file, in a task of its own.
//!
//! Who wants to write waits for a turn, and has statements done in it one after another. The
//! connection never leaves this task, so what its callers do or do not do cannot keep it from the
//! others: the transaction of one that goes away is taken back on the same connection, nothing is
//! closed and opened again; one that nobody drives (a future beside others in a task that waits
//! for something else, maybe for this very writer) loses its turn at its deadline, and one that is
//! not driven when its turn comes needs no part in that.
//!
//! Not done here: PostgreSQL, whose server ends idle transactions by itself.

use sqlx::{SqlStr, SqlitePool};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::value::{Row, Value};
use super::{Connection, Lent, is_broken};

/// So many wait for their turn at most. Each of them goes at its deadline.
const MOST_WAITING: usize = 4096;

/// Where turns are asked for.
pub(crate) struct Writer {
    asked: mpsc::Sender<Asked>,
}

enum Asked {
    Turn {
        deadline: Instant,
        given: oneshot::Sender<Result<Turn, sqlx::Error>>,
    },
    Close(oneshot::Sender<()>),
}

/// A transaction under way. Dropped before a statement ended it, it is taken back.
pub(super) struct Turn {
    work: mpsc::Sender<Work>,
}

struct Work {
    statement: Statement,
    answer: oneshot::Sender<Result<Done, sqlx::Error>>,
}

enum Statement {
    Execute(SqlStr, Vec<Value>),
    Rows(SqlStr, Vec<Value>),
    End(&'static str),
}

enum Done {
    Touched(u64),
    Rows(Vec<Row>),
}

/// Why there is no turn, or no answer in one.
pub(super) enum NoTurn {
    /// The deadline has passed.
    Late,
    /// As the driver says.
    Refused(sqlx::Error),
}

impl Writer {
    /// Starts the task. It ends with the last handle, or by [`Writer::close`].
    pub(super) fn start(pool: SqlitePool) -> Self {
        let (asked, inbox) = mpsc::channel(MOST_WAITING);
        tokio::spawn(serve(pool, inbox));
        Self { asked }
    }

    /// Begins a transaction, after those that asked before.
    pub(super) async fn begin(&self, deadline: Instant) -> Result<Turn, NoTurn> {
        let (given, turn) = oneshot::channel();
        // Not by waiting for a place in the channel: places are given in order, and who is not
        // driven any more would not take his and keep all others from theirs.
        self.asked
            .try_send(Asked::Turn { deadline, given })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => NoTurn::Late,
                mpsc::error::TrySendError::Closed(_) => NoTurn::Refused(sqlx::Error::PoolClosed),
            })?;
        match timeout_at(deadline, turn).await {
            Ok(Ok(Ok(turn))) => Ok(turn),
            Ok(Ok(Err(error))) => Err(NoTurn::Refused(error)),
            Ok(Err(_)) if self.asked.is_closed() => Err(NoTurn::Refused(sqlx::Error::PoolClosed)),
            Ok(Err(_)) | Err(_) => Err(NoTurn::Late),
        }
    }

    /// Ends the task after what was asked for before, and gives its connection back to the pool.
    pub(super) async fn close(&self) {
        let (closed, wait) = oneshot::channel();
        if self.asked.send(Asked::Close(closed)).await.is_ok() {
            // An error says that the task has ended, which is what is waited for.
            let _ = wait.await;
        }
    }
}

impl Turn {
    pub(super) async fn execute(&self, sql: SqlStr, values: Vec<Value>) -> Result<u64, NoTurn> {
        match self.ask(Statement::Execute(sql, values)).await? {
            Done::Touched(count) => Ok(count),
            Done::Rows(_) => unreachable!("it was not asked for rows"),
        }
    }

    pub(super) async fn rows(&self, sql: SqlStr, values: Vec<Value>) -> Result<Vec<Row>, NoTurn> {
        match self.ask(Statement::Rows(sql, values)).await? {
            Done::Rows(rows) => Ok(rows),
            Done::Touched(_) => unreachable!("it was asked for rows"),
        }
    }

    /// `commit` or `rollback`.
    pub(super) async fn end(&self, word: &'static str) -> Result<(), NoTurn> {
        self.ask(Statement::End(word)).await.map(drop)
    }

    async fn ask(&self, statement: Statement) -> Result<Done, NoTurn> {
        let (answer, done) = oneshot::channel();
        let work = Work { statement, answer };
        // The turn is over: its deadline has passed.
        self.work.send(work).await.map_err(|_| NoTurn::Late)?;
        done.await
            .map_err(|_| NoTurn::Late)?
            .map_err(NoTurn::Refused)
    }
}

async fn serve(pool: SqlitePool, mut inbox: mpsc::Receiver<Asked>) {
    let mut kept: Option<Lent> = None;
    while let Some(asked) = inbox.recv().await {
        match asked {
            Asked::Turn { deadline, given } => {
                // It went while it waited, or learns by itself that it is late.
                if given.is_closed() || deadline <= Instant::now() {
                    continue;
                }
                kept = match lend(&pool, kept.take()).await {
                    Ok(lent) => turn(lent, deadline, given).await,
                    Err(error) => {
                        // Nobody hears it who went away meanwhile.
                        let _ = given.send(Err(error));
                        None
                    }
                };
            }
            Asked::Close(closed) => {
                inbox.close();
                if let Some(mut lent) = kept.take() {
                    lent.sound = true;
                }
                let _ = closed.send(());
                return;
            }
        }
    }
}

async fn lend(pool: &SqlitePool, kept: Option<Lent>) -> Result<Lent, sqlx::Error> {
    match kept {
        Some(lent) => Ok(lent),
        // Nobody else uses this pool.
        None => pool.acquire().await.map(Connection::Sqlite).map(Lent::new),
    }
}

/// One transaction. The connection, if it may be gone on with.
async fn turn(
    mut lent: Lent,
    deadline: Instant,
    given: oneshot::Sender<Result<Turn, sqlx::Error>>,
) -> Option<Lent> {
    if let Err(error) = lent.begin(true).await {
        let _ = given.send(Err(error));
        return None;
    }
    let (work, mut todo) = mpsc::channel(1);
    // Who went away, now or later, is found out by receiving.
    let _ = given.send(Ok(Turn { work }));
    let mut broken = false;
    // What takes longer than the deadline is waited for all the same: the file is locked until it
    // ends, whoever else might ask.
    while let Ok(Some(Work { statement, answer })) = timeout_at(deadline, todo.recv()).await {
        let is_end = matches!(statement, Statement::End(_));
        let done = match statement {
            Statement::Execute(sql, values) => lent.execute(sql, values).await.map(Done::Touched),
            Statement::Rows(sql, values) => lent.rows(sql, values).await.map(Done::Rows),
            Statement::End(word) => lent.end(word).await.map(|()| Done::Touched(0)),
        };
        let is_ended = is_end && done.is_ok();
        broken |= done.as_ref().err().is_some_and(is_broken);
        let _ = answer.send(done);
        if is_ended {
            return (!broken).then_some(lent);
        }
    }
    // Its caller went away, or was not heard of until its deadline. Where SQLite has taken the
    // transaction back by itself (the disk is full, say) this is refused, and a new connection made.
    drop(todo);
    (lent.end("rollback").await.is_ok() && !broken).then_some(lent)
}
