//! `basalt submit`, `basalt wait`.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use basalt_api::{Diagnostic, Job, Severity};
use basalt_client::{Client, ClientError};
use basalt_model::{JobId, Outcome};

use super::logs::Following;
use super::waiting::{Leaving, Watch};
use super::{connect, job, new_key, print_json};
use crate::arguments::{SubmitArguments, WaitArguments};
use crate::exit::{Exit, refused};
use crate::terminal::{Ink, Terminal, one_line};

/// Submits a job; with `--follow` and `--wait` stays until its end.
pub async fn submit(arguments: &SubmitArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let (name, text) = read(&arguments.job)?;
    let client = connect(arguments.server.server.as_deref())?;
    let json = arguments.server.json;
    if arguments.dry_run {
        return dry_run(&client, &name, &text, json, terminal).await;
    }
    let key = arguments.idempotency_key.clone().unwrap_or_else(new_key);
    let submitted = match client.submit(&text, &key).await {
        Ok(job) => job,
        Err(error) => return Err(explained(error, &name, &text, json, &terminal)),
    };
    let stays = arguments.follow || arguments.wait;
    if json && !stays {
        print_json(&terminal, &submitted)?;
        return Ok(Exit::DONE);
    }
    let page = client.page(&format!("/jobs/{}", submitted.id));
    let said = format!(
        "job {} {:?} is queued: {page}",
        submitted.id,
        one_line(&submitted.name)
    );
    if stays {
        terminal.note(&said);
    } else {
        terminal.line(&said);
        return Ok(Exit::DONE);
    }
    let mut leaving = Leaving::catch()?;
    let mut watch = Watch::new(&client, submitted.id);
    let finished = if arguments.follow {
        let following = Following::whole(json);
        let finished = following.job(&client, &mut watch, &terminal);
        leaving.unless_left(finished).await
    } else {
        let teller = (!json).then_some(&terminal);
        let ended = leaving.unless_left(watch.end(teller)).await;
        ended.map(|finished| finished.map_err(Into::into))
    };
    match finished {
        Ok(finished) => ended(&client, &finished?, json, terminal).await,
        Err(left) => Ok(left.tell(submitted.id, &terminal)),
    }
}

/// Waits for a job's end.
pub async fn wait(arguments: &WaitArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let mut watch = Watch::new(&client, JobId(arguments.job));
    let json = arguments.server.json;
    let teller = (!json).then_some(&terminal);
    let limit = arguments.timeout.unwrap_or(Duration::MAX);
    let mut leaving = Leaving::catch()?;
    let finished = tokio::time::timeout(limit, watch.end(teller));
    match leaving.unless_left(finished).await {
        Ok(Ok(finished)) => ended(&client, &finished?, json, terminal).await,
        Ok(Err(_)) => {
            terminal.note(&format!(
                "job {} has not ended within {}; it goes on",
                arguments.job,
                crate::wording::time(limit)
            ));
            Ok(Exit::HELD)
        }
        Err(left) => Ok(left.tell(JobId(arguments.job), &terminal)),
    }
}

/// What a finished job came to, and the exit code that says so.
async fn ended(
    client: &Client,
    finished: &Job,
    json: bool,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    if json {
        print_json(&terminal, finished)?;
    } else {
        job::show(client, finished, &terminal).await?;
    }
    // A finished job without an outcome would be the server's mistake.
    Ok(finished.outcome.unwrap_or(Outcome::Incomplete).into())
}

async fn dry_run(
    client: &Client,
    name: &str,
    text: &str,
    json: bool,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    let validation = match client.validate(text).await {
        Ok(validation) => validation,
        Err(error) => return Err(explained(error, name, text, json, &terminal)),
    };
    if json {
        print_json(&terminal, &validation)?;
    } else {
        terminal.write(&diagnostics(&validation.diagnostics, name, text, &terminal));
        for candidate in &validation.candidates {
            let (sign, why) = match (&candidate.suitable, &candidate.reason) {
                (true, _) => (terminal.paint(Ink::Good, "✔"), String::new()),
                (false, reason) => (
                    terminal.paint(Ink::Bad, "✘"),
                    reason.as_deref().map(one_line).unwrap_or_default(),
                ),
            };
            terminal.line(&format!(" {sign} {}  {why}", candidate.board));
        }
        let verdict = match validation.valid {
            true => terminal.paint(Ink::Good, "the job can be submitted"),
            false => terminal.paint(Ink::Bad, "the job would be refused"),
        };
        terminal.line(&verdict);
    }
    Ok(if validation.valid {
        Exit::DONE
    } else {
        Exit::NO
    })
}

/// A refusal with what is wrong in the job, shown at its lines.
fn explained(
    error: ClientError,
    name: &str,
    text: &str,
    json: bool,
    terminal: &Terminal,
) -> anyhow::Error {
    let Some(problem) = error
        .problem()
        .filter(|problem| !problem.diagnostics.is_empty())
    else {
        return error.into();
    };
    if json {
        // The refusal is told in any case.
        let _ = print_json(terminal, problem);
    } else {
        terminal.note_raw(&diagnostics(&problem.diagnostics, name, text, terminal));
    }
    refused(format!("{}; nothing was queued", problem.detail))
}

/// What is wrong, with the line it is in.
fn diagnostics(list: &[Diagnostic], name: &str, text: &str, terminal: &Terminal) -> String {
    let mut out = String::new();
    for diagnostic in list {
        let (word, ink) = match diagnostic.severity {
            Severity::Error => ("error", Ink::Bad),
            Severity::Warning => ("warning", Ink::Odd),
        };
        out.push_str(&format!(
            "{name}:{}:{}: {} {}\n",
            diagnostic.line,
            diagnostic.column,
            terminal.paint(ink, &format!("{word}:")),
            one_line(&diagnostic.message)
        ));
        let line = (diagnostic.line as usize).checked_sub(1);
        if let Some(line) = line.and_then(|line| text.lines().nth(line)) {
            let number = format!("{:>5} | ", diagnostic.line);
            let before = (diagnostic.column as usize).saturating_sub(1);
            out.push_str(&format!("{number}{}\n", one_line(line)));
            out.push_str(&format!("      | {}^\n", " ".repeat(before.min(200))));
        }
        if let Some(hint) = &diagnostic.hint {
            out.push_str(&format!("      = {}\n", one_line(hint)));
        }
    }
    out
}

/// The job's text, and what it is called in messages.
fn read(path: &Path) -> anyhow::Result<(String, String)> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read the job from standard input")?;
        return Ok(("standard input".into(), text));
    }
    let bytes = std::fs::read(path)
        .map_err(|error| refused(format!("cannot read {}: {error}", path.display())))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| refused(format!("{} is not UTF-8", path.display())))?;
    Ok((path.display().to_string(), text))
}
