//! What a dispatcher has on its disk: it outlives connections, and both processes' deaths.

use std::collections::BTreeMap;

use basalt_link::{Assignment, BoardEpoch, Events, LogBatch, Standing};
use basalt_model::event::{ActionEnd, ConsoleSpan};
use basalt_model::{
    BootId, BootNanos, CaseOutcome, CaseResult, Epoch, Event, EventBody, Failure, Outcome,
    PowerState, RunId, Sha256, Stamp, UtcMicros,
};
use basalt_report::joblog::{LogLevel, LogLine, encode_batch};

/// The runs of a dispatcher, and the highest epochs that it has seen.
#[derive(Default)]
pub struct Disk {
    pub runs: BTreeMap<RunId, OnDisk>,
    pub epochs: BTreeMap<String, u64>,
    pub revision: Option<i64>,
}

/// One run.
pub struct OnDisk {
    pub assignment: Assignment,
    pub events: Vec<Event>,
    pub lines: Vec<LogLine>,
}

impl Disk {
    /// Takes a run as a dispatcher does: it is durable before anybody hears of it. Again is no
    /// harm.
    pub fn take(&mut self, assignment: &Assignment) {
        let seen = self.epochs.entry(assignment.board.to_string()).or_default();
        if self.runs.contains_key(&assignment.run) {
            return;
        }
        assert!(
            assignment.epoch.0 > *seen,
            "epoch {} of {} is not above {seen}",
            assignment.epoch.0,
            assignment.board
        );
        *seen = assignment.epoch.0;
        self.runs
            .insert(assignment.run, OnDisk::new(assignment.clone()));
    }

    pub fn standings(&self) -> Vec<Standing> {
        let standings = self.runs.values().map(|run| Standing {
            run: run.assignment.run,
            lease: run.assignment.lease,
            job: run.assignment.job,
            board: run.assignment.board.clone(),
            epoch: run.assignment.epoch,
            last_seq: run.events.len() as u64,
            finished: run.is_finished(),
        });
        standings.collect()
    }

    pub fn board_epochs(&self) -> Vec<BoardEpoch> {
        let epochs = self.epochs.iter().map(|(board, epoch)| BoardEpoch {
            board: basalt_model::BoardName::new(board),
            epoch: Epoch(*epoch),
        });
        epochs.collect()
    }
}

impl OnDisk {
    fn new(assignment: Assignment) -> Self {
        let mut run = Self {
            assignment,
            events: Vec::new(),
            lines: Vec::new(),
        };
        run.event(EventBody::Accepted {
            job_name: run.assignment.job_name.clone(),
            board: run.assignment.board.clone(),
            device_type: "simulated".into(),
            job_sha256: Sha256([7; 32]),
            plan_sha256: Sha256([8; 32]),
            timebase: None,
        });
        run.event(EventBody::LeaseGranted {
            epoch: run.assignment.epoch,
            console_from: 0,
        });
        run
    }

    /// Everything that a run does which goes well, to its last event.
    pub fn perform(&mut self) {
        self.begin();
        self.end(Outcome::Pass, None);
    }

    /// A run that is in the middle of something.
    pub fn begin(&mut self) {
        self.begin_without_lines();
        for number in 0..20 {
            self.line(format!("line {number} of the board\r\n").as_bytes());
        }
    }

    /// The same, of a board that has said nothing yet.
    pub fn begin_without_lines(&mut self) {
        self.event(EventBody::ActionStarted {
            level: "1".into(),
            name: "tftp-deploy".into(),
            attempt: 1,
            deadline: BootNanos(1),
        });
    }

    /// Its last events.
    pub fn end(&mut self, outcome: Outcome, failure: Option<Failure>) {
        self.event(EventBody::ActionFinished {
            level: "1".into(),
            name: "tftp-deploy".into(),
            attempt: 1,
            end: ActionEnd::Done,
            duration_ms: 5,
            failure: None,
        });
        self.event(EventBody::Result {
            result: CaseResult {
                suite: "0_three".into(),
                case: "first".into(),
                result: CaseOutcome::Pass,
                measurement: None,
                units: None,
                set: None,
                attempt: 1,
                detail: None,
                reference: None,
            },
        });
        self.event(EventBody::Console {
            span: ConsoleSpan { from: 0, to: 460 },
        });
        self.event(EventBody::Finished {
            outcome,
            failure: failure.map(Box::new),
            power: PowerState::Off,
        });
    }

    pub fn event(&mut self, body: EventBody) {
        let seq = self.events.len() as u64 + 1;
        self.events.push(Event {
            run: self.assignment.run,
            seq,
            stamp: Stamp {
                utc: UtcMicros(1_800_000_000_000_000 + seq as i64),
                boot: BootNanos(seq),
            },
            boot_id: BootId("test".into()),
            body,
        });
    }

    pub fn line(&mut self, text: &[u8]) {
        let number = self.lines.len() as u64 + 1;
        self.lines.push(LogLine {
            number,
            utc: UtcMicros(1_800_000_000_000_000 + number as i64),
            level: LogLevel::Target,
            text: text.to_vec(),
        });
    }

    pub fn is_finished(&self) -> bool {
        self.events
            .last()
            .is_some_and(|event| matches!(event.body, EventBody::Finished { .. }))
    }

    /// Events after `known`, in pieces.
    pub fn events_after(&self, known: u64, piece: usize) -> Vec<Events> {
        let rest: Vec<String> = self.events[known as usize..]
            .iter()
            .map(Event::to_json)
            .collect();
        rest.chunks(piece)
            .zip((known + 1..).step_by(piece))
            .map(|(jsons, from)| {
                let jsons = jsons.iter().map(|json| json.as_bytes());
                Events::new(self.assignment.run, from, jsons)
            })
            .collect()
    }

    /// Lines after `known`, in pieces, each with its cursor.
    pub fn lines_after(&self, known: u64, piece: usize) -> Vec<LogBatch> {
        self.lines[known as usize..]
            .chunks(piece)
            .map(|lines| {
                let from_line = lines[0].number;
                let next = from_line + lines.len() as u64;
                LogBatch {
                    run: self.assignment.run,
                    from_line,
                    count: lines.len() as u32,
                    cursor: Some(serde_json::json!({ "line": next })),
                    batch: encode_batch(lines).into(),
                }
            })
            .collect()
    }
}
