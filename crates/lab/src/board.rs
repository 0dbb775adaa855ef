//! `boards/*.yaml`: one board a file.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use basalt_yaml::{Diagnostics, MapReader, Node, Unknown};

use crate::profile::LimitOrigin;
use crate::scalar::{self, Placed};
use crate::values::Values;

/// A board's file, as far as it could be read: what is missing here has been reported.
pub(crate) struct BoardFile {
    pub name: Placed<String>,
    pub device_type: Option<Placed<String>>,
    /// Whether its type is one of LAVA's: then its own values are all that there are.
    pub of_lava: bool,
    pub tags: Vec<String>,
    pub relay: Option<Placed<String>>,
    pub outlet: Option<Placed<u32>>,
    pub console: Option<Placed<Line>>,
    pub network: Option<Network>,
    pub timebase: Option<String>,
    /// What the board says over its type.
    pub values: Values,
}

/// The way to a console, before its type has said how fast it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    Tcp { host: String, port: u16 },
    Serial { path: PathBuf },
}

/// A network port, as far as it could be read.
pub(crate) struct Network {
    pub mac: Option<Placed<String>>,
    pub address: Option<Placed<(Ipv4Addr, u8)>>,
    pub gateway: Option<Ipv4Addr>,
}

pub(crate) fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<BoardFile> {
    let mut reader = MapReader::new(node, "the board", diagnostics)?;
    reader.version(&[1]);
    let name = scalar::name(reader.required("name"));
    let device_type = scalar::name(reader.required("type"));
    let tags = reader
        .optional("tags")
        .each(|tag| scalar::name(tag).map(|(tag, _)| tag));
    let timebase = reader.optional("timebase").text();
    let network = reader.optional("network").map("`network`").map(network);
    let mut values = Values::read(&mut reader, LimitOrigin::Board);
    let (relay, outlet) = match reader.required("power").map("`power`") {
        Some(reader) => power(reader, &mut values),
        None => (None, None),
    };
    let console = match reader.required("console").map("`console`") {
        Some(reader) => console(reader, &mut values),
        None => None,
    };
    reader.finish(Unknown::Error);
    Some(BoardFile {
        name: name?,
        device_type,
        of_lava: false,
        tags: tags.unwrap_or_default(),
        relay,
        outlet,
        console,
        network,
        timebase,
        values,
    })
}

fn power(
    mut reader: MapReader<'_>,
    values: &mut Values,
) -> (Option<Placed<String>>, Option<Placed<u32>>) {
    let relay = scalar::name(reader.required("relay"));
    let outlet = reader.required("outlet").spanned(|field| {
        let outlet = field.integer(1..=255)?;
        u32::try_from(outlet).ok()
    });
    values.power(&mut reader);
    reader.finish(Unknown::Error);
    (relay, outlet)
}

fn console(mut reader: MapReader<'_>, values: &mut Values) -> Option<Placed<Line>> {
    let kind = reader.at_most_one(&["tcp", "serial"]);
    if kind.is_none() {
        let span = reader.span();
        reader
            .diagnostics()
            .error(span, "`console` needs `tcp` or `serial`")
            .with_hint(
                "`tcp: HOST:PORT` for a raw TCP port, `serial: /dev/…` for a port of this host",
            );
    }
    let tcp = reader.optional("tcp").spanned(scalar::host_and_port);
    let serial = reader.optional("serial").spanned(scalar::path);
    values.console(&mut reader);
    reader.finish(Unknown::Error);
    let tcp = tcp.map(|((host, port), span)| (Line::Tcp { host, port }, span));
    tcp.or_else(|| serial.map(|(path, span)| (Line::Serial { path }, span)))
}

fn network(mut reader: MapReader<'_>) -> Network {
    let network = Network {
        mac: scalar::mac(reader.required("mac")),
        address: scalar::address_with_prefix(reader.required("address")),
        gateway: scalar::address(reader.optional("gateway")),
    };
    reader.finish(Unknown::Error);
    network
}
