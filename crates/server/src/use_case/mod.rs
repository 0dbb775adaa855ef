//! What can be asked of a lab. Each use case is a method of [`crate::App`] that takes an
//! [`crate::Actor`], asks [`crate::authorize()`] first, and returns plain values; it knows nothing
//! of HTTP.

mod accounts;
mod boards;
mod dispatchers;
mod feed;
pub(crate) mod jobs;
mod lab;
mod logs;
mod queue;
mod runs;

pub(crate) use accounts::FIRST_ADMINISTRATOR;
pub use jobs::Submitted;
pub(crate) use lab::revision_of;
pub use logs::LogPage;
pub use runs::OpenedFile;

use basalt_api::PageQuery;

use crate::error::UseCaseError;

/// Items of a list without a wish for their number.
const USUAL: u32 = 50;
/// At most so many at once.
const MOST: u32 = 500;

/// How many items are wanted.
fn limit(wanted: Option<u32>) -> Result<u32, UseCaseError> {
    match wanted {
        None => Ok(USUAL),
        Some(wanted) if (1..=MOST).contains(&wanted) => Ok(wanted),
        Some(wanted) => Err(UseCaseError::BadRequest {
            message: format!("{wanted} items are not given at once"),
            hint: Some(format!("`limit` is 1 to {MOST}")),
        }),
    }
}

/// Where a list goes on: its cursors are numbers.
fn number(cursor: Option<&str>) -> Result<Option<i64>, UseCaseError> {
    cursor
        .map(|text| {
            text.parse().map_err(|_| UseCaseError::BadRequest {
                message: format!("{text:?} is no cursor of this list"),
                hint: Some("give `next` of the piece before".into()),
            })
        })
        .transpose()
}

/// Both of a page's wishes.
fn page(query: &PageQuery) -> Result<(Option<i64>, u32), UseCaseError> {
    Ok((number(query.cursor.as_deref())?, limit(query.limit)?))
}

/// Asks the store again while it is away for a moment; every operation of it may be. A macro,
/// because futures that borrow out of async closures cannot be sent between threads.
macro_rules! patiently {
    ($operation:expr) => {{
        let mut patience = $crate::patience::Patience::new(std::time::Duration::from_secs(10));
        loop {
            match $operation.await {
                Ok(value) => break Ok(value),
                // A disk does not become empty while somebody waits for his answer.
                Err(error) if error.is_transient() && !error.is_full() && patience.wait().await => {
                }
                Err(error) => break Err($crate::error::UseCaseError::from(error)),
            }
        }
    }};
}

use patiently;
