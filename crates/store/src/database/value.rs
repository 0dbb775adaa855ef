//! What goes into statements and what comes out of rows: integers, texts and bytes, the same on
//! both databases (decision D13).

use std::str::FromStr;

use basalt_model::{
    BoardHealth, BoardName, BoardState, CaseOutcome, DispatcherMode, DispatcherName,
    DispatcherState, Epoch, Health, JobId, JobState, LeaseId, LeaseState, Outcome, PowerState,
    Role, RunId, Sha256, UserName, UtcMicros, Verdict,
};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column as _, Row as _, ValueRef as _};
use uuid::Uuid;

use crate::StoreError;

/// A value for a statement. The kind of a null matters to PostgreSQL.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
}

/// The values of a statement, in the order of `$1`, `$2`, ….
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::database::value::Value::from($value)),*] };
}
pub(crate) use values;

macro_rules! into_value {
    ($($type:ty, $kind:ident, $one:ident => $out:expr;)+) => {$(
        impl From<$type> for Value {
            fn from($one: $type) -> Self {
                Self::$kind(Some($out))
            }
        }
        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::$kind(value.map(|$one| $out))
            }
        }
    )+};
}

into_value! {
    i64, Int, value => value;
    u32, Int, value => i64::from(value);
    bool, Int, value => i64::from(value);
    // Counters and sizes; none comes near the sign.
    u64, Int, value => value as i64;
    JobId, Int, value => value.0;
    UtcMicros, Int, value => value.0;
    Epoch, Int, value => value.0 as i64;
    &str, Text, value => value.to_owned();
    String, Text, value => value;
    &String, Text, value => value.clone();
    &BoardName, Text, value => value.as_str().to_owned();
    &DispatcherName, Text, value => value.as_str().to_owned();
    &UserName, Text, value => value.as_str().to_owned();
    &[u8], Blob, value => value.to_vec();
    Vec<u8>, Blob, value => value;
    RunId, Blob, value => value.as_uuid().as_bytes().to_vec();
    LeaseId, Blob, value => value.as_uuid().as_bytes().to_vec();
    Sha256, Blob, value => value.0.to_vec();
}

macro_rules! words {
    ($($type:ty),+ $(,)?) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::Text(Some(value.as_str().to_owned()))
            }
        }
        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::Text(value.map(|value| value.as_str().to_owned()))
            }
        }
        impl Column for $type {
            fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
                parsed(row, index)
            }
        }
    )+};
}

words!(
    BoardHealth,
    BoardState,
    CaseOutcome,
    DispatcherMode,
    DispatcherState,
    Health,
    JobState,
    LeaseState,
    Outcome,
    PowerState,
    Role,
    Verdict,
);

/// A row of an answer. Columns are taken in their order.
pub(crate) struct Row {
    row: AnyRow,
    next: usize,
}

enum AnyRow {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl From<SqliteRow> for Row {
    fn from(row: SqliteRow) -> Self {
        Self {
            row: AnyRow::Sqlite(row),
            next: 0,
        }
    }
}

impl From<PgRow> for Row {
    fn from(row: PgRow) -> Self {
        Self {
            row: AnyRow::Postgres(row),
            next: 0,
        }
    }
}

impl Row {
    /// The next column.
    pub(crate) fn take<T: Column>(&mut self) -> Result<T, StoreError> {
        let index = self.next;
        self.next += 1;
        T::read(self, index)
    }

    /// The next column, a JSON text.
    pub(crate) fn take_json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, StoreError> {
        let text: String = self.take()?;
        serde_json::from_str(&text).map_err(|error| self.damaged(self.next - 1, error))
    }

    /// The next column, a JSON text or nothing.
    pub(crate) fn take_optional_json<T: serde::de::DeserializeOwned>(
        &mut self,
    ) -> Result<Option<T>, StoreError> {
        let text: Option<String> = self.take()?;
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| self.damaged(self.next - 1, error))
    }

    fn is_null(&self, index: usize) -> Result<bool, StoreError> {
        match &self.row {
            AnyRow::Sqlite(row) => row.try_get_raw(index).map(|value| value.is_null()),
            AnyRow::Postgres(row) => row.try_get_raw(index).map(|value| value.is_null()),
        }
        .map_err(|error| self.damaged(index, error))
    }

    pub(crate) fn damaged(&self, index: usize, problem: impl std::fmt::Display) -> StoreError {
        let name = match &self.row {
            AnyRow::Sqlite(row) => row.columns().get(index).map(|column| column.name()),
            AnyRow::Postgres(row) => row.columns().get(index).map(|column| column.name()),
        };
        StoreError::Damaged {
            what: format!("the column {}", name.unwrap_or("past the last one")),
            problem: problem.to_string(),
        }
    }
}

/// What a column can be read as.
pub(crate) trait Column: Sized {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError>;
}

macro_rules! plain {
    ($($type:ty),+) => {$(
        impl Column for $type {
            fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
                match &row.row {
                    AnyRow::Sqlite(inner) => inner.try_get(index),
                    AnyRow::Postgres(inner) => inner.try_get(index),
                }
                .map_err(|error| row.damaged(index, error))
            }
        }
    )+};
}

plain!(i64, String, Vec<u8>);

impl<T: Column> Column for Option<T> {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        match row.is_null(index)? {
            true => Ok(None),
            false => T::read(row, index).map(Some),
        }
    }
}

impl Column for bool {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        i64::read(row, index).map(|value| value != 0)
    }
}

macro_rules! from_integer {
    ($($type:ty, $value:ident => $out:expr;)+) => {$(
        impl Column for $type {
            fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
                let $value = i64::read(row, index)?;
                $out.map_err(|error: std::num::TryFromIntError| row.damaged(index, error))
            }
        }
    )+};
}

from_integer! {
    u32, value => u32::try_from(value);
    u64, value => u64::try_from(value);
    JobId, value => Ok(Self(value));
    UtcMicros, value => Ok(Self(value));
    Epoch, value => u64::try_from(value).map(Self);
}

macro_rules! from_text {
    ($($type:ty),+) => {$(
        impl Column for $type {
            fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
                String::read(row, index).map(Self::new)
            }
        }
    )+};
}

from_text!(BoardName, DispatcherName, UserName);

macro_rules! from_uuid {
    ($($type:ty),+) => {$(
        impl Column for $type {
            fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
                let bytes = Vec::<u8>::read(row, index)?;
                Uuid::from_slice(&bytes)
                    .map(Self::from_uuid)
                    .map_err(|error| row.damaged(index, error))
            }
        }
    )+};
}

from_uuid!(RunId, LeaseId);

impl Column for Sha256 {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        let bytes = Vec::<u8>::read(row, index)?;
        match bytes.try_into() {
            Ok(digest) => Ok(Self(digest)),
            Err(_) => Err(row.damaged(index, "not 32 bytes")),
        }
    }
}

/// A word of one of the model's lists.
pub(crate) fn parsed<T>(row: &Row, index: usize) -> Result<T, StoreError>
where
    T: FromStr<Err: std::fmt::Display>,
{
    String::read(row, index)?
        .parse()
        .map_err(|error| row.damaged(index, error))
}
