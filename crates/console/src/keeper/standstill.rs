//! Notices that the keeper itself stood still: stopped by a signal, starved, or asleep with its host.
//! What boards said meanwhile was read late, or is lost; that is a gap like any other.

use std::sync::Arc;
use std::time::Duration;

use basalt_model::UtcMicros;
use tokio::time::Instant;

use super::owner::Command;
use super::registry::Registry;

/// How often the keeper looks at the clock.
const LOOK: Duration = Duration::from_millis(500);
/// A look that comes later than this comes after a standstill. A boot loader waits for a key for a
/// second or two.
const STANDSTILL: Duration = Duration::from_secs(2);

/// The last look at the clock.
#[derive(Debug)]
pub(super) struct LastLook {
    at: Instant,
    utc: UtcMicros,
}

impl LastLook {
    pub(super) fn new(utc: UtcMicros) -> Self {
        let at = Instant::now();
        Self { at, utc }
    }

    /// Looks again: since when and for how long the keeper stood still, if it did.
    pub(super) fn again(&mut self, utc: UtcMicros) -> Option<(UtcMicros, Duration)> {
        let before = std::mem::replace(self, Self::new(utc));
        let stood = before.at.elapsed().saturating_sub(LOOK);
        (stood >= STANDSTILL).then_some((before.utc, stood))
    }
}

/// Looks often, for as long as this runs.
pub(super) async fn watch(registry: Arc<Registry>) {
    loop {
        tokio::time::sleep(LOOK).await;
        look(&registry).await;
    }
}

/// Looks at the clock, and tells all consoles of a standstill. Who asks how the keeper is makes it
/// look first, so that the answer never comes before the gap.
pub(super) async fn look(registry: &Registry) {
    let Some((from, stood)) = registry.look() else {
        return;
    };
    tracing::warn!(
        stood_still_ms = stood.as_millis() as u64,
        "the console keeper stood still"
    );
    let reason = format!(
        "the keeper stood still for {:.1} s; what came meanwhile was read late or is lost",
        stood.as_secs_f64()
    );
    for commands in registry.all_commands() {
        let reason = reason.clone();
        // An owner that is gone keeps nothing.
        let _ = commands.send(Command::Gap { from, reason }).await;
    }
}
