use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::read::{Reading, read};
use super::*;
use crate::arguments::ServerSettings;

struct Case {
    directory: tempfile::TempDir,
    variables: HashMap<String, OsString>,
    arguments: ServerSettings,
}

impl Case {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.yaml");
        std::fs::write(&path, text).unwrap();
        let arguments = ServerSettings {
            config: Some(path),
            ..ServerSettings::default()
        };
        Self {
            directory,
            variables: HashMap::new(),
            arguments,
        }
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    fn read(&self) -> Reading {
        read(&self.arguments, None, &|name| {
            self.variables.get(name).cloned()
        })
        .unwrap()
    }

    /// What is wrong, with the file's directory out of sight.
    fn mistakes(&self) -> String {
        let reading = self.read();
        assert!(reading.configuration.is_none());
        let text = reading.diagnostics.render(&reading.sources, false);
        text.replace(&*self.directory.path().to_string_lossy(), "DIR")
    }

    fn good(&self) -> Configuration {
        let reading = self.read();
        let text = reading.diagnostics.render(&reading.sources, false);
        reading.configuration.unwrap_or_else(|| panic!("{text}"))
    }
}

#[test]
fn the_example_holds_and_is_the_default() {
    let example = Case::new(EXAMPLE).good();
    let nothing = Case::new("version: 1\nlab: lab\n").good();
    let values = |configuration: &Configuration| {
        let rows = configuration.rows().into_iter();
        rows.filter(|(name, _, _)| *name != "lab")
            .map(|(name, value, _)| (name, value))
            .collect::<Vec<_>>()
    };
    assert_eq!(values(&example), values(&nothing));
    // What is commented out is right too, once it is not.
    let everything: String = EXAMPLE
        .lines()
        .map(|line| {
            let setting = line.strip_prefix('#').filter(|rest| {
                rest.starts_with(|first: char| first.is_ascii_lowercase())
                    || rest.starts_with("  how")
                    || rest.starts_with("  certificate")
                    || rest.starts_with("  key")
            });
            format!("{}\n", setting.unwrap_or(line))
        })
        .collect();
    let everything = Case::new(&everything).good();
    assert!(
        everything
            .rows()
            .iter()
            .all(|(_, _, origin)| matches!(origin, Origin::File(_)))
    );
    assert!(everything.tls.value.is_spoken());
}

#[test]
fn what_is_kept_has_a_time_or_none() {
    let day = Duration::from_secs(24 * 3600);
    let text = "version: 1\nlab: lab\nkeep: {deliveries: forever, audit: 400d}\n";
    let keep = Case::new(text).good().keep();
    assert_eq!((keep.deliveries, keep.audit), (None, Some(400 * day)));
    let keep = Case::new("version: 1\nlab: lab\n")
        .set("BASALT_KEEP_AUDIT", "90d")
        .good()
        .keep();
    assert_eq!(
        (keep.deliveries, keep.audit),
        (Some(30 * day), Some(90 * day))
    );
    let wrong = Case::new("version: 1\nlab: lab\nkeep: {audit: 0s}\n").mistakes();
    assert!(wrong.contains("for no time"), "{wrong}");
}

#[test]
fn the_command_line_comes_before_the_environment_before_the_file() {
    let text = "version: 1\nlab: from-file\nlisten: ['127.0.0.1:1']\nlimits: {margin: 31s}\n";
    let mut case = Case::new(text)
        .set("BASALT_LISTEN", "127.0.0.1:2, [::1]:2")
        .set("BASALT_LAB", "/from/variable")
        .set("BASALT_DISPATCHER_START_WITH", "ip netns exec rack");
    case.arguments.lab = Some("from-argument".into());
    let configuration = case.good();
    assert_eq!(configuration.lab.value, Path::new("from-argument"));
    assert_eq!(configuration.lab.origin, Origin::Argument("--lab"));
    let listen: Vec<_> = configuration
        .listen
        .value
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(listen, ["127.0.0.1:2", "[::1]:2"]);
    assert_eq!(
        configuration.listen.origin,
        Origin::Variable("BASALT_LISTEN")
    );
    assert_eq!(configuration.margin.value, Duration::from_secs(31));
    assert_eq!(
        configuration.dispatcher.start_with.value,
        ["ip", "netns", "exec", "rack"]
    );
    case.arguments.lab = None;
    case.variables.clear();
    let beside = case.directory.path().join("from-file");
    assert_eq!(case.good().lab.value, beside);
}

#[test]
fn mistakes_of_file_environment_and_command_line_come_at_once() {
    let mut case = Case::new(
        "version: 1\nlisten: [localhost:7270]\ntls: {how: self-sined}\ndatabase: mysql://root:secret@db/x\n\
         dispatcher: {start: yes}\nlimits: {heartbeat: 60, offline_limit: 5s}\nqueue: fast\n",
    )
    .set("BASALT_LISTEN", "everywhere")
    .set("BASALT_MARGIN", "a while");
    case.arguments.public_url = Some("lab.example".into());
    let mistakes = case.mistakes();
    assert!(!mistakes.contains("secret"), "{mistakes}");
    insta::assert_snapshot!(mistakes);
}

#[test]
fn what_is_wrong_only_together_is_said_where_it_stands() {
    let case = Case::new(
        "version: 1\nlab: lab\nlisten:\n  - 127.0.0.1:7270\n  - 10.0.0.1:7270\nlimits:\n  heartbeat: 10s\n  offline_limit: 20s\n",
    );
    insta::assert_snapshot!(case.mistakes());
    let open = "version: 1\nlab: lab\nlisten: ['0.0.0.0:7270']\ntls: {how: proxy}\n";
    assert_eq!(Case::new(open).good().tls.value, Tls::Proxy);
    let half = Case::new("version: 1\nlab: lab\n").set("BASALT_TLS_KEY", "key.pem");
    insta::assert_snapshot!(half.mistakes());
}

#[test]
fn a_database_is_shown_without_its_password() {
    for (url, shown) in [
        (
            "postgres://basalt:pass@word@db:5432/lab",
            "postgres://basalt:…@db:5432/lab",
        ),
        (
            "postgres://basalt@/lab?host=/run&password=x",
            "postgres://basalt@/lab?…",
        ),
        ("sqlite:///srv/basalt.db", "sqlite:///srv/basalt.db"),
        ("nonsense", "…"),
    ] {
        assert_eq!(DatabaseUrl(url.into()).to_string(), shown);
        assert_eq!(format!("{:?}", DatabaseUrl(url.into())), shown);
    }
}
