//! Which hosts a job's URLs may name (decision D21), and URLs without their secrets.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::Url;

/// Words in the names of query parameters whose values are secrets.
const SECRET_WORDS: [&str; 6] = ["token", "sig", "key", "password", "secret", "credential"];

/// A URL as it may stand in logs and errors: without user and password, and without the values
/// of query parameters that look like tokens and signatures. A text that is no URL is not shown.
pub fn public_url(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        return "(malformed URL)".to_owned();
    };
    // Both fail only for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if let Some(query) = url.query().map(str::to_owned) {
        let public: Vec<String> = query.split('&').map(public_parameter).collect();
        url.set_query(Some(&public.join("&")));
    }
    url.to_string()
}

fn public_parameter(parameter: &str) -> String {
    let Some((name, _)) = parameter.split_once('=') else {
        return parameter.to_owned();
    };
    let lower = name.to_ascii_lowercase();
    if SECRET_WORDS.iter().any(|word| lower.contains(word)) {
        format!("{name}=hidden")
    } else {
        parameter.to_owned()
    }
}

/// Why a host is not connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It may not be.
    Forbidden {
        /// The host, as the URL names it.
        host: String,
        /// Which address of it, and what kind that is.
        why: String,
    },
    /// It has no address.
    Unresolved {
        /// What looking it up met with.
        reason: String,
    },
}

/// Host names and addresses that are allowed or forbidden beyond what every host may.
#[derive(Clone, Copy, Debug)]
pub struct HostRules<'a> {
    /// Allowed, although they are loopback, link-local or a lab's own.
    pub allow: &'a [String],
    /// Forbidden: a lab's relays and consoles.
    pub forbid: &'a [String],
}

impl HostRules<'_> {
    /// Looks a URL's host up and checks every address. The answer is what to connect to: nothing
    /// is looked up again, so a name cannot change its mind after the check.
    ///
    /// # Errors
    /// Why it is not connected to.
    pub async fn resolve(&self, url: &Url, bound: Duration) -> Result<Vec<SocketAddr>, Rejected> {
        let Some(host) = url.host_str() else {
            return Err(Rejected::Unresolved {
                reason: "the URL names no host".to_owned(),
            });
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_or_known_default().unwrap_or(80);
        let lookup = tokio::time::timeout(bound, tokio::net::lookup_host((host, port))).await;
        let addresses: Vec<SocketAddr> = match lookup {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(error)) => {
                return Err(Rejected::Unresolved {
                    reason: format!("looking up {host}: {error}"),
                });
            }
            Err(_) => {
                return Err(Rejected::Unresolved {
                    reason: format!("looking up {host}: no answer within {bound:?}"),
                });
            }
        };
        if addresses.is_empty() {
            return Err(Rejected::Unresolved {
                reason: format!("{host} has no address"),
            });
        }
        match self.objection(host, &addresses) {
            Some(why) => Err(Rejected::Forbidden {
                host: host.to_owned(),
                why,
            }),
            None => Ok(addresses),
        }
    }

    /// What speaks against a host with these addresses.
    fn objection(&self, host: &str, addresses: &[SocketAddr]) -> Option<String> {
        if names(self.allow, host, None) {
            return None;
        }
        addresses.iter().find_map(|address| {
            let address = address.ip().to_canonical();
            if names(self.allow, host, Some(address)) {
                None
            } else if names(self.forbid, host, Some(address)) {
                Some(format!("{address}, a relay or console of this lab"))
            } else {
                kind(address).map(|kind| format!("{address}, {kind}"))
            }
        })
    }
}

fn names(list: &[String], host: &str, address: Option<IpAddr>) -> bool {
    list.iter().any(|entry| {
        entry.eq_ignore_ascii_case(host)
            || (address.is_some() && entry.parse::<IpAddr>().ok() == address)
    })
}

/// What kind of address it is, if it is one that jobs must not reach.
fn kind(address: IpAddr) -> Option<&'static str> {
    let (link_local, this_network) = match address {
        IpAddr::V4(address) => (
            address.is_link_local(),
            address.octets()[0] == 0 || address.is_broadcast(),
        ),
        IpAddr::V6(address) => (address.is_unicast_link_local(), false),
    };
    if address.is_loopback() {
        Some("a loopback address")
    } else if link_local {
        Some("a link-local address")
    } else if address.is_unspecified() || this_network {
        Some("an address that means this host or network")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_their_secrets() {
        assert_eq!(
            public_url("https://me:pw@host:8443/a?b=1&X-Amz-Signature=abc&access_token=t#x"),
            "https://host:8443/a?b=1&X-Amz-Signature=hidden&access_token=hidden#x"
        );
        assert_eq!(public_url("http//me:pw@host"), "(malformed URL)");
    }

    #[test]
    fn only_public_and_lab_network_addresses_pass() {
        let objection = |host: &str| {
            let rules = HostRules {
                allow: &["127.0.0.2".to_owned(), "::2".to_owned()],
                forbid: &["192.0.2.7".to_owned()],
            };
            rules.objection("example", &[SocketAddr::new(host.parse().unwrap(), 80)])
        };
        for forbidden in [
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.7",
        ] {
            assert!(objection(forbidden).is_some(), "{forbidden}");
        }
        for allowed in [
            "127.0.0.2",
            "10.0.0.1",
            "192.168.1.1",
            "8.8.8.8",
            "2001:db8::1",
        ] {
            assert_eq!(objection(allowed), None, "{allowed}");
        }
    }
}
