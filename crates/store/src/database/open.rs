//! Finding, making and migrating a database.

use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlSafeStr};

use super::{Database, POSTGRES_CONNECTIONS, Pools, SQLITE_READERS, Writer};
use crate::StoreError;
use crate::error::database;

const OPENING: &str = "open the database";
/// How many prepared statements a connection keeps: more than there are.
const STATEMENTS: usize = 512;

/// The migrations: number, name, SQLite's text, PostgreSQL's text.
const MIGRATIONS: &[(i64, &str, &str, &str)] = &[
    (
        1,
        "initial",
        include_str!("../../../../migrations/sqlite/0001_initial.sql"),
        include_str!("../../../../migrations/postgres/0001_initial.sql"),
    ),
    (
        2,
        "trends",
        include_str!("../../../../migrations/sqlite/0002_trends.sql"),
        include_str!("../../../../migrations/postgres/0002_trends.sql"),
    ),
    (
        3,
        "retention",
        include_str!("../../../../migrations/sqlite/0003_retention.sql"),
        include_str!("../../../../migrations/postgres/0003_retention.sql"),
    ),
    (
        4,
        "refusals",
        include_str!("../../../../migrations/sqlite/0004_refusals.sql"),
        include_str!("../../../../migrations/postgres/0004_refusals.sql"),
    ),
];

fn migrator(postgres: bool) -> Migrator {
    let migrations = MIGRATIONS
        .iter()
        .map(|(version, name, for_sqlite, for_postgres)| {
            let text = if postgres { *for_postgres } else { *for_sqlite };
            Migration::new(
                *version,
                (*name).into(),
                MigrationType::Simple,
                text.into_sql_str(),
                false,
            )
        })
        .collect();
    Migrator::with_migrations(migrations)
}

impl Database {
    /// Opens the database that `url` names.
    pub(crate) async fn open(url: &str, limit: Duration) -> Result<Self, StoreError> {
        let pools = connect(url, limit).await?;
        migrate(&pools, i64::MAX).await?;
        Ok(Self {
            pools,
            limit,
            transactions: AtomicU64::new(0),
        })
    }
}

/// Opens what `url` names, and makes a file that does not exist.
async fn connect(url: &str, limit: Duration) -> Result<Pools, StoreError> {
    match url.split_once(':') {
        Some(("sqlite", rest)) => {
            open_sqlite(Path::new(rest.strip_prefix("//").unwrap_or(rest)), limit).await
        }
        Some(("postgres" | "postgresql", _)) => open_postgres(url, limit).await,
        _ => Err(StoreError::Setting {
            setting: "database",
            value: url.split(':').next().unwrap_or(url).to_owned(),
            problem: "write sqlite:PATH or postgres://USER@HOST/DATABASE",
        }),
    }
}

/// Brings the tables to a version.
async fn migrate(pools: &Pools, version: i64) -> Result<(), StoreError> {
    match pools {
        Pools::Sqlite { writer, .. } => migrator(false).run_to(version, writer).await,
        Pools::Postgres(pool) => migrator(true).run_to(version, pool).await,
    }
    .map_err(StoreError::Migrate)
}

async fn open_sqlite(path: &Path, limit: Duration) -> Result<Pools, StoreError> {
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        return Err(StoreError::Setting {
            setting: "database",
            value: format!("sqlite:{}", path.display()),
            problem: "a lab's database is a file: sqlite:PATH",
        });
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|source| StoreError::File {
            doing: format!("make the directory {}", parent.display()),
            source,
        })?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // For another process at the same file; within this one, writers have their turns.
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging();
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(limit)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options.clone())
        .await
        .map_err(|error| database(OPENING, error))?;
    let readers = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS)
        .acquire_timeout(limit)
        .test_before_acquire(false)
        .idle_timeout(Duration::from_secs(60))
        .max_lifetime(None)
        // It writes nothing, whatever a statement says.
        .connect_lazy_with(options.pragma("query_only", "on"));
    Ok(Pools::Sqlite {
        turns: Writer::start(writer.clone()),
        writer,
        readers,
    })
}

async fn open_postgres(url: &str, limit: Duration) -> Result<Pools, StoreError> {
    let server_limit = format!("{}", limit.as_millis().max(1000));
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| StoreError::Setting {
            setting: "database",
            // A URL may hold a password.
            value: "postgres://…".into(),
            problem: "it is not of the form postgres://USER@HOST/DATABASE",
        })?
        .application_name("basalt")
        .statement_cache_capacity(STATEMENTS)
        .options([
            ("statement_timeout", server_limit.as_str()),
            ("lock_timeout", server_limit.as_str()),
            // A writer whose process was frozen must not keep the others out for ever.
            ("idle_in_transaction_session_timeout", server_limit.as_str()),
            ("synchronous_commit", "on"),
        ])
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(limit)
        // A round trip each; broken connections are found out at their first use.
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .map_err(|error| database(OPENING, error))?;
    Ok(Pools::Postgres(pool))
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
