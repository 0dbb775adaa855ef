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

/// Tells all consoles of standstills, for as long as this runs.
pub(super) async fn watch(registry: Arc<Registry>) {
    let mut before = Instant::now();
    let mut before_utc = registry.now();
    loop {
        tokio::time::sleep(LOOK).await;
        let stood = before.elapsed().saturating_sub(LOOK);
        if stood >= STANDSTILL {
            tracing::warn!(
                stood_still_ms = stood.as_millis() as u64,
                "the console keeper stood still"
            );
            tell(&registry, before_utc, stood).await;
        }
        before = Instant::now();
        before_utc = registry.now();
    }
}

async fn tell(registry: &Registry, from: UtcMicros, stood: Duration) {
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
