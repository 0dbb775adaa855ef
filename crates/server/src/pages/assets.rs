//! The files that pages load. They are no secrets: the login page needs them, too.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use basalt_pages::asset;

use crate::http::conditional;

/// `GET /assets/{name}`.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = asset::find(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = conditional(&headers, asset.etag, || {
        let content_type = HeaderValue::from_static(asset.content_type);
        ([(header::CONTENT_TYPE, content_type)], asset.bytes).into_response()
    });
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(asset.cache_control()),
    );
    response
}
