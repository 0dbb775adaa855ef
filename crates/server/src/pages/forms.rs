//! What pages' forms ask for. Each ends on the page that it came from.

use axum::Form;
use axum::extract::Path;
use axum::response::Response;
use basalt_api::{Maintenance, ModeChange};
use basalt_model::{BoardName, DispatcherMode, DispatcherName, JobId};
use serde::Deserialize;

use super::visit::{Instead, Visit, encode, go_to};
use crate::UseCaseError;

/// `POST /jobs/{id}/cancel`.
pub(super) async fn cancel(visit: Visit, Path(id): Path<String>) -> Result<Response, Instead> {
    let job: Result<JobId, _> = id.parse();
    let job = visit.ask(job.map_err(|_| UseCaseError::not_found("job", &id)))?;
    visit.ask(visit.app().cancel(&visit.actor, job, None).await)?;
    Ok(go_to(&format!("/jobs/{job}")))
}

/// What a board's form sends.
#[derive(Debug, Deserialize)]
pub(super) struct MaintenanceForm {
    on: bool,
    #[serde(default)]
    reason: String,
}

/// `POST /boards/{name}/maintenance`.
pub(super) async fn maintenance(
    visit: Visit,
    Path(name): Path<String>,
    Form(form): Form<MaintenanceForm>,
) -> Result<Response, Instead> {
    let change = Maintenance {
        on: form.on,
        reason: Some(form.reason.trim().to_owned()).filter(|reason| !reason.is_empty()),
    };
    let board = BoardName::new(&*name);
    let set = visit.app().set_maintenance(&visit.actor, &board, &change);
    visit.ask(set.await)?;
    Ok(go_to(&format!("/boards/{}", encode(&name))))
}

/// What a dispatcher's form sends.
#[derive(Debug, Deserialize)]
pub(super) struct ModeForm {
    mode: DispatcherMode,
}

/// `POST /dispatchers/{name}/mode`.
pub(super) async fn mode(
    visit: Visit,
    Path(name): Path<String>,
    Form(form): Form<ModeForm>,
) -> Result<Response, Instead> {
    let change = ModeChange {
        mode: form.mode,
        reason: None,
    };
    let dispatcher = DispatcherName::new(name);
    let set = visit
        .app()
        .set_dispatcher_mode(&visit.actor, &dispatcher, &change);
    visit.ask(set.await)?;
    Ok(go_to("/dispatchers"))
}
