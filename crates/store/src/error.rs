//! What can go wrong between here and the database or the objects.

use std::time::Duration;

/// Why an operation did not give its answer. Answers that the caller asked about ("the job is no
/// longer queued") are values, never errors.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or broke off. Every operation may be asked again; those
    /// that change something find out by themselves whether the first attempt took effect.
    #[error("cannot {doing}: the database is not available")]
    Unavailable {
        /// What was being done: `submit a job`.
        doing: &'static str,
        /// What the driver says.
        source: sqlx::Error,
    },
    /// The database did not answer in time. As safe to repeat as [`StoreError::Unavailable`].
    #[error("cannot {doing}: no answer from the database within {} s", after.as_secs_f64())]
    Slow {
        /// What was being done.
        doing: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The database's disk is full. Nothing of the operation took effect; it may be asked again
    /// once there is room.
    #[error("cannot {doing}: the database's disk is full")]
    Full {
        /// What was being done.
        doing: &'static str,
        /// What the database says.
        source: sqlx::Error,
    },
    /// The database refused a statement: a defect here.
    #[error("cannot {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What the database says.
        source: sqlx::Error,
    },
    /// The database is of a newer build, or was changed by hand.
    #[error("cannot bring the database to this version's tables")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A setting that names no database or object store.
    #[error("{setting} is {value:?}: {problem}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// Its value; never one with a password.
        value: String,
        /// What is wrong, and what would be right.
        problem: &'static str,
    },
    /// Something stored is not what it should be.
    #[error("{what} in the store is damaged: {problem}")]
    Damaged {
        /// Which thing.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Something that the caller named does not exist.
    #[error("there is no {what} {name:?}")]
    Unknown {
        /// The kind of thing: `board`.
        what: &'static str,
        /// Its name or id.
        name: String,
    },
    /// The object store failed.
    #[error("cannot {doing} {object:?}")]
    Object {
        /// What was being done: `read the object`.
        doing: &'static str,
        /// The object's key.
        object: String,
        /// What the object store says.
        source: object_store::Error,
    },
    /// A local file of the store failed.
    #[error("cannot {doing}")]
    File {
        /// What was being done.
        doing: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Bytes that arrived are not those that were announced.
    #[error("{what}: {problem}")]
    Mismatch {
        /// Which file.
        what: String,
        /// How it differs.
        problem: String,
    },
}

impl StoreError {
    /// Whether asking again later may succeed: the database, the network or a full disk is at
    /// fault, not the request.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Slow { .. }) || self.is_full()
    }

    /// Whether there is no room for it: somebody has to make some.
    pub fn is_full(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = match self {
            Self::Full { .. } => return true,
            Self::Object { source, .. } => Some(source),
            Self::File { source, .. } => Some(source),
            _ => None,
        };
        while let Some(error) = cause {
            // An error within an error of the system is not among its sources.
            let mut system = error.downcast_ref::<std::io::Error>();
            while let Some(error) = system {
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
                ) {
                    return true;
                }
                system = error
                    .get_ref()
                    .and_then(|inner| inner.downcast_ref::<std::io::Error>());
            }
            cause = error.source();
        }
        false
    }
}

/// Sorts what the driver says.
pub(crate) fn database(doing: &'static str, source: sqlx::Error) -> StoreError {
    let code = source.as_database_error().and_then(|error| error.code());
    if code.is_some_and(|code| is_full(&code)) {
        return StoreError::Full { doing, source };
    }
    let gone = match &source {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| passes(&code)),
        _ => false,
    };
    match gone {
        true => StoreError::Unavailable { doing, source },
        false => StoreError::Database { doing, source },
    }
}

/// Whether an error code of the database says "not now": PostgreSQL's classes 08 (connection),
/// 57P (shutdown, starting up), 40 (rolled back: deadlock), 53 (resources), 25P03 (idle in a
/// transaction), 55P03 (lock not available) and 57014 (statement timeout); SQLite's busy and
/// locked, with their extended codes.
fn passes(code: &str) -> bool {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 5 | 6),
        _ => {
            ["08", "57P", "40", "53"]
                .iter()
                .any(|class| code.starts_with(class))
                || matches!(code, "25P03" | "55P03" | "57014")
        }
    }
}

/// Whether an error code of the database says that its disk is full: SQLite's `SQLITE_FULL` and
/// `SQLITE_IOERR_SHMSIZE` (the index of its log finds no room), PostgreSQL's `disk_full`.
fn is_full(code: &str) -> bool {
    matches!(code, "13" | "4874" | "53100")
}

/// Something that a caller named does not exist.
pub(crate) fn unknown(what: &'static str, name: impl std::fmt::Display) -> StoreError {
    StoreError::Unknown {
        what,
        name: name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_pass_are_told_from_defects() {
        // SQLite busy, its extended form, a constraint; PostgreSQL shutdown, timeout, syntax.
        let codes = ["5", "517", "19", "57P01", "57014", "42601", "23505"];
        assert_eq!(
            codes.map(passes),
            [true, true, false, true, true, false, false]
        );
        assert_eq!(
            ["13", "53100", "53200", "5"].map(is_full),
            [true, true, false, false]
        );
    }
}
