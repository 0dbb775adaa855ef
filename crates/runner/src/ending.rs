//! Why a run is ended from outside: asked for once, with the failure that it ends with.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use basalt_model::{Culprit, Failure, Part};
use tokio_util::sync::CancellationToken;

/// The code of a run that a person or client ended.
pub const CANCELED: &str = "canceled";
/// The code of a run that its dispatcher ended because its server was away (decision D2).
pub const SERVER_AWAY: &str = "server-away";
/// The code of a run that was ended because its lab is being stopped (decision D23).
pub const LAB_STOPPED: &str = "lab-stopped";

/// The code of a run whose board is another lease's by now (decision D1).
pub const LEASE_LOST: &str = "lease-lost";

/// The code of a run that found no room on its host's disk (decision D23).
pub const DISK_FULL: &str = "disk-full";

/// Ends a run from outside, whatever it does. Clones end the same run; who comes first says why.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    asked: CancellationToken,
    why: Arc<OnceLock<Failure>>,
}

impl Ending {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A person or client wants the job ended; `reason` in words, where one is given.
    pub fn cancel(&self, reason: Option<&str>) {
        let message = match reason {
            Some(reason) => format!("the job was canceled: {reason}"),
            None => "the job was canceled".to_owned(),
        };
        self.end(Failure::new(Culprit::Canceled, CANCELED, message));
    }

    /// The server has acknowledged nothing for `away`, which is longer than `limit`: the board may
    /// soon be given to somebody else.
    pub fn server_away(&self, away: Duration, limit: Duration) {
        let message = format!(
            "the server has acknowledged nothing for {:.3} s; the limit is {} s",
            away.as_secs_f64(),
            limit.as_secs_f64()
        );
        self.end(Failure::infrastructure(Part::Host, SERVER_AWAY, message));
    }

    /// The lab is being stopped.
    pub fn lab_stopped(&self) {
        let message = "the lab is being stopped";
        self.end(Failure::infrastructure(Part::Host, LAB_STOPPED, message));
    }

    /// The server has given the board to another lease.
    pub fn lease_lost(&self) {
        let message = "the server has taken the board from this run";
        self.end(Failure::infrastructure(Part::Host, LEASE_LOST, message));
    }

    /// The disk of this host is full: what the board says cannot be kept.
    pub fn disk_full(&self, said: &str) {
        let message = format!("the disk of the dispatcher's host is full: {said}");
        self.end(Failure::infrastructure(Part::Host, DISK_FULL, message));
    }

    fn end(&self, failure: Failure) {
        // Whoever was first has said why.
        let _ = self.why.set(failure);
        self.asked.cancel();
    }

    /// Whether the run is to end.
    pub fn is_asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Returns when the run is to end.
    pub async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// What the run ends with.
    pub fn failure(&self) -> Failure {
        self.why
            .get()
            .cloned()
            .unwrap_or_else(|| Failure::new(Culprit::Canceled, CANCELED, "the job was canceled"))
    }
}

/// Whether a failure is an ending from outside: no other attempt, whatever the block allows.
pub(crate) fn is_ending(failure: &Failure) -> bool {
    let endings = [CANCELED, SERVER_AWAY, LAB_STOPPED, LEASE_LOST, DISK_FULL];
    endings.contains(&failure.code.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_a_run_first_says_why() {
        let ending = Ending::new();
        assert!(!ending.is_asked());
        ending.clone().lab_stopped();
        ending.cancel(Some("no time"));
        assert!(ending.is_asked());
        let failure = ending.failure();
        assert_eq!(failure.code, LAB_STOPPED);
        assert!(is_ending(&failure));
    }
}
