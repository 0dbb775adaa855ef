//! Sends what stands in the outbox.

use tokio_util::sync::CancellationToken;

use crate::App;

/// Runs until `stop`.
pub async fn run(app: App, stop: CancellationToken) {
    let _ = app;
    stop.cancelled().await;
}
