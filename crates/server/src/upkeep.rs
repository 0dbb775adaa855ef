//! What has to be done every so often: sealing logs, noting who was heard, throwing away.

use std::time::Duration;

use basalt_model::UtcMicros;
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::App;
use crate::error::causes;

/// How often tails of logs are sealed.
const PERIOD: Duration = Duration::from_secs(15);
/// Every so many periods, objects that nothing refers to and old entries of the feed go.
const PERIODS_TO_SWEEP: u64 = 240;
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
