//! File, environment and command line, put together.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use basalt_server::{Keep, Limits, UnsafeLimits};
use basalt_yaml::{Diagnostics, Source, Span};

use super::file::{self, File, TlsWord};
use super::{Configuration, DEFAULT_LISTEN, DatabaseUrl, Embedded, Origin, Setting, Tls};
use crate::arguments::ServerSettings;
use crate::exit::refused;
use crate::terminal::Terminal;

/// No settings' file is larger.
const LARGEST_FILE: usize = 1 << 20;

/// The environment, as a function so that tests have their own.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// What was read, and what is wrong in it.
#[derive(Debug)]
pub struct Reading {
    /// The file that was read.
    pub path: Option<PathBuf>,
    /// What holds, if nothing is wrong.
    pub configuration: Option<Configuration>,
    /// What is wrong. Variables and options count as files of their own.
    pub diagnostics: Diagnostics,
    /// The file's text.
    pub sources: Vec<Source>,
}

impl Reading {
    /// What holds; mistakes are shown on standard error, and are an error.
    pub fn settle(self, terminal: &Terminal) -> anyhow::Result<Configuration> {
        if !self.diagnostics.is_empty() {
            let text = self.diagnostics.render(&self.sources, terminal.error_color);
            terminal.note_raw(&text);
        }
        self.configuration
            .ok_or_else(|| refused("the settings have mistakes; nothing was started"))
    }

    /// Where a setting comes from, for people.
    pub fn origin(&self, origin: Origin) -> String {
        match origin {
            Origin::Default => "default".into(),
            Origin::File(span) => {
                let name = self.diagnostics.file_name(span.source);
                format!("{}:{}", name.unwrap_or("the file"), span.line)
            }
            Origin::Variable(name) => name.into(),
            Origin::Argument(name) => name.into(),
        }
    }
}

/// Reads the settings. `state` is the option that all verbs have.
///
/// # Errors
/// The file cannot be read at all. What is wrong in it is among the diagnostics.
pub fn read(
    arguments: &ServerSettings,
    state: Option<&Path>,
    environment: Environment<'_>,
) -> anyhow::Result<Reading> {
    let mut diagnostics = Diagnostics::new();
    let mut sources = Vec::new();
    let path = find(arguments, environment);
    let mut file = File::default();
    if let Some(path) = &path {
        let name = path.display().to_string();
        let text = read_text(path)?;
        if let Some(node) = basalt_yaml::parse_own_file(&name, &text, &mut diagnostics) {
            file = file::read(&node, &mut diagnostics);
        }
        sources.push(Source { name, text });
    }
    let beside = path
        .as_deref()
        .and_then(Path::parent)
        .unwrap_or(Path::new(""))
        .to_owned();
    let mut merge = Merge {
        environment,
        diagnostics: &mut diagnostics,
        beside,
    };
    let configuration = merge.everything(arguments, state, file);
    let configuration = configuration.filter(|_| !diagnostics.has_errors());
    Ok(Reading {
        path,
        configuration,
        diagnostics,
        sources,
    })
}

/// The settings' file: the one that was named, else the usual one if it is there.
fn find(arguments: &ServerSettings, environment: Environment<'_>) -> Option<PathBuf> {
    let set = |name| environment(name).filter(|value| !value.is_empty());
    let named = arguments
        .config
        .clone()
        .or_else(|| set("BASALT_CONFIG").map(PathBuf::from));
    let usual = || {
        let own = |name| {
            set(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let directory = match rustix::process::geteuid().is_root() {
            true => PathBuf::from("/etc"),
            false => {
                own("XDG_CONFIG_HOME").or_else(|| own("HOME").map(|home| home.join(".config")))?
            }
        };
        Some(directory.join("basalt/server.yaml")).filter(|path| path.is_file())
    };
    named.or_else(usual)
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    let failed = |why: String| refused(format!("cannot read {}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    if bytes.len() > LARGEST_FILE {
        return Err(failed("it is far too large for a settings' file".into()));
    }
    String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8".into()))
}

struct Merge<'m, 'e> {
    environment: Environment<'e>,
    diagnostics: &'m mut Diagnostics,
    /// Where relative paths of the file begin.
    beside: PathBuf,
}

/// A value of the command line and the option's name.
type Argument<T> = (Option<T>, &'static str);

impl Merge<'_, '_> {
    fn everything(
        &mut self,
        arguments: &ServerSettings,
        state: Option<&Path>,
        file: File,
    ) -> Option<Configuration> {
        let limits = Limits::default();
        let lab = self.path((arguments.lab.clone(), "--lab"), "BASALT_LAB", file.lab);
        let lab = match lab.value {
            Some(value) => Some(Setting {
                value,
                origin: lab.origin,
            }),
            None => {
                let place = self.diagnostics.whole_file();
                self.diagnostics
                    .error(place, "nobody says which lab is served")
                    .with_hint("give its directory by --lab, BASALT_LAB, or `lab:` in the file");
                None
            }
        };
        // The option of all verbs has looked into BASALT_STATE already.
        let from_variable = (self.environment)("BASALT_STATE").map(PathBuf::from);
        let is_variable = from_variable.as_deref() == state;
        let state = match is_variable {
            true => None,
            false => state.map(Path::to_owned),
        };
        let state = self.path((state, "--state"), "BASALT_STATE", file.state);
        let listen = self.listen(arguments, file.listen);
        let database = self.text(
            (arguments.database.clone(), "--database"),
            "BASALT_DATABASE",
            file.database,
        );
        let database = self.database(database);
        let objects = self.path(
            (arguments.objects.clone(), "--objects"),
            "BASALT_OBJECTS",
            file.objects,
        );
        let public_url = self.text(
            (arguments.public_url.clone(), "--public-url"),
            "BASALT_PUBLIC_URL",
            file.public_url,
        );
        let public_url = self.public_url(public_url);
        let certificate = self.path(
            (arguments.tls_certificate.clone(), "--tls-certificate"),
            "BASALT_TLS_CERTIFICATE",
            file.tls_certificate,
        );
        let key = self.path(
            (arguments.tls_key.clone(), "--tls-key"),
            "BASALT_TLS_KEY",
            file.tls_key,
        );
        let tls = self.tls(
            (arguments.tls.as_deref(), "--tls"),
            file.tls,
            certificate,
            key,
        );
        let webhook_hosts = self.webhook_hosts(file.webhook_hosts);
        let dispatcher =
            self.dispatcher(arguments, file.dispatcher_start, file.dispatcher_start_with);
        let heartbeat = self.duration("BASALT_HEARTBEAT", file.heartbeat, limits.heartbeat);
        let offline_limit = self.duration(
            "BASALT_OFFLINE_LIMIT",
            file.offline_limit,
            limits.offline_limit,
        );
        let margin = self.duration("BASALT_MARGIN", file.margin, limits.margin);
        let keep = Keep::default();
        let keep_deliveries = self.kept(
            "BASALT_KEEP_DELIVERIES",
            file.keep_deliveries,
            keep.deliveries,
        );
        let keep_audit = self.kept("BASALT_KEEP_AUDIT", file.keep_audit, keep.audit);
        let configuration = Configuration {
            lab: lab?,
            state,
            listen,
            database,
            objects,
            public_url,
            tls: tls?,
            webhook_hosts,
            dispatcher,
            heartbeat,
            offline_limit,
            margin,
            keep_deliveries,
            keep_audit,
        };
        self.together(&configuration);
        Some(configuration)
    }

    /// What is wrong only with several settings together.
    fn together(&mut self, configuration: &Configuration) {
        if let Err(error) = configuration.limits().check() {
            let origin = match error {
                UnsafeLimits::OfflineLimit { .. } => configuration.offline_limit.origin,
                UnsafeLimits::Margin { .. } => configuration.margin.origin,
                UnsafeLimits::Heartbeat => configuration.heartbeat.origin,
            };
            self.error(origin, error.to_string(), Some("two could hold one board"));
        }
        if configuration.tls.value != Tls::Off {
            return;
        }
        let listen = &configuration.listen;
        for address in listen.value.iter().filter(|one| !one.ip().is_loopback()) {
            self.error(
                listen.origin,
                format!("{address} is not this host's alone, and TLS is off: tokens could be read"),
                Some("set `tls` to self-signed, files, or proxy"),
            );
        }
    }

    fn error(&mut self, origin: Origin, message: String, hint: Option<&str>) {
        let place = match origin {
            Origin::File(span) => span,
            Origin::Variable(name) | Origin::Argument(name) => self.outside(name),
            Origin::Default => self.diagnostics.whole_file(),
        };
        let diagnostic = self.diagnostics.error(place, message);
        if let Some(hint) = hint {
            diagnostic.with_hint(hint);
        }
    }

    /// The place of what stands in no file.
    fn outside(&mut self, name: &'static str) -> Span {
        let before = self.diagnostics.current_file();
        let before = self.diagnostics.file_name(before).map(str::to_owned);
        self.diagnostics.enter_file(name);
        let place = self.diagnostics.whole_file();
        if let Some(before) = before {
            self.diagnostics.enter_file(before);
        }
        place
    }

    /// A variable that is set, as text.
    fn variable(&mut self, name: &'static str) -> Option<String> {
        let value = (self.environment)(name).filter(|value| !value.is_empty())?;
        match value.into_string() {
            Ok(text) => Some(text),
            Err(_) => {
                self.error(Origin::Variable(name), "it is not UTF-8".into(), None);
                None
            }
        }
    }

    fn text(
        &mut self,
        argument: Argument<String>,
        variable: &'static str,
        file: Option<(String, Span)>,
    ) -> Setting<Option<String>> {
        let from_variable = self.variable(variable);
        pick(argument, (from_variable, variable), file)
    }

    fn path(
        &mut self,
        argument: Argument<PathBuf>,
        variable: &'static str,
        file: Option<(PathBuf, Span)>,
    ) -> Setting<Option<PathBuf>> {
        let from_variable = (self.environment)(variable)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from);
        let file = file.map(|(path, span)| (self.beside.join(path), span));
        pick(argument, (from_variable, variable), file)
    }

    fn duration(
        &mut self,
        variable: &'static str,
        file: Option<(Duration, Span)>,
        usual: Duration,
    ) -> Setting<Duration> {
        let from_variable = self.variable(variable).and_then(|text| {
            basalt_yaml::parse_duration(&text)
                .map_err(|error| self.error(Origin::Variable(variable), error.to_string(), None))
                .ok()
        });
        settle(pick((None, ""), (from_variable, variable), file), || usual)
    }

    /// How long something is kept; `None` for ever.
    fn kept(
        &mut self,
        variable: &'static str,
        file: Option<(Option<Duration>, Span)>,
        usual: Option<Duration>,
    ) -> Setting<Option<Duration>> {
        let from_variable = self.variable(variable).and_then(|text| {
            file::kept(&text)
                .map_err(|error| self.error(Origin::Variable(variable), error, None))
                .ok()
        });
        settle(pick((None, ""), (from_variable, variable), file), || usual)
    }

    fn listen(
        &mut self,
        arguments: &ServerSettings,
        file: Option<(Vec<SocketAddr>, Span)>,
    ) -> Setting<Vec<SocketAddr>> {
        let given = (!arguments.listen.is_empty()).then(|| arguments.listen.join(","));
        let argument = given.and_then(|text| self.addresses(&text, Origin::Argument("--listen")));
        let variable = self
            .variable("BASALT_LISTEN")
            .and_then(|text| self.addresses(&text, Origin::Variable("BASALT_LISTEN")));
        let picked = pick((argument, "--listen"), (variable, "BASALT_LISTEN"), file);
        let listen = settle(picked, || {
            vec![DEFAULT_LISTEN.parse().expect("the default is an address")]
        });
        if listen.value.is_empty() {
            self.error(listen.origin, "nowhere to listen".into(), None);
        }
        listen
    }

    fn addresses(&mut self, text: &str, origin: Origin) -> Option<Vec<SocketAddr>> {
        let mut addresses = Vec::new();
        for word in text.split(',').map(str::trim) {
            match file::address(word) {
                Ok(address) => addresses.push(address),
                Err(hint) => {
                    let message = format!("`{word}` is no address and port");
                    self.error(origin, message, Some(&hint));
                }
            }
        }
        Some(addresses).filter(|addresses| !addresses.is_empty())
    }

    fn database(&mut self, url: Setting<Option<String>>) -> Setting<Option<DatabaseUrl>> {
        if let Some(url_text) = &url.value {
            let known = ["sqlite:", "postgres://", "postgresql://"];
            if !known.iter().any(|scheme| url_text.starts_with(scheme)) {
                // Its line is named and not shown: a password may stand in it.
                let (origin, place) = match url.origin {
                    Origin::File(span) => {
                        let whole = Span {
                            source: span.source,
                            ..Span::default()
                        };
                        (Origin::File(whole), format!(" on line {}", span.line))
                    }
                    origin => (origin, String::new()),
                };
                self.error(
                    origin,
                    format!("the database{place} is none that is known"),
                    Some("there are sqlite:///FILE and postgres://USER:PASSWORD@HOST/NAME"),
                );
            }
        }
        Setting {
            value: url.value.map(DatabaseUrl),
            origin: url.origin,
        }
    }

    fn public_url(&mut self, url: Setting<Option<String>>) -> Setting<Option<String>> {
        let Some(text) = &url.value else { return url };
        let host = ["http://", "https://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        if host
            .is_none_or(|host| host.trim_matches('/').is_empty() || host.contains(['?', '#', ' ']))
        {
            let message = format!("`{text}` is no address of pages");
            self.error(url.origin, message, Some("write it as https://lab.example"));
        }
        Setting {
            value: Some(text.trim_end_matches('/').to_owned()),
            origin: url.origin,
        }
    }

    fn tls(
        &mut self,
        (argument, name): (Option<&str>, &'static str),
        file: Option<(TlsWord, Span)>,
        certificate: Setting<Option<PathBuf>>,
        key: Setting<Option<PathBuf>>,
    ) -> Option<Setting<Tls>> {
        let argument = argument
            .map(str::to_owned)
            .and_then(|text| self.tls_word(&text, Origin::Argument(name)));
        let variable = self
            .variable("BASALT_TLS")
            .and_then(|text| self.tls_word(&text, Origin::Variable("BASALT_TLS")));
        let how = pick((argument, name), (variable, "BASALT_TLS"), file);
        let files_given = certificate.value.is_some() || key.value.is_some();
        let word = match how.value {
            Some(word) => word,
            // Whoever names a certificate wants it to be used.
            None if files_given => TlsWord::Files,
            None => TlsWord::Off,
        };
        let value = match word {
            TlsWord::Off => Tls::Off,
            TlsWord::Proxy => Tls::Proxy,
            TlsWord::SelfSigned => Tls::SelfSigned,
            TlsWord::Files => {
                let origin = match how.origin {
                    Origin::Default if certificate.value.is_some() => certificate.origin,
                    Origin::Default => key.origin,
                    origin => origin,
                };
                let (Some(certificate), Some(key)) = (certificate.value, key.value) else {
                    let message = "TLS by files needs both a certificate and its key".to_owned();
                    self.error(origin, message, Some("name the other one too"));
                    return None;
                };
                let value = Tls::Files { certificate, key };
                return Some(Setting { value, origin });
            }
        };
        if files_given {
            let origin = match certificate.value.is_some() {
                true => certificate.origin,
                false => key.origin,
            };
            let message = "a certificate is named, and another way of TLS is asked for".to_owned();
            self.error(
                origin,
                message,
                Some("set `tls` to files, or leave the files out"),
            );
        }
        Some(Setting {
            value,
            origin: how.origin,
        })
    }

    fn tls_word(&mut self, text: &str, origin: Origin) -> Option<TlsWord> {
        let found = TlsWord::WORDS.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<&str> = TlsWord::WORDS.iter().map(|(word, _)| *word).collect();
            let hint = format!("there are {}", words.join(", "));
            let message = format!("`{text}` is no way of TLS");
            self.error(origin, message, Some(&hint));
        }
        found.map(|(_, word)| *word)
    }

    fn webhook_hosts(&mut self, file: Option<(Vec<String>, Span)>) -> Setting<Vec<String>> {
        let name = "BASALT_WEBHOOK_HOSTS";
        let variable = self.variable(name).map(|text| {
            let hosts = text.split(',').map(|host| host.trim().to_owned());
            hosts.filter(|host| !host.is_empty()).collect()
        });
        settle(pick((None, ""), (variable, name), file), Vec::new)
    }

    fn dispatcher(
        &mut self,
        arguments: &ServerSettings,
        start: Option<(bool, Span)>,
        start_with: Option<(Vec<String>, Span)>,
    ) -> Embedded {
        let variable = self.variable("BASALT_DISPATCHER").and_then(|text| {
            let origin = Origin::Variable("BASALT_DISPATCHER");
            text.parse()
                .map_err(|_| self.error(origin, "this is neither true nor false".into(), None))
                .ok()
        });
        let argument = arguments.no_dispatcher.then_some(false);
        let start = pick(
            (argument, "--no-dispatcher"),
            (variable, "BASALT_DISPATCHER"),
            start,
        );
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let argument = arguments.dispatcher_start_with.as_deref().map(words);
        let name = "BASALT_DISPATCHER_START_WITH";
        let variable = self.variable(name).as_deref().map(words);
        let start_with = pick(
            (argument, "--dispatcher-start-with"),
            (variable, name),
            start_with,
        );
        Embedded {
            start: settle(start, || true),
            start_with: settle(start_with, Vec::new),
        }
    }
}

/// The command line before the environment before the file.
fn pick<T>(
    (argument, argument_name): Argument<T>,
    (variable, variable_name): Argument<T>,
    file: Option<(T, Span)>,
) -> Setting<Option<T>> {
    let (value, origin) = match (argument, variable, file) {
        (Some(value), _, _) => (Some(value), Origin::Argument(argument_name)),
        (None, Some(value), _) => (Some(value), Origin::Variable(variable_name)),
        (None, None, Some((value, span))) => (Some(value), Origin::File(span)),
        (None, None, None) => (None, Origin::Default),
    };
    Setting { value, origin }
}

/// What holds where nobody said anything.
fn settle<T>(setting: Setting<Option<T>>, usual: impl FnOnce() -> T) -> Setting<T> {
    Setting {
        value: setting.value.unwrap_or_else(usual),
        origin: setting.origin,
    }
}
