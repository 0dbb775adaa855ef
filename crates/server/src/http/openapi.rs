//! The API's document. Routes and document are made together: what is not in one is not in the
//! other.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use basalt_api::Problem;
use bytes::Bytes;
use sha2::Digest;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, SecurityRequirement};

use super::tag::conditional;

/// The head of the document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Basalt",
        version = "1",
        description = "The HTTP API of a Basalt lab. Times are microseconds since 1970 UTC, in \
            fields whose names end in `_utc_us`. Lists come in pieces: `next` of one is `cursor` \
            of the following. Whatever is not done is answered as application/problem+json, with \
            the way out in `hint`."
    ),
    components(schemas(
        Problem,
        basalt_api::FeedEvent,
        basalt_api::LogEnd,
        basalt_api::ConsoleChunk,
        basalt_api::WebhookBody
    ))
)]
pub(super) struct Head;

/// The document once all routes are in it: problems and logins are said once for all operations.
pub(super) fn finished(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(
        "token",
        SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
    );
    components.add_security_scheme(
        "session",
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            "basalt_session",
            "Set by logging in; its name ends in digits of the lab's address.",
        ))),
    );
    document.security = Some(vec![
        SecurityRequirement::new("token", Vec::<String>::new()),
        SecurityRequirement::new("session", Vec::<String>::new()),
    ]);
    let problem = ResponseBuilder::new()
        .description("Why it was not done.")
        .content(
            basalt_api::PROBLEM_TYPE,
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("Problem")))
                .build(),
        )
        .build();
    // The rest of a path is written `{*path}` for the router only.
    document.paths.paths = std::mem::take(&mut document.paths.paths)
        .into_iter()
        .map(|(path, mut item)| {
            for operation in operations(&mut item) {
                name(operation);
                describe(operation);
                operation
                    .responses
                    .responses
                    .insert("default".into(), problem.clone().into());
            }
            (path.replace("{*", "{"), item)
        })
        .collect();
    document
}

/// Handlers of different things have the same name (`one`, `list`); operations have not. And a line
/// break in a source is none in a sentence.
fn name(operation: &mut Operation) {
    if let (Some(tags), Some(id)) = (&operation.tags, &mut operation.operation_id) {
        *id = format!("{}_{id}", tags.join("_"));
    }
    let texts = [&mut operation.summary, &mut operation.description];
    for text in texts.into_iter().flatten() {
        *text = text.replace('\n', " ");
    }
}

/// The standard wants a description of every answer; most say no more than their status.
fn describe(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        if response.description.is_empty() {
            response.description = match status.as_str() {
                "201" => "It is made.",
                "202" => "It is begun.",
                "204" => "It is done; there is nothing to say about it.",
                "206" => "The part of it that was asked for.",
                "304" => "It is as it was.",
                _ => "What was asked for.",
            }
            .into();
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ]
    .into_iter()
    .flatten()
}

/// The document as it is served.
#[derive(Clone, Debug)]
pub(super) struct Document {
    json: Bytes,
    tag: Arc<str>,
}

impl Document {
    pub(super) fn new(document: &utoipa::openapi::OpenApi) -> Self {
        // Plain data with string keys.
        let json = serde_json::to_vec(document)
            .unwrap_or_else(|error| unreachable!("the document is JSON: {error}"));
        let digest = basalt_model::Sha256(sha2::Sha256::digest(&json).into());
        Self {
            json: json.into(),
            tag: format!("\"{digest}\"").into(),
        }
    }
}

/// `GET /api/v1/openapi.json`: for everybody, it holds no secrets.
pub(super) async fn document(State(document): State<Document>, headers: HeaderMap) -> Response {
    conditional(&headers, &document.tag, || {
        let content_type = [(header::CONTENT_TYPE, "application/json")];
        (content_type, document.json.clone()).into_response()
    })
}
