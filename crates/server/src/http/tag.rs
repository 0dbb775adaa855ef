//! Answers that a client may have already, and in which form it wants them.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The answer with its tag, or 304 where the client has it.
pub fn conditional(headers: &HeaderMap, tag: &str, answer: impl FnOnce() -> Response) -> Response {
    let is_known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == tag || known == "*");
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => answer(),
    };
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Whether the client asked for YAML by name.
pub fn wants_yaml(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("yaml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let answer = |known: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(known));
            conditional(&headers, "\"a\"", || StatusCode::OK.into_response()).status()
        };
        assert_eq!(answer("\"b\", W/\"a\""), StatusCode::NOT_MODIFIED);
        assert_eq!(answer("*"), StatusCode::NOT_MODIFIED);
        assert_eq!(answer("\"b\""), StatusCode::OK);
    }
}
