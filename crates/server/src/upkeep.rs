//! What has to be done every so often: sealing logs, noting who was heard, throwing away.

use std::time::Duration;

use basalt_model::UtcMicros;
use basalt_store::{Store, StoreError};
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::App;
use crate::config::Keep;
use crate::error::causes;

/// How often tails of logs are sealed.
const PERIOD: Duration = Duration::from_secs(15);
/// Every so many periods, objects that nothing refers to and old entries of the feed go.
const PERIODS_TO_SWEEP: u64 = 240;
/// So many small transactions at once remove what was kept long enough.
const MOST_TRIMS: usize = 1000;
/// Between two of them.
const TRIM_PAUSE: Duration = Duration::from_millis(20);
/// For how long the feed is kept, microseconds: followers come back much sooner.
const FEED_KEPT_US: i64 = 7 * 24 * 3_600_000_000;

/// Runs until `stop`.
pub(crate) async fn run(app: App, stop: CancellationToken) {
    let mut periods: u64 = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = time::sleep(PERIOD) => {}
        }
        periods += 1;
        let heard = app.registry.heard();
        if !heard.is_empty()
            && let Err(error) = app.store.dispatchers_seen(&heard).await
        {
            tracing::debug!(error = %causes(&error), "cannot note who was heard");
        }
        seal(&app, &stop).await;
        if periods.is_multiple_of(PERIODS_TO_SWEEP) {
            sweep(&app).await;
            match trim(&app.store, &app.keep, app.now()).await {
                Ok((deliveries, audit)) => {
                    tracing::debug!(deliveries, audit, "removed what is kept for a time only");
                }
                Err(error) => {
                    tracing::warn!(error = %causes(&error), "cannot remove what was kept long enough");
                }
            }
        }
    }
}

async fn seal(app: &App, stop: &CancellationToken) {
    loop {
        match app.store.seal(&[], app.now()).await {
            Ok(report) => {
                if report.runs > 0 {
                    tracing::debug!(
                        logs.sealed = report.runs,
                        batches = report.batches,
                        "sealed logs"
                    );
                }
                if !report.more || stop.is_cancelled() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(error = %causes(&error), "cannot seal logs; trying again later");
                return;
            }
        }
    }
}

/// Removes what was kept long enough: how many deliveries, how many entries of the audit. Bounded;
/// the rest goes the next time.
async fn trim(store: &Store, keep: &Keep, now: UtcMicros) -> Result<(u64, u64), StoreError> {
    let before = |kept: Duration| {
        let micros = i64::try_from(kept.as_micros()).unwrap_or(i64::MAX);
        UtcMicros(now.0.saturating_sub(micros))
    };
    let (mut deliveries, mut audit) = (0, 0);
    for _ in 0..MOST_TRIMS {
        let mut more = false;
        if let Some(kept) = keep.deliveries {
            let (count, rest) = store.trim_deliveries(before(kept)).await?;
            deliveries += count;
            more |= rest;
        }
        if let Some(kept) = keep.audit {
            let (count, rest) = store.trim_audit(before(kept)).await?;
            audit += count;
            more |= rest;
        }
        if !more {
            break;
        }
        // Others write in between.
        time::sleep(TRIM_PAUSE).await;
    }
    Ok((deliveries, audit))
}

async fn sweep(app: &App) {
    let now = app.now();
    let swept = async {
        let objects = app.store.collect_orphans(now).await?;
        let entries = app.store.trim_feed(UtcMicros(now.0 - FEED_KEPT_US)).await?;
        Ok::<_, basalt_store::StoreError>((objects, entries))
    };
    match swept.await {
        Ok((objects, entries)) => {
            tracing::debug!(
                objects,
                feed.entries = entries,
                "threw away what nobody needs"
            );
        }
        Err(error) => {
            tracing::warn!(error = %causes(&error), "cannot throw away what nobody needs")
        }
    }
}

#[cfg(test)]
mod tests {
    use basalt_model::{Sha256, UserName};
    use basalt_store::{
        Attempt, NewJob, StoreConfig, Submitted, Wants, WebhookEvent, WebhookId, WebhookSettings,
    };

    use super::*;

    fn hours(hours: i64) -> UtcMicros {
        UtcMicros(1_700_000_000_000_000 + hours * 3_600_000_000)
    }

    async fn store(directory: &tempfile::TempDir) -> Store {
        let path = |name| directory.path().join(name).display().to_string();
        let database = format!("sqlite:{}", path("basalt.db"));
        let config = StoreConfig::new(database, path("objects"));
        Store::open(&config).await.unwrap()
    }

    /// Two deliveries that have ended after so many hours, and one that waits.
    async fn deliver(store: &Store, ends: [i64; 2]) -> WebhookId {
        let hook = WebhookSettings {
            url: "https://ci.example/hook".into(),
            secret: vec![1, 2, 3],
            events: vec![WebhookEvent::JobSubmitted],
            active: true,
        };
        let hook = store.create_webhook("ada", &hook, hours(0)).await.unwrap();
        for number in 0..3_u8 {
            let job = NewJob {
                definition: "job_name: one\n".into(),
                definition_sha256: Sha256([7; 32]),
                name: "one".into(),
                priority: 50,
                submitter: UserName::new("ada"),
                wants: Wants::default(),
                resubmit_of: None,
                idempotency_key: number.to_string(),
                request_sha256: Sha256([number; 32]),
            };
            let submitted = store.submit(&job, hours(0)).await.unwrap();
            assert!(matches!(submitted, Submitted::New { .. }));
        }
        let given_up = Attempt::Failed {
            error: "connection refused".into(),
            again: None,
        };
        for (end, attempt) in ends.into_iter().zip([Attempt::Taken, given_up]) {
            let hold = Duration::from_secs(30);
            let claimed = store.claim_deliveries(10, hold, hours(0)).await.unwrap();
            let (one, when) = (claimed[0].id, hours(end));
            store.mark_delivery(one, &attempt, when).await.unwrap();
        }
        hook
    }

    #[tokio::test]
    async fn what_was_kept_long_enough_goes_in_small_transactions_and_the_rest_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory).await;
        let hook = deliver(&store, [1, 30]).await;
        for number in 0..60 {
            let (target, when) = (number.to_string(), hours(number / 10));
            store
                .note("ada", "test", &target, "{}", when)
                .await
                .unwrap();
        }
        let entries = async || store.audit(None, 5000).await.unwrap();
        let noted = entries().await.len() as u64;
        let deliveries = async || store.deliveries(hook, 10).await.unwrap().len();
        let day = Duration::from_secs(24 * 3600);

        let forever = Keep {
            deliveries: None,
            audit: None,
        };
        let before = store.transactions();
        assert_eq!(trim(&store, &forever, hours(1000)).await.unwrap(), (0, 0));
        assert_eq!(store.transactions(), before, "nothing is looked for");

        let a_day = Keep {
            deliveries: Some(day),
            audit: Some(day),
        };
        assert_eq!(trim(&store, &a_day, hours(24)).await.unwrap(), (0, 0));
        // What is as old as that to the microsecond is kept.
        let early = noted
            - entries()
                .await
                .iter()
                .filter(|one| one.at >= hours(2))
                .count() as u64;
        assert_eq!(trim(&store, &a_day, hours(26)).await.unwrap(), (1, early));
        assert!(entries().await.iter().all(|one| one.at >= hours(2)));
        assert_eq!(deliveries().await, 2);

        let only_deliveries = Keep {
            audit: None,
            ..a_day
        };
        let trimmed = trim(&store, &only_deliveries, hours(60)).await.unwrap();
        assert_eq!(trimmed, (1, 0));
        // What waits is kept, however old.
        assert_eq!(deliveries().await, 1);
        assert_eq!(trim(&store, &a_day, hours(1000)).await.unwrap().0, 0);
        assert_eq!(entries().await, []);
    }

    #[tokio::test]
    async fn more_than_fits_one_transaction_goes_in_several() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory).await;
        for number in 0..1001 {
            let target = number.to_string();
            store
                .note("ada", "test", &target, "{}", hours(0))
                .await
                .unwrap();
        }
        let keep = Keep {
            deliveries: None,
            audit: Some(Duration::ZERO),
        };
        let before = store.transactions();
        assert_eq!(trim(&store, &keep, hours(1)).await.unwrap(), (0, 1001));
        assert_eq!(store.transactions() - before, 2);
    }
}
