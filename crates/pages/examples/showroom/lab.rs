//! A lab on a busy afternoon: something passes, something fails, something waits, something is broken.

use basalt_model::{
    BoardHealth, BoardName, BoardState, CaseOutcome, CaseResult, Culprit, DispatcherMode,
    DispatcherName, DispatcherState, Failure, Health, JobId, JobState, KernelReport, Outcome,
    PowerState, RunId, UserName, UtcMicros, Verdict,
};
use basalt_pages::Chrome;
use basalt_pages::board::{Board, ConsoleState, HealthChange};
use basalt_pages::boards::{BoardRow, Boards};
use basalt_pages::dispatchers::{DispatcherRow, Dispatchers};
use basalt_pages::job::{FileRow, Job, Phase, RunRow, ShownRun, Step, StepState, Suite, Waiting};
use basalt_pages::jobs::{Filter, JobRow, Jobs};
use basalt_pages::latency::{Latency, LatencyTotal, Point};
use basalt_pages::overview::{Away, BoardTile, Candidate, Outcomes, Overview, QueueRow, TileJob};
use basalt_pages::submit::{Diagnostic, Submit};
use serde::Deserialize;
use uuid::Uuid;

use super::{log, measured};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

fn before(now: UtcMicros, micros: i64) -> UtcMicros {
    UtcMicros(now.0 - micros)
}

fn run(number: u128) -> RunId {
    RunId::from_uuid(Uuid::from_u128(
        0x0193_a1b2_7c00_7000_8000_0000_0000_0000 + number,
    ))
}

fn tile(now: UtcMicros, name: &str, state: BoardState, health: BoardHealth) -> BoardTile {
    BoardTile {
        name: BoardName::new(name),
        device_type: if name.starts_with("virt") {
            "qemu-arm64-virt"
        } else {
            "imx8mp-evk"
        }
        .into(),
        state,
        health,
        health_reason: match health {
            BoardHealth::Bad => Some("3 jobs in a row ended in the boot loader".into()),
            BoardHealth::Maintenance => Some("being rewired".into()),
            _ => None,
        },
        reachable: name != "imx8-4",
        power: match state {
            BoardState::Running => PowerState::On,
            _ if name == "imx8-4" => PowerState::Unknown,
            _ => PowerState::Off,
        },
        job: (state == BoardState::Running).then(|| TileJob {
            id: JobId(1284),
            name: "rt-latency 6.12.9-rt1 arm64".into(),
            step: Some("lava-test-shell: stress".into()),
            since: before(now, 214 * SECOND),
        }),
    }
}

fn tiles(now: UtcMicros) -> Vec<BoardTile> {
    use BoardHealth::{Bad, Good, Maintenance, Unknown};
    use BoardState::{Idle, Reserved, Running};
    [
        ("imx8-1", Running, Good),
        ("imx8-2", Running, Good),
        ("imx8-3", Idle, Bad),
        ("imx8-4", Idle, Good),
        ("virt-arm64-1", Running, Good),
        ("virt-arm64-2", Idle, Good),
        ("virt-arm64-3", Reserved, Unknown),
        ("virt-arm64-4", Idle, Maintenance),
    ]
    .into_iter()
    .map(|(name, state, health)| tile(now, name, state, health))
    .collect()
}

fn row(now: UtcMicros, id: i64, state: JobState, outcome: Option<Outcome>) -> JobRow {
    let names = [
        "rt-latency 6.12.9-rt1 arm64",
        "boot-smoke mainline 6.18-rc4",
        "rt-latency 6.1.0-37-rt-arm64 hackbench",
        "nightly imx8mp defconfig",
        "bisect v6.17..v6.18 step 7",
    ];
    let age = (1290 - id) * 7 * MINUTE;
    let started = (!state.is_queued()).then(|| before(now, age - 20 * SECOND));
    JobRow {
        id: JobId(id),
        name: names[(id % 5) as usize].into(),
        state,
        outcome,
        board: started.map(|_| {
            BoardName::new(if id % 2 == 0 {
                "virt-arm64-1"
            } else {
                "imx8-2"
            })
        }),
        wants: "qemu-arm64-virt".into(),
        submitter: UserName::new(if id % 3 == 0 { "ci" } else { "ada" }),
        submitted: before(now, age),
        started,
        finished: outcome.map(|_| before(now, age - (20 + 61 + id % 90) * SECOND)),
        attempts: if id % 11 == 0 { 2 } else { 1 },
        note: match outcome {
            Some(Outcome::Fail) => {
                Some("kernel: 642 us on CPU 1 is above the limit of 100 us".into())
            }
            Some(Outcome::Incomplete) => {
                Some("infrastructure (board): the boot loader did not answer within 30 s".into())
            }
            None if state == JobState::Running => Some("lava-test-shell: stress".into()),
            _ => None,
        },
    }
}

fn finished(now: UtcMicros, ids: std::ops::Range<i64>) -> Vec<JobRow> {
    let outcomes = [
        Outcome::Pass,
        Outcome::Pass,
        Outcome::Fail,
        Outcome::Pass,
        Outcome::Incomplete,
        Outcome::Invalid,
        Outcome::Canceled,
    ];
    ids.rev()
        .map(|id| {
            row(
                now,
                id,
                JobState::Finished,
                Some(outcomes[(id % 7) as usize]),
            )
        })
        .collect()
}

fn candidates() -> Vec<Candidate> {
    [
        ("virt-arm64-1", true, "job 1284 has it for 3 min 34 s"),
        ("virt-arm64-3", true, "reserved for job 1286"),
        ("imx8-4", true, "dispatcher rack-b is offline since 14:02"),
        ("virt-arm64-4", false, "in maintenance: being rewired"),
    ]
    .into_iter()
    .map(|(board, suitable, reason)| Candidate {
        board: BoardName::new(board),
        suitable,
        reason: reason.into(),
    })
    .collect()
}

pub fn overview(chrome: Chrome) -> Overview {
    let now = chrome.now;
    let queue = (0..4)
        .map(|index| QueueRow {
            position: index + 1,
            id: JobId(1286 + index as i64),
            name: [
                "bisect v6.17..v6.18 step 8",
                "rt-latency 6.12.9-rt1 arm64",
                "nightly imx8mp defconfig",
                "boot-smoke mainline 6.18-rc4",
            ][index as usize]
                .into(),
            priority: if index == 0 { 90 } else { 50 },
            wants: "qemu-arm64-virt".into(),
            submitter: UserName::new("ci"),
            submitted: before(now, (8 - index as i64) * MINUTE),
            reason: [
                "all 4 boards of type qemu-arm64-virt are in use or out of service",
                "behind job 1286, which has a higher priority",
                "imx8-3 is bad: 3 jobs in a row ended in the boot loader",
                "waits for tag `pcie`: no board has it",
            ][index as usize]
                .into(),
            candidates: if index == 3 { Vec::new() } else { candidates() },
        })
        .collect();
    Overview {
        boards: tiles(now),
        running: vec![
            row(now, 1284, JobState::Running, None),
            row(now, 1283, JobState::Running, None),
            row(now, 1285, JobState::Scheduled, None),
        ],
        queue,
        waiting: 12,
        recent: finished(now, 1272..1280),
        outcomes: Outcomes {
            pass: 148,
            fail: 9,
            invalid: 2,
            incomplete: 5,
            canceled: 3,
        },
        away: vec![Away {
            name: DispatcherName::new("rack-b"),
            since: before(now, 6 * MINUTE),
            boards: 1,
        }],
        chrome,
    }
}

pub fn empty(chrome: Chrome) -> Overview {
    Overview {
        chrome,
        boards: Vec::new(),
        running: Vec::new(),
        queue: Vec::new(),
        waiting: 0,
        recent: Vec::new(),
        outcomes: Outcomes::default(),
        away: Vec::new(),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    state: String,
    outcome: String,
    board: String,
    device_type: String,
    submitter: String,
    q: String,
}

pub fn jobs(chrome: Chrome, asked: Asked) -> Jobs {
    let now = chrome.now;
    let mut jobs = vec![
        row(now, 1286, JobState::Scheduling, None),
        row(now, 1284, JobState::Running, None),
        row(now, 1283, JobState::Canceling, None),
    ];
    jobs.extend(finished(now, 1260..1283));
    jobs.retain(|job| {
        (asked.outcome.is_empty() || job.outcome.is_some_and(|one| one.as_str() == asked.outcome))
            && (asked.state.is_empty() || job.state.as_str() == asked.state)
            && (asked.q.is_empty() || job.name.contains(&asked.q))
    });
    Jobs {
        chrome,
        next: (jobs.len() > 20).then(|| "1260".into()),
        jobs,
        filter: Filter {
            state: asked.state,
            outcome: asked.outcome,
            board: asked.board,
            device_type: asked.device_type,
            submitter: asked.submitter,
            q: asked.q,
        },
        is_later_page: false,
        boards: tiles(now)
            .into_iter()
            .map(|tile| tile.name.to_string())
            .collect(),
        device_types: vec!["imx8mp-evk".into(), "qemu-arm64-virt".into()],
    }
}

fn steps(goes_on: bool) -> Vec<Step> {
    let began = log::began();
    let step = |level: &str, name: &str, attempt, state, line: i64, ms| Step {
        level: level.into(),
        name: name.into(),
        attempt,
        state,
        started: Some(UtcMicros(began + line * 1_007)),
        duration_ms: ms,
        failure: (state == StepState::Failed)
            .then(|| "kernel: did not print its prompt within 60 s".into()),
    };
    use StepState::{Done, Failed, Running};
    let mut steps = vec![
        step("1", "tftp-deploy", 1, Done, 1, Some(1_240)),
        step("1.1", "http-download", 1, Done, 2, Some(430)),
        step("1.2", "apply-overlay", 1, Done, 5, Some(810)),
        step("2", "uboot-action", 1, Failed, 20, Some(60_200)),
        step("2.1", "reset-device", 1, Done, 21, Some(2_100)),
        step("2.2", "bootloader-commands", 1, Done, 40, Some(4_310)),
        step("2.3", "auto-login-action", 1, Failed, 90, Some(53_700)),
        step("2", "uboot-action", 2, Done, 8_000, Some(21_800)),
        step("2.1", "reset-device", 2, Done, 8_001, Some(2_050)),
        step("2.2", "bootloader-commands", 2, Done, 8_040, Some(4_280)),
        step("2.3", "auto-login-action", 2, Done, 8_090, Some(15_400)),
        step(
            "3",
            "lava-test-shell",
            1,
            if goes_on { Running } else { Done },
            60_000,
            (!goes_on).then_some(121_000),
        ),
        step("3.1", "idle", 1, Done, 60_010, Some(60_300)),
        step(
            "3.2",
            "stress",
            1,
            if goes_on { Running } else { Done },
            120_000,
            (!goes_on).then_some(60_400),
        ),
    ];
    if !goes_on {
        steps.push(step("4", "finalize", 1, Done, 199_000, Some(2_000)));
    }
    steps
}

fn case(suite: &str, name: &str, result: CaseOutcome, number: Option<(f64, &str)>) -> CaseResult {
    CaseResult {
        suite: suite.into(),
        case: name.into(),
        result,
        measurement: number.map(|(number, _)| number),
        units: number.map(|(_, units)| units.into()),
        set: None,
        attempt: 1,
        detail: (result == CaseOutcome::Fail)
            .then(|| "642 us on CPU 1 is above the limit of 100 us".into()),
        reference: None,
    }
}

fn shown(number: u128, goes_on: bool, phases: Vec<Phase>) -> ShownRun {
    let lines = if goes_on { log::YOUNG } else { log::LONG };
    let suites = phases
        .iter()
        .map(|phase| Suite {
            name: phase.record.suite.clone(),
            cases: phase.record.cases(1),
        })
        .chain([Suite {
            name: "lava".into(),
            cases: [
                "http-download",
                "apply-overlay",
                "reset-device",
                "bootloader-commands",
                "auto-login-action",
            ]
            .map(|name| case("lava", name, CaseOutcome::Pass, Some((2.1, "s"))))
            .into(),
        }])
        .collect();
    ShownRun {
        run: run(number),
        board: BoardName::new("virt-arm64-1"),
        attempt: 1,
        goes_on,
        outcome: (!goes_on).then_some(Outcome::Fail),
        failure: None,
        resumed: u32::from(!goes_on),
        steps: steps(goes_on),
        lines,
        tail: (lines - 199..=lines)
            .map(|number| log::line(number, log::began()))
            .collect(),
        files: phases
            .iter()
            .filter_map(|phase| phase.record.raw_file.as_ref())
            .map(|file| FileRow {
                path: file.path.clone(),
                address: format!("/api/v1/runs/{}/files/{}", run(number), file.path),
                bytes: file.bytes,
                sha256: file.sha256.to_string(),
            })
            .collect(),
        phases,
        suites,
        kernel_reports: Vec::new(),
    }
}

fn phase(number: u128, record: basalt_realtime::LatencyRecord) -> Phase {
    Phase {
        raw_address: Some(format!(
            "/api/v1/runs/{}/files/raw/{}.json",
            run(number),
            record.suite
        )),
        record,
    }
}

/// 1281: failed with latencies; 1282: incomplete; 1284: runs; 1286: waits.
pub fn job(chrome: Chrome, id: i64) -> Option<Job> {
    let now = chrome.now;
    let mut job = Job {
        id: JobId(id),
        name: "rt-latency 6.12.9-rt1 arm64".into(),
        state: JobState::Finished,
        outcome: Some(Outcome::Fail),
        health: Health::Complete,
        submitter: UserName::new("ada"),
        submitted: before(now, 9 * MINUTE),
        started: Some(before(now, 214 * SECOND)),
        finished: Some(before(now, 8 * SECOND)),
        priority: 50,
        wants: "qemu-arm64-virt".into(),
        waiting: None,
        runs: vec![RunRow {
            run: run(1),
            attempt: 1,
            board: BoardName::new("virt-arm64-1"),
            started: Some(before(now, 214 * SECOND)),
            finished: Some(before(now, 8 * SECOND)),
            outcome: Some(Outcome::Fail),
            note: None,
        }],
        shown: None,
        may_cancel: false,
        may_resubmit: true,
        chrome,
    };
    match id {
        1281 => {
            job.shown = Some(shown(
                1,
                false,
                vec![
                    phase(1, measured::record("idle", 3.0, 47, Some(100), false)),
                    phase(1, measured::record("stress", 14.0, 642, Some(100), true)),
                    phase(1, measured::record("long", 6.0, 1_240, None, true)),
                ],
            ));
        }
        1282 => {
            let mut failed = shown(1, false, Vec::new());
            let mut failure = Failure::new(
                Culprit::Kernel,
                "kernel-panic",
                "the kernel panicked: Attempted to kill init! exitcode=0x0000000b",
            );
            failure.action = Some("auto-login-action".into());
            failure.awaited = Some("the prompt `root@virt:~# `".into());
            failure.last_lines = vec![
                "[    2.814113] Call trace:".into(),
                "[    2.814420]  dump_backtrace+0x0/0x1c0".into(),
                "[    2.815004] ---[ end Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b ]---".into(),
            ];
            failed.failure = Some(failure);
            failed.outcome = Some(Outcome::Incomplete);
            failed.suites.truncate(1);
            failed.kernel_reports = vec![KernelReport {
                kind: "panic".into(),
                text: "[    2.812001] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\n[    2.812744] CPU: 0 PID: 1 Comm: init Not tainted 6.18.0-rc4\n[    2.813301] Hardware name: linux,dummy-virt (DT)\n[    2.814113] Call trace:\n[    2.814420]  dump_backtrace+0x0/0x1c0\n".into(),
                offset: 12_000,
                read_at: before(now, 30 * SECOND),
                fatal: true,
            }];
            job.outcome = Some(Outcome::Incomplete);
            job.name = "boot-smoke mainline 6.18-rc4".into();
            job.runs.insert(
                0,
                RunRow {
                    run: run(1),
                    attempt: 2,
                    outcome: Some(Outcome::Incomplete),
                    note: None,
                    ..job.runs[0].clone()
                },
            );
            job.runs[1] = RunRow {
                run: run(3),
                outcome: None,
                note: Some("its dispatcher was away for 2 min 31 s".into()),
                ..job.runs[1].clone()
            };
            job.shown = Some(failed);
        }
        1284 => {
            job.state = JobState::Running;
            job.outcome = None;
            job.finished = None;
            job.may_cancel = true;
            job.may_resubmit = false;
            job.runs[0] = RunRow {
                run: run(2),
                finished: None,
                outcome: None,
                ..job.runs[0].clone()
            };
            job.shown = Some(shown(
                2,
                true,
                vec![phase(
                    2,
                    measured::record("idle", 3.0, 47, Some(100), false),
                )],
            ));
        }
        1286 => {
            job.state = JobState::Scheduling;
            job.outcome = None;
            job.started = None;
            job.finished = None;
            job.runs = Vec::new();
            job.may_cancel = true;
            job.may_resubmit = false;
            job.priority = 90;
            job.waiting = Some(Waiting {
                position: 3,
                total: 12,
                reason: "all 4 boards of type qemu-arm64-virt are in use or out of service".into(),
                candidates: candidates(),
            });
        }
        _ => return None,
    }
    Some(job)
}

pub fn boards(chrome: Chrome) -> Boards {
    let now = chrome.now;
    let boards = tiles(now)
        .into_iter()
        .enumerate()
        .map(|(index, tile)| BoardRow {
            tags: if index % 3 == 0 {
                vec!["pcie".into(), "poe".into()]
            } else {
                Vec::new()
            },
            dispatcher: DispatcherName::new(if tile.reachable { "main" } else { "rack-b" }),
            last: (index != 3).then(|| {
                (
                    before(now, index as i64 * 17 * MINUTE),
                    Some(if index == 2 {
                        Outcome::Incomplete
                    } else {
                        Outcome::Pass
                    }),
                )
            }),
            tile,
        })
        .collect();
    Boards { chrome, boards }
}

fn points(now: UtcMicros) -> Vec<Point> {
    let kernels = ["6.1.0-37-rt-arm64", "6.12.9-rt1", "6.12.10-rt2"];
    (0..42i64)
        .map(|index| {
            let kernel = kernels[(index / 16).min(2) as usize];
            let base = [58, 41, 44][(index / 16).min(2) as usize];
            let max = base + (index * 7919 % 23) as u64 + if index == 21 { 74 } else { 0 };
            Point {
                job: JobId(1200 + index * 2),
                run: run(1000 + index as u128),
                at: before(now, (42 - index) * 9 * HOUR),
                kernel: kernel.into(),
                verdict: match index {
                    21 => Verdict::Fail,
                    30 => Verdict::Invalid,
                    _ => Verdict::Pass,
                },
                max_us: max,
                p99_99_us: (index != 12).then_some(max * 3 / 5),
                limit_us: Some(100),
                samples: 240_000,
                conditions: String::new(),
            }
        })
        .collect()
}

fn totals(now: UtcMicros) -> Vec<LatencyTotal> {
    let newest = points(now).pop().expect("there are points");
    [
        ("cyclictest/idle", "idle", 42),
        ("cyclictest/hackbench", "stress: hackbench", 40),
        ("cyclictest/stress-ng", "long: stress-ng", 3),
    ]
    .map(|(key, name, runs)| LatencyTotal {
        key: key.into(),
        name: name.into(),
        runs,
        newest: newest.clone(),
    })
    .into()
}

pub fn latency(chrome: Chrome, name: &str) -> Latency {
    let now = chrome.now;
    let has_points = name != "virt-arm64-2";
    Latency {
        chrome,
        board: BoardName::new(name),
        choices: if has_points { totals(now) } else { Vec::new() },
        chosen: 0,
        points: if has_points { points(now) } else { Vec::new() },
        has_older: false,
    }
}

pub fn board(chrome: Chrome, name: &str) -> Option<Board> {
    let now = chrome.now;
    let tile = tiles(now)
        .into_iter()
        .find(|tile| tile.name.as_str() == name)?;
    let change = |at, health, who: &str, reason: Option<&str>| HealthChange {
        at: before(now, at),
        health,
        who: who.into(),
        reason: reason.map(Into::into),
    };
    let mut history = vec![
        change(
            50 * HOUR,
            BoardHealth::Good,
            "health check",
            Some("job 1102 passed"),
        ),
        change(
            72 * HOUR,
            BoardHealth::Maintenance,
            "ada",
            Some("new in the lab"),
        ),
    ];
    if tile.health != BoardHealth::Good {
        history.insert(
            0,
            change(2 * HOUR, tile.health, "ada", tile.health_reason.as_deref()),
        );
    }
    Some(Board {
        tags: vec!["pcie".into(), "poe".into()],
        dispatcher: DispatcherName::new(if tile.reachable { "main" } else { "rack-b" }),
        dispatcher_state: if tile.reachable {
            DispatcherState::Online
        } else {
            DispatcherState::Offline
        },
        dispatcher_since: Some(before(now, 6 * MINUTE)),
        power_since: Some(before(now, 214 * SECOND)),
        console: if tile.reachable {
            ConsoleState::Open
        } else {
            ConsoleState::Closed("the port is gone".into())
        },
        epoch: 1_412,
        current: tile
            .job
            .as_ref()
            .map(|_| row(now, 1284, JobState::Running, None)),
        runs: if name == "virt-arm64-2" {
            Vec::new()
        } else {
            finished(now, 1268..1282)
        },
        history,
        latencies: if name == "virt-arm64-2" {
            Vec::new()
        } else {
            totals(now)
        },
        may_maintain: chrome.is_administrator(),
        tile,
        chrome,
    })
}

pub fn dispatchers(chrome: Chrome) -> Dispatchers {
    let now = chrome.now;
    let one = |name: &str, state, mode, since, boards, runs| DispatcherRow {
        name: DispatcherName::new(name),
        state,
        mode,
        since: Some(before(now, since)),
        build: Some("basalt 0.1.0 (2.6.1+g1c2d3e4)".into()),
        boards,
        runs,
        revision: Some((if name == "rack-c" { 6 } else { 7 }, 7)),
        fenced_until: (name == "rack-b").then(|| UtcMicros(now.0 + 70 * SECOND)),
        problems: if name == "rack-c" {
            vec!["board imx8-9: its relay does not answer".into()]
        } else {
            Vec::new()
        },
    };
    Dispatchers {
        may_manage: chrome.is_administrator(),
        chrome,
        dispatchers: vec![
            one(
                "main",
                DispatcherState::Online,
                DispatcherMode::Active,
                50 * HOUR,
                7,
                3,
            ),
            one(
                "rack-b",
                DispatcherState::Offline,
                DispatcherMode::Active,
                6 * MINUTE,
                1,
                0,
            ),
            one(
                "rack-c",
                DispatcherState::Online,
                DispatcherMode::Maintenance,
                3 * HOUR,
                12,
                1,
            ),
        ],
    }
}

pub fn submit(chrome: Chrome, refused: bool) -> Submit {
    Submit {
        chrome,
        text: "job_name: rt-latency 6.12.9-rt1 arm64\ndevice_type: qemu-arm64-virt\npriority: wrong\ntimeouts:\n  job:\n    minutes: 20\nactions:\n- deploy:\n    to: tftp\n    kernel:\n      url: https://images.example/arm64/Image\n      type: image\n    nfsrootfs:\n      url: https://images.example/arm64/root.tar.xz\n- boot:\n    method: u-boot\n    commands: nfs\n    prompts: ['root@']\n- test:\n    realtime:\n      phases:\n      - name: idle\n        measure: cyclictest\n        duration: 60\n        limit_us: 100\n".into(),
        diagnostics: if refused {
            vec![Diagnostic {
                is_error: true,
                line: 3,
                column: 11,
                message: "`wrong` is no priority".into(),
                hint: Some("write low, medium, high, or a number from 0 to 100".into()),
            }]
        } else {
            Vec::new()
        },
        candidates: Vec::new(),
        refused,
        source: None,
        idempotency_key: "0193a1b27c007000800000000000000a".into(),
    }
}
