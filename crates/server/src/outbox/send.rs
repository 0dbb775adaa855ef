//! Sending one delivery.

use std::time::Duration;

use basalt_api::WebhookBody;
use basalt_artifacts::{HostRules, Rejected};
use basalt_lab::Lab;
use basalt_lab::profile::{ConsoleSource, RelayDriver};
use basalt_store::{Delivery, Webhook};
use reqwest::{Client, Url, header, redirect};
use tokio::time;

use super::signature::{delivery_uuid, signature};
use super::webhooks::wire_event;
use crate::App;
use crate::error::causes;

/// How long looking up and connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an attempt may take in all.
const ATTEMPT: Duration = Duration::from_secs(15);

/// Why an address is not told anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no address of a webhook.
    #[error("{0} is no address of a webhook: it begins with https:// or http://")]
    Malformed(String),
    /// It holds a user or password.
    #[error("the address holds a user or password")]
    Credentials,
}

/// Reads a webhook's address.
///
/// # Errors
/// What is wrong with it.
pub(super) fn address(text: &str) -> Result<Url, Refusal> {
    let malformed = || Refusal::Malformed(basalt_artifacts::public_url(text));
    let url = Url::parse(text).map_err(|_| malformed())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(malformed());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::Credentials);
    }
    Ok(url)
}

/// Tells a webhook what happened. `Ok` once it said that it has heard.
pub(super) async fn send(app: &App, delivery: &Delivery) -> Result<(), String> {
    let webhook = match app.store.webhook(delivery.webhook).await {
        Ok(Some(webhook)) => webhook,
        Ok(None) => return Err("the webhook was removed".into()),
        Err(error) => return Err(causes(&error)),
    };
    if !webhook.active {
        return Err("the webhook is switched off".into());
    }
    let attempt = post(app, &webhook, delivery);
    match time::timeout(ATTEMPT, attempt).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {} s", ATTEMPT.as_secs())),
    }
}

async fn post(app: &App, webhook: &Webhook, delivery: &Delivery) -> Result<(), String> {
    let url = address(&webhook.url).map_err(|refusal| refusal.to_string())?;
    let client = client(app, &url).await?;
    let id = delivery_uuid(webhook, delivery).to_string();
    let timestamp = app.clock.now().utc.0.div_euclid(1_000_000);
    let body = body(app, delivery, id.clone());
    let signature = signature(&webhook.secret, &id, timestamp, &body);
    let request = client
        .post(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header("basalt-delivery", &id)
        .header("basalt-timestamp", timestamp)
        .header("basalt-signature", signature)
        .body(body);
    // Without the address: a token may stand in it.
    let response = request
        .send()
        .await
        .map_err(|error| causes(&error.without_url()))?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status if status.is_redirection() => {
            Err(format!("answered {status}; redirects are not followed"))
        }
        status => Err(format!("answered {status}")),
    }
}

/// A client that connects to the checked addresses of this URL and nowhere else.
async fn client(app: &App, url: &Url) -> Result<Client, String> {
    let rules = HostRules {
        allow: &app.webhook_hosts,
        forbid: &hosts(&app.lab().lab),
    };
    let addresses = rules
        .resolve(url, CONNECT)
        .await
        .map_err(|rejected| match rejected {
            Rejected::Forbidden { host, why } => {
                format!("{host} is not told anything: it is {why}")
            }
            Rejected::Unresolved { reason } => reason,
        })?;
    // Fails only if somebody was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .user_agent(concat!("basalt/", env!("CARGO_PKG_VERSION")))
        .resolve_to_addrs(url.host_str().unwrap_or_default(), &addresses);
    if url.scheme() == "http" {
        // Without TLS nobody needs the host's certificates, which may not even be installed.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| causes(&error))
}

/// Hosts that switch power or speak for boards: nobody makes the server talk to them.
fn hosts(lab: &Lab) -> Vec<String> {
    let relays = lab.relays.iter().filter_map(|relay| match &relay.driver {
        RelayDriver::Tasmota { url, .. } => Url::parse(url)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned)),
        RelayDriver::Lcus { .. } | RelayDriver::Commands { .. } => None,
    });
    let consoles = lab
        .boards
        .iter()
        .filter_map(|board| match &board.console.source {
            ConsoleSource::Tcp { host, .. } => Some(host.clone()),
            ConsoleSource::Serial { .. } => None,
        });
    relays
        .chain(consoles)
        .map(|host| host.trim_matches(['[', ']']).to_owned())
        .collect()
}

fn body(app: &App, delivery: &Delivery, id: String) -> Vec<u8> {
    let body = WebhookBody {
        version: 1,
        delivery: id,
        lab_url: app.public_url.clone(),
        event: wire_event(delivery.event),
        utc_us: delivery.created,
        job: delivery.job,
        board: delivery.board.clone(),
        // What the store keeps is a JSON object.
        data: serde_json::from_str(&delivery.data).unwrap_or_default(),
    };
    serde_json::to_vec(&body).unwrap_or_else(|error| unreachable!("plain data is JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_and_holds_no_password() {
        assert!(address("https://ci.example/hook?x=1").is_ok());
        assert_eq!(
            address("https://me:pw@ci.example/").unwrap_err(),
            Refusal::Credentials
        );
        for text in [
            "ftp://ci.example/",
            "file:///etc/passwd",
            "ci.example",
            "http://",
        ] {
            let refusal = address(text).unwrap_err();
            assert!(matches!(refusal, Refusal::Malformed(_)), "{text}");
        }
    }
}
