//! The pages.

use axum::Router;

use crate::App;

/// Their routes.
pub fn router(app: App) -> Router {
    Router::new().with_state(app)
}
