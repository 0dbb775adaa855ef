//! How the words of `model` look: each state's colour and shape.

use basalt_model::{
    BoardHealth, BoardState, CaseOutcome, DispatcherMode, DispatcherState, JobState, Outcome,
    PowerState, Verdict,
};

use crate::tag::{Badge, Tone};

/// A job, by its state or, once it is over, by what it came to.
pub fn job(state: JobState, outcome: Option<Outcome>) -> Badge {
    match (state, outcome) {
        (JobState::Submitted | JobState::Scheduling, _) => {
            Badge::new(Tone::Rest, "waiting", "waiting")
        }
        (JobState::Scheduled, _) => Badge::new(Tone::Busy, "scheduled", "scheduled"),
        (JobState::Running, _) => Badge::new(Tone::Busy, "running", "running"),
        (JobState::Canceling, _) => Badge::new(Tone::Odd, "running", "canceling"),
        (JobState::Finished, Some(outcome)) => self::outcome(outcome),
        (JobState::Finished, None) => Badge::new(Tone::Rest, "rest", "finished"),
    }
}

/// What a job came to.
pub fn outcome(outcome: Outcome) -> Badge {
    match outcome {
        Outcome::Pass => Badge::new(Tone::Good, "pass", "pass"),
        Outcome::Fail => Badge::new(Tone::Bad, "fail", "fail"),
        Outcome::Invalid => Badge::new(Tone::Void, "invalid", "invalid"),
        Outcome::Incomplete => Badge::new(Tone::Odd, "incomplete", "incomplete"),
        Outcome::Canceled => Badge::new(Tone::Rest, "canceled", "canceled"),
    }
}

/// A measurement's verdict.
pub fn verdict(verdict: Verdict) -> Badge {
    match verdict {
        Verdict::Pass => Badge::new(Tone::Good, "pass", "pass"),
        Verdict::Fail => Badge::new(Tone::Bad, "fail", "fail"),
        Verdict::Invalid => Badge::new(Tone::Void, "invalid", "invalid"),
        Verdict::Measured => Badge::new(Tone::Busy, "measured", "measured"),
    }
}

/// A test case's result.
pub fn case(result: CaseOutcome) -> Badge {
    match result {
        CaseOutcome::Pass => Badge::new(Tone::Good, "pass", "pass"),
        CaseOutcome::Fail => Badge::new(Tone::Bad, "fail", "fail"),
        CaseOutcome::Skip => Badge::new(Tone::Rest, "skip", "skip"),
        CaseOutcome::Unknown => Badge::new(Tone::Void, "invalid", "unknown"),
    }
}

/// Whether a board may be used.
pub fn health(health: BoardHealth) -> Badge {
    match health {
        BoardHealth::Good => Badge::new(Tone::Good, "pass", "good"),
        BoardHealth::Unknown => Badge::new(Tone::Rest, "unknown", "unknown"),
        BoardHealth::Looping => Badge::new(Tone::Busy, "looping", "looping"),
        BoardHealth::Bad => Badge::new(Tone::Bad, "fail", "bad"),
        BoardHealth::Maintenance => Badge::new(Tone::Odd, "maintenance", "maintenance"),
        BoardHealth::Retired => Badge::new(Tone::Rest, "canceled", "retired"),
    }
}

/// A board in one badge: what it does, or why it does nothing.
pub fn board(state: BoardState, health: BoardHealth, reachable: bool) -> Badge {
    match (state, health) {
        (BoardState::Running, _) => Badge::new(Tone::Busy, "running", "running"),
        (BoardState::Reserved, _) => Badge::new(Tone::Busy, "scheduled", "reserved"),
        (BoardState::Idle, health) if !health.takes_jobs() => self::health(health),
        (BoardState::Idle, _) if !reachable => Badge::new(Tone::Odd, "away", "away"),
        (BoardState::Idle, _) => Badge::new(Tone::Good, "idle", "idle"),
    }
}

/// What a relay says.
pub fn power(power: PowerState) -> Badge {
    match power {
        PowerState::On => Badge::new(Tone::Good, "power", "on"),
        PowerState::Off => Badge::new(Tone::Rest, "power", "off"),
        PowerState::Unknown => Badge::new(Tone::Odd, "unknown", "unknown"),
    }
}

/// A dispatcher: its link, and whether it is given work.
pub fn dispatcher(state: DispatcherState, mode: DispatcherMode) -> Badge {
    match (state, mode) {
        (_, DispatcherMode::Retired) => Badge::new(Tone::Rest, "canceled", "retired"),
        (DispatcherState::Offline, _) => Badge::new(Tone::Bad, "away", "offline"),
        (DispatcherState::Online, DispatcherMode::Maintenance) => {
            Badge::new(Tone::Odd, "maintenance", "maintenance")
        }
        (DispatcherState::Online, DispatcherMode::Active) => {
            Badge::new(Tone::Good, "pass", "online")
        }
    }
}
