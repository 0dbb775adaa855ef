//! A run's state: a fold over its journal (decision D8). The same code follows a run that goes on
//! and finds out where one stopped that was killed.

use std::collections::BTreeMap;

use basalt_model::event::{ActionEnd, ConsoleSpan, PowerRequest};
use basalt_model::{
    BootId, CaseResult, Epoch, Event, EventBody, Failure, KernelReport, Outcome, PowerState,
    Sha256, Stamp,
};
use basalt_realtime::record::LatencyRecord;
use serde_json::Value;

use crate::results::{Effect, StageFold};
use crate::session::{KEEPER_LOST, UNSEEN};
use crate::signals::Seen;

/// A payload: its block or phase, and which attempt of it.
pub type PayloadKey = (String, u32);

/// Where a block stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockState {
    /// The attempt that was begun last; 0 before the first.
    pub attempt: u32,
    /// Whether that attempt has ended.
    pub ended: Option<ActionEnd>,
    /// When the block was begun first, and on which boot of the host.
    pub started: Option<(Stamp, BootId)>,
}

/// A file that is ready to be served.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    /// `kernel`, `ramdisk`, ….
    pub label: String,
    /// Where it came from.
    pub url: String,
    /// Of what is served.
    pub sha256: Sha256,
    /// Of what is served.
    pub bytes: u64,
    /// `Linux version …` in the image.
    pub linux_version: Option<String>,
}

/// A raw file that arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct RawFile {
    /// Path in the results directory.
    pub path: String,
    /// Of what arrived.
    pub sha256: Sha256,
    /// Size.
    pub bytes: u64,
    /// As the board computed it.
    pub board_sha256: Sha256,
    /// The way it came.
    pub via: String,
}

/// An action that ended, for the results.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionRecord {
    /// Its place in the tree.
    pub level: String,
    /// Its name.
    pub name: String,
    /// Which attempt.
    pub attempt: u32,
    /// How it ended.
    pub end: ActionEnd,
    /// How long it took.
    pub duration_ms: u64,
    /// Why it failed.
    pub failure: Option<Failure>,
}

/// An action that was begun and has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAction {
    /// Its place in the tree.
    pub level: String,
    /// Its name.
    pub name: String,
    /// Which attempt.
    pub attempt: u32,
    /// When it must have ended.
    pub deadline: basalt_model::BootNanos,
    /// The boot of the host that `deadline` belongs to.
    pub boot_id: BootId,
}

/// The fold.
#[derive(Clone, Debug, Default)]
pub struct RunState {
    /// When the run was accepted, and on which boot of the host.
    pub accepted: Option<(Stamp, BootId)>,
    /// The newest event.
    pub last: Option<(Stamp, BootId)>,
    /// The lease's epoch.
    pub epoch: Option<Epoch>,
    /// SHA-256 of the plan that the run was begun with.
    pub plan_sha256: Option<Sha256>,
    /// The parts of the console that belong to this run: one a lease. The last one's end is
    /// `console_to`.
    pub spans: Vec<ConsoleSpan>,
    /// The first byte of the console that belongs to the last lease.
    pub console_from: u64,
    /// How far the console was followed.
    pub console_to: u64,
    /// By level.
    pub blocks: BTreeMap<String, BlockState>,
    /// What was begun and has not ended, outermost first.
    pub open: Vec<OpenAction>,
    /// What ended, in order.
    pub actions: Vec<ActionRecord>,
    /// Files that are ready, newest of each label.
    pub artifacts: Vec<Artifact>,
    /// The line in which the booted kernel named itself.
    pub banner: Option<String>,
    /// The line in which the boot loader named itself.
    pub firmware: Option<String>,
    /// What the kernel reported.
    pub kernel: Vec<KernelReport>,
    /// Console bytes that were lost.
    pub gaps: Vec<(u64, String)>,
    /// Numbered signals seen, by block or phase and attempt.
    pub signals: BTreeMap<PayloadKey, Seen>,
    /// Where the last string ended that a test printed itself, by block and attempt.
    pub printed: BTreeMap<PayloadKey, u64>,
    /// What the signals came to, by block and attempt.
    pub stages: BTreeMap<PayloadKey, StageFold>,
    /// Why a test asked to end the job, by block and attempt.
    pub raised: Vec<(String, u32, String)>,
    /// Signals that make no sense.
    pub complaints: Vec<String>,
    /// The texts of `BASALT_` signals, by block or phase and attempt.
    pub progress: BTreeMap<PayloadKey, Vec<String>>,
    /// Payloads that were started, by block or phase and attempt.
    pub payloads: Vec<PayloadKey>,
    /// Those of them that were started since the board was switched last: a board that was
    /// switched has forgotten the others.
    pub on_board: Vec<PayloadKey>,
    /// Results, in order.
    pub results: Vec<CaseResult>,
    /// Raw files that arrived.
    pub raw_files: Vec<RawFile>,
    /// Complete phases: by (block, index) their record.
    pub phases: BTreeMap<(String, usize), Value>,
    /// A switch that was intended and has no outcome.
    pub power_intent: Option<PowerRequest>,
    /// What the relay said last.
    pub power: Option<PowerState>,
    /// When the outlet was switched off last.
    pub off_at: Option<(Stamp, BootId)>,
    /// The end.
    pub finished: Option<(Outcome, Option<Failure>)>,
    /// How often the runner was started over this journal after the first time.
    pub resumes: u32,
}

impl RunState {
    /// The state after `events`.
    pub fn of(events: &[Event]) -> Self {
        let mut state = Self::default();
        for event in events {
            state.apply(event);
        }
        state
    }

    /// Takes one more event.
    pub fn apply(&mut self, event: &Event) {
        let at = (event.stamp, event.boot_id.clone());
        match &event.body {
            EventBody::Accepted { plan_sha256, .. } => {
                self.accepted = Some(at.clone());
                self.plan_sha256 = Some(*plan_sha256);
            }
            EventBody::LeaseGranted {
                epoch,
                console_from,
            } => {
                if let Some(span) = self.spans.last_mut() {
                    span.to = self.console_to;
                }
                self.spans.push(ConsoleSpan {
                    from: *console_from,
                    to: *console_from,
                });
                self.console_from = *console_from;
                self.console_to = *console_from;
                self.epoch = Some(*epoch);
                // Somebody else may have had the board.
                self.on_board.clear();
            }
            EventBody::Resumed { .. } => {
                self.resumes += 1;
                self.open.clear();
            }
            EventBody::ActionStarted {
                level,
                name,
                attempt,
                deadline,
            } => self.start(level, name, *attempt, *deadline, &at),
            EventBody::ActionFinished {
                level,
                name,
                attempt,
                end,
                duration_ms,
                failure,
            } => {
                self.open
                    .retain(|open| &open.level != level || &open.name != name);
                if let Some(block) = self.blocks.get_mut(level) {
                    block.ended = Some(*end);
                }
                self.actions.push(ActionRecord {
                    level: level.clone(),
                    name: name.clone(),
                    attempt: *attempt,
                    end: *end,
                    duration_ms: *duration_ms,
                    failure: failure.as_deref().cloned(),
                });
            }
            EventBody::ArtifactReady {
                label,
                url,
                sha256,
                bytes,
                linux_version,
            } => {
                self.artifacts.retain(|artifact| &artifact.label != label);
                self.artifacts.push(Artifact {
                    label: label.clone(),
                    url: url.clone(),
                    sha256: *sha256,
                    bytes: *bytes,
                    linux_version: linux_version.clone(),
                });
            }
            EventBody::PowerIntent { request, .. } => {
                self.power_intent = Some(*request);
                self.power = Some(PowerState::Unknown);
                self.on_board.clear();
            }
            EventBody::PowerOutcome { request, state, .. } => {
                self.power_intent = None;
                self.power = Some(*state);
                if *request == PowerRequest::Off {
                    self.off_at = Some(at.clone());
                }
            }
            EventBody::KernelBanner { line } => self.banner = Some(line.clone()),
            EventBody::LoaderBanner { line } => self.firmware = Some(line.clone()),
            EventBody::Kernel { report, .. } => self.kernel.push(report.clone()),
            EventBody::ConsoleGap { offset, reason } => self.gaps.push((*offset, reason.clone())),
            EventBody::Signal {
                number,
                text,
                level,
                attempt,
                offset,
                ..
            } => {
                self.signal((level.clone(), *attempt), *number, text, *offset);
            }
            EventBody::Result { result } => self.results.push(result.clone()),
            EventBody::PayloadStarted { level, attempt, .. } => {
                let key = (level.clone(), *attempt);
                self.payloads.push(key.clone());
                self.on_board.push(key);
            }
            EventBody::RawFile {
                path,
                sha256,
                bytes,
                board_sha256,
                via,
            } => {
                self.raw_files.retain(|raw| &raw.path != path);
                self.raw_files.push(RawFile {
                    path: path.clone(),
                    sha256: *sha256,
                    bytes: *bytes,
                    board_sha256: *board_sha256,
                    via: via.clone(),
                });
            }
            EventBody::PhaseFinished {
                level,
                index,
                record,
                ..
            } => {
                let attempt = self.blocks.get(level).map_or(1, |block| block.attempt);
                if let Ok(record) = serde_json::from_value::<LatencyRecord>(record.clone()) {
                    self.results.extend(record.cases(attempt));
                }
                self.phases.insert((level.clone(), *index), record.clone());
            }
            EventBody::Console { span } => self.console_to = self.console_to.max(span.to),
            EventBody::Finished {
                outcome, failure, ..
            } => self.finished = Some((*outcome, failure.as_deref().cloned())),
            EventBody::Log { .. }
            | EventBody::Served { .. }
            | EventBody::Input { .. }
            | EventBody::Unknown { .. } => {}
        }
        self.last = Some(at);
    }

    fn start(
        &mut self,
        level: &str,
        name: &str,
        attempt: u32,
        deadline: basalt_model::BootNanos,
        at: &(Stamp, BootId),
    ) {
        // Levels without a dot are blocks: `2`; actions inside are `2.1`.
        if !level.contains('.') {
            let block = self.blocks.entry(level.to_owned()).or_default();
            block.attempt = attempt;
            block.ended = None;
            block.started.get_or_insert_with(|| at.clone());
        }
        self.open.push(OpenAction {
            level: level.to_owned(),
            name: name.to_owned(),
            attempt,
            deadline,
            boot_id: at.1.clone(),
        });
    }

    fn signal(&mut self, key: PayloadKey, number: u64, text: &str, offset: u64) {
        if number > 0 {
            if !self.signals.entry(key.clone()).or_default().note(number) {
                return;
            }
        } else {
            let printed = self.printed.entry(key.clone()).or_default();
            *printed = offset.max(*printed);
        }
        if text.starts_with("BASALT_") {
            self.progress.entry(key).or_default().push(text.to_owned());
            return;
        }
        let (level, attempt) = key.clone();
        let stage = self
            .stages
            .entry(key)
            .or_insert_with(|| StageFold::new(attempt));
        for effect in stage.apply(text) {
            match effect {
                Effect::Result(result) => self.results.push(result),
                Effect::Raise(why) => self.raised.push((level.clone(), attempt, why)),
                Effect::Complaint(complaint) => self.complaints.push(complaint),
            }
        }
    }

    /// Whether the block is done and needs nothing more.
    pub fn block_done(&self, level: &str) -> bool {
        self.blocks
            .get(level)
            .is_some_and(|block| block.ended == Some(ActionEnd::Done))
    }

    /// The file with this label, if it is ready.
    pub fn artifact(&self, label: &str) -> Option<&Artifact> {
        self.artifacts
            .iter()
            .find(|artifact| artifact.label == label)
    }

    /// Whether this payload was started and the board still knows of it.
    pub fn is_on_board(&self, level: &str, attempt: u32) -> bool {
        self.on_board
            .iter()
            .any(|(started, tried)| started == level && *tried == attempt)
    }

    /// Up to where strings that a test printed itself are on record, for this payload.
    pub fn printed_to(&self, payload: &PayloadKey) -> u64 {
        self.printed.get(payload).copied().unwrap_or(0)
    }

    /// Why the attempts of a block failed, without those that were nobody's.
    pub fn failures(&self, level: &str) -> Vec<&Failure> {
        self.failed(level)
            .filter(|failure| !is_interruption(failure))
            .collect()
    }

    /// How many attempts of a block came to nothing because the console was interrupted.
    pub fn interruptions(&self, level: &str) -> usize {
        self.failed(level)
            .filter(|failure| is_interruption(failure))
            .count()
    }

    fn failed(&self, level: &str) -> impl Iterator<Item = &Failure> {
        self.actions
            .iter()
            .filter(move |action| action.level == level)
            .filter_map(|action| action.failure.as_ref())
    }
}

/// Whether an attempt failed only because the console was interrupted: that is nobody's attempt.
pub fn is_interruption(failure: &Failure) -> bool {
    [KEEPER_LOST, UNSEEN].contains(&failure.code.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_model::{BootNanos, UtcMicros};

    fn event(seq: u64, body: EventBody) -> Event {
        Event {
            run: "0193a1b2-7c00-7000-8000-000000000001".parse().unwrap(),
            seq,
            stamp: Stamp {
                utc: UtcMicros(seq as i64),
                boot: BootNanos(seq),
            },
            boot_id: BootId("b".into()),
            body,
        }
    }

    #[test]
    fn an_intent_without_an_outcome_leaves_the_power_unknown() {
        let intent = event(
            1,
            EventBody::PowerIntent {
                request: PowerRequest::On,
                epoch: Epoch(1),
            },
        );
        let mut state = RunState::of(&[intent]);
        assert_eq!(state.power, Some(PowerState::Unknown));
        assert_eq!(state.power_intent, Some(PowerRequest::On));
        state.apply(&event(
            2,
            EventBody::PowerOutcome {
                request: PowerRequest::On,
                state: PowerState::On,
                error: None,
            },
        ));
        assert_eq!(
            (state.power, state.power_intent),
            (Some(PowerState::On), None)
        );
    }

    #[test]
    fn a_board_that_was_switched_has_forgotten_its_payloads() {
        let started = event(
            1,
            EventBody::PayloadStarted {
                level: "3.1".into(),
                name: "phase idle".into(),
                attempt: 1,
            },
        );
        let mut state = RunState::of(&[started]);
        assert!(state.is_on_board("3.1", 1));
        state.apply(&event(
            2,
            EventBody::PowerIntent {
                request: PowerRequest::Off,
                epoch: Epoch(1),
            },
        ));
        assert!(!state.is_on_board("3.1", 1));
        assert_eq!(state.payloads, [("3.1".to_owned(), 1)]);
    }

    #[test]
    fn what_the_console_did_not_show_is_nobodys_attempt() {
        let failed = |seq, code: &str| {
            event(
                seq,
                EventBody::ActionFinished {
                    level: "2".into(),
                    name: "uboot-action".into(),
                    attempt: seq as u32,
                    end: ActionEnd::Failed,
                    duration_ms: 1,
                    failure: Some(Box::new(Failure::new(
                        basalt_model::Culprit::Infrastructure,
                        code,
                        "it failed",
                    ))),
                },
            )
        };
        let state = RunState::of(&[
            failed(1, KEEPER_LOST),
            failed(2, "boot-loader-timeout"),
            failed(3, UNSEEN),
        ]);
        assert_eq!(state.interruptions("2"), 2);
        let failures = state.failures("2");
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].code, "boot-loader-timeout");
    }

    #[test]
    fn how_far_a_tests_own_strings_are_on_record_is_known_by_payload() {
        let signal = |seq, number, text: &str, offset| {
            event(
                seq,
                EventBody::Signal {
                    number,
                    text: text.into(),
                    offset,
                    level: "3".into(),
                    attempt: 1,
                    from_spool: false,
                },
            )
        };
        let state = RunState::of(&[
            signal(1, 1, "LAVA_SIGNAL_STARTRUN 0_smoke 1_1.1", 100),
            signal(2, 0, "LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=pass", 200),
            signal(3, 2, "LAVA_SIGNAL_ENDRUN 0_smoke 1_1.1", 300),
        ]);
        assert_eq!(state.results.len(), 1);
        assert_eq!(state.printed_to(&("3".to_owned(), 1)), 200);
        assert_eq!(state.printed_to(&("3".to_owned(), 2)), 0);
    }

    #[test]
    fn a_block_that_was_begun_again_is_not_done() {
        let started = |seq, attempt| {
            event(
                seq,
                EventBody::ActionStarted {
                    level: "2".into(),
                    name: "uboot-action".into(),
                    attempt,
                    deadline: BootNanos(9),
                },
            )
        };
        let ended = event(
            2,
            EventBody::ActionFinished {
                level: "2".into(),
                name: "uboot-action".into(),
                attempt: 1,
                end: ActionEnd::Done,
                duration_ms: 1,
                failure: None,
            },
        );
        let mut state = RunState::of(&[started(1, 1), ended]);
        assert!(state.block_done("2"));
        state.apply(&started(3, 2));
        assert!(!state.block_done("2"));
        assert_eq!(state.blocks["2"].attempt, 2);
    }
}
