//! `lab.yaml`: the lab's name and its dispatcher.

use std::net::SocketAddrV4;

use basalt_yaml::{Diagnostics, Field, MapReader, Node, Unknown};

use crate::profile::DispatcherProfile;
use crate::scalar;

/// The ports that boot loaders and NFS clients ask unless told otherwise.
const TFTP_PORT: u16 = 69;
const NFS_PORT: u16 = 2049;

/// The lab's name and dispatcher, each as far as it could be read.
#[derive(Default)]
pub(crate) struct LabHead {
    pub name: Option<String>,
    pub dispatcher: Option<DispatcherProfile>,
}

pub(crate) fn read(node: &Node, diagnostics: &mut Diagnostics) -> LabHead {
    let Some(mut reader) = MapReader::new(node, "the lab", diagnostics) else {
        return LabHead::default();
    };
    reader.version(&[1]);
    let name = scalar::lab_name(reader.required("name"));
    let dispatcher = reader
        .required("dispatcher")
        .map("`dispatcher`")
        .and_then(dispatcher);
    reader.finish(Unknown::Error);
    LabHead { name, dispatcher }
}

fn dispatcher(mut reader: MapReader<'_>) -> Option<DispatcherProfile> {
    let address = scalar::address(reader.required("address"));
    let tftp = listen(reader.optional("tftp"));
    let nfs = listen(reader.optional("nfs"));
    let file_roots = reader.optional("file_roots").each(scalar::path);
    let allow_hosts = reader.optional("allow_hosts").texts();
    reader.finish(Unknown::Error);
    let address = address?;
    Some(DispatcherProfile {
        address,
        tftp_listen: tftp.unwrap_or(SocketAddrV4::new(address, TFTP_PORT)),
        nfs_listen: nfs.unwrap_or(SocketAddrV4::new(address, NFS_PORT)),
        file_roots: file_roots.unwrap_or_default(),
        allow_hosts: allow_hosts.unwrap_or_default(),
    })
}

fn listen(field: Field<'_>) -> Option<SocketAddrV4> {
    field.parsed("an address and a port, such as 10.77.0.1:69", |text| {
        text.parse().map_err(|_| String::new())
    })
}
