//! `basalt in-session`: what `basalt serve` starts its dispatcher through.

use std::convert::Infallible;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;

use anyhow::Context;

use crate::arguments::InSessionArguments;

/// Becomes the command, in a session of its own: no terminal's end and no Ctrl-C reaches it. Returns
/// only with an error.
pub fn perform(arguments: &InSessionArguments) -> anyhow::Result<Infallible> {
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&arguments.log)
        .with_context(|| format!("cannot open {}", arguments.log.display()))?;
    rustix::stdio::dup2_stdout(&log).context("cannot write to the log")?;
    rustix::stdio::dup2_stderr(&log).context("cannot write to the log")?;
    rustix::process::setsid().context("cannot begin a session")?;
    let (program, words) = arguments
        .command
        .split_first()
        .context("there is no command")?;
    let error = std::process::Command::new(program).args(words).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}
