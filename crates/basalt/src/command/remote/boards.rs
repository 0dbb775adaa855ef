//! `basalt boards`, `basalt maintenance`.

use basalt_api::{Board, Maintenance};
use basalt_model::{BoardName, DispatcherState};

use super::{ago, connect, print_json};
use crate::arguments::{BoardsArguments, MaintenanceArguments, Service};
use crate::exit::Exit;
use crate::terminal::{Terminal, one_line};

/// Lists the boards.
pub async fn boards(arguments: &BoardsArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let boards = client.boards().await?;
    if arguments.server.json {
        print_json(&terminal, &boards)?;
        return Ok(Exit::DONE);
    }
    if boards.is_empty() {
        terminal.note("the lab has no boards; each is one file below boards/");
        return Ok(Exit::DONE);
    }
    let rows = boards.iter().map(row).collect();
    let heads = [
        "board",
        "type",
        "state",
        "health",
        "power",
        "dispatcher",
        "",
    ];
    terminal.write(&crate::columns::columns(&heads, rows, &terminal));
    Ok(Exit::DONE)
}

fn row(board: &Board) -> Vec<String> {
    let state = match &board.held_by {
        Some(held) => format!("{}: job {}", board.state, held.job),
        None => board.state.to_string(),
    };
    let power = match board.power_since_utc_us {
        Some(since) => format!("{} ({})", board.power, ago(since)),
        None => board.power.to_string(),
    };
    let dispatcher = match board.dispatcher_state {
        DispatcherState::Online => board.dispatcher.to_string(),
        DispatcherState::Offline => format!("{} (offline)", board.dispatcher),
    };
    vec![
        board.name.to_string(),
        board.device_type.clone(),
        state,
        board.health.to_string(),
        power,
        dispatcher,
        note(board),
    ]
}

fn note(board: &Board) -> String {
    let mut notes = Vec::new();
    if let Some(reason) = board.health_reason.as_ref().filter(|text| !text.is_empty()) {
        let by = board.health_by.as_deref().unwrap_or("somebody");
        notes.push(format!("{reason} ({by})"));
    }
    if board.console.open == Some(false) {
        let why = board.console.reason.as_deref().unwrap_or("nobody says why");
        notes.push(format!("console closed: {why}"));
    }
    notes.join("; ")
}

/// Takes a board out of service, or brings it back.
pub async fn maintenance(
    arguments: &MaintenanceArguments,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let maintenance = Maintenance {
        on: arguments.service == Service::On,
        reason: Some(arguments.reason.clone()).filter(|reason| !reason.is_empty()),
    };
    let board = client
        .maintenance(&BoardName::new(&arguments.board), &maintenance)
        .await?;
    if arguments.server.json {
        print_json(&terminal, &board)?;
        return Ok(Exit::DONE);
    }
    let said = match (&board.held_by, maintenance.on) {
        (None, true) => "gets no more jobs".to_owned(),
        (Some(held), true) => format!(
            "gets no more jobs; job {} goes on there to its end",
            held.job
        ),
        (_, false) => format!("is open to jobs; its health is {}", board.health),
    };
    terminal.line(&one_line(&format!("{} {said}", board.name)));
    Ok(Exit::DONE)
}
