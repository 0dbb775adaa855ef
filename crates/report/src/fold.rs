//! From a run's journal to its results.

use basalt_model::{
    CaseOutcome, CaseResult, Culprit, Event, EventBody, Failure, Outcome, PowerState, Verdict,
};
use basalt_realtime::LatencyRecord;

use crate::results::{
    ActionResult, Artifact, BoardIdentity, CONSOLE_FILE, ConsoleResult, Gap, JobIdentity,
    RawFileResult, Results, VERSION,
};

/// The journal is not that of a run.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// It does not begin with `accepted`.
    #[error("the journal does not begin with an accepted run")]
    NotAccepted,
    /// A phase's record cannot be read.
    #[error("the record of phase {phase:?} cannot be read")]
    Record {
        /// The phase.
        phase: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// What a run comes to. In this order:
///
/// 1. a failure that stopped it: `canceled` where a person or client did, else `incomplete`;
/// 2. a phase or a case that failed: `fail`, because one bad number is enough, whatever else could
///    not be measured;
/// 3. a phase that proves nothing: `invalid`;
/// 4. else `pass`.
///
/// Cases of the suite `lava` are the infrastructure's own and do not count.
pub fn outcome<'a>(
    verdicts: impl IntoIterator<Item = Verdict>,
    failure: Option<&Failure>,
    cases: impl IntoIterator<Item = &'a CaseResult>,
) -> Outcome {
    if let Some(failure) = failure {
        return match failure.culprit {
            Culprit::Canceled => Outcome::Canceled,
            _ => Outcome::Incomplete,
        };
    }
    let verdicts: Vec<_> = verdicts.into_iter().collect();
    let case_failed = cases
        .into_iter()
        .any(|case| case.suite != "lava" && case.result == CaseOutcome::Fail);
    if case_failed || verdicts.contains(&Verdict::Fail) {
        Outcome::Fail
    } else if verdicts.contains(&Verdict::Invalid) {
        Outcome::Invalid
    } else {
        Outcome::Pass
    }
}

/// A run's journal on its way to its results: takes the events one after the other, and says at any
/// moment what they come to so far.
#[derive(Clone, Debug)]
pub struct RunFold {
    /// But for the gaps, and the outcome before the end.
    results: Results,
    is_finished: bool,
    /// Where in the console's whole capture, and why.
    gaps: Vec<(u64, String)>,
    /// Level, phase and attempt.
    payloads: Vec<(String, String, u32)>,
}

impl RunFold {
    /// Begins with a journal's first event.
    ///
    /// # Errors
    /// [`FoldError::NotAccepted`].
    pub fn begin(first: &Event) -> Result<Self, FoldError> {
        Ok(Self {
            results: accepted(first)?,
            is_finished: false,
            gaps: Vec::new(),
            payloads: Vec::new(),
        })
    }

    /// Takes the next event. Kinds that this build does not know are passed over.
    ///
    /// # Errors
    /// [`FoldError::Record`]; nothing is taken of that event.
    pub fn add(&mut self, event: &Event) -> Result<(), FoldError> {
        let results = &mut self.results;
        match &event.body {
            EventBody::Resumed { .. } => results.resumed += 1,
            EventBody::LeaseGranted { console_from, .. } => {
                results
                    .console
                    .get_or_insert(console(*console_from, *console_from));
            }
            EventBody::Console { span } => {
                results.console = Some(console(span.from, span.to));
            }
            EventBody::ConsoleGap { offset, reason } => self.gaps.push((*offset, reason.clone())),
            EventBody::ArtifactReady {
                label,
                url,
                sha256,
                bytes,
                linux_version,
            } => results.artifacts.push(Artifact {
                label: label.clone(),
                url: url.clone(),
                sha256: *sha256,
                bytes: *bytes,
                linux_version: linux_version.clone(),
            }),
            EventBody::PowerOutcome { state, .. } => results.power = *state,
            EventBody::KernelBanner { line } => results.kernel_banners.push(line.clone()),
            EventBody::Kernel { report, .. } => results.kernel_reports.push(report.clone()),
            EventBody::Result { result } => results.cases.push(result.clone()),
            EventBody::RawFile { .. } => results.keep_raw_file(&event.body),
            EventBody::ActionStarted { .. } | EventBody::ActionFinished { .. } => {
                results.keep_action(&event.body);
            }
            EventBody::PayloadStarted {
                level,
                name,
                attempt,
            } => self.payloads.push((level.clone(), name.clone(), *attempt)),
            EventBody::PhaseFinished {
                level,
                phase,
                record,
                ..
            } => {
                let read =
                    serde_json::from_value::<LatencyRecord>(record.clone()).map_err(|source| {
                        FoldError::Record {
                            phase: phase.clone(),
                            source,
                        }
                    })?;
                let mut started = self.payloads.iter().rev();
                let started = started.find(|(at, name, _)| at == level && name == phase);
                results.keep_phase(read, started.map_or(1, |(_, _, attempt)| *attempt));
            }
            EventBody::Finished {
                outcome,
                failure,
                power,
            } => {
                self.is_finished = true;
                results.outcome = *outcome;
                results.failure = failure.as_deref().cloned();
                results.power = *power;
                results.finished_utc_us = Some(event.stamp.utc);
            }
            _ => {}
        }
        Ok(())
    }

    /// What is known so far, without a copy: before the end the outcome says nothing, and the
    /// console's gaps are in [`Self::gaps`].
    pub fn known(&self) -> &Results {
        &self.results
    }

    /// Gaps within the run's part of the console so far, counted from its first byte.
    pub fn gaps(&self) -> Vec<Gap> {
        let Some(console) = &self.results.console else {
            return Vec::new();
        };
        let within = console.from..=console.from + console.bytes;
        let gaps = self.gaps.iter();
        let mut gaps: Vec<Gap> = gaps
            .filter(|(offset, _)| within.contains(offset))
            .map(|(offset, reason)| Gap {
                offset: offset - console.from,
                reason: reason.clone(),
            })
            .collect();
        gaps.sort_by_key(|gap| gap.offset);
        gaps
    }

    /// The results so far. Before `finished` the outcome is what it would be if the run ended here
    /// without failure.
    pub fn results(&self) -> Results {
        let mut results = self.results.clone();
        if let Some(console) = &mut results.console {
            console.gaps = self.gaps();
        }
        if !self.is_finished {
            let verdicts = results.phases.iter().map(|phase| phase.verdict);
            results.outcome = outcome(verdicts, None, results.counted_cases());
        }
        results
    }
}

impl Results {
    /// Folds a journal, finished or not. Before `finished` the outcome is what it would be if the
    /// run ended here without failure.
    ///
    /// # Errors
    /// [`FoldError`]. Kinds of events that this build does not know are passed over.
    pub fn from_events(events: &[Event]) -> Result<Self, FoldError> {
        let first = events.first().ok_or(FoldError::NotAccepted)?;
        let mut fold = RunFold::begin(first)?;
        for event in events {
            fold.add(event)?;
        }
        Ok(fold.results())
    }

    fn keep_action(&mut self, body: &EventBody) {
        match body {
            EventBody::ActionStarted {
                level,
                name,
                attempt,
                ..
            } => self.actions.push(ActionResult {
                level: level.clone(),
                name: name.clone(),
                attempt: *attempt,
                end: None,
                duration_ms: None,
                failure: None,
            }),
            EventBody::ActionFinished {
                level,
                name,
                attempt,
                end,
                duration_ms,
                failure,
            } => {
                let open = self.actions.iter_mut().rev().find(|one| {
                    one.level == *level
                        && one.name == *name
                        && one.attempt == *attempt
                        && one.end.is_none()
                });
                if let Some(open) = open {
                    open.end = Some(*end);
                    open.duration_ms = Some(*duration_ms);
                    open.failure = failure.as_ref().map(|failure| failure.sentence());
                }
            }
            _ => {}
        }
    }

    fn keep_raw_file(&mut self, body: &EventBody) {
        if let EventBody::RawFile {
            path,
            sha256,
            bytes,
            board_sha256,
            via,
        } = body
        {
            self.raw_files.retain(|one| one.path != *path);
            self.raw_files.push(RawFileResult {
                path: path.clone(),
                sha256: *sha256,
                bytes: *bytes,
                board_sha256: *board_sha256,
                via: via.clone(),
            });
        }
    }

    fn keep_phase(&mut self, record: LatencyRecord, attempt: u32) {
        let known: Vec<_> = record
            .cases(attempt)
            .into_iter()
            .filter(|case| {
                !self.cases.iter().any(|one| {
                    one.suite == case.suite && one.case == case.case && one.attempt == attempt
                })
            })
            .collect();
        self.cases.extend(known);
        self.phases.retain(|one| one.suite != record.suite);
        self.phases.push(record);
    }
}

fn console(from: u64, to: u64) -> ConsoleResult {
    ConsoleResult {
        file: CONSOLE_FILE.into(),
        from,
        bytes: to.saturating_sub(from),
        gaps: Vec::new(),
    }
}

fn accepted(first: &Event) -> Result<Results, FoldError> {
    let EventBody::Accepted {
        job_name,
        board,
        device_type,
        job_sha256,
        timebase,
        ..
    } = &first.body
    else {
        return Err(FoldError::NotAccepted);
    };
    Ok(Results {
        version: VERSION,
        run: first.run,
        job: JobIdentity {
            name: job_name.clone(),
            sha256: *job_sha256,
        },
        board: BoardIdentity {
            name: board.clone(),
            device_type: device_type.clone(),
            timebase: timebase.clone(),
        },
        outcome: Outcome::Pass,
        failure: None,
        power: PowerState::Unknown,
        started_utc_us: first.stamp.utc,
        finished_utc_us: None,
        resumed: 0,
        actions: Vec::new(),
        artifacts: Vec::new(),
        kernel_banners: Vec::new(),
        cases: Vec::new(),
        phases: Vec::new(),
        raw_files: Vec::new(),
        kernel_reports: Vec::new(),
        console: None,
    })
}
