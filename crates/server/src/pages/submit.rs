//! Submitting a job from a page.

use axum::Form;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use basalt_api::{Severity, Validation};
use basalt_model::JobId;
use basalt_pages::Section;
use basalt_pages::overview::Candidate;
use basalt_pages::submit::{Diagnostic, Submit};
use serde::Deserialize;

use super::visit::{Instead, Visit, go_to, page_of};
use crate::UseCaseError;

/// What stands behind `/jobs/new?`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SubmitQuery {
    from: String,
}

/// `GET /jobs/new`.
pub(super) async fn form(
    visit: Visit,
    Query(query): Query<SubmitQuery>,
) -> Result<Response, Instead> {
    let chrome = visit.frame("Submit a job", Section::Jobs).await?;
    let mut text = String::new();
    let mut source = None;
    if !query.from.is_empty() {
        let job: Result<JobId, _> = query.from.parse();
        let job = visit.ask(job.map_err(|_| UseCaseError::not_found("job", &query.from)))?;
        text = visit
            .ask(visit.app().job_definition(&visit.actor, job).await)?
            .text;
        source = Some(job.to_string());
    }
    Ok(page_of(&Submit {
        chrome,
        text,
        diagnostics: Vec::new(),
        candidates: Vec::new(),
        refused: false,
        source,
        idempotency_key: uuid::Uuid::now_v7().simple().to_string(),
    }))
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(super) struct SubmitForm {
    definition: String,
    #[serde(default)]
    idempotency_key: String,
}

/// `POST /jobs/new`.
pub(super) async fn submit(
    visit: Visit,
    Form(form): Form<SubmitForm>,
) -> Result<Response, Instead> {
    let chrome = visit.frame("Submit a job", Section::Jobs).await?;
    // Browsers end lines of a form with CR LF; the job was written with LF.
    let text = form.definition.replace("\r\n", "\n");
    let key = Some(form.idempotency_key.as_str()).filter(|key| !key.is_empty());
    let answer = visit.app().submit(&visit.actor, &text, key).await;
    let error = match answer {
        Ok(submitted) => return Ok(go_to(&format!("/jobs/{}", submitted.job.id))),
        Err(error) => error,
    };
    let UseCaseError::Invalid { diagnostics, .. } = error else {
        return Err(Instead::Failed(Box::new(visit), error));
    };
    let validation: Validation = visit.ask(visit.app().validate(&visit.actor, &text).await)?;
    let page = Submit {
        chrome,
        diagnostics: diagnostics.into_iter().map(diagnostic).collect(),
        candidates: validation
            .candidates
            .into_iter()
            .map(|one| Candidate {
                board: one.board,
                suitable: one.suitable,
                reason: one.reason.unwrap_or_else(|| "could take it".into()),
            })
            .collect(),
        refused: true,
        source: None,
        // What was refused was no job: another text is another request.
        idempotency_key: uuid::Uuid::now_v7().simple().to_string(),
        text,
    };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page_of(&page)).into_response())
}

fn diagnostic(one: basalt_api::Diagnostic) -> Diagnostic {
    Diagnostic {
        is_error: one.severity == Severity::Error,
        line: one.line,
        column: one.column,
        message: one.message,
        hint: one.hint,
    }
}
