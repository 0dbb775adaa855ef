//! The pages: what use cases give, as HTML. `basalt_pages` draws them; here is who sees which, and
//! where the values come from. They are the values of the API.
//!
//! Whoever is not logged in is led to the login. What goes wrong is said on a page, not as JSON.
//! Forms are for browsers without scripts as well as with them; that they come from the lab's own
//! pages is seen to by [`crate::http`].

mod assets;
mod board;
mod forms;
mod job;
mod lists;
mod submit;
mod visit;

use axum::Router;
use axum::routing::{get, post};

use crate::App;

/// Their routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(lists::overview))
        .route("/jobs", get(lists::jobs))
        .route("/jobs/new", get(submit::form).post(submit::submit))
        .route("/jobs/{id}", get(job::job))
        .route("/jobs/{id}/cancel", post(forms::cancel))
        .route("/boards", get(lists::boards))
        .route("/boards/{name}", get(board::board))
        .route("/boards/{name}/latency", get(board::latency))
        .route("/boards/{name}/maintenance", post(forms::maintenance))
        .route("/dispatchers", get(lists::dispatchers))
        .route("/dispatchers/{name}/mode", post(forms::mode))
        .route("/login", get(visit::login))
        .route("/assets/{*name}", get(assets::asset))
        .fallback(visit::nothing_here)
        .with_state(app)
}
