//! `basalt logs`.

use std::io::{IsTerminal, Write};

use basalt_api::{Job, LogLine, LogQuery};
use basalt_client::Client;
use basalt_model::{JobId, JobState, RunId, UtcMicros};
use basalt_report::joblog::LogLevel;
use futures::StreamExt;

use super::waiting::{Leaving, Watch};
use super::{connect, run_of};
use crate::arguments::LogsArguments;
use crate::exit::{Exit, refused};
use crate::terminal::filter::Filter;
use crate::terminal::{Ink, Terminal, harmless_json, one_line};

/// Shows a log, or follows it.
pub async fn logs(arguments: &LogsArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let json = arguments.server.json;
    let job = JobId(arguments.job);
    let mut leaving = Leaving::catch()?;
    let shown = if arguments.follow {
        let following = Following {
            from: arguments.from,
            console: arguments.console,
            json,
            earlier_runs: false,
        };
        let mut watch = Watch::new(&client, job);
        let followed = following.job(&client, &mut watch, &terminal);
        leaving.unless_left(followed).await.map(|end| end.map(drop))
    } else {
        leaving
            .unless_left(once(&client, arguments, &terminal))
            .await
    };
    match shown {
        Ok(Err(error)) if is_closed(&error) => Ok(Exit::DONE),
        Ok(shown) => shown.map(|()| Exit::DONE),
        Err(left) => {
            if arguments.console {
                Shown::new().end()?;
            }
            Ok(left.exit())
        }
    }
}

/// The log as it is now.
async fn once(
    client: &Client,
    arguments: &LogsArguments,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let run = run_of(client, arguments.job).await?;
    let json = arguments.server.json;
    if arguments.console && !json {
        return console(client, run).await;
    }
    let query = LogQuery {
        from: Some(i64::try_from(arguments.from).unwrap_or(i64::MAX)),
        level: levels(arguments)?,
        q: arguments.search.clone(),
        ..LogQuery::default()
    };
    let mut lines = client.log(run, &query).await?;
    while let Some(line) = lines.next().await {
        show(&line?, json, terminal)?;
    }
    Ok(())
}

/// Whether nobody reads any more: `basalt logs 17 | head` has seen enough.
fn is_closed(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// How logs are followed.
#[derive(Clone, Copy, Debug)]
pub struct Following {
    /// The first run is shown from this line on.
    from: u64,
    /// Only what the board says.
    console: bool,
    json: bool,
    /// Runs before the last one are shown too.
    earlier_runs: bool,
}

impl Following {
    /// Everything from the beginning.
    pub fn whole(json: bool) -> Self {
        Self {
            from: 1,
            console: false,
            json,
            earlier_runs: true,
        }
    }

    /// Shows the job's logs, run after run, until it is finished.
    pub async fn job(
        mut self,
        client: &Client,
        watch: &mut Watch<'_>,
        terminal: &Terminal,
    ) -> anyhow::Result<Job> {
        let mut shown = Vec::new();
        loop {
            let now = watch.ask().await?;
            if shown.is_empty() && !self.earlier_runs && !now.runs.is_empty() {
                let earlier = now.runs.iter().rev().skip(1);
                shown.extend(earlier.map(|run| run.id));
                self.earlier_runs = true;
            }
            let next = now.runs.iter().find(|run| !shown.contains(&run.id));
            match next {
                Some(run) => {
                    if run.attempt > 1 {
                        let job = watch.job();
                        terminal.note(&format!("job {job} runs again, on {}", run.board));
                    }
                    shown.push(run.id);
                    self.run(client, run.id, terminal).await?;
                    self.from = 1;
                }
                None if now.state == JobState::Finished => return Ok(now),
                None => {
                    watch.tell_why(&now, terminal).await;
                    watch.change().await;
                }
            }
        }
    }

    /// Shows lines until the run's log ends.
    async fn run(&self, client: &Client, run: RunId, terminal: &Terminal) -> anyhow::Result<()> {
        let mut lines = client.follow_log(run, self.from.saturating_sub(1));
        let mut shown = Shown::new();
        while let Some(line) = lines.next().await? {
            if self.console && !self.json {
                if line.level == LogLevel::Target {
                    shown.write(&bytes_of(&line)?)?;
                }
            } else {
                show(&line, self.json, terminal)?;
            }
        }
        match self.console {
            true => shown.end(),
            false => Ok(()),
        }
    }
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
        return print(&harmless_json(&serde_json::to_string(line)?));
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
    print(format!("{time} {text}").trim_end())
}

/// A log may be long: a reader who is gone ends it.
fn print(line: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("{line}\n").as_bytes())?;
    Ok(output.flush()?)
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
