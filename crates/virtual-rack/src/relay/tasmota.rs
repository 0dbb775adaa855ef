//! A relay box with Tasmota's HTTP interface (<https://tasmota.github.io/docs/Commands/#with-web-requests>).
//!
//! `GET /cm?cmnd=Power2%20On` switches outlet 2 and answers `{"POWER2":"ON"}`; without a value it reads. `Power` is `Power1`, `Power0`
//! is all. Values: `On`, `Off`, `Toggle`, `1`, `0`, `2`, in any case. What it does not know it answers with `{"Command":"Unknown"}`, and
//! missing credentials with status 401 and a warning, as Tasmota does. A box with one outlet numbers it too (Tasmota's
//! `SetOption26 1`). Nothing else of Tasmota is here.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, sync::watch};

use super::{Contacts, Switched};
use crate::knobs::RelayMode;

/// User and password of the web interface.
pub type Credentials = Option<(String, String)>;

struct Box {
    contacts: Arc<Contacts>,
    credentials: Credentials,
}

#[derive(Deserialize)]
struct Command {
    #[serde(default)]
    cmnd: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    password: String,
}

/// Binds and serves; the address is where it listens.
pub async fn start(
    listen: SocketAddr,
    contacts: Arc<Contacts>,
    credentials: Credentials,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let (refusing, refuses) = watch::channel(false);
    for board in contacts.boards() {
        tokio::spawn(follow(
            Arc::clone(&contacts),
            board.knobs.watch(),
            refusing.clone(),
        ));
    }
    let router = Router::new()
        .route("/cm", get(command))
        .with_state(Arc::new(Box {
            contacts,
            credentials,
        }));
    tokio::spawn(serve(address, listener, router, refuses, refusing));
    Ok(address)
}

/// Keeps `refusing` true while any board of the box has the knob.
async fn follow(
    contacts: Arc<Contacts>,
    mut changes: watch::Receiver<u64>,
    refusing: watch::Sender<bool>,
) {
    loop {
        let refuse = contacts.boards().any(|board| {
            let fault = board.knobs.current().relay;
            fault.is_some_and(|fault| fault.mode == RelayMode::RefuseConnection)
        });
        refusing.send_if_modified(|now| std::mem::replace(now, refuse) != refuse);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Serves while nobody asks to refuse connections; then the port is closed until that ends.
async fn serve(
    address: SocketAddr,
    first: TcpListener,
    router: Router,
    mut refuses: watch::Receiver<bool>,
    _keep: watch::Sender<bool>,
) {
    let mut listener = Some(first);
    loop {
        let open = match listener.take() {
            Some(open) => open,
            None => match TcpListener::bind(address).await {
                Ok(open) => open,
                Err(error) => {
                    tracing::error!("cannot listen on {address} again: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let stop = {
            let mut refuses = refuses.clone();
            async move {
                // The sender lives in this task.
                let _ = refuses.wait_for(|refuse| *refuse).await;
            }
        };
        if let Err(error) = axum::serve(open, router.clone())
            .with_graceful_shutdown(stop)
            .await
        {
            tracing::error!("relay on {address}: {error}");
        }
        if refuses.wait_for(|refuse| !refuse).await.is_err() {
            return;
        }
    }
}

async fn command(State(relay): State<Arc<Box>>, Query(command): Query<Command>) -> Response {
    if let Some((user, password)) = &relay.credentials
        && (*user != command.user || *password != command.password)
    {
        let warning = json!({"WARNING": "Need user=<username>&password=<password>"});
        return (StatusCode::UNAUTHORIZED, Json(warning)).into_response();
    }
    let unknown = || Json(json!({"Command": "Unknown"})).into_response();
    let mut words = command.cmnd.split_whitespace();
    let Some(number) = words.next().and_then(outlet_number) else {
        return unknown();
    };
    let value = words.next().map(str::to_ascii_lowercase);
    let contacts = &relay.contacts;
    let chosen = match number {
        0 => 0..contacts.count(),
        number if number <= contacts.count() => number - 1..number,
        _ => return unknown(),
    };
    let mut answer = Map::new();
    for outlet in chosen {
        let now = contacts.state(outlet);
        let wanted = match value.as_deref() {
            Some("on" | "1" | "true") => Some(true),
            Some("off" | "0" | "false") => Some(false),
            Some("toggle" | "2") => Some(!now),
            // As Tasmota does, a value that it does not know reads the state.
            _ => None,
        };
        let says = match wanted {
            None if contacts.refuses_reading(outlet) => Switched::Refused,
            None => Switched::Says(now),
            Some(on) => contacts.switch(outlet, on),
        };
        let says = match says {
            Switched::Says(on) => on,
            Switched::Refused => {
                return (StatusCode::INTERNAL_SERVER_ERROR, "relay refuses").into_response();
            }
        };
        let key = format!("POWER{}", outlet + 1);
        answer.insert(key, Value::from(if says { "ON" } else { "OFF" }));
    }
    Json(Value::Object(answer)).into_response()
}

/// `Power` is outlet 1, `PowerN` is N, 0 is all.
fn outlet_number(word: &str) -> Option<usize> {
    let lower = word.to_ascii_lowercase();
    match lower.strip_prefix("power")? {
        "" => Some(1),
        digits => digits.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::outlet_number;

    #[test]
    fn power_without_a_number_is_outlet_one() {
        assert_eq!(outlet_number("Power"), Some(1));
        assert_eq!(outlet_number("POWER3"), Some(3));
        assert_eq!(outlet_number("Status"), None);
        assert_eq!(outlet_number("PowerOnState"), None);
    }
}
