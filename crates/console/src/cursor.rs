//! Readers of consoles: they follow the files at their own pace.
//!
//! What a cursor gives comes from the segment files alone. The keeper only wakes it; while there
//! is no keeper, it looks once a second. Any number of cursors, however slow, cost the keeper
//! nothing but their wake-ups.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::KeeperClient;
use crate::layout::console_dir;
use crate::protocol::ConsoleView;
use crate::segment::{Chunk, ReadError, SegmentReader};

/// How often a cursor looks while nobody wakes it, and how often it looks for a keeper.
const POLL: Duration = Duration::from_secs(1);

/// Follows one console.
#[derive(Debug)]
pub struct Cursor {
    reader: SegmentReader,
    wakes: watch::Receiver<Wake>,
    task: JoinHandle<()>,
}

/// What is known from the keeper.
#[derive(Clone, Debug, Default)]
struct Wake {
    /// Up to here the keeper has written, if it was ever met.
    end: u64,
    /// Only there to wake.
    _count: u64,
    /// Whether a keeper will say when there is more.
    live: bool,
}

impl Cursor {
    /// A cursor whose first byte of data is at `from`. Neither the console nor its keeper need to
    /// be there yet. Must be called within a tokio runtime.
    pub fn open(state_dir: &Path, console: &str, from: u64) -> Self {
        Self::over(
            state_dir,
            console,
            SegmentReader::open(&console_dir(state_dir, console), from),
        )
    }

    /// A cursor that gives only what comes from now on.
    pub fn open_at_end(state_dir: &Path, console: &str) -> Result<Self, ReadError> {
        let reader = SegmentReader::open_at_end(&console_dir(state_dir, console))?;
        Ok(Self::over(state_dir, console, reader))
    }

    fn over(state_dir: &Path, console: &str, reader: SegmentReader) -> Self {
        let (sender, wakes) = watch::channel(Wake::default());
        let task = tokio::spawn(wake(state_dir.to_owned(), console.to_owned(), sender));
        Self {
            reader,
            wakes,
            task,
        }
    }

    /// The stream offset of the next byte of data that [`Cursor::next`] will give.
    pub fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// The next chunk, or `None` at the deadline; what has come already is given even after it. May be dropped and called again.
    pub async fn next(&mut self, deadline: Option<Instant>) -> Result<Option<Chunk>, ReadError> {
        loop {
            // Looked at before the files: what comes after wakes.
            let wake = self.wakes.borrow_and_update().clone();
            if let Some(chunk) = self.reader.next_chunk()? {
                return Ok(Some(chunk));
            }
            self.reader.check_announced(wake.end)?;
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(None);
            }
            let poll = (!wake.live).then(|| now + POLL);
            let until = match (deadline, poll) {
                (Some(deadline), Some(poll)) => Some(deadline.min(poll)),
                (deadline, poll) => deadline.or(poll),
            };
            let changed = self.wakes.changed();
            match until {
                // The sender lives as long as the cursor; its errors are wake-ups like others.
                Some(until) => {
                    let _ = tokio::time::timeout_at(until, changed).await;
                }
                None => {
                    let _ = changed.await;
                }
            }
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes wake-ups on, from whichever keeper there is.
async fn wake(state_dir: PathBuf, console: String, wakes: watch::Sender<Wake>) {
    loop {
        if let Ok(client) = KeeperClient::connect(&state_dir, "cursor").await
            && let Ok(mut view) = client.watch(&console).await
        {
            loop {
                let ConsoleView { end, records, .. } = *view.borrow_and_update();
                wakes.send_replace(Wake {
                    end,
                    _count: records,
                    live: true,
                });
                if view.changed().await.is_err() {
                    break;
                }
            }
        }
        // The keeper is not there, or does not keep this console yet: the files are looked at
        // every second meanwhile.
        wakes.send_modify(|wake| wake.live = false);
        tokio::time::sleep(POLL).await;
    }
}
