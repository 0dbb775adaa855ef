//! `basalt run`: finds or makes the run, takes the board, and hands both to the runner.

mod place;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use basalt_artifacts::Cache;
use basalt_clock::Clock;
use basalt_runner::host::{BoardLock, HostState};
use basalt_runner::{
    Attach, Ending, Leaves, Live, Resources, RunDirectory, Shared, Summary, Watcher,
};
use tokio::sync::mpsc;

use crate::arguments::RunArguments;
use crate::exit::{Exit, refused};
use crate::keeping::{Keeping, LINGER};
use crate::laboratory::{self, Reading};
use crate::reporter::{Options, Reporter, Told};
use crate::signals::{Ask, Signals};
use crate::terminal::Terminal;
use crate::{ending, state, wording};
use place::{Belonging, Place};

/// How long the last lines may take to be shown.
const FAREWELL: Duration = Duration::from_secs(5);

/// A run that can begin or go on.
struct Prepared {
    host: HostState,
    lock: BoardLock,
    directory: RunDirectory,
    belonging: Belonging,
    forbidden_hosts: Vec<String>,
    /// What the user should know before it begins.
    note: String,
}

/// Runs a job to its end, shows it, and says what it came to.
pub async fn perform(
    arguments: &RunArguments,
    state: Option<&Path>,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    let mut signals = Signals::catch()?;
    let prepared = match &arguments.resume {
        Some(directory) => resume(directory, arguments, state, &terminal)?,
        None => begin(arguments, state, &terminal)?,
    };
    let path = prepared.directory.path().to_owned();
    let options = Options {
        json: arguments.json,
        quiet: arguments.quiet,
    };
    let summary = drive(prepared, options, &mut signals, &terminal)
        .await
        .with_context(|| {
            format!(
                "the run in {} cannot go on; `basalt run --resume {}` tries again",
                path.display(),
                path.display()
            )
        })?;
    if !arguments.json {
        let results = ending::read(&path)?;
        terminal.write(&ending::text(&results, &path, &terminal));
    }
    Ok(summary.outcome.into())
}

/// The run of a job on a board: the unfinished one of the same command, else a new one.
fn begin(
    arguments: &RunArguments,
    state: Option<&Path>,
    terminal: &Terminal,
) -> anyhow::Result<Prepared> {
    let (Some(job_path), Some(lab_path), Some(board_name)) =
        (&arguments.job, &arguments.lab, &arguments.board)
    else {
        return Err(refused("a job, --lab and --board are needed"));
    };
    let mut reading = Reading::default();
    let lab = reading.lab(lab_path)?;
    let job = reading.job(job_path)?;
    let board = lab
        .as_ref()
        .map(|lab| laboratory::board(lab, board_name))
        .transpose();
    let plan = match (&lab, &job, &board) {
        (Some(lab), Some(job), Ok(Some(board))) => reading.plan(job, lab, board),
        _ => None,
    };
    let settled = reading.settle(terminal);
    // A wrong name of a board is told with the mistakes, not after they are gone.
    if let (Err(error), Err(_)) = (&board, &settled) {
        terminal.note_raw(&format!("error: {error}\n"));
    }
    settled?;
    let board = board?;
    let (Some(lab), Some(job), Some(board), Some(plan)) = (&lab, &job, board, plan) else {
        anyhow::bail!("job and lab have no mistakes and cannot be planned");
    };

    let host = state::open(state, &lab.name)?;
    let now = Clock::system().now().utc;
    let who = wording::who(&format!("basalt run of job {:?}", plan.job_name));
    let lock = host
        .take(&board.name, &who, now)?
        .with_outlet(&plan.relay, plan.board.power.outlet)?;
    let belonging = Belonging::new(laboratory::absolute(lab_path)?, host.path().to_owned());
    let place = match &arguments.output {
        Some(output) => place::asked_for(output, &plan, &job.text, &belonging)?,
        None => place::unfinished(Path::new(place::RESULTS), &plan, &job.text, &belonging)?,
    };
    let (directory, note) = match place {
        Place::Unfinished(path) => {
            let directory = RunDirectory::open(&path)?;
            // The same lab may lie elsewhere by now.
            belonging.write(directory.path())?;
            let mut note = format!("going on with the unfinished run in {}", path.display());
            if *directory.plan() != plan {
                note.push_str("; as it was planned then, though the lab has changed since");
            }
            (directory, note)
        }
        Place::New(path) => {
            let number = host.next_job_number()?;
            let (path, number) = match path {
                Some(path) => (path, number),
                None => place::fresh(Path::new(place::RESULTS), &plan, number, &host)?,
            };
            let directory =
                RunDirectory::create(&path, &job.text, &plan, number, now, &[belonging.file()?])?;
            let note = format!(
                "run {number}, {:?} on {}, in {}",
                plan.job_name,
                plan.board.name,
                path.display()
            );
            (directory, note)
        }
    };
    Ok(Prepared {
        forbidden_hosts: basalt_runner::forbidden_hosts(&lab.relays, &lab.boards),
        host,
        lock,
        directory,
        belonging,
        note,
    })
}

/// The unfinished run in a directory, by what was written into it when it was made.
fn resume(
    path: &Path,
    arguments: &RunArguments,
    state: Option<&Path>,
    terminal: &Terminal,
) -> anyhow::Result<Prepared> {
    let record = place::record(path)?;
    if place::is_finished(path)? {
        return Err(refused(format!(
            "the run in {0} is finished; `basalt results {0}` shows it",
            path.display()
        )));
    }
    let belonging = match Belonging::read(path)? {
        Some(belonging) => belonging,
        // Somebody took the note away.
        None => {
            let Some(lab_path) = &arguments.lab else {
                return Err(refused(format!(
                    "the run in {} does not say which lab it belongs to; say so with --lab",
                    path.display()
                )));
            };
            let lab = laboratory::open(lab_path, terminal)?;
            let state = state::directory(state, &lab.name)?;
            Belonging::new(laboratory::absolute(lab_path)?, state)
        }
    };
    let host = HostState::open(&belonging.state)?;
    let board = basalt_model::BoardName::new(&record.board);
    let now = Clock::system().now().utc;
    let who = wording::who(&format!("basalt run of job {:?}", record.job_name));
    let lock = host.take(&board, &who, now)?;
    let directory = RunDirectory::open(path)?;
    let plan = directory.plan();
    let lock = lock.with_outlet(&plan.relay, plan.board.power.outlet)?;
    belonging.write(path)?;
    // The plan holds what the run needs; a lab that has become unreadable since must not keep a
    // board from being switched off.
    let mut reading = Reading::default();
    let forbidden_hosts = match reading.lab(&belonging.lab) {
        Ok(Some(lab)) => basalt_runner::forbidden_hosts(&lab.relays, &lab.boards),
        Ok(None) | Err(_) => {
            terminal.note(&format!(
                "the lab in {} cannot be read now; the run goes on with what it was planned with",
                belonging.lab.display()
            ));
            let plan = directory.plan();
            basalt_runner::forbidden_hosts([&plan.relay], [&plan.board])
        }
    };
    Ok(Prepared {
        host,
        lock,
        directory,
        belonging,
        forbidden_hosts,
        note: format!("going on with the unfinished run in {}", path.display()),
    })
}

/// Runs to the end while somebody shows it and the user may cancel it.
async fn drive(
    prepared: Prepared,
    options: Options,
    signals: &mut Signals,
    terminal: &Terminal,
) -> anyhow::Result<Summary> {
    let Prepared {
        host,
        lock,
        directory,
        belonging,
        forbidden_hosts,
        note,
    } = prepared;
    terminal.note(&crate::terminal::one_line(&note));
    let cache_path = host.path().join("cache");
    let cache = Cache::open(&cache_path)
        .with_context(|| format!("cannot use the downloads in {}", cache_path.display()))?
        .with_forbidden_hosts(forbidden_hosts);
    let keeping = Keeping {
        state: host.path().to_owned(),
        lab: belonging.lab.is_dir().then_some(belonging.lab),
        linger: Some(LINGER),
    };
    let created = directory.record().created;
    let reporter = Reporter::new(*terminal, options, directory.plan(), created);
    let (told, follow) = mpsc::unbounded_channel();
    let watching = tokio::spawn(reporter.follow(follow));
    let (live, events) = mpsc::unbounded_channel();
    let passing = tokio::spawn(pass_on(events, told.clone()));
    let ending = Ending::new();
    let resources = Resources {
        attach: attach(keeping, laboratory::kept_console(&directory.plan().board)),
        host,
        lock,
        epoch: None,
        cache,
        shared: Shared::start(),
        watcher: Watcher::Live(live),
        leaves: Leaves::Everything,
        ending: ending.clone(),
    };
    let result = {
        let mut running = std::pin::pin!(basalt_runner::run(directory, resources));
        loop {
            tokio::select! {
                result = &mut running => break result,
                ask = signals.next() => stop(ask, &ending, &told),
            }
        }
    };
    // The last lines are on their way; a terminal that does not take them is not waited for.
    drop(told);
    let farewell = async {
        let _ = passing.await;
        let _ = watching.await;
    };
    if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
        tracing::warn!("the live log could not be shown to its end");
    }
    Ok(result?)
}

/// The first time cancels; the second time ends at once.
fn stop(ask: Ask, ending: &Ending, told: &mpsc::UnboundedSender<Told>) {
    if ending.is_asked() {
        // A terminal that goes away often says so twice; that is one wish.
        if ask == Ask::Hangup {
            return;
        }
        eprintln!("\nended at once; the board is as it was left, and the run can be resumed");
        std::process::exit(Exit::signal(ask.number()));
    }
    ending.cancel(None);
    let note = "canceling: the board is being switched off; once more ends at once and leaves it";
    // Nobody shows anything any more where this fails.
    let _ = told.send(Told::Note(note.to_owned()));
}

async fn pass_on(mut live: mpsc::UnboundedReceiver<Live>, told: mpsc::UnboundedSender<Told>) {
    while let Some(event) = live.recv().await {
        if told.send(Told::Live(event)).is_err() {
            return;
        }
    }
}

fn attach(keeping: Keeping, console: basalt_console::KeptConsole) -> Attach {
    Arc::new(move |from, writer| {
        let (keeping, console) = (keeping.clone(), console.clone());
        Box::pin(async move { keeping.attach(console, from, Some(writer)).await })
    })
}
