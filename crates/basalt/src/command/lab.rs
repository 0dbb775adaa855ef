//! `basalt lab check`.

use basalt_lab::Lab;
use basalt_lab::profile::{BoardProfile, ConsoleSource, DispatcherProfile, Relay, RelayDriver};

use crate::arguments::LabCheckArguments;
use crate::columns::columns;
use crate::exit::Exit;
use crate::laboratory::Reading;
use crate::terminal::{Ink, Terminal};

/// Checks a lab's files.
pub fn check(arguments: &LabCheckArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let mut reading = Reading::default();
    let lab = reading.lab(&arguments.directory)?;
    if arguments.json {
        let list = reading.diagnostics.to_json(&reading.sources);
        terminal.line(&serde_json::to_string_pretty(&list)?);
    } else {
        terminal.write(&reading.render(terminal.color));
        if let Some(lab) = &lab {
            terminal.write(&summary(lab, &terminal));
        }
        if !reading.diagnostics.is_empty() {
            let ink = if reading.diagnostics.has_errors() {
                Ink::Bad
            } else {
                Ink::Odd
            };
            let count = format!("{} in {}", reading.count(), arguments.directory.display());
            terminal.line(&terminal.paint(ink, &count));
        }
    }
    Ok(match lab {
        Some(_) => Exit::DONE,
        None => Exit::NO,
    })
}

fn summary(lab: &Lab, terminal: &Terminal) -> String {
    let mut text = format!(
        "{} lab {}",
        terminal.paint(Ink::Good, "✔"),
        terminal.paint(Ink::Strong, &lab.name),
    );
    match lab.dispatchers.as_slice() {
        [dispatcher] => text.push_str(&format!(
            ": serves boards as {} (TFTP {}, NFS {})\n\n",
            dispatcher.address, dispatcher.tftp_listen, dispatcher.nfs_listen,
        )),
        dispatchers => {
            text.push_str("\n\n");
            let rows = dispatchers
                .iter()
                .map(|dispatcher| dispatcher_row(lab, dispatcher))
                .collect();
            let heads = ["dispatcher", "serves as", "TFTP", "NFS", "boards"];
            text.push_str(&columns(&heads, rows, terminal));
            text.push('\n');
        }
    }
    let boards = lab.boards.iter().map(board_row).collect();
    let heads = [
        "board",
        "type",
        "power",
        "console",
        "network",
        "tags, timebase",
    ];
    text.push_str(&columns(&heads, boards, terminal));
    text.push('\n');
    let relays = lab
        .relays
        .iter()
        .map(|relay| relay_row(lab, relay))
        .collect();
    text.push_str(&columns(
        &["relay", "driver", "at", "boards"],
        relays,
        terminal,
    ));
    text
}

fn dispatcher_row(lab: &Lab, dispatcher: &DispatcherProfile) -> Vec<String> {
    let boards: Vec<&str> = lab
        .boards_of(&dispatcher.name)
        .map(|board| board.name.as_str())
        .collect();
    vec![
        dispatcher.name.to_string(),
        dispatcher.address.to_string(),
        dispatcher.tftp_listen.to_string(),
        dispatcher.nfs_listen.to_string(),
        boards.join(", "),
    ]
}

fn board_row(board: &BoardProfile) -> Vec<String> {
    let console = describe(&board.console.source);
    let network = board.network.as_ref().map_or("–".into(), |network| {
        format!("{}/{}", network.address, network.prefix)
    });
    let mut notes = board.tags.clone();
    notes.extend(board.timebase.clone());
    vec![
        board.name.to_string(),
        board.device_type.clone(),
        format!("{}:{}", board.power.relay, board.power.outlet),
        console,
        network,
        notes.join(", "),
    ]
}

fn relay_row(lab: &Lab, relay: &Relay) -> Vec<String> {
    let (driver, place) = match &relay.driver {
        RelayDriver::Tasmota { url, .. } => ("tasmota", url.clone()),
        RelayDriver::Commands { on, .. } => {
            let first = on.first().and_then(|words| words.first());
            ("commands", first.cloned().unwrap_or_default())
        }
        RelayDriver::Lcus { path, baud } => ("lcus", format!("{} at {baud}", path.display())),
    };
    let boards: Vec<&str> = lab
        .boards
        .iter()
        .filter(|board| board.power.relay == relay.name)
        .map(|board| board.name.as_str())
        .collect();
    vec![
        relay.name.to_string(),
        driver.to_owned(),
        place,
        boards.join(", "),
    ]
}

/// A console's source for people.
pub fn describe(source: &ConsoleSource) -> String {
    match source {
        ConsoleSource::Tcp { host, port } => format!("tcp {host}:{port}"),
        ConsoleSource::Serial { path, baud } => format!("{} at {baud}", path.display()),
    }
}
