//! What a board type may say, and a board may say over its type.

use std::time::Duration;

use basalt_yaml::{Field, MapReader, Unknown};

use crate::profile::{LimitOrigin, LimitProfile, LoadAddresses};
use crate::scalar;
use crate::timeouts::ACTIONS;

/// The measurement programs and loads that limits may name; the words of the job language.
const MEASURES: [(&str, &str); 1] = [("cyclictest", "cyclictest")];
const LOADS: [(&str, &str); 1] = [("hackbench", "hackbench")];

/// The kinds of kernel images that have load addresses.
const KERNEL_TYPES: [&str; 3] = ["image", "zimage", "uimage"];

/// The longest pause between characters and the longest time without power: beyond them a number
/// is a slip of the hand. A board that is off for less than the shortest may keep its memory.
const LONGEST_CHARACTER_DELAY: Duration = Duration::from_secs(1);
const SHORTEST_OFF_TIME: Duration = Duration::from_millis(100);
const LONGEST_OFF_TIME: Duration = Duration::from_secs(600);

/// One link of the chain from a board over its type to the type that extends nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Values {
    pub baud: Option<u32>,
    pub character_delay: Option<Duration>,
    pub off_time: Option<Duration>,
    pub limits: Vec<LimitProfile>,
    pub timeouts: Vec<(String, Duration)>,
    pub u_boot: Option<UBootValues>,
    pub shell: ShellValues,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UBootValues {
    pub interrupt_prompt: Option<String>,
    pub interrupt_character: Option<String>,
    pub prompt: Option<String>,
    pub final_message: Option<String>,
    pub error_messages: Option<Vec<String>>,
    pub kernel_args: Option<String>,
    pub nfs_args: Option<String>,
    pub default_dtb: Option<String>,
    pub prepare: Option<Vec<String>>,
    pub commands: Vec<(String, Vec<String>)>,
    pub load_addresses: Vec<(String, LoadAddresses)>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ShellValues {
    pub path: Option<String>,
    pub results_dir: Option<String>,
    pub kernel_start_message: Option<String>,
    pub prompt: Option<String>,
}

impl Values {
    /// Reads the keys that boards and types share. `console` and `power` hold more in a board's
    /// file and are read by their callers, with [`Values::console`] and [`Values::power`].
    pub(crate) fn read(reader: &mut MapReader<'_>, origin: LimitOrigin) -> Self {
        Self {
            limits: limits(reader.optional("limits"), origin),
            timeouts: timeouts(reader.optional("timeouts")),
            u_boot: reader.optional("u_boot").map("`u_boot`").map(|mut reader| {
                let values = UBootValues::read(&mut reader);
                reader.finish(Unknown::Error);
                values
            }),
            shell: reader
                .optional("shell")
                .map("`shell`")
                .map(|mut reader| {
                    let values = ShellValues::read(&mut reader);
                    reader.finish(Unknown::Error);
                    values
                })
                .unwrap_or_default(),
            ..Self::default()
        }
    }

    pub(crate) fn console(&mut self, reader: &mut MapReader<'_>) {
        self.baud = reader
            .optional("baud")
            .integer(50..=4_000_000)
            .and_then(|baud| u32::try_from(baud).ok());
        self.character_delay = reader
            .optional("character_delay")
            .duration_within(Duration::ZERO..=LONGEST_CHARACTER_DELAY);
    }

    pub(crate) fn power(&mut self, reader: &mut MapReader<'_>) {
        self.off_time = reader
            .optional("off_time")
            .duration_within(SHORTEST_OFF_TIME..=LONGEST_OFF_TIME);
    }

    /// Fills what is not said here with what the next link says.
    pub(crate) fn over(self, parent: Self) -> Self {
        Self {
            baud: self.baud.or(parent.baud),
            character_delay: self.character_delay.or(parent.character_delay),
            off_time: self.off_time.or(parent.off_time),
            // The first that fits counts.
            limits: [self.limits, parent.limits].concat(),
            timeouts: merge(self.timeouts, parent.timeouts),
            u_boot: match (self.u_boot, parent.u_boot) {
                (Some(own), Some(parent)) => Some(own.over(parent)),
                (own, parent) => own.or(parent),
            },
            shell: self.shell.over(parent.shell),
        }
    }
}

impl UBootValues {
    fn read(reader: &mut MapReader<'_>) -> Self {
        Self {
            interrupt_prompt: reader.optional("interrupt_prompt").text(),
            interrupt_character: reader.optional("interrupt_character").text(),
            prompt: scalar::pattern(reader.optional("prompt")),
            final_message: reader.optional("final_message").text(),
            error_messages: reader.optional("error_messages").texts(),
            kernel_args: scalar::template(reader.optional("kernel_args")),
            nfs_args: scalar::template(reader.optional("nfs_args")),
            default_dtb: reader.optional("default_dtb").text(),
            prepare: reader.optional("prepare").each(scalar::template),
            commands: entries(reader.optional("commands"), "`commands`", |_, field| {
                field.each(scalar::template)
            }),
            load_addresses: load_addresses(reader.optional("load_addresses")),
        }
    }

    fn over(self, parent: Self) -> Self {
        Self {
            interrupt_prompt: self.interrupt_prompt.or(parent.interrupt_prompt),
            interrupt_character: self.interrupt_character.or(parent.interrupt_character),
            prompt: self.prompt.or(parent.prompt),
            final_message: self.final_message.or(parent.final_message),
            error_messages: self.error_messages.or(parent.error_messages),
            kernel_args: self.kernel_args.or(parent.kernel_args),
            nfs_args: self.nfs_args.or(parent.nfs_args),
            default_dtb: self.default_dtb.or(parent.default_dtb),
            prepare: self.prepare.or(parent.prepare),
            commands: merge(self.commands, parent.commands),
            load_addresses: merge(self.load_addresses, parent.load_addresses),
        }
    }
}

impl ShellValues {
    fn read(reader: &mut MapReader<'_>) -> Self {
        Self {
            path: scalar::path(reader.optional("path"))
                .map(|path| path.to_string_lossy().into_owned()),
            results_dir: reader.optional("results_dir").parsed(
                "an absolute path with %s for the job's number",
                |text| {
                    if text.starts_with('/') && text.matches("%s").count() == 1 {
                        Ok(text.to_owned())
                    } else {
                        Err("such as /lava-%s".to_owned())
                    }
                },
            ),
            kernel_start_message: scalar::pattern(reader.optional("kernel_start_message")),
            prompt: reader.optional("prompt").text(),
        }
    }

    fn over(self, parent: Self) -> Self {
        Self {
            path: self.path.or(parent.path),
            results_dir: self.results_dir.or(parent.results_dir),
            kernel_start_message: self.kernel_start_message.or(parent.kernel_start_message),
            prompt: self.prompt.or(parent.prompt),
        }
    }
}

/// The parent's keys in their order, with what the child says instead; then the child's own.
fn merge<T>(child: Vec<(String, T)>, parent: Vec<(String, T)>) -> Vec<(String, T)> {
    let mut merged = parent;
    for (key, value) in child {
        match merged.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => entry.1 = value,
            None => merged.push((key, value)),
        }
    }
    merged
}

/// The entries of a mapping whose keys are the writer's own. `what` names the mapping; the entry's
/// key is passed on. Entries that do not fit are left out, and reported.
fn entries<T>(
    field: Field<'_>,
    what: &str,
    read: impl Fn(&str, Field<'_>) -> Option<T>,
) -> Vec<(String, T)> {
    let Some(mut reader) = field.map(what) else {
        return Vec::new();
    };
    let node = reader.node().clone();
    let keys = node.as_map().unwrap_or_default().iter();
    let keys: Vec<String> = keys
        .filter_map(|(key, _)| key.source_text().map(str::to_owned))
        .collect();
    let mut found = Vec::new();
    for key in keys {
        if let Some(value) = read(&key, reader.optional(&key)) {
            found.push((key, value));
        }
    }
    reader.finish(Unknown::Error);
    found
}

fn load_addresses(field: Field<'_>) -> Vec<(String, LoadAddresses)> {
    let Some(mut reader) = field.map("`load_addresses`") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for kind in KERNEL_TYPES {
        let addresses = reader
            .optional(kind)
            .map(format!("`{kind}`"))
            .and_then(addresses_of_one_kind);
        if let Some(addresses) = addresses {
            found.push((kind.to_owned(), addresses));
        }
    }
    reader.finish(Unknown::Error);
    found
}

fn addresses_of_one_kind(mut reader: MapReader<'_>) -> Option<LoadAddresses> {
    let kernel = scalar::hex(reader.required("kernel"));
    let ramdisk = scalar::hex(reader.required("ramdisk"));
    let dtb = scalar::hex(reader.required("dtb"));
    let mut seen: Vec<(&str, u64)> = Vec::new();
    for (part, address) in [("kernel", &kernel), ("ramdisk", &ramdisk), ("dtb", &dtb)] {
        let Some((text, span)) = address else {
            continue;
        };
        let Some(number) = text
            .strip_prefix("0x")
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        else {
            continue;
        };
        if let Some((other, _)) = seen.iter().find(|(_, taken)| *taken == number) {
            reader.diagnostics().error(
                *span,
                format!("`{part}` would overwrite `{other}`: both are loaded at {text}"),
            );
        }
        seen.push((part, number));
    }
    reader.finish(Unknown::Error);
    Some(LoadAddresses {
        kernel: kernel?.0,
        ramdisk: ramdisk?.0,
        dtb: dtb?.0,
    })
}

/// Deadlines by action. A type that states none for an action leaves it to the job.
fn timeouts(field: Field<'_>) -> Vec<(String, Duration)> {
    let Some(mut reader) = field.map("`timeouts`") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for action in ACTIONS {
        if let Some(duration) = reader.optional(action).duration() {
            found.push((action.to_owned(), duration));
        }
    }
    reader.finish(Unknown::Error);
    found
}

fn limits(field: Field<'_>, origin: LimitOrigin) -> Vec<LimitProfile> {
    let found = field.each(|item| {
        let mut reader = item.map("a limit")?;
        let measure = reader.required("measure").word(&MEASURES);
        let load = reader.optional("load").each(|load| load.word(&LOADS));
        let limit = reader
            .required("limit")
            .duration_within(Duration::from_micros(1)..=Duration::from_millis(500));
        reader.finish(Unknown::Error);
        let mut load: Vec<String> = load
            .unwrap_or_default()
            .into_iter()
            .map(str::to_owned)
            .collect();
        load.sort();
        load.dedup();
        Some(LimitProfile {
            measure: measure?.to_owned(),
            load,
            limit: limit?,
            origin,
        })
    });
    found.unwrap_or_default()
}
