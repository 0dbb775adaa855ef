//! What the exit codes mean (decision D19; the others after `sysexits.h`).

use std::process::ExitCode;

use basalt_client::ClientError;
use basalt_dispatcher::DispatcherError;
use basalt_dispatcher::instance::InstanceError;
use basalt_model::Outcome;
use basalt_runner::host::HostError;

use crate::serving::lock::Taken;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    /// What was asked for is done.
    pub const DONE: Self = Self(0);
    /// It was done, and the answer is no: files with mistakes, a relay that did not obey.
    pub const NO: Self = Self(1);
    /// The command line, the job or the lab is refused.
    pub const USAGE: Self = Self(64);
    /// The server cannot be reached (`EX_UNAVAILABLE`, decision D19).
    pub const UNREACHABLE: Self = Self(69);
    /// The host does not let it: files, sockets, the console keeper.
    pub const HOST: Self = Self(74);
    /// Somebody else has the board (`EX_TEMPFAIL`).
    pub const HELD: Self = Self(75);
    /// The server does not let this dispatcher in, and never did (`EX_NOPERM`).
    pub const REFUSED: Self = Self(77);

    /// Left because of a signal, with everything in order.
    pub fn left(number: i32) -> Self {
        Self(u8::try_from(Self::signal(number)).unwrap_or(u8::MAX))
    }

    /// Ended at once by a signal: what shells say of a program that a signal killed.
    pub fn signal(number: i32) -> i32 {
        128 + number
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        Self(outcome.exit_code())
    }
}

/// A refusal of what the user asked for, to be told by [`Exit::USAGE`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// An error of this kind, as one expression.
pub fn refused(message: impl Into<String>) -> anyhow::Error {
    Refused(message.into()).into()
}

/// The code that an error ends the program with.
pub fn of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if cause.is::<Refused>() {
            return Exit::USAGE;
        }
        if let Some(error) = cause.downcast_ref::<ClientError>() {
            return match error.is_unreachable() {
                true => Exit::UNREACHABLE,
                false => Exit::USAGE,
            };
        }
        if cause.is::<Taken>()
            || matches!(
                cause.downcast_ref(),
                Some(DispatcherError::Instance(InstanceError::Running { .. }))
            )
        {
            return Exit::HELD;
        }
        if let Some(DispatcherError::Refused { .. }) = cause.downcast_ref() {
            return Exit::REFUSED;
        }
        if let Some(HostError::Held { .. } | HostError::OutletHeld { .. }) = cause.downcast_ref() {
            return Exit::HELD;
        }
    }
    Exit::HOST
}
