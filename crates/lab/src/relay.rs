//! `relays/*.yaml`: one relay a file.

use std::time::Duration;

use basalt_model::{DispatcherName, RelayName};
use basalt_yaml::{MapReader, Node, Unknown};

use crate::profile::{DEFAULT_DISPATCHER, Relay, RelayDriver};
use crate::scalar::{self, Placed};

/// How long one exchange may take where the file says nothing: a plug on a busy wireless network
/// answers within a second or two.
const TIMEOUT: Duration = Duration::from_secs(5);

/// LCUS cards come set to this rate.
const LCUS_BAUD: u32 = 9600;

/// A relay's file, as far as it could be read.
pub(crate) struct RelayFile {
    pub name: Placed<String>,
    /// The dispatcher that it names; `None` where it leaves that to the lab.
    pub dispatcher: Option<Placed<String>>,
    /// `None` after a mistake that is already reported.
    pub relay: Option<Relay>,
    /// What it occupies: a serial port of its dispatcher's host, or the place of a device.
    pub port: Option<Placed<Port>>,
}

/// What only one relay may speak to.
pub(crate) enum Port {
    Serial(String),
    /// `http://host[:port]`.
    Http(String),
}

#[derive(Clone, Copy)]
enum Driver {
    Tasmota,
    Lcus,
}

pub(crate) fn read(node: &Node, diagnostics: &mut basalt_yaml::Diagnostics) -> Option<RelayFile> {
    let mut reader = MapReader::new(node, "the relay", diagnostics)?;
    reader.version(&[1]);
    let name = scalar::name(reader.required("name"));
    let dispatcher = scalar::name(reader.optional("dispatcher"));
    let timeout = reader
        .optional("timeout")
        .duration_within(Duration::from_millis(10)..=Duration::from_secs(300))
        .unwrap_or(TIMEOUT);
    let kind = reader
        .required("driver")
        .word(&[("tasmota", Driver::Tasmota), ("lcus", Driver::Lcus)]);
    let mut port = None;
    let driver = match kind {
        Some(Driver::Tasmota) => {
            let url = reader.required("url").spanned(scalar::http_url);
            let credentials = credentials(&mut reader);
            url.map(|(url, span)| {
                port = Some((Port::Http(url.clone()), span));
                RelayDriver::Tasmota { url, credentials }
            })
        }
        Some(Driver::Lcus) => {
            let path = reader.required("path").spanned(scalar::path);
            let baud = reader
                .optional("baud")
                .integer(50..=4_000_000)
                .and_then(|baud| u32::try_from(baud).ok())
                .unwrap_or(LCUS_BAUD);
            path.map(|(path, span)| {
                port = Some((Port::Serial(path.to_string_lossy().into_owned()), span));
                RelayDriver::Lcus { path, baud }
            })
        }
        None => {
            // Which keys belong here depends on the driver; do not call them unknown.
            for key in ["url", "credentials", "path", "baud"] {
                reader.ignore(key);
            }
            None
        }
    };
    reader.finish(Unknown::Error);
    let name = name?;
    Some(RelayFile {
        relay: driver.map(|driver| Relay {
            name: RelayName::new(&name.0),
            // The lab's default is known once all files are read.
            dispatcher: DispatcherName::new(
                dispatcher
                    .as_ref()
                    .map_or(DEFAULT_DISPATCHER, |(name, _)| name),
            ),
            driver,
            timeout,
        }),
        name,
        dispatcher,
        port,
    })
}

fn credentials(reader: &mut MapReader<'_>) -> Option<(String, String)> {
    let mut reader = reader.optional("credentials").map("`credentials`")?;
    let user = reader.required("user").text();
    let password = reader.required("password").text();
    reader.finish(Unknown::Error);
    Some((user?, password?))
}
