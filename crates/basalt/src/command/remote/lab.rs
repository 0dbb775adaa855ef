//! `basalt lab diff`, `basalt lab apply`.

use std::path::Path;

use basalt_api::{ApplyLab, LabChange, LabFile, LabSubject, LabVerb};
use basalt_client::Client;
use basalt_model::BoardHealth;

use super::{connect, print_json};
use crate::arguments::{LabApplyArguments, LabDiffArguments};
use crate::exit::{Exit, refused};
use crate::laboratory::Reading;
use crate::terminal::{Ink, Terminal, one_line};

/// Shows what applying a directory would change.
pub async fn diff(arguments: &LabDiffArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let lab = ApplyLab {
        files: checked(&arguments.directory, &terminal)?,
        expected_revision: None,
    };
    let diff = client.lab_diff(&lab).await?;
    if arguments.server.json {
        print_json(&terminal, &diff)?;
    } else {
        terminal.write(&changes(&diff.changes, &terminal));
    }
    Ok(match diff.changes.is_empty() {
        true => Exit::DONE,
        false => Exit::NO,
    })
}

/// Puts a directory into force: the plan is shown before anything is changed.
pub async fn apply(arguments: &LabApplyArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let mut lab = ApplyLab {
        files: checked(&arguments.directory, &terminal)?,
        expected_revision: None,
    };
    let diff = client.lab_diff(&lab).await?;
    if !arguments.server.json {
        terminal.write(&changes(&diff.changes, &terminal));
    }
    if diff.changes.is_empty() && !arguments.server.json {
        return Ok(Exit::DONE);
    }
    // Nobody else's change between the plan and the deed is run over.
    lab.expected_revision = diff.revision;
    let applied = client.lab_apply(&lab).await?;
    if arguments.server.json {
        print_json(&terminal, &applied)?;
    } else {
        terminal.line(&format!("revision {} is in force", applied.revision));
        tell_closed(&client, &diff.changes, &terminal).await;
    }
    Ok(Exit::DONE)
}

/// Says which of the new boards wait for somebody to open them to jobs.
async fn tell_closed(client: &Client, changes: &[LabChange], terminal: &Terminal) {
    let is_new = |name: &str| {
        changes.iter().any(|change| {
            change.subject == LabSubject::Board
                && change.verb == LabVerb::Added
                && change.name == name
        })
    };
    // The lab is applied; that this cannot be said is no failure.
    let Ok(boards) = client.boards().await else {
        return;
    };
    for board in boards {
        if is_new(board.name.as_str()) && board.health == BoardHealth::Maintenance {
            terminal.line(&one_line(&format!(
                "{0} is new and in maintenance; `basalt maintenance {0} off` opens it to jobs",
                board.name
            )));
        }
    }
}

/// The files of a lab without mistakes.
fn checked(directory: &Path, terminal: &Terminal) -> anyhow::Result<Vec<LabFile>> {
    let mut reading = Reading::default();
    let lab = reading.lab(directory)?;
    reading.settle(terminal)?;
    if lab.is_none() {
        return Err(refused(format!(
            "the lab in {} cannot be read",
            directory.display()
        )));
    }
    let files = crate::laboratory::texts(directory)?;
    Ok(files
        .into_iter()
        .map(|file| LabFile {
            path: file.path,
            text: file.text,
        })
        .collect())
}

fn changes(changes: &[LabChange], terminal: &Terminal) -> String {
    if changes.is_empty() {
        return "the lab is as it is in force\n".to_owned();
    }
    let mut text = String::new();
    for change in changes {
        let (sign, ink) = match change.verb {
            LabVerb::Added => ("+", Ink::Good),
            LabVerb::Removed => ("-", Ink::Bad),
            LabVerb::Changed => ("~", Ink::Odd),
        };
        let subject = serde_json::to_value(change.subject)
            .ok()
            .and_then(|word| word.as_str().map(|word| word.replace('_', " ")))
            .unwrap_or_default();
        let head = format!("{sign} {subject} {}", one_line(&change.name));
        text.push_str(&format!(" {}\n", terminal.paint(ink, &head)));
        for detail in &change.details {
            text.push_str(&format!("     {}\n", one_line(detail)));
        }
    }
    text
}
