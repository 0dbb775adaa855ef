//! The settings of `basalt serve`: a file, the environment, the command line, in this order of
//! growing weight, read together so that every mistake comes at once.
//!
//! - [`file`] reads the file; the environment and the command line are read here. Each setting
//!   knows where it comes from, for `basalt config check` and for mistakes that show only when
//!   settings are seen together.
//!
//! Not done here: what the settings are for. Nothing is opened but the file itself.

mod file;
mod read;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use basalt_server::{Keep, Limits};
use basalt_yaml::Span;

pub use read::read;

/// A settings file with every setting explained.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// The word for what is never removed.
pub const FOREVER: &str = "forever";

/// Where a server listens if nobody says.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7270";

/// Where a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The file.
    File(Span),
    /// A variable of the environment.
    Variable(&'static str),
    /// An option of the command line.
    Argument(&'static str),
}

/// A setting and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// What holds.
    pub value: T,
    /// Who said so.
    pub origin: Origin,
}

/// The address of a database. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(pub String);

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return f.write_str("…");
        };
        // A password may stand before the host, and after `password=`.
        let (place, query) = match rest.split_once('?') {
            Some((place, _)) => (place, "?…"),
            None => (rest, ""),
        };
        match place.rsplit_once('@') {
            Some((who, host)) => {
                let user = who.split(':').next().unwrap_or_default();
                let password = if user.len() < who.len() { ":…" } else { "" };
                write!(f, "{scheme}://{user}{password}@{host}{query}")
            }
            None => write!(f, "{scheme}://{place}{query}"),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How TLS is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: this host only.
    Off,
    /// By another program in front, which hands on plain HTTP.
    Proxy,
    /// With a certificate that the server makes for itself, once.
    SelfSigned,
    /// With a certificate of its own.
    Files {
        /// PEM, the server's first.
        certificate: PathBuf,
        /// PEM.
        key: PathBuf,
    },
}

impl Tls {
    /// Whether the server itself speaks TLS.
    pub fn is_spoken(&self) -> bool {
        matches!(self, Self::SelfSigned | Self::Files { .. })
    }
}

/// The dispatcher beside the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// It is started.
    pub start: Setting<bool>,
    /// The words before its own command; empty for none.
    pub start_with: Setting<Vec<String>>,
}

/// The settings of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// The lab's directory.
    pub lab: Setting<PathBuf>,
    /// The state directory; `None` for the usual one of the lab.
    pub state: Setting<Option<PathBuf>>,
    /// Where to listen.
    pub listen: Setting<Vec<SocketAddr>>,
    /// The database; `None` for SQLite in the state directory.
    pub database: Setting<Option<DatabaseUrl>>,
    /// Logs and files of runs; `None` for a directory in the state directory.
    pub objects: Setting<Option<PathBuf>>,
    /// The address that people use; `None` for where it listens.
    pub public_url: Setting<Option<String>>,
    /// TLS.
    pub tls: Setting<Tls>,
    /// Hosts that webhooks may be sent to although they are loopback, link-local or
    /// private.
    pub webhook_hosts: Setting<Vec<String>>,
    /// The dispatcher beside the server.
    pub dispatcher: Embedded,
    /// How often dispatchers say that they live.
    pub heartbeat: Setting<std::time::Duration>,
    /// When a silent one ends its runs.
    pub offline_limit: Setting<std::time::Duration>,
    /// How much longer the server waits.
    pub margin: Setting<std::time::Duration>,
    /// How long deliveries of webhooks are kept; `None` for ever.
    pub keep_deliveries: Setting<Option<std::time::Duration>>,
    /// How long the audit is kept; `None` for ever.
    pub keep_audit: Setting<Option<std::time::Duration>>,
}

impl Configuration {
    /// The three limits of decision D2.
    pub fn limits(&self) -> Limits {
        Limits {
            heartbeat: self.heartbeat.value,
            offline_limit: self.offline_limit.value,
            margin: self.margin.value,
        }
    }

    /// How long things are kept.
    pub fn keep(&self) -> Keep {
        Keep {
            deliveries: self.keep_deliveries.value,
            audit: self.keep_audit.value,
        }
    }

    /// Every setting by its name in the file, what holds, and where it comes from.
    pub fn rows(&self) -> Vec<(&'static str, String, Origin)> {
        fn row<T>(
            name: &'static str,
            setting: &Setting<T>,
            show: impl Fn(&T) -> String,
        ) -> (&'static str, String, Origin) {
            (name, show(&setting.value), setting.origin)
        }
        let path = |path: &PathBuf| path.display().to_string();
        let directory = |path: &Option<PathBuf>, none: &str| match path {
            Some(path) => path.display().to_string(),
            None => none.to_owned(),
        };
        let duration = |time: &std::time::Duration| basalt_yaml::format_duration(*time);
        let kept = |time: &Option<std::time::Duration>| {
            time.map_or_else(|| FOREVER.to_owned(), basalt_yaml::format_duration)
        };
        vec![
            row("lab", &self.lab, path),
            row("state", &self.state, |state| {
                directory(state, "the usual one of the lab")
            }),
            row("listen", &self.listen, |addresses| {
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                addresses.join(", ")
            }),
            row("database", &self.database, |database| {
                let sqlite = || "SQLite in the state directory".to_owned();
                database.as_ref().map_or_else(sqlite, ToString::to_string)
            }),
            row("objects", &self.objects, |objects| {
                directory(objects, "in the state directory")
            }),
            row("public_url", &self.public_url, |url| {
                url.clone().unwrap_or_else(|| "where it listens".into())
            }),
            row("tls", &self.tls, |tls| match tls {
                Tls::Off => "off".into(),
                Tls::Proxy => "proxy".into(),
                Tls::SelfSigned => "self-signed".into(),
                Tls::Files { certificate, .. } => path(certificate),
            }),
            row(
                "webhooks.allow_hosts",
                &self.webhook_hosts,
                |hosts| match hosts.is_empty() {
                    true => "none".into(),
                    false => hosts.join(", "),
                },
            ),
            row("dispatcher.start", &self.dispatcher.start, bool::to_string),
            row(
                "dispatcher.start_with",
                &self.dispatcher.start_with,
                |words| match words.is_empty() {
                    true => "nothing".into(),
                    false => words.join(" "),
                },
            ),
            row("limits.heartbeat", &self.heartbeat, duration),
            row("limits.offline_limit", &self.offline_limit, duration),
            row("limits.margin", &self.margin, duration),
            row("keep.deliveries", &self.keep_deliveries, kept),
            row("keep.audit", &self.keep_audit, kept),
        ]
    }
}
