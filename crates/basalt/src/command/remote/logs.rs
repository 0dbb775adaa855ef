//! `basalt logs`.

use std::io::{IsTerminal, Write};

use basalt_api::{LogLine, LogQuery};
use basalt_client::Client;
use basalt_model::{RunId, UtcMicros};
use basalt_report::joblog::LogLevel;
use futures::StreamExt;

use super::{connect, run_of};
use crate::arguments::LogsArguments;
use crate::exit::{Exit, refused};
use crate::terminal::filter::Filter;
use crate::terminal::{Ink, Terminal, one_line};

/// Shows a log, or follows it.
pub async fn logs(arguments: &LogsArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let run = run_of(&client, arguments.job).await?;
    let json = arguments.server.json;
    if arguments.follow {
        follow(
            &client,
            run,
            arguments.from,
            arguments.console,
            json,
            &terminal,
        )
        .await?;
        return Ok(Exit::DONE);
    }
    if arguments.console && !json {
        console(&client, run).await?;
        return Ok(Exit::DONE);
    }
    let query = LogQuery {
        from: Some(i64::try_from(arguments.from).unwrap_or(i64::MAX)),
        level: levels(arguments)?,
        q: arguments.search.clone(),
        ..LogQuery::default()
    };
    let mut lines = client.log(run, &query).await?;
    while let Some(line) = lines.next().await {
        show(&line?, json, &terminal)?;
    }
    Ok(Exit::DONE)
}

/// Shows lines from number `from` on until the run's log ends.
pub async fn follow(
    client: &Client,
    run: RunId,
    from: u64,
    console: bool,
    json: bool,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let mut lines = client.follow_log(run, from.saturating_sub(1));
    let mut shown = Shown::new();
    while let Some(line) = lines.next().await? {
        if console && !json {
            if line.level == LogLevel::Target {
                shown.write(&bytes_of(&line)?)?;
            }
        } else {
            show(&line, json, terminal)?;
        }
    }
    shown.end()
}

/// Everything that the board said: exact where nobody looks, harmless on a terminal.
async fn console(client: &Client, run: RunId) -> anyhow::Result<()> {
    let mut stream = client.console(run).await?;
    let mut shown = Shown::new();
    while let Some(bytes) = stream.next().await {
        shown.write(&bytes?)?;
    }
    shown.end()
}

/// Standard output for a board's bytes.
struct Shown(Option<Filter>);

impl Shown {
    fn new() -> Self {
        let looks = std::io::stdout().is_terminal();
        Self(looks.then(|| Filter::new(false)))
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut output = std::io::stdout().lock();
        match &mut self.0 {
            Some(filter) => output.write_all(&filter.pass(bytes))?,
            None => output.write_all(bytes)?,
        }
        Ok(output.flush()?)
    }

    fn end(self) -> anyhow::Result<()> {
        if self.0.is_some() {
            std::io::stdout().lock().write_all(Filter::undo())?;
        }
        Ok(())
    }
}

/// The bytes of a line of the console.
fn bytes_of(line: &LogLine) -> anyhow::Result<Vec<u8>> {
    use base64::Engine;
    match &line.bytes {
        Some(bytes) => Ok(base64::engine::general_purpose::STANDARD.decode(bytes)?),
        None => Ok(format!("{}\r\n", line.text).into_bytes()),
    }
}

fn show(line: &LogLine, json: bool, terminal: &Terminal) -> anyhow::Result<()> {
    if json {
        terminal.line(&serde_json::to_string(line)?);
        return Ok(());
    }
    let ink = match line.level {
        LogLevel::Target | LogLevel::Feedback => Ink::Plain,
        LogLevel::Input => Ink::Accent,
        LogLevel::Debug => Ink::Faint,
        LogLevel::Info => Ink::Strong,
        LogLevel::Warning | LogLevel::Gap => Ink::Odd,
        LogLevel::Error => Ink::Bad,
        LogLevel::Results => Ink::Good,
    };
    let level = match line.level {
        LogLevel::Target => String::new(),
        level => format!("{level} "),
    };
    let time = terminal.paint(Ink::Faint, &clock(line.utc_us));
    let text = terminal.paint(ink, &format!("{level}{}", one_line(&line.text)));
    terminal.line(format!("{time} {text}").trim_end());
    Ok(())
}

/// `12:34:56.789`, UTC.
fn clock(time: UtcMicros) -> String {
    jiff::Timestamp::from_microsecond(time.0).map_or_else(
        |_| "--:--:--.---".to_owned(),
        |time| time.strftime("%H:%M:%S%.3f").to_string(),
    )
}

/// The levels that weigh at least as much as the one that was asked for.
fn levels(arguments: &LogsArguments) -> anyhow::Result<Option<String>> {
    let Some(least) = &arguments.level else {
        return Ok(arguments.console.then(|| "target".to_owned()));
    };
    const WEIGHTS: [&str; 4] = ["debug", "info", "warning", "error"];
    let Some(place) = WEIGHTS.iter().position(|word| word == least) else {
        return Err(refused(format!(
            "{least:?} is no level; there are {}",
            WEIGHTS.join(", ")
        )));
    };
    let mut levels = WEIGHTS[place..].to_vec();
    // Lost bytes weigh as a warning.
    if place <= 2 {
        levels.push("gap");
    }
    Ok(Some(levels.join(",")))
}
