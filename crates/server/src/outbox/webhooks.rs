//! Webhooks as use cases: made, changed, removed, and what they were told.

use basalt_api::{CreatedWebhook, DeliveryState, NewWebhook, WebhookChange, WebhookEvent};
use basalt_store::{self as store, WebhookId, WebhookSettings};

use super::send::{Refusal, address};
use super::signature::delivery_uuid;
use crate::{Action, Actor, App, UseCaseError, authorize, secret};

/// So many deliveries of a webhook are shown at most.
pub const MOST_DELIVERIES: u32 = 500;

impl App {
    /// Every webhook.
    ///
    /// # Errors
    /// He may not, or the store is away.
    pub async fn webhooks(&self, actor: &Actor) -> Result<Vec<basalt_api::Webhook>, UseCaseError> {
        authorize(actor, Action::ManageWebhooks)?;
        let webhooks = self.store.webhooks().await?;
        Ok(webhooks.into_iter().map(wire).collect())
    }

    /// One webhook.
    ///
    /// # Errors
    /// He may not, there is none such, or the store is away.
    pub async fn webhook(
        &self,
        actor: &Actor,
        id: i64,
    ) -> Result<basalt_api::Webhook, UseCaseError> {
        authorize(actor, Action::ManageWebhooks)?;
        self.stored_webhook(id).await.map(wire)
    }

    /// Makes a webhook.
    ///
    /// # Errors
    /// He may not, what he asks for makes no sense, or the store is away.
    pub async fn add_webhook(
        &self,
        actor: &Actor,
        new: &NewWebhook,
    ) -> Result<CreatedWebhook, UseCaseError> {
        authorize(actor, Action::ManageWebhooks)?;
        let secret = secret::new("whsec").map_err(|error| UseCaseError::Internal {
            message: format!("no random bytes: {error}"),
        })?;
        let settings = WebhookSettings {
            url: checked(&new.url)?,
            secret: secret.clone().into_bytes(),
            events: events(&new.events)?,
            active: true,
        };
        let now = self.clock.now().utc;
        let owner = actor.label();
        let id = self.store.create_webhook(&owner, &settings, now).await?;
        self.note_webhook(actor, "webhook.add", id).await?;
        Ok(CreatedWebhook {
            webhook: wire(self.stored_webhook(id.0).await?),
            secret,
        })
    }

    /// Changes a webhook.
    ///
    /// # Errors
    /// He may not, there is none such, what he asks for makes no sense, or the store is away.
    pub async fn change_webhook(
        &self,
        actor: &Actor,
        id: i64,
        change: &WebhookChange,
    ) -> Result<basalt_api::Webhook, UseCaseError> {
        authorize(actor, Action::ManageWebhooks)?;
        let webhook = self.stored_webhook(id).await?;
        let settings = WebhookSettings {
            url: match &change.url {
                Some(url) => checked(url)?,
                None => webhook.url,
            },
            secret: webhook.secret,
            events: match &change.events {
                Some(wanted) => events(wanted)?,
                None => webhook.events,
            },
            active: change.active.unwrap_or(webhook.active),
        };
        if !self.store.update_webhook(webhook.id, &settings).await? {
            return Err(UseCaseError::not_found("webhook", id));
        }
        self.note_webhook(actor, "webhook.change", webhook.id)
            .await?;
        self.stored_webhook(id).await.map(wire)
    }

    /// Removes a webhook and what it was still to be told.
    ///
    /// # Errors
    /// He may not, there is none such, or the store is away.
    pub async fn remove_webhook(&self, actor: &Actor, id: i64) -> Result<(), UseCaseError> {
        authorize(actor, Action::ManageWebhooks)?;
        if !self.store.delete_webhook(WebhookId(id)).await? {
            return Err(UseCaseError::not_found("webhook", id));
        }
        self.note_webhook(actor, "webhook.remove", WebhookId(id))
            .await
    }

    /// What a webhook was and is to be told, the newest first.
    ///
    /// # Errors
    /// He may not, there is none such, or the store is away.
    pub async fn deliveries(
        &self,
        actor: &Actor,
        id: i64,
        limit: u32,
    ) -> Result<Vec<basalt_api::Delivery>, UseCaseError> {
        authorize(actor, Action::ManageWebhooks)?;
        let webhook = self.stored_webhook(id).await?;
        let limit = limit.min(MOST_DELIVERIES);
        let deliveries = self.store.deliveries(webhook.id, limit).await?;
        let wired = deliveries.into_iter().map(|delivery| basalt_api::Delivery {
            id: delivery_uuid(&webhook, &delivery).to_string(),
            event: wire_event(delivery.event),
            job: delivery.job,
            board: delivery.board,
            state: match delivery.state {
                store::DeliveryState::Waiting => DeliveryState::Waiting,
                store::DeliveryState::Sent => DeliveryState::Sent,
                store::DeliveryState::Dead => DeliveryState::Dead,
            },
            attempts: delivery.attempts,
            created_utc_us: delivery.created,
            next_utc_us: (delivery.state == store::DeliveryState::Waiting).then_some(delivery.due),
            last_error: delivery.last_error,
        });
        Ok(wired.collect())
    }

    async fn stored_webhook(&self, id: i64) -> Result<store::Webhook, UseCaseError> {
        let webhook = self.store.webhook(WebhookId(id)).await?;
        webhook.ok_or_else(|| UseCaseError::not_found("webhook", id))
    }

    async fn note_webhook(
        &self,
        actor: &Actor,
        what: &str,
        id: WebhookId,
    ) -> Result<(), UseCaseError> {
        let (actor, target) = (actor.label(), id.0.to_string());
        let now = self.clock.now().utc;
        self.store.note(&actor, what, &target, "{}", now).await?;
        Ok(())
    }
}

fn checked(url: &str) -> Result<String, UseCaseError> {
    address(url)
        .map(|url| url.to_string())
        .map_err(|refusal| UseCaseError::BadRequest {
            message: refusal.to_string(),
            hint: Some(match refusal {
                Refusal::Malformed(_) => "give it as `https://host/path`".into(),
                Refusal::Credentials => {
                    "leave them out: deliveries are signed, see `Basalt-Signature`".into()
                }
            }),
        })
}

fn events(wanted: &[WebhookEvent]) -> Result<Vec<store::WebhookEvent>, UseCaseError> {
    if wanted.is_empty() {
        return Err(UseCaseError::BadRequest {
            message: "the webhook is to be told of nothing".into(),
            hint: Some(
                "name one at least of job.submitted, job.started, job.finished, board.health"
                    .into(),
            ),
        });
    }
    let mut events: Vec<_> = Vec::with_capacity(wanted.len());
    for event in wanted.iter().map(|event| stored_event(*event)) {
        if !events.contains(&event) {
            events.push(event);
        }
    }
    Ok(events)
}

fn wire(webhook: store::Webhook) -> basalt_api::Webhook {
    basalt_api::Webhook {
        id: webhook.id.0,
        // A token that stands in the address is as good as a password.
        url: basalt_artifacts::public_url(&webhook.url),
        events: webhook.events.into_iter().map(wire_event).collect(),
        active: webhook.active,
        owner: webhook.owner,
        created_utc_us: webhook.created,
    }
}

pub(super) fn wire_event(event: store::WebhookEvent) -> WebhookEvent {
    match event {
        store::WebhookEvent::JobSubmitted => WebhookEvent::JobSubmitted,
        store::WebhookEvent::JobStarted => WebhookEvent::JobStarted,
        store::WebhookEvent::JobFinished => WebhookEvent::JobFinished,
        store::WebhookEvent::BoardHealth => WebhookEvent::BoardHealth,
    }
}

fn stored_event(event: WebhookEvent) -> store::WebhookEvent {
    match event {
        WebhookEvent::JobSubmitted => store::WebhookEvent::JobSubmitted,
        WebhookEvent::JobStarted => store::WebhookEvent::JobStarted,
        WebhookEvent::JobFinished => store::WebhookEvent::JobFinished,
        WebhookEvent::BoardHealth => store::WebhookEvent::BoardHealth,
    }
}
