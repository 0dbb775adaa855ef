//! The binary `basalt`: verbs, configuration, wiring, presentation.
//!
//! - [`arguments`] is the command line; each verb is a file in [`command`];
//! - [`laboratory`] reads files from disk for the pure crates, [`state`] finds the directory that
//!   one lab has on this host, [`keeping`] starts and meets the console keeper;
//! - [`reporter`] shows a run while it goes on, [`ending`] what it came to, [`terminal`] knows what
//!   the terminal can do and what must not reach it.
//!
//! Not done here: everything that a board, a job or a measurement means. Those are the other
//! crates' work; this one prints what they say.

mod arguments;
mod columns;
mod command;
mod configuration;
mod ending;
mod exit;
mod keeping;
mod laboratory;
mod reporter;
mod serving;
mod signals;
mod state;
mod terminal;
mod wording;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;
use crate::exit::Exit;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed pipe is no reason to complain about.
            let _ = error.print();
            let code = if error.use_stderr() {
                Exit::USAGE
            } else {
                Exit::DONE
            };
            return code.into();
        }
    };
    start_logging();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot be started: {error}");
            return Exit::HOST.into();
        }
    };
    let terminal = terminal::Terminal::new(arguments.color);
    let result = runtime.block_on(command::perform(arguments));
    // Relays finish what they began only while somebody waits for them, and every verb does. What
    // is left are reads that nobody can interrupt, of standard input above all.
    runtime.shutdown_background();
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = exit::of(&error);
            terminal.say_error(&error);
            exit.into()
        }
    }
}

fn start_logging() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()) && terminal::wanted())
        .init();
}
