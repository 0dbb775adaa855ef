//! What asks a process to end, and how.

use anyhow::Context;
use clap::ValueEnum;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How a server or a dispatcher stops (decision D23).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StopHow {
    /// Runs end and go back to the queue, boards are switched off
    End,
    /// Runs finish first; nothing new is started
    Drain,
    /// Boards and runs go on; the next start goes on with them
    Detach,
}

/// Ctrl-C, SIGTERM, the terminal's end, and perhaps SIGUSR1. From the moment this exists none of
/// them kills.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    drain: Option<Signal>,
}

/// Which one came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// The terminal is gone.
    Hangup,
    /// SIGUSR1: drain, whatever the others do.
    Drain,
}

impl Ask {
    /// The signal's number.
    pub fn number(self) -> i32 {
        match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Drain => 10,
            Self::Terminate => 15,
        }
    }
}

impl Signals {
    /// Takes the signals over. Must be called within a tokio runtime.
    pub fn catch() -> anyhow::Result<Self> {
        let catch = |kind| signal(kind).context("cannot catch signals");
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hangup: catch(SignalKind::hangup())?,
            drain: None,
        })
    }

    /// Takes SIGUSR1 over too: for what can drain.
    pub fn catch_with_drain() -> anyhow::Result<Self> {
        let drain = signal(SignalKind::user_defined1()).context("cannot catch signals")?;
        Ok(Self {
            drain: Some(drain),
            ..Self::catch()?
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Ask {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Ask::Interrupt,
            Some(()) = self.terminate.recv() => Ask::Terminate,
            Some(()) = self.hangup.recv() => Ask::Hangup,
            Some(()) = of(&mut self.drain) => Ask::Drain,
            else => std::future::pending().await,
        }
    }
}

/// A signal that may not be listened to.
async fn of(signal: &mut Option<Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}

/// What a signal means: the first one stops as it was told to, one that comes while runs finish
/// ends them, any other one stops at once.
pub fn next_stop(now: Option<StopHow>, ask: Ask, wanted: StopHow) -> Option<StopHow> {
    match (now, ask) {
        (None, Ask::Drain) => Some(StopHow::Drain),
        (None, _) => Some(wanted),
        // Asked to drain twice: it does.
        (Some(StopHow::Drain), Ask::Drain) => Some(StopHow::Drain),
        (Some(StopHow::Drain), _) => Some(StopHow::End),
        (Some(StopHow::End | StopHow::Detach), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_stops_sooner_than_the_one_before() {
        use StopHow::{Detach, Drain, End};
        assert_eq!(next_stop(None, Ask::Terminate, Detach), Some(Detach));
        assert_eq!(next_stop(None, Ask::Drain, End), Some(Drain));
        assert_eq!(next_stop(Some(Drain), Ask::Interrupt, Drain), Some(End));
        assert_eq!(next_stop(Some(Drain), Ask::Drain, Drain), Some(Drain));
        assert_eq!(next_stop(Some(End), Ask::Interrupt, End), None);
        assert_eq!(next_stop(Some(Detach), Ask::Drain, End), None);
    }
}
