//! Where a server is.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket on this host.
    Unix(PathBuf),
    /// TCP without TLS, to this host only.
    Plain {
        /// `localhost`, or an address of the loopback.
        host: String,
        /// The port.
        port: u16,
    },
    /// TLS.
    Tls {
        /// A name or an address, as the server's certificate has it.
        host: String,
        /// The port.
        port: u16,
    },
}

/// The text is no place where a server can be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No URL with a host.
    #[error(
        "{text:?} is no address of a server: https://HOST[:PORT], http://127.0.0.1:PORT or unix:/PATH"
    )]
    Form {
        /// As given.
        text: String,
    },
    /// Tokens would be readable on the way.
    #[error(
        "{text:?} would send the token over the network in the clear: plain http is only for this host, use https"
    )]
    Plain {
        /// As given.
        text: String,
    },
    /// The server's faces have fixed paths.
    #[error("{text:?} has a path: give only the server's host and port")]
    Path {
        /// As given.
        text: String,
    },
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let owned = || text.to_owned();
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') {
                true => Ok(Self::Unix(path.into())),
                false => Err(EndpointError::Form { text: owned() }),
            };
        }
        let form = || EndpointError::Form { text: owned() };
        let uri: Uri = text.parse().map_err(|_| form())?;
        let authority = uri.authority().ok_or_else(form)?;
        if authority.as_str().contains('@') {
            return Err(form());
        }
        let host = authority.host().to_owned();
        let port = authority.port_u16();
        // `host:` and ports above 65535 are left to `port_u16` as none.
        if port.is_none() && authority.as_str() != host {
            return Err(form());
        }
        let endpoint = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => Self::Tls {
                host,
                port: port.unwrap_or(443),
            },
            Some(scheme) if *scheme == Scheme::HTTP && is_loopback(&host) => Self::Plain {
                host,
                port: port.unwrap_or(80),
            },
            Some(scheme) if *scheme == Scheme::HTTP => {
                return Err(EndpointError::Plain { text: owned() });
            }
            _ => return Err(form()),
        };
        if uri.path() != "/" || uri.query().is_some() {
            return Err(EndpointError::Path { text: owned() });
        }
        Ok(endpoint)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Plain { host, port } => write!(f, "http://{host}:{port}"),
            Self::Tls { host, port } => write!(f, "https://{host}:{port}"),
        }
    }
}

impl Endpoint {
    /// `HOST:PORT` for the `Host` header.
    pub fn authority(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Plain { host, port } | Self::Tls { host, port } => format!("{host}:{port}"),
        }
    }
}

/// The address in a URL's host, if it is one: IPv6 stands in brackets.
pub(crate) fn address(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host)
        .parse()
        .ok()
}

/// A name that resolves elsewhere is no loopback, so of names only the reserved one is taken
/// (RFC 6761, section 6.3).
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || address(host).is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_survive_their_text() {
        for text in [
            "unix:/run/basalt/server.sock",
            "http://127.0.0.1:7270",
            "http://[::1]:80",
            "http://localhost:7270",
            "https://lab.example:7270",
            "https://[2001:db8::1]:443",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!(
            "https://lab.example/".parse::<Endpoint>().unwrap(),
            "https://lab.example:443".parse().unwrap()
        );
    }

    #[test]
    fn plain_http_leaves_no_host() {
        for text in [
            "http://lab.example:7270",
            "http://10.0.0.1",
            "http://127.0.0.1.example",
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
            assert!(matches!(error, EndpointError::Plain { .. }), "{error}");
        }
    }

    #[test]
    fn what_is_no_server_is_refused_by_its_text() {
        for text in [
            "",
            "lab:7270",
            "ftp://lab",
            "unix:server.sock",
            "https://a@b",
            "https://b:99999",
            "https://b:",
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(
                matches!(error, EndpointError::Form { .. }),
                "{text}: {error}"
            );
        }
        let error = "https://lab/basalt".parse::<Endpoint>().unwrap_err();
        assert!(matches!(error, EndpointError::Path { .. }), "{error}");
    }
}
