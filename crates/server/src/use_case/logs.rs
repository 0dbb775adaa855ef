//! Logs of runs, in pieces: a log of a million lines is never in memory whole (decision D14).

use basalt_api::LogRange;
use basalt_model::RunId;
use basalt_report::joblog::{Batch, LogLevel, LogLine};
use basalt_store::{LogReader, StoreError};
use bytes::{Bytes, BytesMut};
use futures::Stream;
use tokio::sync::watch;

use crate::actor::Actor;
use crate::app::App;
use crate::authorize::{Action, authorize};
use crate::error::UseCaseError;
use crate::hub::RunProgress;

/// A piece has at most so many bytes of text.
const PIECE_BYTES: usize = 1 << 20;
/// So many lines are looked at for a piece; then it is given as it is.
const PIECE_LOOKS: u64 = 200_000;

/// A piece of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Where to go on; `None` where there is nothing more now.
    pub next: Option<u64>,
    /// The number of the last line that there is; 0 without any.
    pub last_line: u64,
    /// None will be added.
    pub ended: bool,
}

impl App {
    /// A piece of a run's log: at most `most` lines, and about 1 MiB. Where few lines match, a
    /// piece may hold none and say where to go on.
    ///
    /// # Errors
    /// There is no such run.
    pub async fn log(
        &self,
        actor: &Actor,
        id: RunId,
        range: &LogRange,
        most: usize,
    ) -> Result<LogPage, UseCaseError> {
        authorize(actor, Action::See)?;
        let run = self.find_run(id).await?;
        let from = range.from.unwrap_or(1).max(1);
        let to = range.to.unwrap_or(u64::MAX).min(run.log_line);
        let mut page = LogPage {
            last_line: run.log_line,
            ended: run.ended.is_some(),
            ..LogPage::default()
        };
        let wanted = Wanted::new(range);
        let mut reader = self.store.read_log(id, from, wanted.levels);
        let mut budget = Budget {
            lines: most,
            bytes: PIECE_BYTES,
            looks: PIECE_LOOKS,
        };
        while let Some(chunk) = reader.next().await? {
            if chunk.from_line > to {
                break;
            }
            let batch = Batch::read(&chunk.data).map_err(|error| UseCaseError::Internal {
                message: format!("the log of run {id} cannot be read: {error}"),
            })?;
            for line in batch.iter() {
                if line.number < from || line.number > to {
                    continue;
                }
                if budget.is_spent() {
                    page.next = Some(line.number);
                    return Ok(page);
                }
                budget.looks -= 1;
                if wanted.is(line.level, line.text) {
                    budget.lines -= 1;
                    budget.bytes = budget.bytes.saturating_sub(line.text.len() + 64);
                    page.lines.push(LogLine::from(line));
                }
            }
        }
        Ok(page)
    }

    /// How far a run has come.
    ///
    /// # Errors
    /// There is no such run.
    pub async fn log_progress(
        &self,
        actor: &Actor,
        id: RunId,
    ) -> Result<RunProgress, UseCaseError> {
        authorize(actor, Action::See)?;
        let run = self.find_run(id).await?;
        Ok(RunProgress {
            last_seq: run.events_seq,
            last_line: run.log_line,
            ended: run.ended.is_some(),
        })
    }

    /// Wakes when a run goes on; what there is then is read with [`App::log`].
    ///
    /// # Errors
    /// He may not.
    pub fn follow_run(
        &self,
        actor: &Actor,
        id: RunId,
    ) -> Result<watch::Receiver<RunProgress>, UseCaseError> {
        authorize(actor, Action::See)?;
        Ok(self.hub.follow_run(id))
    }

    /// What the board said in a run, byte for byte, in pieces.
    ///
    /// # Errors
    /// There is no such run.
    pub async fn console(
        &self,
        actor: &Actor,
        id: RunId,
    ) -> Result<impl Stream<Item = Result<Bytes, UseCaseError>> + Send + use<>, UseCaseError> {
        authorize(actor, Action::See)?;
        self.find_run(id).await?;
        let levels = u32::from(LogLevel::Target.bit());
        let reader = self.store.read_log(id, 1, levels);
        Ok(futures::stream::try_unfold(reader, bytes_of))
    }
}

/// The console's bytes in the next chunk that has any.
async fn bytes_of(mut reader: LogReader) -> Result<Option<(Bytes, LogReader)>, UseCaseError> {
    while let Some(chunk) = reader.next().await.map_err(|error: StoreError| error)? {
        let batch = Batch::read(&chunk.data).map_err(|error| UseCaseError::Internal {
            message: format!("a log cannot be read: {error}"),
        })?;
        let mut bytes = BytesMut::with_capacity(chunk.data.len());
        for line in batch.iter().filter(|line| line.level == LogLevel::Target) {
            bytes.extend_from_slice(line.text);
        }
        if !bytes.is_empty() {
            return Ok(Some((bytes.freeze(), reader)));
        }
    }
    Ok(None)
}

/// How much of a log may go into one piece.
struct Budget {
    lines: usize,
    bytes: usize,
    looks: u64,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.lines == 0 || self.bytes == 0 || self.looks == 0
    }
}

/// Which lines are wanted.
struct Wanted {
    levels: u32,
    /// In lower case.
    text: Option<Vec<u8>>,
}

impl Wanted {
    fn new(range: &LogRange) -> Self {
        let levels = match range.levels.is_empty() {
            true => u32::MAX,
            false => range
                .levels
                .iter()
                .fold(0, |mask, level| mask | u32::from(level.bit())),
        };
        let text = range.text.as_ref().filter(|text| !text.is_empty());
        Self {
            levels,
            text: text.map(|text| text.to_ascii_lowercase().into_bytes()),
        }
    }

    fn is(&self, level: LogLevel, text: &[u8]) -> bool {
        self.levels & u32::from(level.bit()) != 0
            && self.text.as_ref().is_none_or(|wanted| {
                text.windows(wanted.len())
                    .any(|window| window.eq_ignore_ascii_case(wanted))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_level_and_by_text_in_any_case() {
        let wanted = Wanted::new(&LogRange {
            levels: vec![LogLevel::Target],
            text: Some("Panic".into()),
            ..LogRange::default()
        });
        assert!(wanted.is(LogLevel::Target, b"Kernel PANIC - not syncing\r\n"));
        assert!(!wanted.is(LogLevel::Info, b"Kernel panic"));
        assert!(!wanted.is(LogLevel::Target, b"pani"));
    }
}
