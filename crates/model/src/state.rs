//! The states of jobs, boards, leases and dispatchers, and which may follow which.
//!
//! A transition is a pure function of the state; who asks for it, and whether he may, is decided
//! elsewhere. What is not here: the state of a run, which is a fold over its events.

use serde::{Deserialize, Serialize};

use crate::outcome::words;

words!(
    /// Where a job stands; LAVA's words.
    JobState {
        /// Stored, not yet looked at.
        Submitted = "submitted",
        /// It waits for a board.
        Scheduling = "scheduling",
        /// A board is reserved for it; its dispatcher has not accepted yet.
        Scheduled = "scheduled",
        /// A run of it goes on.
        Running = "running",
        /// It is being ended before its time.
        Canceling = "canceling",
        /// Over.
        Finished = "finished",
    }
);

impl JobState {
    /// Whether `next` may follow. A run that was lost puts its job back into the queue.
    pub fn may_become(self, next: Self) -> bool {
        use JobState::{Canceling, Finished, Running, Scheduled, Scheduling, Submitted};
        match (self, next) {
            (Submitted, Scheduling | Scheduled | Finished)
            | (Scheduling, Scheduled | Finished)
            | (Scheduled, Running | Scheduling | Canceling | Finished)
            | (Running, Scheduling | Canceling | Finished)
            | (Canceling, Finished) => true,
            _ => self == next,
        }
    }

    /// Whether it waits for a board.
    pub fn is_queued(self) -> bool {
        matches!(self, Self::Submitted | Self::Scheduling)
    }

    /// Whether a board is reserved for it or held by it.
    pub fn has_board(self) -> bool {
        matches!(self, Self::Scheduled | Self::Running | Self::Canceling)
    }
}

words!(
    /// What a board is doing; LAVA's words.
    BoardState {
        /// Nobody has it.
        Idle = "idle",
        /// Granted; its dispatcher has not accepted yet.
        Reserved = "reserved",
        /// A run or a person has it.
        Running = "running",
    }
);

words!(
    /// Whether a board may be used; LAVA's words.
    BoardHealth {
        /// It proved itself.
        Good = "good",
        /// It may be used; nobody has proved anything.
        Unknown = "unknown",
        /// Health checks run on it again and again.
        Looping = "looping",
        /// It failed, and takes no jobs.
        Bad = "bad",
        /// A person took it out of service. Never overwritten by a job.
        Maintenance = "maintenance",
        /// It is gone for good.
        Retired = "retired",
    }
);

impl BoardHealth {
    /// Whether jobs are given to it.
    pub fn takes_jobs(self) -> bool {
        matches!(self, Self::Good | Self::Unknown)
    }
}

words!(
    /// Where a lease stands (decision D1).
    LeaseState {
        /// Somebody waits for it.
        Requested = "requested",
        /// The board is his; the dispatcher does not know yet.
        Granted = "granted",
        /// The dispatcher has accepted it.
        Active = "active",
        /// It is being ended.
        Ending = "ending",
        /// Over.
        Ended = "ended",
        /// The dispatcher did not take it.
        Refused = "refused",
    }
);

impl LeaseState {
    /// Whether it keeps the board from others.
    pub fn holds_board(self) -> bool {
        matches!(self, Self::Granted | Self::Active | Self::Ending)
    }
}

words!(
    /// Whether a dispatcher's link is up.
    DispatcherState {
        /// It is connected and answers.
        Online = "online",
        /// It is not connected, or has not answered for too long.
        Offline = "offline",
    }
);

words!(
    /// Whether a dispatcher gets new runs; LAVA's words.
    DispatcherMode {
        /// Yes.
        Active = "active",
        /// No; those that it has go on.
        Maintenance = "maintenance",
        /// It is gone for good.
        Retired = "retired",
    }
);

words!(
    /// What an account may do. Finer roles come later without touching who asks.
    Role {
        /// Everything.
        Administrator = "administrator",
        /// Submit jobs, see everything, end his own.
        User = "user",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_job_stays_finished() {
        for next in JobState::ALL {
            let may = JobState::Finished.may_become(*next);
            assert_eq!(may, *next == JobState::Finished, "{next}");
        }
    }

    #[test]
    fn a_job_that_is_being_canceled_never_runs_again() {
        assert!(!JobState::Canceling.may_become(JobState::Running));
        assert!(!JobState::Canceling.may_become(JobState::Scheduling));
        assert!(JobState::Canceling.may_become(JobState::Finished));
    }

    #[test]
    fn a_board_out_of_service_takes_no_jobs() {
        let takes: Vec<_> = BoardHealth::ALL
            .iter()
            .filter(|health| health.takes_jobs())
            .map(|health| health.as_str())
            .collect();
        assert_eq!(takes, ["good", "unknown"]);
    }

    #[test]
    fn words_are_read_back() {
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse::<JobState>().unwrap(), *state);
        }
        assert!("nonsense".parse::<JobState>().is_err());
    }
}
