//! The HTTP API, version 1: what use cases give, as JSON, text and server-sent events.
//!
//! - [`router`] has the API's routes; [`guarded`] puts around them, and around the pages, what holds
//!   for every request: who asks ([`Caller`]), limits, headers, the log.
//! - [`problem`] is the one place that knows status codes.
//! - The document at `/api/v1/openapi.json` is made of the same lines as the routes.
//!
//! Not done here: deciding who may what (every use case asks [`crate::authorize()`] itself), and the
//! pages.

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware;
use axum::routing::{any, get, post};
use basalt_api::BASE;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::{Actor, App};

mod accounts;
mod auth;
mod boards;
mod extract;
mod guard;
mod jobs;
mod lab;
mod logs;
mod openapi;
pub mod problem;
mod runs;
mod sse;
mod tag;
mod webhooks;

pub use auth::Caller;
pub use guard::guarded;
pub use tag::conditional;

use problem::{ApiProblem, ProblemKind};

/// The API's routes, login and logout. To be [`guarded`] together with the pages.
pub fn router(app: App) -> Router {
    let (documented, document) = documented().split_for_parts();
    let document = openapi::Document::new(&openapi::finished(document));
    let plain = Router::new()
        .route("/login", post(auth::login))
        .route("/logout", post(auth::logout))
        .route("/healthz", get(health))
        .route("/api/{*rest}", any(nothing_here));
    documented
        .merge(plain)
        .with_state(app)
        .merge(
            Router::new()
                .route("/api/v1/openapi.json", get(openapi::document))
                .with_state(document),
        )
        .method_not_allowed_fallback(wrong_method)
}

/// The API's document.
pub fn document() -> utoipa::openapi::OpenApi {
    openapi::finished(documented().into_openapi())
}

fn documented() -> OpenApiRouter<App> {
    let lab = OpenApiRouter::new()
        .routes(routes!(lab::diff))
        .routes(routes!(lab::apply))
        .layer(DefaultBodyLimit::max(lab::LARGEST_LAB));
    OpenApiRouter::with_openapi(openapi::Head::openapi())
        .routes(routes!(jobs::list, jobs::submit))
        .routes(routes!(jobs::validate))
        .routes(routes!(jobs::one))
        .routes(routes!(jobs::cancel))
        .routes(routes!(jobs::resubmit))
        .routes(routes!(jobs::why))
        .routes(routes!(jobs::definition))
        .routes(routes!(jobs::runs))
        .routes(routes!(jobs::queue))
        .routes(routes!(logs::job_log))
        .routes(routes!(logs::job_log_stream))
        .routes(routes!(logs::job_console))
        .routes(routes!(runs::job_results))
        .routes(routes!(runs::job_junit))
        .routes(routes!(runs::job_latency))
        .routes(routes!(runs::job_files))
        .routes(routes!(runs::job_file))
        .routes(routes!(runs::one))
        .routes(routes!(logs::run_log))
        .routes(routes!(logs::run_log_stream))
        .routes(routes!(logs::run_console))
        .routes(routes!(runs::results))
        .routes(routes!(runs::junit))
        .routes(routes!(runs::latency))
        .routes(routes!(runs::files))
        .routes(routes!(runs::file))
        .routes(routes!(boards::list))
        .routes(routes!(boards::one))
        .routes(routes!(boards::maintenance))
        .routes(routes!(boards::runs))
        .routes(routes!(boards::latency))
        .routes(routes!(boards::console_stream))
        .routes(routes!(lab::dispatchers, lab::add_dispatcher))
        .routes(routes!(lab::dispatcher_mode))
        .routes(routes!(lab::lab))
        .merge(lab)
        .routes(routes!(lab::events))
        .routes(routes!(accounts::me))
        .routes(routes!(accounts::users, accounts::add_user))
        .routes(routes!(accounts::change_user))
        .routes(routes!(accounts::tokens, accounts::create_token))
        .routes(routes!(accounts::revoke_token))
        .routes(routes!(accounts::login_link))
        .routes(routes!(accounts::audit))
        .routes(routes!(webhooks::list, webhooks::add))
        .routes(routes!(webhooks::one, webhooks::change, webhooks::remove))
        .routes(routes!(webhooks::deliveries))
        .layer(middleware::from_fn(auth::somebody))
}

/// `GET /healthz`: whether the store answers.
async fn health(State(app): State<App>) -> Result<&'static str, ApiProblem> {
    app.feed_last(&Actor::System).await?;
    Ok("ok\n")
}

async fn nothing_here(uri: axum::http::Uri) -> ApiProblem {
    ApiProblem::new(
        ProblemKind::NotFound,
        format!("the API has nothing at {}", uri.path()),
    )
    .hint(format!("see {BASE}/openapi.json for what it has"))
}

async fn wrong_method(method: axum::http::Method, uri: axum::http::Uri) -> ApiProblem {
    ApiProblem::new(
        ProblemKind::MethodNotAllowed,
        format!("{} does not take {method}", uri.path()),
    )
}
