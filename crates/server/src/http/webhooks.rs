//! Webhooks.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use basalt_api::{CreatedWebhook, Delivery, NewWebhook, Page, Webhook, WebhookChange};

use super::auth::Caller;
use super::extract::{Json, Path};
use super::problem::ApiProblem;
use crate::App;
use crate::outbox::MOST_DELIVERIES;

/// Every webhook.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks",
    responses((status = 200, body = Page<Webhook>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
) -> Result<axum::Json<Page<Webhook>>, ApiProblem> {
    let webhooks = app.webhooks(&caller.actor).await?;
    Ok(axum::Json(Page::whole(webhooks)))
}

/// Makes a webhook.
///
/// The secret that signs its deliveries is shown this once.
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "webhooks", request_body = NewWebhook,
    responses((status = 201, body = CreatedWebhook)))]
pub(super) async fn add(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewWebhook>,
) -> Result<Response, ApiProblem> {
    let created = app.add_webhook(&caller.actor, &new).await?;
    Ok((StatusCode::CREATED, axum::Json(created)).into_response())
}

/// One webhook.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = i64, Path, description = "The webhook.")),
    responses((status = 200, body = Webhook)))]
pub(super) async fn one(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<axum::Json<Webhook>, ApiProblem> {
    Ok(axum::Json(app.webhook(&caller.actor, id).await?))
}

/// Changes a webhook.
#[utoipa::path(patch, path = "/api/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = i64, Path, description = "The webhook.")),
    request_body = WebhookChange,
    responses((status = 200, body = Webhook)))]
pub(super) async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(change): Json<WebhookChange>,
) -> Result<axum::Json<Webhook>, ApiProblem> {
    let webhook = app.change_webhook(&caller.actor, id, &change);
    Ok(axum::Json(webhook.await?))
}

/// Removes a webhook and what it was still to be told.
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = i64, Path, description = "The webhook.")),
    responses((status = 204, description = "It is gone.")))]
pub(super) async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<StatusCode, ApiProblem> {
    app.remove_webhook(&caller.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a webhook was and is to be told, the newest first.
///
/// At most 500. Those that were given up are `dead`.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", tag = "webhooks",
    params(("id" = i64, Path, description = "The webhook.")),
    responses((status = 200, body = Page<Delivery>)))]
pub(super) async fn deliveries(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<axum::Json<Page<Delivery>>, ApiProblem> {
    let deliveries = app.deliveries(&caller.actor, id, MOST_DELIVERIES);
    Ok(axum::Json(Page::whole(deliveries.await?)))
}
