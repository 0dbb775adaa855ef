//! The verbs that talk to a server: each asks through `basalt_client` and shows the answer.
//!
//! With `--json` the answer is printed as the API gave it, for programs; without, for people.

mod boards;
mod dispatchers;
mod job;
mod jobs;
mod lab;
mod login;
mod logs;
mod measured;
mod secret_file;
mod submit;
mod tokens;
mod users;
mod waiting;

use basalt_client::{Client, Settings};
use basalt_model::{JobId, RunId, UtcMicros};
use serde::Serialize;

pub use boards::{boards, maintenance};
pub use dispatchers::dispatchers;
pub use job::{cancel, job, resubmit, why};
pub use jobs::jobs;
pub use lab::{apply, diff};
pub use login::{login, login_link};
pub use logs::logs;
pub use measured::{latency, results};
pub use submit::{submit, wait};
pub use tokens::tokens;
pub use users::users;

use crate::exit::refused;
use crate::terminal::{Terminal, harmless_json};

/// The client of the server that the command line, the environment or the login names.
fn connect(server: Option<&str>) -> anyhow::Result<Client> {
    let settings = Settings::find(server).map_err(|error| refused(error.to_string()))?;
    Ok(Client::new(&settings)?)
}

/// Prints an answer for programs.
fn print_json<T: Serialize>(terminal: &Terminal, value: &T) -> anyhow::Result<()> {
    terminal.line(&harmless_json(&serde_json::to_string_pretty(value)?));
    Ok(())
}

/// The run of a job that its log and results are of: the last one.
async fn run_of(client: &Client, job: i64) -> anyhow::Result<RunId> {
    let job = client.job(JobId(job)).await?;
    job.run.ok_or_else(|| {
        refused(format!(
            "job {0} has not run yet; `basalt why {0}` says what it waits for",
            job.id
        ))
    })
}

/// `3 min ago`: how long something is past, by this host's clock.
fn ago(time: UtcMicros) -> String {
    let now = basalt_clock::Clock::system().now().utc;
    let micros = now.0.saturating_sub(time.0).max(0) as u64;
    match std::time::Duration::from_micros(micros) {
        gone if gone.as_secs() < 1 => "now".into(),
        gone if gone.as_secs() < 60 => format!("{} s ago", gone.as_secs()),
        gone if gone.as_secs() < 48 * 3600 => {
            format!("{} ago", crate::wording::time(gone))
        }
        gone => format!("{} days ago", gone.as_secs() / 86_400),
    }
}

/// From one moment to another.
fn took(from: Option<UtcMicros>, to: Option<UtcMicros>) -> String {
    match (from, to) {
        (Some(from), Some(to)) => {
            let micros = to.0.saturating_sub(from.0).max(0) as u64;
            crate::wording::time(std::time::Duration::from_micros(micros))
        }
        _ => String::new(),
    }
}

/// A word for one submission, so that a lost answer can be asked for again.
fn new_key() -> String {
    uuid::Uuid::now_v7().hyphenated().to_string()
}
