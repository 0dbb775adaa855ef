//! What only all files together tell: names, outlets, ports and addresses that come twice.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};

use basalt_yaml::{Diagnostics, Span};

use crate::board::{BoardFile, Line};
use crate::dispatcher::DispatcherFile;
use crate::profile::{DEFAULT_DISPATCHER, DispatcherProfile};
use crate::relay::{Port, RelayFile};
use crate::scalar::{Placed, place, suggestion};

/// Remembers who was first to use a thing.
struct Taken<K> {
    by: HashMap<K, (String, Span)>,
}

impl<K: Eq + Hash> Taken<K> {
    fn new() -> Self {
        Self { by: HashMap::new() }
    }

    /// Reports a thing that somebody else uses already. `what` names the thing.
    fn take(
        &mut self,
        key: K,
        user: String,
        span: Span,
        what: &str,
        diagnostics: &mut Diagnostics,
    ) {
        if let Some((first, first_span)) = self.by.get(&key) {
            let first_place = place(*first_span, diagnostics);
            diagnostics.error(
                span,
                format!("{what} belongs to {first} already, at {first_place}"),
            );
        } else {
            self.by.insert(key, (user, span));
        }
    }
}

/// Two dispatchers, relays or boards with the same name.
pub(crate) fn names(
    dispatchers: &[DispatcherFile],
    relays: &[RelayFile],
    boards: &[BoardFile],
    diagnostics: &mut Diagnostics,
) {
    let dispatchers = dispatchers.iter().map(|one| &one.name);
    unique("another dispatcher", dispatchers, diagnostics);
    let relays = relays.iter().map(|one| &one.name);
    unique("another relay", relays, diagnostics);
    let boards = boards.iter().map(|one| &one.name);
    unique("another board", boards, diagnostics);
}

fn unique<'f>(
    user: &str,
    names: impl Iterator<Item = &'f Placed<String>>,
    diagnostics: &mut Diagnostics,
) {
    let mut taken = Taken::new();
    for (name, span) in names {
        let what = format!("the name `{name}`");
        taken.take(name.clone(), user.to_owned(), *span, &what, diagnostics);
    }
}

/// A relay's dispatcher must exist.
pub(crate) fn dispatchers(
    dispatchers: &[DispatcherFile],
    relays: &[RelayFile],
    diagnostics: &mut Diagnostics,
) {
    let known = || dispatchers.iter().map(|one| one.name.0.as_str());
    for (dispatcher, span) in relays.iter().filter_map(|relay| relay.dispatcher.as_ref()) {
        if !known().any(|name| name == dispatcher) {
            diagnostics
                .error(*span, format!("there is no dispatcher `{dispatcher}`"))
                .with_hint(suggestion(dispatcher, known()));
        }
    }
}

/// A board's relay must exist.
pub(crate) fn relays(relays: &[RelayFile], boards: &[BoardFile], diagnostics: &mut Diagnostics) {
    let known = || relays.iter().map(|relay| relay.name.0.as_str());
    for (relay, span) in boards.iter().filter_map(|board| board.relay.as_ref()) {
        if !known().any(|name| name == relay) {
            diagnostics
                .error(*span, format!("there is no relay `{relay}`"))
                .with_hint(suggestion(relay, known()));
        }
    }
}

/// An outlet feeds one board (decision D10).
pub(crate) fn outlets(boards: &[BoardFile], diagnostics: &mut Diagnostics) {
    let mut taken = Taken::new();
    for board in boards {
        if let (Some((relay, _)), Some((outlet, span))) = (&board.relay, &board.outlet) {
            let what = format!("outlet {outlet} of relay `{relay}`");
            let user = format!("board `{}`", board.name.0);
            taken.take((relay, *outlet), user, *span, &what, diagnostics);
        }
    }
}

/// Whose hosts and networks the names in relays and boards mean.
///
/// A serial port and a loopback address mean something else on every dispatcher's host. Any other
/// address means the same for all, except for dispatchers that have the same address themselves:
/// they must be in networks apart, and so is all that they talk to.
pub(crate) struct Hosts<'f> {
    default: &'f str,
    dispatchers: HashMap<&'f str, Option<&'f DispatcherProfile>>,
    /// Which dispatcher each relay belongs to, where it says so.
    relays: HashMap<&'f str, &'f str>,
}

impl<'f> Hosts<'f> {
    pub fn new(
        default: Option<&'f str>,
        dispatchers: &'f [DispatcherFile],
        relays: &'f [RelayFile],
    ) -> Self {
        Self {
            default: default.unwrap_or(DEFAULT_DISPATCHER),
            dispatchers: dispatchers
                .iter()
                .map(|one| (one.name.0.as_str(), one.profile.as_ref()))
                .collect(),
            relays: relays
                .iter()
                .filter_map(|relay| {
                    let (dispatcher, _) = relay.dispatcher.as_ref()?;
                    Some((relay.name.0.as_str(), dispatcher.as_str()))
                })
                .collect(),
        }
    }

    fn of_relay(&self, relay: &RelayFile) -> &'f str {
        self.named(&relay.name.0)
    }

    fn of_board(&self, board: &BoardFile) -> &'f str {
        match &board.relay {
            Some((relay, _)) => self.named(relay),
            None => self.default,
        }
    }

    fn named(&self, relay: &str) -> &'f str {
        self.relays.get(relay).copied().unwrap_or(self.default)
    }

    fn profile(&self, dispatcher: &str) -> Option<&'f DispatcherProfile> {
        self.dispatchers.get(dispatcher).copied().flatten()
    }

    /// The network that a dispatcher's boards and devices are in: its own name where its network is
    /// known to be apart from the others'.
    fn network(&self, dispatcher: &'f str) -> Option<&'f str> {
        let address = self.profile(dispatcher)?.address;
        self.dispatchers
            .iter()
            .any(|(name, other)| {
                *name != dispatcher && other.is_some_and(|other| other.address == address)
            })
            .then_some(dispatcher)
    }

    /// The same for what stands at `host`.
    fn network_of(&self, host: &str, dispatcher: &'f str) -> Option<&'f str> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = host == "localhost"
            || host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        match is_loopback {
            true => Some(dispatcher),
            false => self.network(dispatcher),
        }
    }
}

/// A console, a serial port or a relay has one user, board or relay (decision D10).
pub(crate) fn ports(
    hosts: &Hosts<'_>,
    relays: &[RelayFile],
    boards: &[BoardFile],
    diagnostics: &mut Diagnostics,
) {
    let mut taken = Taken::new();
    for relay in relays {
        if let Some((port, span)) = &relay.port {
            let dispatcher = hosts.of_relay(relay);
            let (key, text) = match port {
                Port::Serial(path) => ((Some(dispatcher), path.clone()), path),
                Port::Http(url) => {
                    let (host, port) = host_and_port(url);
                    let network = hosts.network_of(host, dispatcher);
                    ((network, format!("{host}:{port}")), url)
                }
            };
            let user = format!("relay `{}`", relay.name.0);
            taken.take(key, user, *span, &format!("`{text}`"), diagnostics);
        }
    }
    for board in boards {
        if let Some((line, span)) = &board.console {
            let dispatcher = hosts.of_board(board);
            let (network, port) = match line {
                Line::Tcp { host, port } => {
                    let network = hosts.network_of(host, dispatcher);
                    (network, format!("{host}:{port}"))
                }
                Line::Serial { path } => (Some(dispatcher), path.to_string_lossy().into_owned()),
            };
            let user = format!("board `{}`", board.name.0);
            let what = format!("the console `{port}`");
            taken.take((network, port), user, *span, &what, diagnostics);
        }
    }
}

/// The host, with the brackets of an IPv6 address, and the port of `http://host[:port]`.
fn host_and_port(url: &str) -> (&str, &str) {
    let place = url.split_once("://").map_or(url, |(_, rest)| rest);
    match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (place, "80"),
    }
}

/// MAC and IP addresses are a board's own, and its dispatcher can be reached from them.
pub(crate) fn addresses(hosts: &Hosts<'_>, boards: &[BoardFile], diagnostics: &mut Diagnostics) {
    let (mut macs, mut addresses) = (Taken::new(), Taken::new());
    for board in boards {
        let Some(network) = &board.network else {
            continue;
        };
        let dispatcher = hosts.of_board(board);
        let apart = hosts.network(dispatcher);
        let user = format!("board `{}`", board.name.0);
        if let Some((mac, span)) = &network.mac {
            let what = format!("the MAC address {mac}");
            macs.take(
                (apart, mac.clone()),
                user.clone(),
                *span,
                &what,
                diagnostics,
            );
        }
        let Some(((address, prefix), span)) = &network.address else {
            continue;
        };
        let what = format!("the address {address}");
        addresses.take((apart, *address), user, *span, &what, diagnostics);
        let Some(dispatcher) = hosts.profile(dispatcher) else {
            continue;
        };
        if *address == dispatcher.address {
            diagnostics.error(*span, format!("{address} is the dispatcher's address"));
        } else if network.gateway.is_none() && !same_network(*address, dispatcher.address, *prefix)
        {
            diagnostics
                .warning(
                    *span,
                    format!(
                        "{address}/{prefix} does not reach the dispatcher, {}",
                        dispatcher.address
                    ),
                )
                .with_hint("it is in another network, and the board has no `gateway`");
        }
    }
}

fn same_network(one: Ipv4Addr, other: Ipv4Addr, prefix: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    u32::from(one) & mask == u32::from(other) & mask
}
