//! The settings' file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::FOREVER;
use basalt_yaml::{Diagnostics, Field, MapReader, Node, Span, Unknown};

/// What a file says, each value with its place.
#[derive(Debug, Default)]
pub(super) struct File {
    pub lab: Option<(PathBuf, Span)>,
    pub state: Option<(PathBuf, Span)>,
    pub listen: Option<(Vec<SocketAddr>, Span)>,
    pub database: Option<(String, Span)>,
    pub objects: Option<(PathBuf, Span)>,
    pub public_url: Option<(String, Span)>,
    pub tls: Option<(TlsWord, Span)>,
    pub tls_certificate: Option<(PathBuf, Span)>,
    pub tls_key: Option<(PathBuf, Span)>,
    pub webhook_hosts: Option<(Vec<String>, Span)>,
    pub dispatcher_start: Option<(bool, Span)>,
    pub dispatcher_start_with: Option<(Vec<String>, Span)>,
    pub heartbeat: Option<(Duration, Span)>,
    pub offline_limit: Option<(Duration, Span)>,
    pub margin: Option<(Duration, Span)>,
    pub keep_deliveries: Option<(Option<Duration>, Span)>,
    pub keep_audit: Option<(Option<Duration>, Span)>,
}

/// How TLS is spoken, before its files are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsWord {
    Off,
    Proxy,
    SelfSigned,
    Files,
}

impl TlsWord {
    pub(super) const WORDS: &[(&'static str, Self)] = &[
        ("off", Self::Off),
        ("proxy", Self::Proxy),
        ("self-signed", Self::SelfSigned),
        ("files", Self::Files),
    ];
}

pub(super) fn read(node: &Node, diagnostics: &mut Diagnostics) -> File {
    let Some(mut reader) = MapReader::new(node, "the settings", diagnostics) else {
        return File::default();
    };
    reader.version(&[1]);
    let mut file = File {
        lab: path(reader.optional("lab")),
        state: path(reader.optional("state")),
        listen: reader
            .optional("listen")
            .spanned(|field| field.each(|field| field.parsed("an address", address))),
        database: reader.optional("database").spanned(Field::text),
        objects: path(reader.optional("objects")),
        public_url: reader.optional("public_url").spanned(Field::text),
        ..File::default()
    };
    if let Some(mut tls) = reader.optional("tls").map("`tls`") {
        file.tls = tls
            .required("how")
            .spanned(|field| field.word(TlsWord::WORDS));
        file.tls_certificate = path(tls.optional("certificate"));
        file.tls_key = path(tls.optional("key"));
        tls.finish(Unknown::Error);
    }
    if let Some(mut webhooks) = reader.optional("webhooks").map("`webhooks`") {
        file.webhook_hosts = webhooks.optional("allow_hosts").spanned(Field::texts);
        webhooks.finish(Unknown::Error);
    }
    if let Some(mut dispatcher) = reader.optional("dispatcher").map("`dispatcher`") {
        file.dispatcher_start = dispatcher.optional("start").spanned(Field::bool_strict);
        file.dispatcher_start_with = dispatcher.optional("start_with").spanned(Field::texts);
        dispatcher.finish(Unknown::Error);
    }
    if let Some(mut limits) = reader.optional("limits").map("`limits`") {
        file.heartbeat = limits.optional("heartbeat").spanned(Field::duration);
        file.offline_limit = limits.optional("offline_limit").spanned(Field::duration);
        file.margin = limits.optional("margin").spanned(Field::duration);
        limits.finish(Unknown::Error);
    }
    if let Some(mut keep) = reader.optional("keep").map("`keep`") {
        let time = |field: Field<'_>| {
            field.spanned(|field| field.parsed("a duration such as `90d`, or `forever`", kept))
        };
        file.keep_deliveries = time(keep.optional("deliveries"));
        file.keep_audit = time(keep.optional("audit"));
        keep.finish(Unknown::Error);
    }
    reader.finish(Unknown::Error);
    file
}

fn path(field: Field<'_>) -> Option<(PathBuf, Span)> {
    let (text, span) = field.spanned(Field::text)?;
    Some((text.into(), span))
}

/// How long something is kept; `None` for ever.
pub(super) fn kept(text: &str) -> Result<Option<Duration>, String> {
    if text == FOREVER {
        return Ok(None);
    }
    match basalt_yaml::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("nothing is kept for no time".to_owned()),
        Ok(time) => Ok(Some(time)),
        Err(error) => Err(error.to_string()),
    }
}

/// An address and a port. Names are refused: what they stand for changes.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "write it as 127.0.0.1:7270, [::1]:7270, or 0.0.0.0:7270 for all of IPv4".to_owned()
    })
}
