//! The two processes of a rack's host that tests kill, a dispatcher and a keeper: this test program
//! itself, started with one argument list in its environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use basalt_console::KeeperConfig;
use basalt_console::session::Restart;
use basalt_dispatcher::{DispatcherConfig, Listener, Retention, StopMode, Tempo};
use basalt_link::{Dialer, Endpoint, Token, Trust};
use basalt_model::DispatcherName;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::desk::Desk;
use crate::site::{Dispatcher, Site};

/// `keeper STATE`, or `dispatch STATE NAME SERVER`, one a line. A dispatcher detaches at SIGTERM,
/// ends at SIGINT and drains at SIGUSR1.
const ARGUMENTS: &str = "BASALT_TEST_PROCESS";

/// This program as one of the processes: libtest runs a single test, which finds its arguments.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "process::a_second_dispatcher_does_not_start"])
        .arg("--nocapture")
        .env(ARGUMENTS, arguments.join("\n"));
    command
}

#[test]
fn a_second_dispatcher_does_not_start() {
    if let Ok(arguments) = std::env::var(ARGUMENTS) {
        return be(&arguments.lines().collect::<Vec<_>>());
    }
    let site = Site::start(1);
    let desk = Desk::open(&site);
    let _first = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    let mut second = Dispatcher::start(&site, &desk.endpoint());
    assert!(!second.wait().success());
    let said = std::fs::read_to_string(site.path().join("dispatcher.log")).unwrap();
    assert!(said.contains("dispatcher main (pid"), "{said}");
}

/// One of the processes.
fn be(arguments: &[&str]) {
    let filter = "info,basalt_dispatcher=debug,basalt_runner=debug";
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match arguments {
        ["keeper", state] => runtime.block_on(keeper(Path::new(state))),
        ["dispatch", state, name, server] => {
            runtime.block_on(dispatch(Path::new(state), name, server));
        }
        other => panic!("what is {other:?}?"),
    }
}

async fn keeper(state: &Path) {
    // One that finds another ends; that is as it should be.
    if let Err(error) =
        basalt_console::serve(KeeperConfig::new(state), std::future::pending()).await
    {
        eprintln!("{error}");
    }
}

async fn dispatch(state: &Path, name: &str, server: &str) {
    let endpoint: Endpoint = server.parse().expect("an endpoint");
    let token = Token::new("token").expect("a token");
    let config = DispatcherConfig {
        state: state.to_owned(),
        name: DispatcherName::new(name),
        build: "test".into(),
        server: Dialer::new(endpoint, token, &Trust::System).expect("a dialer"),
        keeper: start_keeper(state.to_owned()),
        retention: Retention::default(),
        tempo: Tempo::default(),
        listener: Listener::default(),
    };
    let stop = watch::Sender::new(None);
    let heard = stop.subscribe();
    tokio::spawn(async move {
        let catch = |kind| signal(kind).expect("signals can be caught");
        let (mut term, mut int, mut usr1) = (
            catch(SignalKind::terminate()),
            catch(SignalKind::interrupt()),
            catch(SignalKind::user_defined1()),
        );
        loop {
            let mode = tokio::select! {
                _ = term.recv() => StopMode::Detach,
                _ = int.recv() => StopMode::End,
                _ = usr1.recv() => StopMode::Drain,
            };
            stop.send_replace(Some(mode));
        }
    });
    match basalt_dispatcher::run(config, heard).await {
        Ok(mode) => eprintln!("stopped: {mode:?}"),
        Err(error) => {
            eprintln!("failed: {error}");
            std::process::exit(1);
        }
    }
}

/// A keeper in a process of its own, which outlives this one.
fn start_keeper(state: PathBuf) -> Restart {
    Arc::new(move || {
        let state = state.clone();
        Box::pin(async move {
            let log = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(state.join("keeper.log"))?;
            let state = state.to_str().expect("temporary paths are UTF-8");
            let mut command = tokio::process::Command::from(command(&["keeper", state]));
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .process_group(0)
                .spawn()?;
            Ok(())
        })
    })
}
