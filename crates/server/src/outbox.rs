//! Sends what stands in the outbox: tells webhooks what happened.
//!
//! A delivery is a row that was made in the transaction of what it tells of. Here it is claimed,
//! sent, and noted as taken or failed. Whoever dies in between leaves a claim that ends by itself:
//! the delivery is sent again, under the same id. What one webhook is told comes in order, so a
//! webhook has one delivery under way at most; a slow one does not hold up others.

use std::collections::HashSet;
use std::time::Duration;

use basalt_model::UtcMicros;
use basalt_store::{Attempt, Delivery, StoreError, WebhookId};
use tokio::task::JoinSet;
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::App;
use crate::error::causes;
use crate::hub::POLL;

mod retry;
mod send;
mod signature;
mod webhooks;

pub use send::Refusal;
pub use signature::{delivery_uuid, signature};
pub use webhooks::MOST_DELIVERIES;

/// So many webhooks are told something at the same time.
const MOST_AT_ONCE: usize = 32;
/// Nobody else sends a claimed delivery for so long: longer than sending may take.
const CLAIM: Duration = Duration::from_secs(60);

/// Runs until `stop`. What is under way then is sent again by the next server.
pub async fn run(app: App, stop: CancellationToken) {
    let sending = Sending {
        app,
        under_way: JoinSet::new(),
        webhooks: HashSet::new(),
    };
    tokio::select! {
        () = sending.run() => {}
        () = stop.cancelled() => {}
    }
}

struct Sending {
    app: App,
    under_way: JoinSet<WebhookId>,
    webhooks: HashSet<WebhookId>,
}

impl Sending {
    async fn run(mut self) {
        let mut feed = self.app.hub.follow_feed();
        loop {
            // Marked as seen before the store is asked: what is committed after that wakes.
            feed.borrow_and_update();
            let pause = match self.begin_due().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(error = %causes(&error), "the outbox could not be read");
                    POLL
                }
            };
            tokio::select! {
                Some(ended) = self.under_way.join_next() => self.ended(ended),
                _ = feed.changed() => {}
                () = time::sleep(pause) => {}
            }
        }
    }

    fn ended(&mut self, ended: Result<WebhookId, tokio::task::JoinError>) {
        match ended {
            Ok(webhook) => {
                self.webhooks.remove(&webhook);
            }
            Err(error) => {
                // A panic does not say whose it was. The claims end by themselves.
                tracing::error!(%error, "telling a webhook met a bug");
                self.webhooks.clear();
                self.under_way.abort_all();
            }
        }
    }

    /// Begins to send what is due; how long nothing more will be.
    async fn begin_due(&mut self) -> Result<Duration, StoreError> {
        let places = MOST_AT_ONCE.saturating_sub(self.under_way.len());
        if places == 0 {
            return Ok(POLL);
        }
        let store = &self.app.store;
        let now = self.app.clock.now().utc;
        match store.next_delivery_due().await? {
            None => return Ok(POLL),
            Some(due) if due > now => return Ok(until(now, due).min(POLL)),
            Some(_) => {}
        }
        let limit = u32::try_from(places).unwrap_or(u32::MAX);
        let deliveries = store.claim_deliveries(limit, CLAIM, now).await?;
        let mut begun = 0;
        for delivery in deliveries {
            if !self.webhooks.insert(delivery.webhook) {
                continue;
            }
            begun += 1;
            let app = self.app.clone();
            self.under_way.spawn(async move {
                let webhook = delivery.webhook;
                deliver(&app, &delivery).await;
                webhook
            });
        }
        Ok(match begun {
            0 => POLL,
            // There may be more of it.
            _ => Duration::ZERO,
        })
    }
}

async fn deliver(app: &App, delivery: &Delivery) {
    let attempt = match send::send(app, delivery).await {
        Ok(()) => Attempt::Taken,
        Err(error) => {
            let now = app.clock.now().utc;
            let again = retry::again(delivery, now);
            match again {
                Some(_) => tracing::debug!(delivery = delivery.id.0, error, "not delivered yet"),
                None => tracing::warn!(delivery = delivery.id.0, error, "a delivery is given up"),
            }
            Attempt::Failed { error, again }
        }
    };
    let now = app.clock.now().utc;
    if let Err(error) = app.store.mark_delivery(delivery.id, &attempt, now).await {
        // It is sent again once its claim ends; its receiver knows it by its id.
        let error = causes(&error);
        tracing::warn!(delivery = delivery.id.0, %error, "a delivery could not be noted");
    }
}

fn until(now: UtcMicros, due: UtcMicros) -> Duration {
    Duration::from_micros(u64::try_from(due.0.saturating_sub(now.0)).unwrap_or(0))
}
