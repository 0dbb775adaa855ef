//! All files of a lab, read together.

use std::collections::HashSet;

use basalt_model::{BoardName, DispatcherName, RelayName};
use basalt_yaml::{Diagnostics, Node, Span, parse_own_file};

use crate::board::{self, BoardFile, Line};
use crate::check::{self, Hosts};
use crate::dispatcher::{self, DispatcherFile};
use crate::file::{FileKind, LabFile};
use crate::inherit::{self, Types};
use crate::lab_file::{self, LabHead};
use crate::lava;
use crate::profile::{
    BoardProfile, ConsoleProfile, ConsoleSource, DispatcherProfile, Lab, NetworkProfile,
    PowerProfile, Relay, ShellProfile, UBootProfile,
};
use crate::relay::{self, RelayFile};
use crate::scalar::suggestion;
use crate::values::{ShellValues, UBootValues, Values};

/// Reads a lab.
///
/// `files` are all files of its directory, in any order ([`FileKind::of`] says which matter; others
/// are passed over), `builtin` the board types that come with Basalt ([`crate::builtin::types`]).
/// Diagnostics name files by [`LabFile::path`]; to show them with their lines, make a
/// [`basalt_yaml::Source`] of each file of both lists.
///
/// `None` if there is any error; all are reported, each at its place.
pub fn read(files: &[LabFile], builtin: &[LabFile], diagnostics: &mut Diagnostics) -> Option<Lab> {
    let errors_before = diagnostics.error_count();
    let (builtin, builtin_whole) = read_each(builtin.iter(), inherit::read, diagnostics);
    let own = of_kind(files, FileKind::DeviceType);
    let (own, own_whole) = read_each(own, inherit::read, diagnostics);
    let types = Types::new(builtin, own, diagnostics);
    let types_are_good = diagnostics.error_count() == errors_before;
    let head = read_head(files, diagnostics);
    let dispatchers = of_kind(files, FileKind::Dispatcher);
    let (dispatchers, dispatchers_whole) = read_each(dispatchers, dispatcher::read, diagnostics);
    let relays = of_kind(files, FileKind::Relay);
    let (relays, relays_whole) = read_each(relays, relay::read, diagnostics);
    let (mut boards, _) = read_each(of_kind(files, FileKind::Board), board::read, diagnostics);
    let of_lava = lava::read(&lava::Library::new(files), &relays, diagnostics);
    boards.extend(of_lava.boards);
    let mut relays = relays;
    relays.extend(of_lava.relays);

    let dispatchers_whole = dispatchers_whole && head.dispatcher.is_some();
    let default_dispatcher = head.dispatcher.as_ref().map(|one| one.name.0.clone());
    let dispatchers: Vec<DispatcherFile> = head.dispatcher.into_iter().chain(dispatchers).collect();
    check::names(&dispatchers, &relays, &boards, diagnostics);
    if dispatchers_whole {
        check::dispatchers(&dispatchers, &relays, diagnostics);
    }
    if relays_whole {
        check::relays(&relays, &boards, diagnostics);
    }
    check::outlets(&boards, diagnostics);
    let hosts = Hosts::new(default_dispatcher.as_deref(), &dispatchers, &relays);
    check::ports(&hosts, &relays, &boards, diagnostics);
    check::addresses(&hosts, &boards, diagnostics);
    let mut profiles: Vec<BoardProfile> = Assembly {
        types: &types,
        all_types_known: builtin_whole && own_whole,
        report_gaps: types_are_good,
        complained: HashSet::new(),
    }
    .boards(boards, diagnostics);
    profiles.sort_by(|one, other| one.name.cmp(&other.name));
    let default_dispatcher = default_dispatcher.map(DispatcherName::new);
    let mut relays: Vec<_> = relays
        .into_iter()
        .filter_map(|file| relay(file, default_dispatcher.as_ref()))
        .collect();
    relays.sort_by(|one, other| one.name.cmp(&other.name));
    let mut dispatchers: Vec<DispatcherProfile> = dispatchers
        .into_iter()
        .filter_map(|file| file.profile)
        .collect();
    dispatchers.sort_by(|one, other| one.name.cmp(&other.name));

    if diagnostics.error_count() > errors_before {
        return None;
    }
    Some(Lab {
        name: head.name?,
        default_dispatcher: default_dispatcher?,
        dispatchers,
        relays,
        boards: profiles,
    })
}

/// The profile of a board that is complete in itself, as one of LAVA's is.
pub(crate) fn profile(board: BoardFile, diagnostics: &mut Diagnostics) -> Option<BoardProfile> {
    Assembly {
        types: &Types::new(Vec::new(), Vec::new(), diagnostics),
        all_types_known: true,
        report_gaps: true,
        complained: HashSet::new(),
    }
    .board(board, diagnostics)
}

/// A relay with its dispatcher, which is the lab's where its file names none.
fn relay(file: RelayFile, default_dispatcher: Option<&DispatcherName>) -> Option<Relay> {
    let mut relay = file.relay?;
    if let (None, Some(default)) = (&file.dispatcher, default_dispatcher) {
        relay.dispatcher = default.clone();
    }
    Some(relay)
}

/// The files of one kind by their paths, so that the order of a directory does not matter.
fn of_kind(files: &[LabFile], kind: FileKind) -> impl Iterator<Item = &LabFile> {
    let mut files: Vec<&LabFile> = files
        .iter()
        .filter(|file| FileKind::of(&file.path) == Some(kind))
        .collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files.into_iter()
}

/// What could be read, and whether nothing is missing.
fn read_each<'f, T>(
    files: impl Iterator<Item = &'f LabFile>,
    read: impl Fn(&Node, &mut Diagnostics) -> Option<T>,
    diagnostics: &mut Diagnostics,
) -> (Vec<T>, bool) {
    let mut found = Vec::new();
    let mut whole = true;
    for file in files {
        let value = parse_own_file(&file.path, &file.text, diagnostics)
            .and_then(|node| read(&node, diagnostics));
        whole &= value.is_some();
        found.extend(value);
    }
    (found, whole)
}

fn read_head(files: &[LabFile], diagnostics: &mut Diagnostics) -> LabHead {
    let Some(file) = of_kind(files, FileKind::Lab).next() else {
        diagnostics.enter_file(FileKind::LAB);
        let span = diagnostics.whole_file();
        diagnostics.error(span, "a lab needs this file, with its name and dispatcher");
        return LabHead::default();
    };
    parse_own_file(&file.path, &file.text, diagnostics)
        .map(|node| lab_file::read(&node, diagnostics))
        .unwrap_or_default()
}

/// Makes profiles of boards and their types.
struct Assembly<'t> {
    types: &'t Types,
    /// False where a type's file could not be read: a name that is missing may be its.
    all_types_known: bool,
    /// False where a type's file has mistakes: what is missing may be what could not be read.
    report_gaps: bool,
    /// Types whose gaps have been reported; one report for all boards of a type is enough.
    complained: HashSet<(String, &'static str)>,
}

impl Assembly<'_> {
    fn boards(
        &mut self,
        boards: Vec<BoardFile>,
        diagnostics: &mut Diagnostics,
    ) -> Vec<BoardProfile> {
        boards
            .into_iter()
            .filter_map(|board| self.board(board, diagnostics))
            .collect()
    }

    fn board(&mut self, board: BoardFile, diagnostics: &mut Diagnostics) -> Option<BoardProfile> {
        let (type_name, type_span) = board.device_type?;
        let of_type = match board.of_lava {
            true => Some(Values::default()),
            false => self.types.resolve(&type_name),
        };
        let Some(of_type) = of_type else {
            if self.all_types_known {
                diagnostics
                    .error(type_span, format!("there is no type `{type_name}`"))
                    .with_hint(suggestion(&type_name, self.types.names()));
            }
            return None;
        };
        let values = board.values.over(of_type);
        let mut gaps = Gaps {
            board_type: (&type_name, type_span),
            report: self.report_gaps,
            complained: &mut self.complained,
            diagnostics,
        };
        let off_time = gaps.need(values.off_time, "power: off_time");
        let character_delay = gaps.need(values.character_delay, "console: character_delay");
        let source = match board.console {
            Some((Line::Tcp { host, port }, _)) => Some(ConsoleSource::Tcp { host, port }),
            Some((Line::Serial { path }, _)) => gaps
                .need(values.baud, "console: baud")
                .map(|baud| ConsoleSource::Serial { path, baud }),
            None => None,
        };
        let shell = shell(&values.shell, &mut gaps);
        let u_boot = values
            .u_boot
            .as_ref()
            .map(|values| u_boot(values, &mut gaps));
        let network = match board.network {
            None => None,
            Some(network) => {
                let ((address, prefix), _) = network.address?;
                Some(NetworkProfile {
                    mac: network.mac?.0,
                    address,
                    prefix,
                    gateway: network.gateway,
                })
            }
        };
        let Values {
            limits, timeouts, ..
        } = values;
        Some(BoardProfile {
            name: BoardName::new(board.name.0),
            device_type: type_name,
            tags: board.tags,
            power: PowerProfile {
                relay: RelayName::new(board.relay?.0),
                outlet: board.outlet?.0,
                off_time: off_time?,
            },
            console: ConsoleProfile {
                source: source?,
                character_delay: character_delay?,
            },
            network,
            timebase: board.timebase,
            limits,
            u_boot: match u_boot {
                Some(u_boot) => Some(u_boot?),
                None => None,
            },
            shell: shell?,
            timeouts,
        })
    }
}

/// Finds what neither a board nor its type says.
struct Gaps<'a> {
    board_type: (&'a str, Span),
    report: bool,
    complained: &'a mut HashSet<(String, &'static str)>,
    diagnostics: &'a mut Diagnostics,
}

impl Gaps<'_> {
    fn need<T>(&mut self, value: Option<T>, what: &'static str) -> Option<T> {
        if value.is_none() && self.report {
            let (name, span) = self.board_type;
            if self.complained.insert((name.to_owned(), what)) {
                self.diagnostics
                    .error(span, format!("the type `{name}` does not say `{what}`"))
                    .with_hint("say it in the type's file, or extend a type that does");
            }
        }
        value
    }
}

fn shell(values: &ShellValues, gaps: &mut Gaps<'_>) -> Option<ShellProfile> {
    let path = gaps.need(values.path.clone(), "shell: path");
    let results_dir = gaps.need(values.results_dir.clone(), "shell: results_dir");
    let kernel_start_message = gaps.need(
        values.kernel_start_message.clone(),
        "shell: kernel_start_message",
    );
    let prompt = gaps.need(values.prompt.clone(), "shell: prompt");
    Some(ShellProfile {
        shell: path?,
        results_dir: results_dir?,
        kernel_start_message: kernel_start_message?,
        prompt: prompt?,
    })
}

fn u_boot(values: &UBootValues, gaps: &mut Gaps<'_>) -> Option<UBootProfile> {
    let values = values.clone();
    let interrupt_prompt = gaps.need(values.interrupt_prompt, "u_boot: interrupt_prompt");
    let interrupt_character = gaps.need(values.interrupt_character, "u_boot: interrupt_character");
    let prompt = gaps.need(values.prompt, "u_boot: prompt");
    let final_message = gaps.need(values.final_message, "u_boot: final_message");
    let error_messages = gaps.need(values.error_messages, "u_boot: error_messages");
    let has_addresses = (!values.load_addresses.is_empty()).then_some(());
    let addresses = gaps.need(has_addresses, "u_boot: load_addresses");
    let prepare = values.prepare.unwrap_or_default();
    let commands = values
        .commands
        .into_iter()
        .map(|(set, lines)| (set, [prepare.clone(), lines].concat()))
        .collect();
    addresses?;
    Some(UBootProfile {
        interrupt_prompt: interrupt_prompt?,
        interrupt_character: interrupt_character?,
        prompt: prompt?,
        final_message: final_message?,
        error_messages: error_messages?,
        commands,
        load_addresses: values.load_addresses,
        kernel_args: values.kernel_args.unwrap_or_default(),
        nfs_args: values.nfs_args.unwrap_or_default(),
        default_dtb: values.default_dtb,
    })
}
