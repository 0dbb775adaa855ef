//! Times as they are stored (decision D12). Nothing here reads a clock; the `clock` room does.

use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z, for people. Never used to order events.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UtcMicros(pub i64);

/// Nanoseconds of the host's boot-time clock (`CLOCK_BOOTTIME`), for deadlines. Only comparable
/// under the same [`BootId`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BootNanos(pub u64);

/// Which boot of the host a [`BootNanos`] belongs to: `/proc/sys/kernel/random/boot_id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub String);

/// One moment, on both of the host's clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Wall clock.
    pub utc: UtcMicros,
    /// Boot-time clock.
    pub boot: BootNanos,
}
