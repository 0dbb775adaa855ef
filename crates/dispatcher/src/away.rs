//! How long the server has been away (decision D2).
//!
//! Counted on the host's boot-time clock from the moment at which the last heartbeat was *sent* that
//! has been acknowledged: whatever the server did, it did later. Kept on disk, so that a dispatcher
//! that was started again does not begin to count anew.
//!
//! Pure but for [`Away::load`] and [`Away::keep`].

use std::path::Path;
use std::time::Duration;

use basalt_clock::since;
use basalt_model::{BootId, Stamp};
use serde::{Deserialize, Serialize};

/// The file in the dispatcher's directory.
pub const FILE: &str = "server.json";
const VERSION: u32 = 1;

/// How long a dispatcher goes on where no server has told it yet.
const DEFAULT_LIMIT: Duration = Duration::from_secs(120);
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(2);

/// `server.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    version: u32,
    limit_ms: u64,
    heartbeat_ms: u64,
    acknowledged: Option<Acknowledged>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Acknowledged {
    sent: Stamp,
    boot_id: BootId,
}

/// When the server was heard last, and how long it may be silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// Without an acknowledgement for so long, all runs end.
    pub limit: Duration,
    /// How often one is asked for.
    pub heartbeat: Duration,
    acknowledged: Option<Acknowledged>,
}

impl Away {
    /// What was kept; where nothing was, no server has been heard yet.
    pub fn load(path: &Path) -> Self {
        let record: Option<Record> = std::fs::read(path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        match record {
            Some(record) => Self {
                limit: Duration::from_millis(record.limit_ms),
                heartbeat: Duration::from_millis(record.heartbeat_ms),
                acknowledged: record.acknowledged,
            },
            None => Self {
                limit: DEFAULT_LIMIT,
                heartbeat: DEFAULT_HEARTBEAT,
                acknowledged: None,
            },
        }
    }

    /// Keeps it. Not made durable: what ends with the host begins again with it, and the clocks
    /// tell.
    pub fn keep(&self, path: &Path) -> std::io::Result<()> {
        let record = Record {
            version: VERSION,
            limit_ms: self.limit.as_millis() as u64,
            heartbeat_ms: self.heartbeat.as_millis() as u64,
            acknowledged: self.acknowledged.clone(),
        };
        let text = serde_json::to_vec(&record).expect("the record is plain data");
        let new = path.with_extension("new");
        std::fs::write(&new, text)?;
        std::fs::rename(&new, path)
    }

    /// Something that was sent at `sent` has been acknowledged.
    pub fn acknowledge(&mut self, sent: Stamp, boot_id: &BootId) {
        self.acknowledged = Some(Acknowledged {
            sent,
            boot_id: boot_id.clone(),
        });
    }

    /// Whether nothing was ever acknowledged.
    pub fn is_unheard(&self) -> bool {
        self.acknowledged.is_none()
    }

    /// For how long nothing has been acknowledged; `None` where nothing ever was.
    pub fn silence(&self, now: Stamp, boot_id: &BootId) -> Option<Duration> {
        let last = self.acknowledged.as_ref()?;
        if last.boot_id == *boot_id {
            return Some(since(last.sent.boot, now.boot));
        }
        // The host was started again since. Its wall clock may be wrong; that it has run for a
        // while is certain.
        let wall = Duration::from_micros((now.utc.0 - last.sent.utc.0).max(0) as u64);
        Some(wall.max(Duration::from_nanos(now.boot.0)))
    }

    /// Whether runs may not go on: the board of each may be somebody else's soon. A dispatcher that
    /// never heard of a server has no right to go on either.
    pub fn is_over(&self, now: Stamp, boot_id: &BootId) -> bool {
        self.silence(now, boot_id)
            .is_none_or(|silence| silence >= self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_model::{BootNanos, UtcMicros};

    fn stamp(seconds: u64) -> Stamp {
        Stamp {
            utc: UtcMicros(seconds as i64 * 1_000_000),
            boot: BootNanos(seconds * 1_000_000_000),
        }
    }

    #[test]
    fn the_limit_counts_from_the_sending_and_over_a_restart() {
        let boot = BootId("b".into());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let mut away = Away::load(&path);
        assert!(away.is_over(stamp(1), &boot), "no server was ever heard");
        away.limit = Duration::from_secs(120);
        away.acknowledge(stamp(100), &boot);
        away.keep(&path).unwrap();
        let away = Away::load(&path);
        assert!(!away.is_over(stamp(219), &boot));
        assert!(away.is_over(stamp(220), &boot));
        assert_eq!(
            away.silence(stamp(230), &boot),
            Some(Duration::from_secs(130))
        );
    }

    #[test]
    fn a_restart_of_the_host_counts_by_whichever_clock_says_more() {
        let mut away = Away::load(Path::new("/nowhere/at/all"));
        away.acknowledge(stamp(100), &BootId("before".into()));
        let after = BootId("after".into());
        // The wall clock was set back; the host has run for 200 s.
        let mut now = stamp(50);
        now.boot = BootNanos(200_000_000_000);
        assert_eq!(away.silence(now, &after), Some(Duration::from_secs(200)));
        let mut now = stamp(1000);
        now.boot = BootNanos(5_000_000_000);
        assert_eq!(away.silence(now, &after), Some(Duration::from_secs(900)));
    }
}
