//! A dispatcher's way to its server.

use std::fmt;
use std::future::ready;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::header::{AUTHORIZATION, HeaderValue};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::LINK_PATH;
use crate::connection::{Channel, Pace, Receiver, Sender};
use crate::endpoint::{self, Endpoint};
use crate::files::FileClient;
use crate::frame::LARGEST_FRAME;
use crate::message::{Down, Up};
use crate::trust::{Trust, TrustError};

/// How long it may take to reach the server, TLS and HTTP included.
const DIAL_LIMIT: Duration = Duration::from_secs(15);

/// What proves who a dispatcher is. Never shown.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl Token {
    /// Takes a token; `None` where it holds what no HTTP header can.
    pub fn new(token: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        value.set_sensitive(true);
        (!token.is_empty()).then_some(Self(value))
    }

    /// `Bearer TOKEN`.
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The server was not reached, or does not want this dispatcher.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No connection.
    #[error("cannot reach {endpoint}")]
    Connect {
        /// Where.
        endpoint: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// TLS failed: another certificate, no TLS at all.
    #[error("cannot speak TLS with {endpoint}")]
    Tls {
        /// Where.
        endpoint: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("{endpoint} did not answer for {} s", DIAL_LIMIT.as_secs())]
    TimedOut {
        /// Where.
        endpoint: String,
    },
    /// The token is unknown there (401, 403).
    #[error("{endpoint} refuses this dispatcher's token ({status})")]
    Token {
        /// Where.
        endpoint: String,
        /// The HTTP status.
        status: u16,
    },
    /// Another answer than a link.
    #[error(
        "{endpoint} answers {status} instead of opening a link{}",
        detail(message)
    )]
    Answer {
        /// Where.
        endpoint: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of what it said.
        message: String,
    },
    /// The WebSocket's handshake failed.
    #[error("{endpoint} does not open a link: {message}")]
    Handshake {
        /// Where.
        endpoint: String,
        /// Why not.
        message: String,
    },
}

fn detail(message: &str) -> String {
    match message {
        "" => String::new(),
        message => format!(": {message}"),
    }
}

impl DialError {
    /// Whether the same may work a moment later. A refused token or another certificate stays
    /// wrong until a person does something.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::TimedOut { .. } | Self::Handshake { .. } => true,
            Self::Tls { source, .. } => source.kind() != io::ErrorKind::InvalidData,
            Self::Answer { status, .. } => *status >= 500,
            Self::Token { .. } => false,
        }
    }
}

/// Bytes both ways.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Knows how to reach a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dialer {
    endpoint: Endpoint,
    token: Token,
    tls: Option<Arc<ClientConfig>>,
}

impl Dialer {
    /// Prepares to reach a server; nothing is connected yet.
    ///
    /// # Errors
    /// The certificates to trust cannot be read.
    pub fn new(endpoint: Endpoint, token: Token, trust: &Trust) -> Result<Self, TrustError> {
        let tls = match endpoint {
            Endpoint::Tls { .. } => Some(Arc::new(trust.client_config()?)),
            Endpoint::Unix(_) | Endpoint::Plain { .. } => None,
        };
        Ok(Self {
            endpoint,
            token,
            tls,
        })
    }

    /// Where the server is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    /// Sends files of runs over connections of its own.
    pub fn files(&self) -> FileClient {
        FileClient::new(self.clone())
    }

    /// Opens a link. The dispatcher's `hello` goes next.
    ///
    /// # Errors
    /// The server was not reached, or does not want this dispatcher.
    pub async fn link(&self, pace: Pace) -> Result<(Sender<Up>, Receiver<Down>), DialError> {
        match time::timeout(DIAL_LIMIT, self.open()).await {
            Ok(opened) => Ok(opened?.at_dispatcher(pace)),
            Err(_) => Err(DialError::TimedOut {
                endpoint: self.endpoint.to_string(),
            }),
        }
    }

    async fn open(&self) -> Result<Channel, DialError> {
        let stream = self.reach().await?;
        let handshake = |message: String| DialError::Handshake {
            endpoint: self.endpoint.to_string(),
            message,
        };
        let mut request = format!("ws://{}{LINK_PATH}", self.endpoint.authority())
            .into_client_request()
            .map_err(|error| handshake(error.to_string()))?;
        request
            .headers_mut()
            .insert(AUTHORIZATION, self.token.header());
        let config = WebSocketConfig::default()
            .max_frame_size(Some(LARGEST_FRAME))
            .max_message_size(Some(LARGEST_FRAME));
        let opened =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
        match opened {
            Ok((socket, _)) => Ok(channel(socket)),
            Err(tungstenite::Error::Http(answer)) => Err(self.refused(&answer)),
            Err(error) => Err(handshake(error.to_string())),
        }
    }

    fn refused(&self, answer: &http::Response<Option<Vec<u8>>>) -> DialError {
        let endpoint = self.endpoint.to_string();
        let status = answer.status().as_u16();
        if matches!(status, 401 | 403) {
            return DialError::Token { endpoint, status };
        }
        let body = answer.body().as_deref().unwrap_or_default();
        let message = String::from_utf8_lossy(body)
            .chars()
            .filter(|character| !character.is_control())
            .take(200)
            .collect();
        DialError::Answer {
            endpoint,
            status,
            message,
        }
    }

    /// Connects, with TLS where the endpoint asks for it. Bounded by [`Dialer::link`].
    async fn reach(&self) -> Result<Box<dyn Io>, DialError> {
        let endpoint = || self.endpoint.to_string();
        let connect = |source| DialError::Connect {
            endpoint: endpoint(),
            source,
        };
        match &self.endpoint {
            Endpoint::Unix(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(connect)?)),
            Endpoint::Plain { host, port } => {
                Ok(Box::new(connect_tcp(host, *port).await.map_err(connect)?))
            }
            Endpoint::Tls { host, port } => {
                let stream = connect_tcp(host, *port).await.map_err(connect)?;
                let tls = |source| DialError::Tls {
                    endpoint: endpoint(),
                    source,
                };
                let name = match endpoint::address(host) {
                    Some(address) => ServerName::IpAddress(address.into()),
                    None => ServerName::try_from(host.clone())
                        .map_err(|error| tls(io::Error::new(io::ErrorKind::InvalidInput, error)))?,
                };
                let config = self.tls.clone().ok_or_else(|| {
                    tls(io::Error::other("no trust was set up for this endpoint"))
                })?;
                let stream = TlsConnector::from(config).connect(name, stream).await;
                Ok(Box::new(stream.map_err(tls)?))
            }
        }
    }

    /// As [`Dialer::reach`], bounded.
    pub(crate) async fn reach_in_time(&self) -> Result<Box<dyn Io>, DialError> {
        match time::timeout(DIAL_LIMIT, self.reach()).await {
            Ok(reached) => reached,
            Err(_) => Err(DialError::TimedOut {
                endpoint: self.endpoint.to_string(),
            }),
        }
    }
}

async fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = match endpoint::address(host) {
        Some(address) => TcpStream::connect((address, port)).await?,
        None => TcpStream::connect((host, port)).await?,
    };
    // Frames are small and somebody waits for each.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A WebSocket as a channel: pings are answered below it.
fn channel<S>(socket: tokio_tungstenite::WebSocketStream<S>) -> Channel
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sink, stream) = socket.split();
    let incoming = stream
        // Whoever closes does not wait for the other side's farewell.
        .take_while(|message| ready(!matches!(message, Ok(Message::Close(_)))))
        .filter_map(|message| {
            ready(match message {
                Ok(Message::Binary(bytes)) => Some(Ok(bytes)),
                Ok(Message::Text(_)) => Some(Err(tungstenite::Error::Io(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a text message, where all are binary",
                )))),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
        });
    let outgoing = sink.with(|bytes| ready(Ok::<_, tungstenite::Error>(Message::Binary(bytes))));
    Channel::new(incoming, outgoing)
}
