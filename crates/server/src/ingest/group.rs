//! A group of things as one batch for the store: one entry a run, whatever came of it.

use std::collections::HashMap;

use basalt_link::{Events, LogBatch, RefusalCode};
use basalt_model::{DispatcherName, Epoch, Event, EventBody, RunId, UtcMicros};
use basalt_report::joblog;
use basalt_store::{Batch, EventRow, LeaseAnswer, RunBatch, RunFinished};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Item, Kind};
use crate::policy;

/// What came cannot be taken: the sender does not keep to the protocol.
#[derive(Debug, thiserror::Error)]
pub(super) enum Nonsense {
    #[error("event {seq} of run {run} cannot be read")]
    Event {
        run: RunId,
        seq: u64,
        #[source]
        source: serde_json::Error,
    },
    #[error("the last event of run {run} cannot be read")]
    Finished {
        run: RunId,
        #[source]
        source: basalt_model::ParseEventError,
    },
    #[error("event {seq} of run {run} says to be number {said} of run {whose}")]
    Numbers {
        run: RunId,
        seq: u64,
        said: u64,
        whose: RunId,
    },
    #[error("lines of run {run} cannot be read")]
    Lines {
        run: RunId,
        #[source]
        source: joblog::BatchError,
    },
    #[error("lines of run {run} are not those that their header says")]
    LineNumbers { run: RunId },
}

/// One group: the batch, and what is needed to answer it.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub batch: Batch,
    /// Beside each run of the batch.
    pub senders: Vec<Sender>,
    pub barriers: Vec<oneshot::Sender<()>>,
    /// Who waits for a file to be the run's.
    pub stored: Vec<oneshot::Sender<()>>,
    places: HashMap<RunId, usize>,
    pub bytes: usize,
}

/// Where a run's part of a batch came from.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub dispatcher: DispatcherName,
    pub close: CancellationToken,
    /// Why it was refused, where it was.
    pub refusal: Option<(RefusalCode, String)>,
}

impl Group {
    /// Whether there is anything to commit.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.runs.is_empty() && self.batch.facts.is_empty() && self.batch.files.is_empty()
    }

    /// Whether `item` belongs into another group: two dispatchers about one run.
    pub(super) fn clashes(&self, item: &Item) -> bool {
        let run = match &item.kind {
            Kind::Accepted(run) | Kind::Refused { run, .. } | Kind::Ended(run, _) => *run,
            Kind::Events(events) => events.run,
            Kind::Log(log) => log.run,
            Kind::Fact(_) | Kind::File { .. } | Kind::Barrier(_) | Kind::Reset(_) => return false,
        };
        self.places
            .get(&run)
            .and_then(|place| self.senders.get(*place))
            .is_some_and(|sender| sender.dispatcher != item.dispatcher)
    }

    /// Adds something; `epoch` is that of the run's lease.
    pub(super) fn add(&mut self, item: Item, epoch: Epoch) -> Result<(), Nonsense> {
        self.bytes += item.kind.bytes();
        let Item {
            dispatcher,
            close,
            kind,
        } = item;
        let sender = Sender {
            dispatcher,
            close,
            refusal: None,
        };
        match kind {
            Kind::Barrier(barrier) | Kind::Reset(barrier) => self.barriers.push(barrier),
            Kind::Fact(fact) => self.batch.facts.push(fact),
            Kind::File { run, file, stored } => {
                self.batch.files.push((run, file));
                self.stored.push(stored);
            }
            Kind::Accepted(run) => {
                self.run(run, epoch, sender).0.answer = Some(LeaseAnswer::Accepted);
            }
            Kind::Refused { run, code, message } => {
                let (batch, sender) = self.run(run, epoch, sender);
                batch.answer = Some(LeaseAnswer::Refused {
                    code: policy::word(code).to_owned(),
                    message: message.clone(),
                    max_attempts: policy::attempts_after_refusal(code),
                    end: policy::end_after_refusal(code, &message),
                });
                sender.refusal = Some((code, message));
            }
            Kind::Events(events) => {
                let (rows, finished) = rows(&events)?;
                let (batch, _) = self.run(events.run, epoch, sender);
                batch.events.extend(rows);
                batch.finished = finished.or(batch.finished.take());
            }
            Kind::Log(log) => {
                let row = lines(&log)?;
                self.run(log.run, epoch, sender).0.logs.push(row);
            }
            Kind::Ended(run, ended) => {
                self.run(run, epoch, sender).0.ended = Some(*ended);
            }
        }
        Ok(())
    }

    fn run(&mut self, run: RunId, epoch: Epoch, sender: Sender) -> (&mut RunBatch, &mut Sender) {
        let place = *self.places.entry(run).or_insert_with(|| {
            self.batch.runs.push(RunBatch {
                run,
                dispatcher: sender.dispatcher.clone(),
                epoch,
                answer: None,
                events: Vec::new(),
                logs: Vec::new(),
                finished: None,
                ended: None,
            });
            self.senders.push(sender);
            self.batch.runs.len() - 1
        });
        (&mut self.batch.runs[place], &mut self.senders[place])
    }

    /// Each run of the group by itself, for a store that refuses them together.
    pub(super) fn apart(self) -> Vec<Group> {
        let Self {
            batch,
            senders,
            barriers,
            stored,
            ..
        } = self;
        // The last of the list goes first: barriers come after all runs.
        let mut groups = vec![Group {
            batch: Batch {
                runs: Vec::new(),
                facts: batch.facts,
                files: batch.files,
            },
            barriers,
            stored,
            ..Group::default()
        }];
        groups.extend(
            batch
                .runs
                .into_iter()
                .zip(senders)
                .map(|(run, sender)| Group {
                    places: HashMap::from([(run.run, 0)]),
                    batch: Batch {
                        runs: vec![run],
                        facts: Vec::new(),
                        files: Vec::new(),
                    },
                    senders: vec![sender],
                    ..Group::default()
                }),
        );
        groups
    }
}

/// What of an event is needed to store it; the rest is not looked into.
#[derive(Deserialize)]
struct Envelope {
    run: RunId,
    seq: u64,
    utc_us: UtcMicros,
    kind: String,
}

fn rows(events: &Events) -> Result<(Vec<EventRow>, Option<RunFinished>), Nonsense> {
    let run = events.run;
    let mut rows = Vec::with_capacity(events.count as usize);
    let mut finished = None;
    for (seq, json) in (events.from_seq..).zip(events.iter()) {
        let unreadable = |source| Nonsense::Event { run, seq, source };
        let envelope: Envelope = serde_json::from_slice(json).map_err(unreadable)?;
        if envelope.seq != seq || envelope.run != run {
            return Err(Nonsense::Numbers {
                run,
                seq,
                said: envelope.seq,
                whose: envelope.run,
            });
        }
        if envelope.kind == "finished" {
            finished = finish(run, json)?;
        }
        rows.push(EventRow {
            seq,
            utc: envelope.utc_us,
            // It was read as JSON just now, so it is text.
            json: String::from_utf8_lossy(json).into_owned(),
        });
    }
    Ok((rows, finished))
}

fn finish(run: RunId, json: &[u8]) -> Result<Option<RunFinished>, Nonsense> {
    let event = Event::from_json(json).map_err(|source| Nonsense::Finished { run, source })?;
    Ok(match event.body {
        EventBody::Finished { outcome, power, .. } => Some(RunFinished {
            seq: event.seq,
            at: event.stamp.utc,
            outcome,
            power,
        }),
        _ => None,
    })
}

fn lines(log: &LogBatch) -> Result<basalt_store::LogBatch, Nonsense> {
    let run = log.run;
    let batch =
        joblog::Batch::read(&log.batch).map_err(|source| Nonsense::Lines { run, source })?;
    let same = batch.count() == u64::from(log.count)
        && batch.first_number() == log.from_line
        && batch.last_number() == log.last_line();
    let mut levels = 0;
    let mut times: Option<(UtcMicros, UtcMicros)> = None;
    for line in batch.iter() {
        levels |= u32::from(line.level.bit());
        times = Some((times.map_or(line.utc, |(first, _)| first), line.utc));
    }
    let (Some((first, last)), true) = (times, same) else {
        return Err(Nonsense::LineNumbers { run });
    };
    Ok(basalt_store::LogBatch {
        from_line: log.from_line,
        lines: u64::from(log.count),
        levels,
        first,
        last,
        data: log.batch.clone(),
        cursor: log
            .cursor
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
    })
}
