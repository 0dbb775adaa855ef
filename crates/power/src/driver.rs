//! What every relay model can do, and which code speaks to it.

use std::ops::RangeInclusive;
use std::time::Duration;

use basalt_lab::profile::{Relay, RelayDriver};
use basalt_model::PowerState;

use crate::commands::CommandRelay;
use crate::http::{HttpRelay, TASMOTA};
use crate::lcus::LcusRelay;

/// Why one exchange with a relay came to nothing.
#[derive(Debug)]
pub(crate) struct Fault {
    /// What kind of nothing.
    pub kind: FaultKind,
    /// What the system or the relay said; holds no credentials.
    pub text: String,
    /// The same request may work a moment later. Every request names the state that it wants, so
    /// asking twice does no harm.
    pub again: bool,
}

#[derive(Debug)]
pub(crate) enum FaultKind {
    Unreachable,
    Refused,
}

impl Fault {
    pub(crate) fn unreachable(text: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Unreachable,
            text: text.into(),
            again: true,
        }
    }

    pub(crate) fn refused(text: impl Into<String>, again: bool) -> Self {
        Self {
            kind: FaultKind::Refused,
            text: text.into(),
            again,
        }
    }
}

/// A relay model's code. Its functions do one exchange each; bounds, retries and reading back are
/// the owner's.
pub(crate) enum Driver {
    Http(HttpRelay),
    Lcus(LcusRelay),
    Commands(CommandRelay),
}

impl Driver {
    pub(crate) fn new(relay: &Relay) -> Self {
        match &relay.driver {
            RelayDriver::Tasmota { url, credentials } => {
                Self::Http(HttpRelay::new(&TASMOTA, url, credentials.clone()))
            }
            RelayDriver::Commands { on, off } => {
                Self::Commands(CommandRelay::new(on.clone(), off.clone()))
            }
            RelayDriver::Lcus { path, baud } => Self::Lcus(LcusRelay::new(path.clone(), *baud)),
        }
    }

    /// The outlets that the model's protocol can name.
    pub(crate) fn outlets(&self) -> RangeInclusive<u32> {
        match self {
            Self::Http(relay) => relay.outlets(),
            Self::Lcus(relay) => relay.outlets(),
            Self::Commands(relay) => relay.outlets(),
        }
    }

    /// Whether the model can say what state an outlet is in.
    pub(crate) fn reads_back(&self) -> bool {
        match self {
            Self::Http(_) => true,
            Self::Lcus(_) | Self::Commands(_) => false,
        }
    }

    pub(crate) async fn switch(
        &mut self,
        outlet: u32,
        on: bool,
        bound: Duration,
    ) -> Result<(), Fault> {
        match self {
            Self::Http(relay) => relay.switch(outlet, on).await,
            Self::Lcus(relay) => relay.switch(outlet, on, bound).await,
            Self::Commands(relay) => relay.switch(on, bound).await,
        }
    }

    pub(crate) async fn read(&mut self, outlet: u32) -> Result<PowerState, Fault> {
        match self {
            Self::Http(relay) => relay.read(outlet).await,
            Self::Lcus(_) | Self::Commands(_) => Ok(PowerState::Unknown),
        }
    }
}
