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
