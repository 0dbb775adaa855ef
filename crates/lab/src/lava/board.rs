//! A dictionary as a board of the lab.

use std::time::Duration;

use basalt_model::{DispatcherName, RelayName};
use basalt_yaml::{Diagnostics, Span, parse};
use serde_json::{Map, Value as Json};

use super::device::Device;
use super::tools::{self, Plug};
use super::{Library, RenderError, words};
use crate::board::{BoardFile, Line};
use crate::file::LabFile;
use crate::profile::{DEFAULT_DISPATCHER, Relay, RelayDriver};
use crate::relay::{Port, RelayFile};
use crate::scalar::Placed;

/// A host command of LAVA may take this long: its own limit for switching power.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// As in a relay's own file.
const PLUG_TIMEOUT: Duration = Duration::from_secs(5);

/// What the dictionaries give.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) boards: Vec<BoardFile>,
    /// Relays that no file describes.
    pub(crate) relays: Vec<RelayFile>,
}

/// Reads every dictionary. `relays` are those that have a file: a dictionary that switches one of
/// them by its address uses it.
pub(crate) fn read(library: &Library, relays: &[RelayFile], diagnostics: &mut Diagnostics) -> Read {
    let mut read = Read::default();
    let names: Vec<String> = library.boards().map(str::to_owned).collect();
    for name in names {
        if let Some(board) = board(
            library,
            &name,
            &Map::new(),
            relays,
            &mut read.relays,
            diagnostics,
        ) {
            read.boards.push(board);
        }
    }
    read
}

/// A dictionary, and its text for the places of mistakes.
struct Dictionary<'l> {
    name: &'l str,
    file: &'l LabFile,
}

impl Dictionary<'_> {
    /// Where it sets a variable; its first line where it does not.
    fn place(&self, variable: &str, diagnostics: &Diagnostics) -> Span {
        let text = &self.file.text;
        let found = text.match_indices(variable).find(|(start, _)| {
            let before = text[..*start].trim_end();
            let after = text[start + variable.len()..].trim_start();
            before.ends_with("set") && after.starts_with('=')
        });
        let (start, end) = found.map_or((0, 0), |(start, found)| (start, start + found.len()));
        let before = &text[..start];
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Span {
            line: number(before.matches('\n').count() + 1),
            column: number(column + 1),
            start,
            end,
            source: diagnostics.current_file(),
        }
    }

    /// The device type that it extends.
    fn device_type(&self) -> Option<String> {
        let parent = super::references(&self.file.text).into_iter().next()?;
        Some(parent.strip_suffix(".jinja2").unwrap_or(&parent).to_owned())
    }
}

/// One board, with a job's context for everything but host commands.
pub(super) fn board(
    library: &Library,
    name: &str,
    context: &Map<String, Json>,
    relays: &[RelayFile],
    made: &mut Vec<RelayFile>,
    diagnostics: &mut Diagnostics,
) -> Option<BoardFile> {
    let file = library.dictionary(name)?;
    diagnostics.enter_file(&file.path);
    let dictionary = Dictionary { name, file };
    let host = device(library, &dictionary, &Map::new(), diagnostics)?;
    let told = match context.is_empty() {
        true => None,
        false => Some(device(library, &dictionary, context, diagnostics)?),
    };
    let mut values = told.as_ref().unwrap_or(&host).values();
    let whole = dictionary.place("", diagnostics);
    let Some(device_type) = dictionary.device_type() else {
        diagnostics
            .error(
                whole,
                format!("the dictionary of `{name}` extends no device type"),
            )
            .with_hint("begin it with {% extends 'TYPE.jinja2' %}");
        return None;
    };
    let console = console(&host, &dictionary, diagnostics);
    let power = power(&host, &dictionary, relays, made, diagnostics);
    let ((line, baud), place) = console?;
    values.baud = baud.or(Some(115_200));
    let (relay, outlet) = power?;
    Some(BoardFile {
        name: (name.to_owned(), whole),
        device_type: Some((device_type, whole)),
        of_lava: true,
        tags: Vec::new(),
        relay: Some(relay),
        outlet: Some(outlet),
        console: Some((line, place)),
        network: None,
        timebase: None,
        values,
    })
}

/// Renders and reads the device; reports why it cannot.
fn device(
    library: &Library,
    dictionary: &Dictionary<'_>,
    context: &Map<String, Json>,
    diagnostics: &mut Diagnostics,
) -> Option<Device> {
    let text = match library.render(dictionary.name, context) {
        Ok(text) => text,
        Err(error) => {
            not_rendered(&error, dictionary, diagnostics);
            return None;
        }
    };
    let mut own = Diagnostics::for_file("rendered");
    match parse(&text, &mut own) {
        Some(node) if node.as_map().is_some() => return Some(Device(node)),
        Some(_) => {}
        None => {}
    }
    let why = own.iter().next().map_or_else(
        || "it is no mapping".to_owned(),
        |first| format!("line {} of it: {}", first.span.line, first.message),
    );
    let place = dictionary.place("", diagnostics);
    diagnostics
        .error(place, format!("what this renders to is no device: {why}"))
        .with_hint("`basalt lab lava render --dictionary` shows the text");
    None
}

fn not_rendered(error: &RenderError, dictionary: &Dictionary<'_>, diagnostics: &mut Diagnostics) {
    let mut place = dictionary.place("", diagnostics);
    let own = dictionary
        .file
        .path
        .ends_with(&format!("/{}", error.template));
    let mut message = match own {
        true => error.message.clone(),
        false => format!("{error}"),
    };
    if let (true, Some(line)) = (own, error.line) {
        place.line = u32::try_from(line).unwrap_or(u32::MAX);
        let lines = dictionary.file.text.split_inclusive('\n');
        place.start = lines.take(line.saturating_sub(1)).map(str::len).sum();
        place.end = place.start;
    }
    let hint = match &error.missing {
        Some(missing) => {
            message = format!("there is no template `{missing}`");
            "put LAVA's device types into `device-types/` of the directory that `lava:` names"
        }
        None => "`basalt lab lava render --dictionary` shows it alone",
    };
    diagnostics.error(place, message).with_hint(hint);
}

type Console = (Line, Option<u32>);

/// The command of the board's serial console: the one tagged `primary` where there are several.
fn console(
    device: &Device,
    dictionary: &Dictionary<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Placed<Console>> {
    let mut command = device.text(&["commands", "connect"]);
    let mut variable = "connection_command";
    if let Some(list) = device
        .at(&["commands", "connections"])
        .and_then(|node| node.as_map())
    {
        variable = "connection_commands";
        let tagged = list.iter().find(|(_, one)| {
            let tags = one
                .get("tags")
                .and_then(|tags| tags.as_seq())
                .unwrap_or_default();
            tags.iter().any(|tag| tag.source_text() == Some("primary"))
        });
        let chosen = tagged.or_else(|| list.first());
        let connect = chosen.and_then(|(_, one)| one.get("connect")?.source_text());
        command = connect.map(str::to_owned).or(command);
    }
    let place = dictionary.place(variable, diagnostics);
    let Some(command) = command else {
        diagnostics
            .error(place, format!("`{}` has no console", dictionary.name))
            .with_hint("set connection_command, such as 'telnet HOST PORT'");
        return None;
    };
    let Some(console) = tools::console(&command) else {
        diagnostics
            .error(
                place,
                format!("`{command}` is no way to a console that Basalt knows"),
            )
            .with_hint(
                "serve the port as raw TCP (ser2net) and write `telnet HOST PORT`, or name the \
                 serial port: `picocom -b 115200 /dev/…`",
            );
        return None;
    };
    Some((console, place))
}

type Power = (Placed<String>, Placed<u32>);

/// The relay and outlet: a plug's where the commands switch one, else a relay of the commands.
fn power(
    device: &Device,
    dictionary: &Dictionary<'_>,
    relays: &[RelayFile],
    made: &mut Vec<RelayFile>,
    diagnostics: &mut Diagnostics,
) -> Option<Power> {
    let name = dictionary.name;
    let reset = device.texts(&["commands", "hard_reset"]);
    let mut on = device.texts(&["commands", "power_on"]);
    let off = device.texts(&["commands", "power_off"]);
    let mut variable = "power_on_command";
    if on.is_empty() {
        // A reset leaves the board on.
        (on, variable) = (reset, "hard_reset_command");
    }
    for (commands, variable, instead) in [
        (&on, variable, "power_on_command or hard_reset_command"),
        (&off, "power_off_command", "power_off_command"),
    ] {
        if commands.is_empty() {
            let place = dictionary.place(variable, diagnostics);
            diagnostics
                .error(
                    place,
                    format!("`{name}` cannot be switched: it has no {instead}"),
                )
                .with_hint(format!(
                    "set {instead}; Basalt switches a board off that nobody holds"
                ));
            return None;
        }
    }
    let place = dictionary.place(variable, diagnostics);
    if let Some((relay, outlet)) = plug(&on, &off, relays, made, place) {
        return Some(((relay, place), (outlet, place)));
    }
    let relay = format!("{name}-commands");
    let driver = RelayDriver::Commands {
        on: split(&on, place, diagnostics)?,
        off: split(
            &off,
            dictionary.place("power_off_command", diagnostics),
            diagnostics,
        )?,
    };
    made.push(of_driver(&relay, driver, COMMAND_TIMEOUT, place, None));
    Some(((relay, place), (1, place)))
}

fn split(
    commands: &[String],
    place: Span,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Vec<String>>> {
    let mut all = Vec::new();
    for command in commands {
        match words::split(command).filter(|words| !words.is_empty()) {
            Some(words) => all.push(words),
            None => {
                diagnostics
                    .error(
                        place,
                        format!("`{command}` is no command: a quotation is not closed"),
                    )
                    .with_hint("close it; commands are split as a shell does and run without one");
                return None;
            }
        }
    }
    Some(all)
}

/// The plug that two commands switch on and off, by the name of its file or one of its own.
fn plug(
    on: &[String],
    off: &[String],
    relays: &[RelayFile],
    made: &mut Vec<RelayFile>,
    place: Span,
) -> Option<(String, u32)> {
    let ([on], [off]) = (on, off) else {
        return None;
    };
    let (on, off) = (tools::plug(on)?, tools::plug(off)?);
    if off
        != (Plug {
            on: false,
            ..on.clone()
        })
        || !on.on
    {
        return None;
    }
    let Plug {
        url,
        credentials,
        outlet,
        ..
    } = on;
    let driver = RelayDriver::Tasmota {
        url: url.clone(),
        credentials,
    };
    let same = |file: &&RelayFile| file.relay.as_ref().is_some_and(|one| one.driver == driver);
    if let Some(file) = relays.iter().chain(made.iter()).find(same) {
        return Some((file.name.0.clone(), outlet));
    }
    let address = url
        .trim_start_matches("http://")
        .replace([':', '/', '[', ']'], "-");
    let name = format!("plug-{address}");
    let port = Some((Port::Http(url), place));
    made.push(of_driver(&name, driver, PLUG_TIMEOUT, place, port));
    Some((name, outlet))
}

fn of_driver(
    name: &str,
    driver: RelayDriver,
    timeout: Duration,
    place: Span,
    port: Option<Placed<Port>>,
) -> RelayFile {
    RelayFile {
        name: (name.to_owned(), place),
        dispatcher: None,
        relay: Some(Relay {
            name: RelayName::new(name),
            dispatcher: DispatcherName::new(DEFAULT_DISPATCHER),
            driver,
            timeout,
        }),
        port,
    }
}
