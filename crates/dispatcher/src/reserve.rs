//! Room on the disk that is kept for bad times (decision D23).
//!
//! A few files that were given their space before anything else wanted it. Where the disk is full,
//! they go one after the other: the first half so that consoles and runs go on as they are, and when
//! that is full too, all runs end, and what they have to write finds its place in the second half.
//! Until all of them are back, the dispatcher takes no new runs.
//!
//! Not done here: ending runs, and telling the server.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use tokio::sync::watch;
use tokio::time;

/// The directory within the dispatcher's own.
pub const DIRECTORY: &str = "reserve";

/// In so many parts it is given away, so that more than one thing can go wrong.
const PIECES: u64 = 4;
/// So many of them are for what goes on; the others for ends.
const FOR_WORK: u64 = 2;
/// How often it is looked at the disk.
const LOOK: Duration = Duration::from_secs(1);
/// Less than this is no room.
const LEAST: u64 = 256 * 1024;

/// Room on the disk that is kept for bad times.
#[derive(Debug)]
pub struct Reserve {
    directory: PathBuf,
    piece: u64,
    standing: watch::Sender<Standing>,
}

/// How things stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Why no runs are taken, where none are.
    pub closed: Option<String>,
    /// There is no room for what goes on either.
    pub is_over: bool,
}

impl Reserve {
    /// Takes the room where there is any; where there is not, no runs are taken.
    pub fn take(directory: &Path, bytes: u64) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let reserve = Self {
            directory: directory.to_owned(),
            piece: bytes / PIECES,
            standing: watch::Sender::default(),
        };
        reserve.look();
        if !reserve.is_whole() && reserve.why_closed().is_none() {
            reserve.close(false);
        }
        Ok(reserve)
    }

    /// Why no runs are taken, if none are.
    pub fn why_closed(&self) -> Option<String> {
        self.standing.borrow().closed.clone()
    }

    /// Told when runs are not taken any more, or taken again.
    pub fn subscribe(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Gives a part of it away, because the end of a run finds no room.
    pub fn release(&self) {
        self.give(0..PIECES);
        self.close(false);
    }

    /// Gives one of these parts away; `false` where none is left.
    fn give(&self, parts: Range<u64>) -> bool {
        for number in parts {
            match std::fs::remove_file(self.path(number)) {
                Ok(()) => {
                    tracing::error!(
                        reserve.bytes = self.piece,
                        reserve.path = %self.directory.display(),
                        "the disk is full; a part of the reserve is given away, and no runs are taken"
                    );
                    return true;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::error!(%error, "the reserve cannot be given away"),
            }
        }
        false
    }

    /// Looks at the disk every so often, for ever.
    pub async fn watch(self: Arc<Self>) {
        loop {
            time::sleep(LOOK).await;
            let this = self.clone();
            // It may take its time on a busy disk; nobody else waits for it.
            let looked = tokio::task::spawn_blocking(move || this.look());
            if looked.await.is_err() {
                tracing::error!("the reserve was not looked at");
            }
        }
    }

    /// Gives away where there is no room, takes back where there is.
    fn look(&self) {
        let free = match free(&self.directory) {
            Ok(free) => free,
            Err(error) => {
                return tracing::error!(%error, "the disk does not say how much room it has");
            }
        };
        if free < LEAST {
            // Who captures consoles cannot ask for it.
            let given = self.give(0..FOR_WORK);
            return self.close(!given);
        }
        if !self.is_whole() {
            let missing = (0..PIECES).filter(|number| !self.has(*number)).count() as u64;
            // As much again: a disk that is full at once would only be closed again.
            if free < missing * self.piece + self.piece.max(LEAST) {
                return;
            }
            for number in 0..PIECES {
                if !self.has(number)
                    && let Err(error) = self.allocate(number)
                {
                    return tracing::warn!(%error, "there is no room for the reserve yet");
                }
            }
        }
        let is_news = self.standing.send_if_modified(|standing| {
            let was = std::mem::take(standing);
            was != *standing
        });
        if is_news {
            tracing::info!("there is room on the disk again; runs are taken");
        }
    }

    fn is_whole(&self) -> bool {
        (0..PIECES).all(|number| self.has(number))
    }

    fn has(&self, number: u64) -> bool {
        std::fs::metadata(self.path(number)).is_ok_and(|about| about.len() == self.piece)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(number.to_string())
    }

    fn allocate(&self, number: u64) -> io::Result<()> {
        let path = self.path(number);
        let new = path.with_extension("new");
        let file = File::create(&new)?;
        let allocated = match fallocate(&file, FallocateFlags::empty(), 0, self.piece) {
            // Not every file system can; what was written has its room too.
            Err(rustix::io::Errno::OPNOTSUPP) => write_zeros(&file, self.piece),
            answer => answer.map_err(Into::into),
        };
        let kept = allocated.and_then(|()| std::fs::rename(&new, &path));
        if kept.is_err() {
            // Its room is needed now.
            let _ = std::fs::remove_file(&new);
        }
        kept
    }

    fn close(&self, is_over: bool) {
        let reason = format!(
            "the disk below {} is full; it goes on once {} MiB are free there",
            self.directory.display(),
            (self.piece * (PIECES + 1)).div_ceil(1 << 20)
        );
        let standing = Standing {
            closed: Some(reason),
            is_over,
        };
        self.standing.send_if_modified(|known| {
            let is_news = *known != standing;
            *known = standing;
            is_news
        });
    }
}

fn write_zeros(mut file: &File, bytes: u64) -> io::Result<()> {
    const BLOCK: &[u8] = &[0; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let some = left.min(BLOCK.len() as u64);
        file.write_all(&BLOCK[..some as usize])?;
        left -= some;
    }
    Ok(())
}

/// How much this process may still write.
fn free(directory: &Path) -> io::Result<u64> {
    let about = statvfs(directory)?;
    let blocks = match rustix::process::geteuid().is_root() {
        true => about.f_bfree,
        false => about.f_bavail,
    };
    Ok(blocks.saturating_mul(about.f_frsize))
}

/// Whether something did not work because there was no room on the disk, or no more for this
/// account.
pub fn is_disk_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_away_is_taken_back_and_nothing_is_taken_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join(DIRECTORY);
        let reserve = Reserve::take(&place, 4 * 64 * 1024).unwrap();
        let held = || std::fs::read_dir(&place).unwrap().count();
        assert_eq!((held(), reserve.why_closed()), (4, None));
        let heard = reserve.subscribe();
        reserve.release();
        assert_eq!(held(), 3);
        let why = reserve.why_closed().unwrap();
        assert!(
            why.contains("is full") && heard.has_changed().unwrap(),
            "{why}"
        );
        for _ in 0..5 {
            reserve.release();
        }
        assert_eq!(held(), 0, "there is no more to give");
        reserve.look();
        assert_eq!((held(), reserve.why_closed()), (4, None));
        // Whoever starts again finds it.
        drop(reserve);
        assert_eq!(
            Reserve::take(&place, 4 * 64 * 1024).unwrap().why_closed(),
            None
        );
        assert_eq!(held(), 4);
    }

    #[test]
    fn a_full_disk_is_recognised_below_other_errors() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let above = crate::DispatcherError::State {
            doing: "write",
            path: "/p".into(),
            source: full,
        };
        assert!(is_disk_full(&above));
        let other = io::Error::from(io::ErrorKind::NotFound);
        assert!(!is_disk_full(&other));
    }
}
