//! `basalt lab check`.

use basalt_lab::Lab;
use basalt_lab::profile::{BoardProfile, ConsoleSource, DispatcherProfile, Relay, RelayDriver};

use crate::arguments::LabCheckArguments;
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

/// Rows under heads, in columns as wide as they need to be.
pub fn columns(heads: &[&str], rows: Vec<Vec<String>>, terminal: &Terminal) -> String {
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            row.iter()
                .map(|cell| crate::terminal::one_line(cell))
                .collect()
        })
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(heads[column].chars().count())
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let mut text = String::new();
    let mut push = |cells: &mut dyn Iterator<Item = (String, Ink)>| {
        let mut line = String::from(" ");
        for (index, (cell, ink)) in cells.enumerate() {
            let pad = widths[index].saturating_sub(cell.chars().count());
            line.push(' ');
            line.push_str(&terminal.paint(ink, &cell));
            if index + 1 < widths.len() {
                line.push_str(&" ".repeat(pad + 1));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    push(&mut heads.iter().map(|head| ((*head).to_owned(), Ink::Faint)));
    for row in &rows {
        let ink = |index| if index == 0 { Ink::Strong } else { Ink::Plain };
        push(
            &mut row
                .iter()
                .enumerate()
                .map(|(index, cell)| (cell.clone(), ink(index))),
        );
    }
    text
}
