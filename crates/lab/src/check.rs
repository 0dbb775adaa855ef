//! What only all files together tell: names, outlets, ports and addresses that come twice.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::Ipv4Addr;

use basalt_yaml::{Diagnostics, Span};

use crate::board::{BoardFile, Line};
use crate::profile::DispatcherProfile;
use crate::relay::RelayFile;
use crate::scalar::{place, suggestion};

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

/// Two relays, or two boards, with the same name.
pub(crate) fn names(relays: &[RelayFile], boards: &[BoardFile], diagnostics: &mut Diagnostics) {
    let mut taken = Taken::new();
    for relay in relays {
        let (name, span) = &relay.name;
        let what = format!("the name `{name}`");
        taken.take(
            name.clone(),
            "another relay".to_owned(),
            *span,
            &what,
            diagnostics,
        );
    }
    let mut taken = Taken::new();
    for board in boards {
        let (name, span) = &board.name;
        let what = format!("the name `{name}`");
        taken.take(
            name.clone(),
            "another board".to_owned(),
            *span,
            &what,
            diagnostics,
        );
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

/// A console or serial port has one user, board or relay (decision D10).
pub(crate) fn ports(relays: &[RelayFile], boards: &[BoardFile], diagnostics: &mut Diagnostics) {
    let mut taken = Taken::new();
    for relay in relays {
        if let Some((path, span)) = &relay.port {
            let user = format!("relay `{}`", relay.name.0);
            taken.take(path.clone(), user, *span, &format!("`{path}`"), diagnostics);
        }
    }
    for board in boards {
        if let Some((line, span)) = &board.console {
            let port = match line {
                Line::Tcp { host, port } => format!("{host}:{port}"),
                Line::Serial { path } => path.to_string_lossy().into_owned(),
            };
            let user = format!("board `{}`", board.name.0);
            let what = format!("the console `{port}`");
            taken.take(port, user, *span, &what, diagnostics);
        }
    }
}

/// MAC and IP addresses are a board's own, and the dispatcher can be reached from them.
pub(crate) fn addresses(
    dispatcher: Option<&DispatcherProfile>,
    boards: &[BoardFile],
    diagnostics: &mut Diagnostics,
) {
    let (mut macs, mut addresses) = (Taken::new(), Taken::new());
    for board in boards {
        let Some(network) = &board.network else {
            continue;
        };
        let user = format!("board `{}`", board.name.0);
        if let Some((mac, span)) = &network.mac {
            let what = format!("the MAC address {mac}");
            macs.take(mac.clone(), user.clone(), *span, &what, diagnostics);
        }
        let Some(((address, prefix), span)) = &network.address else {
            continue;
        };
        let what = format!("the address {address}");
        addresses.take(*address, user, *span, &what, diagnostics);
        let Some(dispatcher) = dispatcher else {
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
