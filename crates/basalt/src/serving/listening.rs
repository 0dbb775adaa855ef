//! Where a server is reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use tokio::net::{TcpListener, UnixListener};

use crate::configuration::Tls;

/// Longer paths fit into no socket's address (`unix(7)`: 108 bytes, the last one zero).
const LONGEST_PATH: usize = 107;

/// Listens on every address, or says which one it cannot have.
pub async fn tcp(addresses: &[SocketAddr]) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address} (--listen ADDRESS:PORT names another place)")
        })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Listens on a Unix socket that only its owner can open. The caller holds the server's lock, so a
/// socket that is there belongs to nobody.
pub fn unix(path: &Path) -> anyhow::Result<UnixListener> {
    let length = path.as_os_str().len();
    if length > LONGEST_PATH {
        return Err(crate::exit::refused(format!(
            "{} is {length} bytes long, and a socket's path at most {LONGEST_PATH}: \
             --state DIR names a shorter place",
            path.display()
        )));
    }
    let failed = || format!("cannot listen on {}", path.display());
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(failed);
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).with_context(failed)?;
    // The directory above is its owner's alone already.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).with_context(failed)?;
    Ok(listener)
}

/// The address that people type, where nobody gave one: the first that the server listens on, by
/// this host's name where it listens on all of them.
pub fn url(address: SocketAddr, tls: &Tls) -> String {
    let scheme = if tls.is_spoken() { "https" } else { "http" };
    if !address.ip().is_unspecified() {
        return format!("{scheme}://{address}");
    }
    let port = address.port();
    match host_name() {
        Some(name) => format!("{scheme}://{name}:{port}"),
        None => format!("{scheme}://127.0.0.1:{port}"),
    }
}

/// The address by which programs of this host reach the server without anybody's help, where it has
/// one: this host's name may be known to nobody. A certificate from elsewhere is for names, and
/// what a proxy wants is its own.
pub fn local_url(addresses: &[SocketAddr], tls: &Tls) -> Option<String> {
    let scheme = match tls {
        Tls::Off => "http",
        // Known by its digest, whatever the name.
        Tls::SelfSigned => "https",
        Tls::Proxy | Tls::Files { .. } => return None,
    };
    addresses.iter().find_map(|address| {
        let (ip, port) = (address.ip(), address.port());
        let here = match ip {
            _ if ip.is_loopback() => ip,
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            _ => return None,
        };
        Some(format!("{scheme}://{}", SocketAddr::new(here, port)))
    })
}

/// This host's name, if it has one that can stand in a URL.
pub fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    let fits = |character: char| character.is_ascii_alphanumeric() || "-.".contains(character);
    (!name.is_empty() && name.chars().all(fits) && name != "(none)").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_get_an_address_that_they_can_open() {
        let url = |text: &str, tls| super::url(text.parse().unwrap(), &tls);
        assert_eq!(url("127.0.0.1:80", Tls::Off), "http://127.0.0.1:80");
        assert_eq!(url("[::1]:80", Tls::SelfSigned), "https://[::1]:80");
        assert!(!url("0.0.0.0:80", Tls::SelfSigned).contains("0.0.0.0"));
    }

    #[test]
    fn programs_of_this_host_need_no_name_of_it() {
        let url = |texts: &[&str], tls: &Tls| {
            let addresses: Vec<_> = texts.iter().map(|text| text.parse().unwrap()).collect();
            local_url(&addresses, tls)
        };
        let found = |text: &str| Some(text.to_owned());
        assert_eq!(
            url(&["0.0.0.0:7270"], &Tls::SelfSigned),
            found("https://127.0.0.1:7270")
        );
        assert_eq!(url(&["[::]:80"], &Tls::Off), found("http://[::1]:80"));
        let both = ["10.0.0.1:7270", "127.0.0.1:7271"];
        assert_eq!(url(&both, &Tls::Off), found("http://127.0.0.1:7271"));
        assert_eq!(url(&both[..1], &Tls::Off), None);
        let files = Tls::Files {
            certificate: "c".into(),
            key: "k".into(),
        };
        assert_eq!(url(&["0.0.0.0:80"], &files), None);
        assert_eq!(url(&["127.0.0.1:80"], &Tls::Proxy), None);
    }

    #[tokio::test]
    async fn a_socket_that_a_killed_server_left_is_taken_over_and_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        unix(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let long = directory.path().join("s".repeat(120));
        let error = unix(&long).unwrap_err();
        assert!(error.to_string().contains("--state"), "{error}");
    }
}
