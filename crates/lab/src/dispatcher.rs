//! How a dispatcher's host serves boards: `dispatchers/*.yaml`, and `dispatcher:` in `lab.yaml`.

use std::net::SocketAddrV4;

use basalt_model::DispatcherName;
use basalt_yaml::{Diagnostics, Field, MapReader, Node, Span, Unknown};

use crate::profile::{DEFAULT_DISPATCHER, DispatcherProfile};
use crate::scalar::{self, Placed};

/// The ports that boot loaders and NFS clients ask unless told otherwise.
const TFTP_PORT: u16 = 69;
const NFS_PORT: u16 = 2049;

/// A dispatcher, as far as it could be read.
pub(crate) struct DispatcherFile {
    pub name: Placed<String>,
    /// `None` after a mistake that is already reported.
    pub profile: Option<DispatcherProfile>,
}

/// Reads a file of `dispatchers/`.
pub(crate) fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<DispatcherFile> {
    let mut reader = MapReader::new(node, "the dispatcher", diagnostics)?;
    reader.version(&[1]);
    let name = scalar::name(reader.required("name"));
    let service = Service::read(&mut reader);
    reader.finish(Unknown::Error);
    let name = name?;
    Some(DispatcherFile {
        profile: service.map(|service| service.profile(&name.0)),
        name,
    })
}

/// Reads `dispatcher:` of `lab.yaml`, whose name may be left out.
pub(crate) fn read_default(mut reader: MapReader<'_>, whole: Span) -> Option<DispatcherFile> {
    let name = match reader.has("name") {
        true => scalar::name(reader.required("name")),
        false => Some((DEFAULT_DISPATCHER.to_owned(), whole)),
    };
    let service = Service::read(&mut reader);
    reader.finish(Unknown::Error);
    let name = name?;
    Some(DispatcherFile {
        profile: service.map(|service| service.profile(&name.0)),
        name,
    })
}

/// What both places say.
struct Service(DispatcherProfile);

impl Service {
    fn read(reader: &mut MapReader<'_>) -> Option<Self> {
        let address = scalar::address(reader.required("address"));
        let tftp = listen(reader.optional("tftp"));
        let nfs = listen(reader.optional("nfs"));
        let file_roots = reader.optional("file_roots").each(scalar::path);
        let allow_hosts = reader.optional("allow_hosts").texts();
        let address = address?;
        Some(Self(DispatcherProfile {
            name: DispatcherName::new(DEFAULT_DISPATCHER),
            address,
            tftp_listen: tftp.unwrap_or(SocketAddrV4::new(address, TFTP_PORT)),
            nfs_listen: nfs.unwrap_or(SocketAddrV4::new(address, NFS_PORT)),
            file_roots: file_roots.unwrap_or_default(),
            allow_hosts: allow_hosts.unwrap_or_default(),
        }))
    }

    fn profile(self, name: &str) -> DispatcherProfile {
        DispatcherProfile {
            name: DispatcherName::new(name),
            ..self.0
        }
    }
}

fn listen(field: Field<'_>) -> Option<SocketAddrV4> {
    field.parsed("an address and a port, such as 10.77.0.1:69", |text| {
        text.parse().map_err(|_| String::new())
    })
}
