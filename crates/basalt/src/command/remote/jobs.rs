//! `basalt jobs`.

use basalt_api::{JobQuery, JobSummary};
use basalt_model::{BoardName, Outcome};

use super::{ago, connect, print_json, took};
use crate::arguments::JobsArguments;
use crate::exit::Exit;
use crate::terminal::{Ink, Terminal};

/// The server gives no more in one page.
const PAGE: u32 = 200;

/// Lists jobs, the newest first.
pub async fn jobs(arguments: &JobsArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let submitter = match arguments.mine {
        true => Some(client.me().await?.name.to_string()),
        false => None,
    };
    let mut query = JobQuery {
        state: arguments.in_state.clone(),
        outcome: arguments.outcome.map(|outcome| outcome.to_string()),
        board: arguments.board.as_deref().map(BoardName::new),
        submitter,
        q: arguments.name.clone(),
        ..JobQuery::default()
    };
    let mut jobs = Vec::new();
    let wanted = arguments.limit as usize;
    while jobs.len() < wanted {
        let missing = (wanted - jobs.len()) as u32;
        query.limit = Some(missing.min(PAGE));
        let page = client.jobs(&query).await?;
        let empty = page.items.is_empty();
        jobs.extend(page.items);
        query.cursor = page.next;
        if query.cursor.is_none() || empty {
            break;
        }
    }
    if arguments.server.json {
        print_json(&terminal, &jobs)?;
        return Ok(Exit::DONE);
    }
    if jobs.is_empty() {
        let asked = JobQuery {
            limit: None,
            ..query
        };
        terminal.note(match asked == JobQuery::default() {
            true => "no jobs yet; `basalt submit JOB` submits one",
            false => "no job is like that",
        });
        return Ok(Exit::DONE);
    }
    let rows = jobs.iter().map(row).collect();
    let heads = ["job", "name", "state", "board", "by", "submitted", "took"];
    terminal.write(&crate::columns::columns(&heads, rows, &terminal));
    if query.cursor.is_some() {
        terminal.write(&terminal.paint(Ink::Faint, "  … more with --limit\n"));
    }
    Ok(Exit::DONE)
}

fn row(job: &JobSummary) -> Vec<String> {
    vec![
        job.id.to_string(),
        shortened(&job.name),
        state(job.state.as_str(), job.outcome),
        job.board
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        job.submitter.to_string(),
        ago(job.submitted_utc_us),
        took(job.started_utc_us, job.finished_utc_us),
    ]
}

/// What a finished job came to says more than that it is finished.
pub fn state(state: &str, outcome: Option<Outcome>) -> String {
    outcome.map_or_else(|| state.to_owned(), |outcome| outcome.to_string())
}

fn shortened(name: &str) -> String {
    const LONGEST: usize = 40;
    if name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(LONGEST - 1).collect();
    short.push('…');
    short
}
