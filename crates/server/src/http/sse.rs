//! Server-sent events (WHATWG HTML, section 9.2): streams that a browser takes up again by itself
//! after a break, from the last id that it has seen.

use std::fmt::{Display, Write};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::time;

use crate::{App, UseCaseError};

/// How often something is sent when there is nothing to say, so that proxies keep the connection
/// and a client that is gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// After this a stream ends in the middle. Its client takes it up again, and has to say again who
/// he is: a revoked token sees no more than this.
const LONGEST: Duration = Duration::from_secs(3600);

/// Events as text, several together.
#[derive(Clone, Debug, Default)]
pub struct Events(String);

impl Events {
    /// Appends an event. Without a name it is a `message`; without an id the last one stands.
    pub fn push(&mut self, id: Option<&dyn Display>, name: Option<&str>, data: &impl Serialize) {
        self.head(id, name);
        self.0.push_str("data: ");
        // JSON has no line breaks outside of strings, and none inside of them either.
        let json = serde_json::to_string(data)
            .unwrap_or_else(|error| unreachable!("plain data is JSON: {error}"));
        self.0.push_str(&json);
        self.0.push_str("\n\n");
    }

    /// Moves the client's last id on without an event.
    pub fn mark(&mut self, id: &dyn Display) {
        self.head(Some(id), None);
        self.0.push('\n');
    }

    fn head(&mut self, id: Option<&dyn Display>, name: Option<&str>) {
        if let Some(id) = id {
            // Writing to a string does not fail.
            let _ = writeln!(self.0, "id: {id}");
        }
        if let Some(name) = name {
            let _ = writeln!(self.0, "event: {name}");
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text.
    pub fn into_bytes(self) -> Bytes {
        self.0.into()
    }
}

/// An answer that streams events. An error ends the stream in the middle, as a broken connection
/// would; its client comes again.
pub fn response(
    app: &App,
    events: impl Stream<Item = Result<Bytes, UseCaseError>> + Send + 'static,
) -> Response {
    let closing = app.closing.clone();
    let first = stream::once(async { Ok(Bytes::from_static(b"retry: 2000\n\n")) });
    let body = first
        .chain(with_heartbeat(events))
        .take_until(async move {
            let _ = time::timeout(LONGEST, closing.cancelled()).await;
        })
        .inspect(|piece| {
            if let Err(error) = piece {
                tracing::warn!(%error, "a stream of events broke off");
            }
        });
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn with_heartbeat(
    events: impl Stream<Item = Result<Bytes, UseCaseError>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, UseCaseError>> + Send + 'static {
    stream::unfold(Box::pin(events), |mut events| async move {
        match time::timeout(HEARTBEAT, events.next()).await {
            Ok(Some(piece)) => Some((piece, events)),
            Ok(None) => None,
            Err(_) => Some((Ok(Bytes::from_static(b": \n\n")), events)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_with_line_breaks_stays_one_event() {
        let mut events = Events::default();
        events.push(Some(&7), None, &"a\nb\r\n\u{2028}");
        let text = events.into_bytes();
        assert_eq!(text, "id: 7\ndata: \"a\\nb\\r\\n\u{2028}\"\n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_beats() {
        let quiet = stream::pending();
        let mut beats = Box::pin(with_heartbeat(quiet));
        for _ in 0..3 {
            assert_eq!(beats.next().await.unwrap().unwrap(), ": \n\n");
        }
    }
}
