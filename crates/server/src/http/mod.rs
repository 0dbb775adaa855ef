//! The HTTP API.

use axum::Router;

use crate::App;

/// Its routes.
pub fn router(app: App) -> Router {
    Router::new().with_state(app)
}
