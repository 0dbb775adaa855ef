//! The host's clocks (decision D12): the wall clock for people, the boot-time clock for deadlines.
//!
//! The one place that reads them. What is not done here: ordering (events have sequence numbers)
//! and board clocks (never mixed with these).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use basalt_model::{BootId, BootNanos, Stamp, UtcMicros};

/// Reads the host's clocks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock {
    boot_id: Arc<BootId>,
}

impl Clock {
    /// The clocks of this host. The boot id is `/proc/sys/kernel/random/boot_id` (see
    /// `random(4)`); where it cannot be read, boot times of different processes are not compared.
    pub fn system() -> Self {
        // Read once: it cannot change while this process lives.
        static BOOT_ID: OnceLock<Arc<BootId>> = OnceLock::new();
        let read = || {
            let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(
                |_| format!("unknown-{}", std::process::id()),
                |id| id.trim().to_owned(),
            );
            Arc::new(BootId(boot_id))
        };
        Self {
            boot_id: BOOT_ID.get_or_init(read).clone(),
        }
    }

    /// Now, on both clocks.
    pub fn now(&self) -> Stamp {
        let wall = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Stamp {
            utc: UtcMicros(wall.tv_sec * 1_000_000 + wall.tv_nsec / 1_000),
            boot: BootNanos(boot.tv_sec as u64 * 1_000_000_000 + boot.tv_nsec as u64),
        }
    }

    /// Which boot of the host `now().boot` belongs to.
    pub fn boot_id(&self) -> &BootId {
        &self.boot_id
    }
}

/// The time from `earlier` to `later`; zero where the order is the other way round.
pub fn since(earlier: BootNanos, later: BootNanos) -> Duration {
    Duration::from_nanos(later.0.saturating_sub(earlier.0))
}

/// `from` plus `duration`.
pub fn after(from: BootNanos, duration: Duration) -> BootNanos {
    BootNanos(from.0.saturating_add(duration.as_nanos() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_only_goes_forward_and_the_boot_id_is_the_hosts() {
        let clock = Clock::system();
        let first = clock.now();
        let second = clock.now();
        assert!(second.boot >= first.boot);
        assert_eq!(clock.boot_id(), Clock::system().boot_id());
        assert!(Arc::ptr_eq(&clock.boot_id, &Clock::system().boot_id));
    }
}
