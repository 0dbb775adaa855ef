//! `basalt job`, `basalt why`, `basalt cancel`, `basalt resubmit`.

use std::time::Duration;

use basalt_api::{Explanation, Job, Step, StepState};
use basalt_client::Client;
use basalt_model::{JobId, Outcome};

use super::{ago, connect, measured, new_key, print_json, took};
use crate::arguments::{CancelArguments, JobArguments, ResubmitArguments, WhyArguments};
use crate::exit::Exit;
use crate::terminal::{Ink, Terminal, one_line};
use crate::wording;

/// Shows one job.
pub async fn job(arguments: &JobArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let job = client.job(JobId(arguments.job)).await?;
    if arguments.server.json {
        print_json(&terminal, &job)?;
    } else {
        show(&client, &job, &terminal).await?;
    }
    Ok(Exit::DONE)
}

/// A job for people: its steps, its measurements, and last what it came to.
pub async fn show(client: &Client, job: &Job, terminal: &Terminal) -> anyhow::Result<()> {
    let mut text = format!(
        "\n job {} {}\n",
        terminal.paint(Ink::Strong, &job.id.to_string()),
        terminal.paint(Ink::Strong, &one_line(&job.name))
    );
    text.push_str(&terminal.paint(
        Ink::Faint,
        &format!(
            " by {}, submitted {}, priority {}\n",
            one_line(job.submitter.as_str()),
            ago(job.submitted_utc_us),
            job.priority
        ),
    ));
    if let Some(run) = job.run {
        let run = client.run(run).await?;
        text.push_str(&terminal.paint(
            Ink::Faint,
            &format!(
                " run {} on {} by dispatcher {}{}\n",
                run.attempt,
                run.board,
                run.dispatcher,
                match run.resumed {
                    0 => String::new(),
                    1 => ", resumed once".into(),
                    count => format!(", resumed {count} times"),
                }
            ),
        ));
        text.push_str(&steps(&run.steps, terminal));
        let latency = client.latency(run.id).await?;
        text.push_str(&measured::drawings(&latency, terminal));
        let results = client.results(run.id).await?;
        text.push_str(&measured::cases(&results, &latency, terminal));
    }
    terminal.write(&text);
    if job.state.is_queued() {
        let why = client.why(job.id).await?;
        terminal.write(&explanation(&why, terminal));
    } else {
        terminal.write(&outcome(job, terminal));
    }
    let page = client.page(&format!("/jobs/{}", job.id));
    terminal.line(&terminal.paint(Ink::Faint, &format!(" {page}")));
    Ok(())
}

fn steps(steps: &[Step], terminal: &Terminal) -> String {
    let blocks: Vec<&Step> = steps
        .iter()
        .filter(|step| !step.level.contains('.') || step.failure.is_some())
        .collect();
    let width = blocks.iter().map(|step| step.name.chars().count()).max();
    let mut text = String::new();
    for step in blocks {
        let sign = match step.state {
            StepState::Done => terminal.paint(Ink::Good, "✔"),
            StepState::Failed => terminal.paint(Ink::Bad, "✘"),
            StepState::Running => terminal.paint(Ink::Accent, "▸"),
            StepState::Interrupted => terminal.paint(Ink::Odd, "…"),
        };
        let time = step
            .duration_ms
            .map_or_else(String::new, |ms| wording::time(Duration::from_millis(ms)));
        let attempt = match step.attempt {
            1 => String::new(),
            attempt => format!("  attempt {attempt}"),
        };
        let why = step
            .failure
            .as_ref()
            .map_or_else(String::new, |why| format!("  {}", one_line(why)));
        let line = format!(
            " {sign} {:<4} {:width$} {time:>12}{}{why}",
            one_line(&step.level),
            one_line(&step.name),
            terminal.paint(Ink::Faint, &attempt),
            width = width.unwrap_or(0),
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Where the job stands, or what it came to and why.
fn outcome(job: &Job, terminal: &Terminal) -> String {
    let (sign, ink) = match job.outcome {
        Some(Outcome::Pass) => ("✔", Ink::Good),
        Some(Outcome::Fail | Outcome::Incomplete) => ("✘", Ink::Bad),
        Some(Outcome::Invalid) => ("?", Ink::Odd),
        Some(Outcome::Canceled) => ("■", Ink::Odd),
        None => ("▸", Ink::Accent),
    };
    let word = super::jobs::state(job.state.as_str(), job.outcome);
    let time = took(job.started_utc_us, job.finished_utc_us);
    let time = match time.as_str() {
        "" => String::new(),
        time => format!(" after {time}"),
    };
    let why = job
        .reason
        .as_ref()
        .map_or_else(String::new, |why| format!("  {}", one_line(why)));
    format!(
        " {}{time}{why}\n",
        terminal.paint(ink, &format!("{sign} {word}"))
    )
}

/// Says why a job waits.
pub async fn why(arguments: &WhyArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let why = client.why(JobId(arguments.job)).await?;
    if arguments.server.json {
        print_json(&terminal, &why)?;
    } else {
        terminal.write(&explanation(&why, &terminal));
    }
    Ok(Exit::DONE)
}

fn explanation(why: &Explanation, terminal: &Terminal) -> String {
    // It begins with the job and its place.
    let sentence = one_line(&why.sentence);
    let mut text = format!(" {}\n", terminal.paint(Ink::Strong, &sentence));
    for board in &why.boards {
        let reason = one_line(&board.reason);
        // Of one board the sentence may have said it all.
        if why.boards.len() == 1 && sentence.contains(&reason) {
            continue;
        }
        let since = board
            .utc_us
            .map_or_else(String::new, |time| format!(", {}", wording::utc(time)));
        text.push_str(&format!(
            "   {reason}{}\n",
            terminal.paint(Ink::Faint, &since)
        ));
    }
    text
}

/// Ends jobs before their time. Each is tried, whatever becomes of the others.
pub async fn cancel(arguments: &CancelArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let mut canceled = Vec::new();
    let mut failed = None;
    for job in &arguments.jobs {
        match client.cancel(JobId(*job), arguments.reason.clone()).await {
            Ok(job) => {
                if !arguments.server.json {
                    let said = match job.outcome {
                        Some(Outcome::Canceled) => "is canceled".to_owned(),
                        Some(outcome) => format!("had ended before: {outcome}"),
                        None => format!("is {}", job.state),
                    };
                    terminal.line(&format!("job {} {said}", job.id));
                }
                canceled.push(job);
            }
            Err(error) => {
                terminal.note(&format!("job {job}: {error}"));
                failed = Some(error);
            }
        }
    }
    if arguments.server.json {
        print_json(&terminal, &canceled)?;
    }
    match failed {
        None => Ok(Exit::DONE),
        Some(error) => Err(error.into()),
    }
}

/// Submits a job again.
pub async fn resubmit(arguments: &ResubmitArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let job = client.resubmit(JobId(arguments.job), &new_key()).await?;
    if arguments.server.json {
        print_json(&terminal, &job)?;
    } else {
        let page = client.page(&format!("/jobs/{}", job.id));
        terminal.line(&format!(
            "job {} {:?} is queued: {page}",
            job.id,
            one_line(&job.name)
        ));
    }
    Ok(Exit::DONE)
}
