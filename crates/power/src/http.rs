//! Relays with a web interface. A model is one [`HttpModel`]: a request template and a rule how
//! to read the answer; it needs no code of its own.
//!
//! Tasmota, outlet 2 (source: Tasmota's documentation of commands by web requests, and
//! pdudaemon's driver `tasmota`):
//! ```text
//! GET /cm?cmnd=Power2%20On[&user=U&password=P]   ->  {"POWER2":"ON"}
//! GET /cm?cmnd=Power2[&user=U&password=P]        ->  {"POWER2":"ON"}
//! ```
//! Devices with one relay leave the number out of the answer: `{"POWER":"ON"}`.

use std::error::Error as _;
use std::ops::RangeInclusive;

use basalt_model::PowerState;
use reqwest::{Client, Response, Url, redirect};

use crate::driver::Fault;

/// An HTTP model as data. `{outlet}` and `{state}` are replaced in the templates.
pub(crate) struct HttpModel {
    /// Path and query that switch an outlet.
    switch: &'static str,
    /// Path and query that read an outlet.
    read: &'static str,
    /// What `{state}` is for on and for off; the answer's words too, in whatever case.
    words: (&'static str, &'static str),
    /// The member of the answer's JSON object that holds the state.
    member: &'static str,
    /// The same, where a device has only outlet 1.
    single_member: Option<&'static str>,
    /// Names of the query's parameters for user and password.
    credentials: (&'static str, &'static str),
    /// The outlets that there can be.
    outlets: (u32, u32),
}

/// Tasmota. Its builds have at most 32 relays.
pub(crate) const TASMOTA: HttpModel = HttpModel {
    switch: "/cm?cmnd=Power{outlet}%20{state}",
    read: "/cm?cmnd=Power{outlet}",
    words: ("On", "Off"),
    member: "POWER{outlet}",
    single_member: Some("POWER"),
    credentials: ("user", "password"),
    outlets: (1, 32),
};

/// The longest answer that is read. Real ones have some dozen bytes.
const LONGEST_ANSWER: usize = 16 * 1024;

/// How much of an answer is shown in an error.
const SHOWN_ANSWER: usize = 200;

/// A relay with a web interface.
pub(crate) struct HttpRelay {
    model: &'static HttpModel,
    url: String,
    credentials: Option<(String, String)>,
    client: Option<Client>,
}

impl HttpRelay {
    pub(crate) fn new(
        model: &'static HttpModel,
        url: &str,
        credentials: Option<(String, String)>,
    ) -> Self {
        Self {
            model,
            url: url.trim_end_matches('/').to_owned(),
            credentials,
            client: None,
        }
    }

    pub(crate) fn outlets(&self) -> RangeInclusive<u32> {
        self.model.outlets.0..=self.model.outlets.1
    }

    /// Switches. What the relay says about the state is left to the reading back.
    pub(crate) async fn switch(&mut self, outlet: u32, on: bool) -> Result<(), Fault> {
        let (word_on, word_off) = self.model.words;
        let state = if on { word_on } else { word_off };
        let target = self
            .model
            .switch
            .replace("{outlet}", &outlet.to_string())
            .replace("{state}", state);
        self.ask(&target, outlet).await.map(|_| ())
    }

    pub(crate) async fn read(&mut self, outlet: u32) -> Result<PowerState, Fault> {
        let target = self.model.read.replace("{outlet}", &outlet.to_string());
        self.ask(&target, outlet).await
    }

    async fn ask(&mut self, target: &str, outlet: u32) -> Result<PowerState, Fault> {
        let url = self.request_url(target)?;
        let response = self.client()?.get(url).send().await.map_err(unreachable)?;
        let status = response.status();
        let body = self.body(response).await?;
        if !status.is_success() {
            let text = format!("HTTP {status}: {}", self.shown(&body));
            return Err(Fault::refused(text, status.is_server_error()));
        }
        self.state(&body, outlet).ok_or_else(|| {
            let text = format!("it answered {}", self.shown(&body));
            Fault::refused(text, false)
        })
    }

    fn request_url(&self, target: &str) -> Result<Url, Fault> {
        // The parser's error does not repeat the text, which may hold credentials.
        let mut url = Url::parse(&format!("{}{target}", self.url))
            .map_err(|error| Fault::unreachable(format!("its URL is malformed: {error}")))?;
        if let Some((user, password)) = &self.credentials {
            let (user_name, password_name) = self.model.credentials;
            url.query_pairs_mut()
                .append_pair(user_name, user)
                .append_pair(password_name, password);
        }
        Ok(url)
    }

    fn client(&mut self) -> Result<&Client, Fault> {
        if self.client.is_none() {
            self.client = Some(build_client(self.url.starts_with("https:"))?);
        }
        self.client
            .as_ref()
            .ok_or_else(|| Fault::unreachable("no HTTP client"))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > LONGEST_ANSWER => {
                    let text = format!("it answered more than {LONGEST_ANSWER} bytes");
                    return Err(Fault::refused(text, false));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body),
                Err(_) => {
                    let text = format!(
                        "its answer broke off after {} bytes: {}",
                        body.len(),
                        self.shown(&body)
                    );
                    return Err(Fault::refused(text, true));
                }
            }
        }
    }

    fn state(&self, body: &[u8], outlet: u32) -> Option<PowerState> {
        let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
        let member = self.model.member.replace("{outlet}", &outlet.to_string());
        // A device without the outlet answers for its first one, so the number must agree.
        let word = answer.get(&member).or_else(|| {
            let single = self.model.single_member.filter(|_| outlet == 1)?;
            answer.get(single)
        })?;
        let word = word.as_str()?;
        let (on, off) = self.model.words;
        if word.eq_ignore_ascii_case(on) {
            Some(PowerState::On)
        } else if word.eq_ignore_ascii_case(off) {
            Some(PowerState::Off)
        } else {
            None
        }
    }

    /// An answer as it may stand in an error: short, escaped, without the password.
    fn shown(&self, body: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(body).into_owned();
        if let Some((_, password)) = &self.credentials
            && !password.is_empty()
        {
            text = text.replace(password.as_str(), "[password]");
        }
        match text.char_indices().nth(SHOWN_ANSWER) {
            Some((end, _)) => format!("{:?}…", &text[..end]),
            None => format!("{text:?}"),
        }
    }
}

fn build_client(tls: bool) -> Result<Client, Fault> {
    // Fails only if somebody was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        // A relay is in the lab's own network.
        .no_proxy()
        .redirect(redirect::Policy::none())
        // Small devices serve one connection at a time; an idle one locks others out.
        .pool_max_idle_per_host(0);
    if !tls {
        // Without TLS nobody needs the host's certificates, which may not even be installed.
        builder = builder.tls_certs_only([]);
    }
    builder
        .build()
        .map_err(|error| Fault::unreachable(chain(error.without_url())))
}

fn unreachable(error: reqwest::Error) -> Fault {
    Fault::unreachable(chain(error.without_url()))
}

/// The error and its causes, which reqwest leaves out of its text.
fn chain(error: reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
