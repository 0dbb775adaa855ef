//! A server's end of sockets, as small as a test needs it.

use std::future::ready;
use std::path::Path;
use std::sync::Arc;

use basalt_link::{Channel, Dialer, Down, Endpoint, Pace, Receiver, Sender, Token, Trust, Up};
use basalt_model::Sha256;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::{Error, Message};

pub const TOKEN: &str = "right";

pub fn dialer(endpoint: &str, token: &str, trust: &Trust) -> Dialer {
    let endpoint: Endpoint = endpoint.parse().unwrap();
    Dialer::new(endpoint, Token::new(token).unwrap(), trust).unwrap()
}

pub fn unix(directory: &Path) -> (UnixListener, String) {
    let path = directory.join("server.sock");
    let listener = UnixListener::bind(&path).unwrap();
    (listener, format!("unix:{}", path.display()))
}

/// Accepts a link as axum does: token first, then the upgrade.
pub async fn accept<S>(stream: S) -> Result<(Sender<Down>, Receiver<Up>), Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let check = |request: &Request, response: Response| {
        assert_eq!(request.uri().path(), basalt_link::LINK_PATH);
        let token = request.headers().get("authorization").unwrap();
        if token.to_str().unwrap() == format!("Bearer {TOKEN}") {
            return Ok(response);
        }
        let mut refusal = ErrorResponse::new(None);
        *refusal.status_mut() = http::StatusCode::UNAUTHORIZED;
        Err(refusal)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, check).await?;
    let (sink, stream) = socket.split();
    let stream = stream.take_while(|message| ready(!matches!(message, Ok(Message::Close(_)))));
    let incoming = stream.filter_map(|message| {
        ready(match message {
            Ok(Message::Binary(bytes)) => Some(Ok(bytes)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    });
    let outgoing = sink.with(|bytes| ready(Ok::<_, Error>(Message::Binary(bytes))));
    Ok(Channel::new(incoming, outgoing).at_server(Pace::default()))
}

/// A TLS server with a certificate of its own, for `localhost`.
pub struct TlsServer {
    pub listener: TcpListener,
    pub acceptor: TlsAcceptor,
    pub certificate: rcgen::Certificate,
}

impl TlsServer {
    pub async fn start() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate,
        }
    }

    pub fn url(&self) -> String {
        let port = self.listener.local_addr().unwrap().port();
        format!("https://localhost:{port}")
    }

    pub fn fingerprint(&self) -> Sha256 {
        basalt_link::trust::fingerprint(self.certificate.der())
    }
}
