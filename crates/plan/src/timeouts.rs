//! Which deadline an action gets: LAVA's order of precedence, and what holds where nobody says.
//!
//! LAVA (facts: the pipelines that LAVA 2026.10 makes of jobs), from the weakest to the strongest:
//! 30 s, the job's `timeouts: action`, the board type's `timeouts` by action, the block's `timeout`,
//! for the children of what is tried several times their parent's time divided by the attempts, the
//! job's `timeouts: actions` by action, the block's `timeouts` by action. Nothing outlasts what it
//! stands under, and no block outlasts the job.
//!
//! Where this goes beyond LAVA: a block of which nobody says anything may use the job's time, and
//! the actions in [`action_takes_what_remains`] then may use their block's; 30 s is no answer for a
//! kernel that boots or a measurement of a minute.

use std::time::Duration;

use basalt_job::definition::{JobTimeouts, Timeout};

use crate::plan::action;

/// What an action gets of which nobody says anything.
pub const BUILT_IN: Duration = Duration::from_secs(30);

/// What the end of a run gets unless the job or the type states `finalize` (LAVA's clean-up time).
pub const FINALIZE: Duration = Duration::from_secs(300);

/// What a block says about its time.
pub(crate) struct BlockTimeouts<'a> {
    /// The block's name, as in [`action`].
    pub name: &'a str,
    /// Its `timeout`.
    pub timeout: Option<Timeout>,
    /// Its `timeouts`.
    pub timeouts: &'a [(String, Timeout)],
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// The actions that the runner performs in it.
    pub actions: &'a [&'a str],
}

/// What a block gets.
#[derive(Debug, PartialEq)]
pub(crate) struct Resolved {
    /// All attempts together.
    pub total: Duration,
    /// Keep the failed result and go on with the next block.
    pub skip: bool,
    /// One attempt of each action.
    pub actions: Vec<(String, Duration)>,
    /// Longest silence of one wait.
    pub connection: Option<Duration>,
}

/// The deadlines of one block.
pub(crate) fn resolve(
    job: &JobTimeouts,
    board_type: &[(String, Duration)],
    block: &BlockTimeouts<'_>,
) -> Resolved {
    let (total, skip) = block_total(job, board_type, block);
    let actions = block
        .actions
        .iter()
        .map(|action| {
            let deadline = of_action(job, board_type, block, total, action);
            ((*action).to_owned(), deadline.min(total))
        })
        .collect();
    let connection = block
        .actions
        .iter()
        .chain([&block.name])
        .find_map(|action| by_name(&job.connections, action))
        .or(job.connection)
        .map(|timeout| timeout.duration);
    Resolved {
        total,
        skip,
        actions,
        connection,
    }
}

/// How long the end of the run may take.
pub(crate) fn finalize(job: &JobTimeouts, board_type: &[(String, Duration)]) -> Duration {
    by_name(&job.actions, action::FINALIZE)
        .map(|timeout| timeout.duration)
        .or_else(|| of_type(board_type, action::FINALIZE))
        .unwrap_or(FINALIZE)
}

/// The actions that may use their block's time where nobody says anything: those that fetch, boot,
/// wait for a person's program or measure, and those that LAVA does not know.
fn action_takes_what_remains(action: &str) -> bool {
    !matches!(
        action,
        action::OVERLAY | action::RESET | action::INTERRUPT | action::EXPECT_SHELL
    )
}

fn block_total(
    job: &JobTimeouts,
    board_type: &[(String, Duration)],
    block: &BlockTimeouts<'_>,
) -> (Duration, bool) {
    let stated = by_name(block.timeouts, block.name)
        .or_else(|| by_name(&job.actions, block.name))
        .or(block.timeout);
    let (total, skip) = match stated {
        Some(timeout) => (timeout.duration, timeout.skip),
        None => {
            let total = of_type(board_type, block.name)
                .or(job.action.map(|timeout| timeout.duration))
                .unwrap_or(job.job.duration);
            (total, false)
        }
    };
    (total.min(job.job.duration), skip)
}

/// Where an action stands in LAVA's tree of a block: under which other action, None for the block
/// itself, and whether what it stands under is tried several times. What is not performed here on
/// its own (`uboot-commands`, `download-retry`) may still be named in a job's timeouts.
struct Place {
    under: Option<&'static str>,
    retried: bool,
}

fn place(action: &str) -> Place {
    const COMMANDS: &str = "uboot-commands";
    const DOWNLOAD: &str = "download-retry";
    let (under, retried) = match action {
        action::LOGIN => (Some(action::AUTO_LOGIN), true),
        action::RESET
        | action::INTERRUPT
        | action::COMMANDS
        | action::AUTO_LOGIN
        | action::EXPECT_SHELL
        | action::ENVIRONMENT => (Some(COMMANDS), false),
        action::HTTP_DOWNLOAD | action::FILE_DOWNLOAD => (Some(DOWNLOAD), true),
        action::OVERLAY | action::PREPARE_TFTP | DOWNLOAD => (None, false),
        _ => (None, true),
    };
    Place { under, retried }
}

/// What is said of an action, and no more than what it stands under has.
fn of_action(
    job: &JobTimeouts,
    board_type: &[(String, Duration)],
    block: &BlockTimeouts<'_>,
    total: Duration,
    action: &str,
) -> Duration {
    let above = match place(action).under {
        Some(under) => of_action(job, board_type, block, total, under),
        None => total,
    };
    own(job, board_type, block, total, action).min(above)
}

fn own(
    job: &JobTimeouts,
    board_type: &[(String, Duration)],
    block: &BlockTimeouts<'_>,
    total: Duration,
    action: &str,
) -> Duration {
    let by_the_job = by_name(block.timeouts, action).or_else(|| by_name(&job.actions, action));
    if let Some(timeout) = by_the_job {
        return timeout.duration;
    }
    let place = place(action);
    if block.attempts > 1 && place.retried {
        let whole = match place.under {
            Some(under) => own(job, board_type, block, total, under),
            None => total,
        };
        // Whole milliseconds: a third of a minute reads better in messages than its nanoseconds.
        let share = (whole / block.attempts).as_millis();
        return Duration::from_millis(u64::try_from(share).unwrap_or(u64::MAX));
    }
    if let Some(timeout) = block.timeout {
        return timeout.duration;
    }
    if let Some(duration) = of_type(board_type, action) {
        return duration;
    }
    if let Some(timeout) = job.action {
        return timeout.duration;
    }
    if action_takes_what_remains(action) {
        total
    } else {
        BUILT_IN
    }
}

fn by_name(timeouts: &[(String, Timeout)], wanted: &str) -> Option<Timeout> {
    timeouts
        .iter()
        .find(|(name, _)| name == wanted)
        .map(|(_, timeout)| *timeout)
}

fn of_type(timeouts: &[(String, Duration)], wanted: &str) -> Option<Duration> {
    timeouts
        .iter()
        .find(|(name, _)| name == wanted)
        .map(|(_, duration)| *duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Timeout {
        Timeout {
            duration: Duration::from_secs(seconds),
            skip: false,
        }
    }

    fn named(name: &str, value: u64) -> Vec<(String, Timeout)> {
        vec![(name.to_owned(), seconds(value))]
    }

    /// What one row of the table states; everything else is silent, the job has 1000 s.
    #[derive(Default)]
    struct Stated {
        job_action: Option<u64>,
        type_interrupt: Option<u64>,
        type_block: Option<u64>,
        block: Option<u64>,
        attempts: Option<u32>,
        job_interrupt: Option<u64>,
        job_block: Option<u64>,
        block_interrupt: Option<u64>,
    }

    /// (the block, bootloader-interrupt, auto-login-action), seconds.
    fn deadlines(stated: &Stated) -> (u64, u64, u64) {
        let mut actions = Vec::new();
        if let Some(value) = stated.job_interrupt {
            actions.extend(named(action::INTERRUPT, value));
        }
        if let Some(value) = stated.job_block {
            actions.extend(named(action::UBOOT, value));
        }
        let job = JobTimeouts {
            job: seconds(1000),
            action: stated.job_action.map(seconds),
            actions,
            connection: None,
            connections: Vec::new(),
            queue: None,
        };
        let mut board_type = Vec::new();
        if let Some(value) = stated.type_interrupt {
            board_type.push((action::INTERRUPT.to_owned(), Duration::from_secs(value)));
        }
        if let Some(value) = stated.type_block {
            board_type.push((action::UBOOT.to_owned(), Duration::from_secs(value)));
        }
        let timeouts = stated
            .block_interrupt
            .map(|value| named(action::INTERRUPT, value))
            .unwrap_or_default();
        let resolved = resolve(
            &job,
            &board_type,
            &BlockTimeouts {
                name: action::UBOOT,
                timeout: stated.block.map(seconds),
                timeouts: &timeouts,
                attempts: stated.attempts.unwrap_or(1),
                actions: &[action::INTERRUPT, action::AUTO_LOGIN],
            },
        );
        (
            resolved.total.as_secs(),
            resolved.actions[0].1.as_secs(),
            resolved.actions[1].1.as_secs(),
        )
    }

    #[test]
    fn the_nearest_statement_wins() {
        let table = [
            (
                "nothing: the job's time, 30 s for a short action",
                Stated::default(),
                (1000, 30, 1000),
            ),
            (
                "the job's `action` over 30 s, for block and actions",
                Stated {
                    job_action: Some(60),
                    ..Stated::default()
                },
                (60, 60, 60),
            ),
            (
                "the type over the job's `action`",
                Stated {
                    job_action: Some(60),
                    type_interrupt: Some(40),
                    ..Stated::default()
                },
                (60, 40, 60),
            ),
            (
                "the type's own word for the block",
                Stated {
                    job_action: Some(60),
                    type_block: Some(90),
                    ..Stated::default()
                },
                (90, 60, 60),
            ),
            (
                "the block's `timeout` over the type",
                Stated {
                    type_interrupt: Some(40),
                    block: Some(300),
                    ..Stated::default()
                },
                (300, 300, 300),
            ),
            (
                "attempts share the block's time",
                Stated {
                    block: Some(300),
                    attempts: Some(3),
                    ..Stated::default()
                },
                (300, 100, 100),
            ),
            (
                "attempts share what the block got from elsewhere, over the type's word",
                Stated {
                    job_action: Some(60),
                    type_interrupt: Some(40),
                    attempts: Some(2),
                    ..Stated::default()
                },
                (60, 30, 30),
            ),
            (
                "the job's word for the action over the block, within one attempt",
                Stated {
                    block: Some(300),
                    attempts: Some(3),
                    job_interrupt: Some(200),
                    ..Stated::default()
                },
                (300, 100, 100),
            ),
            (
                "the block's word for the action over the job's",
                Stated {
                    block: Some(300),
                    job_interrupt: Some(200),
                    block_interrupt: Some(20),
                    ..Stated::default()
                },
                (300, 20, 300),
            ),
            (
                "the job's word for the block by name over the block's own",
                Stated {
                    block: Some(300),
                    job_block: Some(400),
                    ..Stated::default()
                },
                (400, 300, 300),
            ),
            (
                "the type's word within one attempt, where the block has none of its own",
                Stated {
                    job_action: Some(180),
                    type_interrupt: Some(40),
                    attempts: Some(3),
                    ..Stated::default()
                },
                (180, 40, 60),
            ),
            (
                "a short action stays short over several attempts",
                Stated {
                    type_block: Some(180),
                    attempts: Some(3),
                    ..Stated::default()
                },
                (180, 30, 60),
            ),
            (
                "no action outlasts its block",
                Stated {
                    block: Some(10),
                    job_interrupt: Some(200),
                    ..Stated::default()
                },
                (10, 10, 10),
            ),
            (
                "a short block bounds the 30 s too",
                Stated {
                    type_block: Some(10),
                    ..Stated::default()
                },
                (10, 10, 10),
            ),
            (
                "no block outlasts the job",
                Stated {
                    block: Some(5000),
                    ..Stated::default()
                },
                (1000, 1000, 1000),
            ),
        ];
        for (rule, stated, expected) in &table {
            assert_eq!(deadlines(stated), *expected, "{rule}");
        }
    }

    #[test]
    fn silence_and_skip_come_from_the_nearest_statement() {
        let mut job = JobTimeouts {
            job: seconds(1000),
            action: None,
            actions: Vec::new(),
            connection: Some(seconds(70)),
            connections: Vec::new(),
            queue: None,
        };
        let mut block = BlockTimeouts {
            name: action::TEST_RETRY,
            timeout: Some(Timeout {
                skip: true,
                ..seconds(50)
            }),
            timeouts: &[],
            attempts: 1,
            actions: &[action::TEST_SHELL],
        };
        let resolved = resolve(&job, &[], &block);
        assert!(resolved.skip);
        assert_eq!(resolved.connection, Some(Duration::from_secs(70)));
        job.connections = named(action::TEST_SHELL, 80);
        block.timeout = None;
        let resolved = resolve(&job, &[], &block);
        assert!(!resolved.skip);
        assert_eq!(resolved.connection, Some(Duration::from_secs(80)));
    }

    #[test]
    fn the_end_of_a_run_has_five_minutes_unless_somebody_says_otherwise() {
        let mut job = JobTimeouts {
            job: seconds(1000),
            action: Some(seconds(5)),
            actions: Vec::new(),
            connection: None,
            connections: Vec::new(),
            queue: None,
        };
        assert_eq!(finalize(&job, &[]), FINALIZE);
        let board_type = [(action::FINALIZE.to_owned(), Duration::from_secs(20))];
        assert_eq!(finalize(&job, &board_type), Duration::from_secs(20));
        job.actions = named(action::FINALIZE, 60);
        assert_eq!(finalize(&job, &board_type), Duration::from_secs(60));
    }
}
