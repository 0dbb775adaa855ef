//! One server: requests and answers.

use std::time::Duration;

use basalt_api::Problem;
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Cause, ClientError};
use crate::settings::Settings;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may keep silent. Streams carry comments every few seconds.
const SILENCE: Duration = Duration::from_secs(60);
/// How much of a foreign answer is shown.
const SHOWN: usize = 200;

/// A server, as one account. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    server: String,
    token: String,
    http: reqwest::Client,
}

impl Client {
    /// A client for these settings; asks nothing yet.
    pub fn new(settings: &Settings) -> Result<Self, ClientError> {
        let address = reqwest::Url::parse(&settings.server).ok();
        if !address.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            return Err(refused(format!(
                "{:?} is no server's address; write it as http://127.0.0.1:7270",
                settings.server
            )));
        }
        if header::HeaderValue::from_str(&settings.token).is_err() {
            return Err(refused(
                "what was given as the token is none: a token is one line without spaces".into(),
            ));
        }
        // Another part of this process may have chosen the provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder();
        if let Some(digest) = &settings.certificate_sha256 {
            let digest: basalt_model::Sha256 = digest.parse().map_err(|_| {
                refused(format!("the certificate's digest {digest:?} is no SHA-256"))
            })?;
            let tls = crate::tls::pinned(digest.0).map_err(|error| refused(error.to_string()))?;
            builder = builder.tls_backend_preconfigured(tls);
        }
        let http = builder
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            // The token must not follow anybody elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("basalt/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self {
            server: settings.server.clone(),
            token: settings.token.clone(),
            http,
        })
    }

    /// The server's address.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The address of a page of the server.
    pub fn page(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.server));
        if self.token.is_empty() {
            request
        } else {
            request.bearer_auth(&self.token)
        }
    }

    /// Sends, and takes the answer if it is a yes.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request
            .send()
            .await
            .map_err(|source| self.unreachable(source))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response).await)
    }

    async fn refusal(&self, response: Response) -> ClientError {
        let status = response.status();
        let bytes = match response.bytes().await {
            Ok(bytes) => bytes,
            Err(source) => return self.broken_off(source),
        };
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => ClientError::Refused {
                problem: Box::new(problem),
            },
            Err(_) => self.not_basalt(status, &bytes),
        }
    }

    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        let response = self.send(request).await?;
        let status = response.status();
        let bytes = response
            .bytes()
            .await
            .map_err(|source| self.broken_off(source))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            tracing::debug!(%error, "an answer of the server cannot be read");
            self.not_basalt(status, &bytes)
        })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.json(self.request(Method::POST, path).json(body)).await
    }

    /// An answer as it comes, for whoever does not want it whole in memory.
    pub(crate) async fn bytes(
        &self,
        path: &str,
        accept: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + Unpin + use<>, ClientError> {
        let request = self
            .request(Method::GET, path)
            .header(header::ACCEPT, accept);
        let response = self.send(request).await?;
        let client = self.clone();
        Ok(response
            .bytes_stream()
            .map_err(move |source| client.broken_off(source)))
    }

    pub(crate) fn unreachable(&self, source: reqwest::Error) -> ClientError {
        ClientError::Unreachable {
            server: self.server.clone(),
            source: Cause::of(source),
        }
    }

    pub(crate) fn broken_off(&self, source: reqwest::Error) -> ClientError {
        ClientError::BrokenOff {
            server: self.server.clone(),
            source: Cause::of(source),
        }
    }

    fn not_basalt(&self, status: StatusCode, bytes: &[u8]) -> ClientError {
        let said = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned();
        ClientError::NotBasalt {
            server: self.server.clone(),
            status: status.as_u16(),
            said: said.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }
}

fn refused(message: String) -> ClientError {
    ClientError::Settings(message)
}
