//! When a delivery that failed is tried again.

use std::time::Duration;

use basalt_model::UtcMicros;
use basalt_store::Delivery;
use sha2::Digest;

/// The first pause; each is twice the one before.
const FIRST: Duration = Duration::from_secs(5);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(3600);
/// A delivery that nobody heard for so long is given up.
const GIVEN_UP: Duration = Duration::from_secs(24 * 3600);

/// When to try again after an attempt that failed at `now`; `None` to give up. Pauses are up to a
/// quarter longer than they would be, each delivery's by its own part: receivers that come back
/// are not met by everybody at once.
pub(super) fn again(delivery: &Delivery, now: UtcMicros) -> Option<UtcMicros> {
    let age = now.0.saturating_sub(delivery.created.0);
    if age >= micros(GIVEN_UP) {
        return None;
    }
    let doubled = FIRST.saturating_mul(1 << delivery.attempts.saturating_sub(1).min(16));
    let pause = micros(doubled.min(LONGEST));
    let mut digest = sha2::Sha256::new();
    digest.update(delivery.id.0.to_be_bytes());
    digest.update(delivery.attempts.to_be_bytes());
    let part = i64::from(digest.finalize()[0]);
    Some(UtcMicros(now.0 + pause + pause / 4 * part / 256))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use basalt_store::{DeliveryId, DeliveryState, WebhookEvent, WebhookId};

    use super::*;

    #[test]
    fn pauses_grow_to_an_hour_and_end_after_a_day() {
        let mut delivery = Delivery {
            id: DeliveryId(7),
            webhook: WebhookId(1),
            event: WebhookEvent::JobFinished,
            job: None,
            board: None,
            data: "{}".into(),
            created: UtcMicros(0),
            due: UtcMicros(0),
            attempts: 1,
            state: DeliveryState::Waiting,
            last_error: None,
        };
        let mut now = UtcMicros(0);
        let mut pauses = Vec::new();
        while let Some(next) = again(&delivery, now) {
            pauses.push((next.0 - now.0) / 1_000_000);
            now = next;
            delivery.attempts += 1;
        }
        assert!((5..7).contains(&pauses[0]), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= 4500), "{pauses:?}");
        assert!((25..40).contains(&pauses.len()), "{pauses:?}");
        assert!(now.0 >= 24 * 3600 * 1_000_000);
    }
}
