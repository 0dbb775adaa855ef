//! Hosts of a lab that no artifact comes from.

use basalt_lab::profile::{BoardProfile, ConsoleSource, Relay, RelayDriver};

/// Names and addresses of relays and consoles: no artifact comes from there (decision D21).
pub fn forbidden_hosts<'l>(
    relays: impl IntoIterator<Item = &'l Relay>,
    boards: impl IntoIterator<Item = &'l BoardProfile>,
) -> Vec<String> {
    let relays = relays.into_iter().filter_map(|relay| match &relay.driver {
        RelayDriver::Tasmota { url, .. } => Some(host_of(url).to_owned()),
        RelayDriver::Lcus { .. } | RelayDriver::Commands { .. } => None,
    });
    let consoles = boards
        .into_iter()
        .filter_map(|board| match &board.console.source {
            ConsoleSource::Tcp { host, .. } => Some(host.clone()),
            ConsoleSource::Serial { .. } => None,
        });
    let mut hosts: Vec<String> = relays.chain(consoles).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

/// The host in `http://host[:port]`; an IPv6 address without its brackets.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    match authority.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or(address),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_relay_is_found_in_its_url() {
        assert_eq!(host_of("http://10.77.0.1:8081"), "10.77.0.1");
        assert_eq!(host_of("http://pdu"), "pdu");
        assert_eq!(host_of("http://[fd00::1]:80"), "fd00::1");
    }
}
