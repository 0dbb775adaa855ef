//! What is another between two labs, in words: for whoever is about to apply one over the other.
//!
//! Types are compared by what they give to boards: [`Lab`] keeps no more of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use basalt_yaml::format_duration;
use serde::{Deserialize, Serialize};

use crate::profile::{
    BoardProfile, ConsoleSource, DispatcherProfile, Lab, Relay, RelayDriver, ShellProfile,
    UBootProfile,
};

/// Values that are longer than this are only said to be another.
const LONGEST_VALUE: usize = 60;

/// One thing that was added, removed or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What kind of thing it is.
    pub subject: Subject,
    /// Its name.
    pub name: String,
    /// What happened to it.
    pub action: Action,
    /// The particulars, each a few words: `console: tcp a:7001 → tcp a:7002`. For an added thing,
    /// what it is like. Secrets are never in them.
    pub words: Vec<String>,
}

/// A kind of thing in a lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The lab itself.
    Lab,
    /// A dispatcher.
    Dispatcher,
    /// A relay.
    Relay,
    /// A type of boards.
    DeviceType,
    /// A board.
    Board,
}

/// What happened to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another than before.
    Changed,
}

impl Subject {
    /// The words for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lab => "lab",
            Self::Dispatcher => "dispatcher",
            Self::Relay => "relay",
            Self::DeviceType => "device type",
            Self::Board => "board",
        }
    }
}

impl Action {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

impl std::fmt::Display for Change {
    /// `board qemu-1 changed: tags: rt → rt, fast`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (subject, action) = (self.subject.as_str(), self.action.as_str());
        write!(f, "{subject} {} {action}", self.name)?;
        match self.words.is_empty() {
            true => Ok(()),
            false => write!(f, ": {}", self.words.join("; ")),
        }
    }
}

/// What is another in `new` than in `old`: the lab itself, dispatchers, relays, types, boards, each
/// in the order of their names. Nothing if the labs are equal.
pub fn diff(old: &Lab, new: &Lab) -> Vec<Change> {
    let mut changes = Vec::new();
    let lab = |lab: &Lab| {
        vec![
            Field::shown("name", &lab.name),
            Field::shown("default dispatcher", &lab.default_dispatcher),
        ]
    };
    let words = differences(&lab(old), &lab(new));
    if !words.is_empty() {
        changes.push(Change {
            subject: Subject::Lab,
            name: new.name.clone(),
            action: Action::Changed,
            words,
        });
    }
    let dispatchers = |lab: &Lab| things(&lab.dispatchers, |one| one.name.to_string(), dispatcher);
    let relays = |lab: &Lab| things(&lab.relays, |one| one.name.to_string(), relay);
    let boards = |lab: &Lab| {
        things(
            &lab.boards,
            |one| one.name.to_string(),
            |one| board(lab, one),
        )
    };
    changes.extend(compare(
        Subject::Dispatcher,
        &dispatchers(old),
        &dispatchers(new),
    ));
    changes.extend(compare(Subject::Relay, &relays(old), &relays(new)));
    let mut of_boards = compare(Subject::Board, &boards(old), &boards(new));
    changes.extend(of_types(old, new, &mut of_boards));
    changes.extend(of_boards);
    changes
}

/// One property of a thing.
#[derive(Clone, Debug, PartialEq)]
struct Field {
    key: String,
    value: String,
    /// It is never shown.
    is_secret: bool,
}

impl Field {
    fn shown(key: impl Into<String>, value: impl ToString) -> Self {
        Self {
            key: key.into(),
            value: value.to_string(),
            is_secret: false,
        }
    }

    fn is_short(&self) -> bool {
        !self.is_secret && self.value.chars().count() <= LONGEST_VALUE
    }
}

/// Things by their names, with their properties.
type Things = BTreeMap<String, Vec<Field>>;

fn things<T>(all: &[T], name: impl Fn(&T) -> String, fields: impl Fn(&T) -> Vec<Field>) -> Things {
    all.iter().map(|one| (name(one), fields(one))).collect()
}

fn compare(subject: Subject, old: &Things, new: &Things) -> Vec<Change> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |name: &String| {
        let (action, words) = match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) => {
                let words = differences(old, new);
                if words.is_empty() {
                    return None;
                }
                (Action::Changed, words)
            }
            (None, Some(new)) => (Action::Added, particulars(new)),
            _ => (Action::Removed, Vec::new()),
        };
        Some(Change {
            subject,
            name: name.clone(),
            action,
            words,
        })
    };
    names.into_iter().filter_map(change).collect()
}

/// The few particulars by which a new thing is known.
fn particulars(fields: &[Field]) -> Vec<String> {
    const TELLING: [&str; 9] = [
        "type",
        "tags",
        "dispatcher",
        "power",
        "console",
        "network address",
        "address",
        "driver",
        "at",
    ];
    fields
        .iter()
        .filter(|field| field.is_short() && TELLING.contains(&field.key.as_str()))
        .map(|field| format!("{}: {}", field.key, field.value))
        .collect()
}

/// The words of each property that is another; those that the new thing has come first.
fn differences(old: &[Field], new: &[Field]) -> Vec<String> {
    let find = |fields: &[Field], key: &str| fields.iter().find(|field| field.key == key).cloned();
    let mut found = Vec::new();
    for field in new {
        let key = &field.key;
        let words = match find(old, key) {
            // Also where a key comes twice, as a limit may in files that say it twice.
            _ if old.contains(field) => continue,
            Some(before) if before.is_short() && field.is_short() => {
                format!("{key}: {} → {}", before.value, field.value)
            }
            Some(_) => format!("{key}: changed"),
            None if field.is_short() => format!("{key}: now {}", field.value),
            None => format!("{key}: added"),
        };
        found.push(words);
    }
    for field in old {
        let key = &field.key;
        if find(new, key).is_none() {
            let words = match field.is_short() {
                true => format!("{key}: no more (was {})", field.value),
                false => format!("{key}: removed"),
            };
            found.push(words);
        }
    }
    found
}

/// Types that came into use or went out of it; and what has become another in the same way on all
/// boards of a type, which is then said once, and taken away from the boards.
fn of_types(old: &Lab, new: &Lab, of_boards: &mut Vec<Change>) -> Vec<Change> {
    let boards_of = |lab: &Lab| {
        let mut types: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for board in &lab.boards {
            let boards = types.entry(board.device_type.clone()).or_default();
            boards.insert(board.name.to_string());
        }
        types
    };
    let (before, after) = (boards_of(old), boards_of(new));
    let mut changes = Vec::new();
    for name in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let change = |action, words| Change {
            subject: Subject::DeviceType,
            name: name.clone(),
            action,
            words,
        };
        let (old_boards, new_boards) = match (before.get(name), after.get(name)) {
            (Some(old_boards), Some(new_boards)) => (old_boards, new_boards),
            (None, _) => {
                changes.push(change(Action::Added, Vec::new()));
                continue;
            }
            (_, None) => {
                changes.push(change(Action::Removed, Vec::new()));
                continue;
            }
        };
        let both: Vec<&String> = old_boards.intersection(new_boards).collect();
        let words = taken_together(&both, of_boards);
        if !words.is_empty() {
            changes.push(change(Action::Changed, words));
        }
    }
    of_boards.retain(|change| change.action != Action::Changed || !change.words.is_empty());
    changes
}

/// Takes the words that the changes of all these boards share, but for what is a board's own.
fn taken_together(boards: &[&String], changes: &mut [Change]) -> Vec<String> {
    let is_of =
        |change: &&mut Change| change.action == Action::Changed && boards.contains(&&change.name);
    let mut of_these: Vec<&mut Change> = changes.iter_mut().filter(is_of).collect();
    if boards.len() < 2 || of_these.len() < boards.len() {
        return Vec::new();
    }
    let shared: Vec<String> = of_these[0]
        .words
        .iter()
        .filter(|word| comes_from_types(word))
        .filter(|word| of_these.iter().all(|change| change.words.contains(word)))
        .cloned()
        .collect();
    for change in &mut of_these {
        change.words.retain(|word| !shared.contains(word));
    }
    shared
}

/// Whether a property usually stands in the type's file.
fn comes_from_types(word: &str) -> bool {
    [
        "off time",
        "character delay",
        "limit ",
        "u-boot ",
        "shell ",
        "timeout ",
    ]
    .iter()
    .any(|start| word.starts_with(start))
}

fn time(duration: Duration) -> String {
    format_duration(duration)
}

fn dispatcher(profile: &DispatcherProfile) -> Vec<Field> {
    let roots: Vec<String> = profile
        .file_roots
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    vec![
        Field::shown("address", profile.address),
        Field::shown("TFTP", profile.tftp_listen),
        Field::shown("NFS", profile.nfs_listen),
        Field::shown("file roots", list(&roots)),
        Field::shown("allowed hosts", list(&profile.allow_hosts)),
    ]
}

fn list(words: &[String]) -> String {
    match words.is_empty() {
        true => "none".to_owned(),
        false => words.join(", "),
    }
}

fn relay(relay: &Relay) -> Vec<Field> {
    let mut fields = vec![Field::shown("dispatcher", &relay.dispatcher)];
    match &relay.driver {
        RelayDriver::Tasmota { url, credentials } => {
            fields.push(Field::shown("driver", "tasmota"));
            fields.push(Field::shown("at", url));
            fields.extend(credentials.as_ref().map(|(user, password)| Field {
                key: "credentials".to_owned(),
                value: format!("{user}\n{password}"),
                is_secret: true,
            }));
        }
        RelayDriver::Commands { on, off } => {
            let shown = |commands: &[Vec<String>]| {
                let lines: Vec<String> = commands.iter().map(|words| words.join(" ")).collect();
                lines.join("; ")
            };
            fields.push(Field::shown("driver", "commands"));
            fields.push(Field::shown("on", shown(on)));
            fields.push(Field::shown("off", shown(off)));
        }
        RelayDriver::Lcus { path, baud } => {
            fields.push(Field::shown("driver", "lcus"));
            fields.push(Field::shown("at", format!("{} at {baud}", path.display())));
        }
    }
    fields.push(Field::shown("timeout", time(relay.timeout)));
    fields
}

fn board(lab: &Lab, board: &BoardProfile) -> Vec<Field> {
    let mut fields = vec![
        Field::shown("type", &board.device_type),
        Field::shown("tags", list(&board.tags)),
        Field::shown("dispatcher", &lab.dispatcher_of(board).name),
        Field::shown(
            "power",
            format!("{}:{}", board.power.relay, board.power.outlet),
        ),
        Field::shown("off time", time(board.power.off_time)),
        Field::shown("console", console(&board.console.source)),
        Field::shown("character delay", time(board.console.character_delay)),
    ];
    if let Some(network) = &board.network {
        fields.push(Field::shown("network mac", &network.mac));
        fields.push(Field::shown(
            "network address",
            format!("{}/{}", network.address, network.prefix),
        ));
        fields.extend(
            network
                .gateway
                .map(|one| Field::shown("network gateway", one)),
        );
    }
    fields.extend(
        board
            .timebase
            .as_ref()
            .map(|one| Field::shown("timebase", one)),
    );
    fields.extend(board.limits.iter().map(|limit| {
        let load = match limit.load.is_empty() {
            true => "idle".to_owned(),
            false => limit.load.join("+"),
        };
        let key = format!("limit {} {load} ({})", limit.measure, limit.origin.as_str());
        Field::shown(key, time(limit.limit))
    }));
    if let Some(profile) = &board.u_boot {
        fields.extend(u_boot(profile));
    }
    fields.extend(shell(&board.shell));
    fields.extend(
        board
            .timeouts
            .iter()
            .map(|(name, limit)| Field::shown(format!("timeout {name}"), time(*limit))),
    );
    fields
}

fn console(source: &ConsoleSource) -> String {
    match source {
        ConsoleSource::Tcp { host, port } => format!("tcp {host}:{port}"),
        ConsoleSource::Serial { path, baud } => format!("{} at {baud}", path.display()),
    }
}

fn u_boot(profile: &UBootProfile) -> Vec<Field> {
    let quoted =
        |key: &str, value: &str| Field::shown(format!("u-boot {key}"), format!("{value:?}"));
    let mut fields = vec![
        quoted("interrupt prompt", &profile.interrupt_prompt),
        quoted("interrupt character", &profile.interrupt_character),
        quoted("prompt", &profile.prompt),
        quoted("final message", &profile.final_message),
        quoted("error messages", &profile.error_messages.join("\n")),
        quoted("kernel arguments", &profile.kernel_args),
        quoted("NFS arguments", &profile.nfs_args),
    ];
    for (name, lines) in &profile.commands {
        fields.push(quoted(&format!("commands {name}"), &lines.join("\n")));
    }
    for (kind, addresses) in &profile.load_addresses {
        let value = format!(
            "kernel {}, ramdisk {}, dtb {}",
            addresses.kernel, addresses.ramdisk, addresses.dtb
        );
        fields.push(Field::shown(format!("u-boot addresses {kind}"), value));
    }
    let dtb = profile.default_dtb.as_ref();
    fields.extend(dtb.map(|one| quoted("default dtb", one)));
    fields
}

fn shell(profile: &ShellProfile) -> Vec<Field> {
    let quoted =
        |key: &str, value: &str| Field::shown(format!("shell {key}"), format!("{value:?}"));
    vec![
        quoted("path", &profile.shell),
        quoted("results directory", &profile.results_dir),
        quoted("kernel start message", &profile.kernel_start_message),
        quoted("prompt", &profile.prompt),
    ]
}
