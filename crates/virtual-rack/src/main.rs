//! A rack of virtual boards: consoles, relays and boards that can be driven with the protocols of real ones.
//!
//! It knows nothing of the software that drives it, and that software cannot tell it from hardware: a board has a serial console (raw TCP
//! port, PTY) that outlives its power, an outlet of a relay (Tasmota's HTTP, LCUS frames on a PTY), and a network from which it fetches over
//! TFTP. Boards are QEMU machines or simulated dialogues. Faults are planted over the rack's own HTTP (`knobs`), and everything
//! that truly happened is in the rack's log (`log`).
//!
//! Not here: any judgement. Nothing in this program decides whether a job went well.

mod board;
mod config;
mod http;
mod knobs;
mod log;
mod measure;
mod netns;
mod port;
mod qemu;
mod rack;
mod random;
mod relay;
mod simulated;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
};

const LONG_HELP: &str = "\
A rack is described by a TOML file: --example-config prints one with a remark on each line.

  virtual-rack --config rack.toml --ready ready.json
      Runs until SIGTERM or Ctrl-C. ready.json appears when everything listens and says where.
  virtual-rack --config rack.toml --netns -- basalt run …
      Runs a command beside the boards, ends with its exit status.
  virtual-rack exec --ready ready.json -- curl http://10.77.0.1:8000/boards
      Runs a command in the network of a rack that was started with --netns.

Drive a board by hand:
  curl 'http://10.77.0.1:8081/cm?cmnd=Power1%20On'      switch it on
  nc 10.77.0.1 7001                                     sit at its console
  curl http://10.77.0.1:8000/boards/sim-1               power, counters, knobs
  curl -H 'content-type: application/json' -d '{\"panic\":{\"stage\":\"boot\",\"times\":1}}' \\
       http://10.77.0.1:8000/boards/sim-1/knobs         plant a fault

Knobs (each may have \"times\": N, then it wears off; null clears it):
  hang {stage: power|uboot|tftp|kernel|login|shell|cyclictest}   panic {stage: boot|cyclictest, reboot_after_ms}
  reboot_mid_run {}            other_kernel {version, at: boot|power}      drop_output, drop_input {probability, seed}
  printk {every, after, text}  relay {mode: refuse|refuse-connection|lie|stuck, only: on|off}
  no_tftp {}                   console_gone {}           load_dies {after_ms}
  truncate_json {}             spike {us}                lost_cycles {share}
  hold {after, nth}: the board stands still once it has said this, until the knob is cleared or another is set";

/// Virtual boards behind real relay, serial and network protocols.
#[derive(Parser)]
#[command(version, after_long_help = LONG_HELP, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// The rack's description (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Written in one step when everything listens: addresses, paths, process id (JSON). Removed at the end.
    #[arg(long, value_name = "FILE")]
    ready: Option<PathBuf>,
    /// Directory served below /files/, in place of the configuration's.
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Directory for sockets, PTY links and the log, in place of the configuration's.
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Run in a new network namespace with the configuration's bridge.
    #[arg(long)]
    netns: bool,
    /// Print an annotated configuration and end.
    #[arg(long)]
    example_config: bool,
    /// Run this when everything listens, then end with its exit status.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a command in the network of a running rack.
    Exec {
        /// The rack's ready file.
        #[arg(long, value_name = "FILE")]
        ready: PathBuf,
        /// The command.
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("virtual-rack: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.example_config {
        print!("{}", config::EXAMPLE);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(Verb::Exec { ready, command }) = &arguments.verb {
        netns::exec(ready, command)?;
        unreachable!("exec returns only with an error");
    }
    let path = arguments
        .config
        .as_deref()
        .context("--config FILE is needed; see --help")?;
    let mut config = config::Config::load(path)?;
    if arguments.files.is_some() {
        config.http.files = arguments.files;
    }
    if arguments.run_dir.is_some() {
        config.run_dir = arguments.run_dir;
    }
    if let Some(files) = &config.http.files {
        ensure!(files.is_dir(), "{} is no directory", files.display());
    }
    if arguments.netns {
        netns::enter()?;
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()),
        )
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (outcome, rack) = runtime.block_on(serve(
        config,
        arguments.netns,
        arguments.ready.as_deref(),
        &arguments.command,
    ));
    // Ends the boards' tasks, which kills what they started.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    if let Some(rack) = rack {
        rack.clean_up();
    }
    if let Some(ready) = &arguments.ready {
        // Never written if the start failed.
        let _ = std::fs::remove_file(ready);
    }
    outcome
}

async fn serve(
    config: config::Config,
    inside: bool,
    ready: Option<&Path>,
    command: &[String],
) -> (anyhow::Result<ExitCode>, Option<rack::Rack>) {
    // Before the start, so that a signal in its middle is not lost.
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (mut terminate, mut interrupt) = match signals {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => return (Err(error.into()), None),
    };
    let rack = match rack::start(config, inside).await {
        Ok(rack) => rack,
        Err(error) => return (Err(error), None),
    };
    if let Some(path) = ready
        && let Err(error) = rack.write_ready(path)
    {
        return (Err(error), Some(rack));
    }
    let work = async {
        match command.split_first() {
            Some((program, arguments)) => run_command(program, arguments).await,
            None => {
                println!("{:#}", rack.ready);
                std::future::pending().await
            }
        }
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        _ = terminate.recv() => Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => Ok(ExitCode::SUCCESS),
    };
    (outcome, Some(rack))
}

async fn run_command(program: &str, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", program])
        .args(arguments)
        // A rack that the command starts is not inside yet.
        .env_remove(netns::INSIDE)
        .kill_on_drop(true)
        .status()
        .await
        .context("cannot run setpriv (package util-linux)")?;
    let code = std::os::unix::process::ExitStatusExt::signal(&status)
        .map_or(status.code(), |signal| Some(128 + signal));
    Ok(ExitCode::from(u8::try_from(code.unwrap_or(1)).unwrap_or(1)))
}
