//! Storing what a console says, and telling those who wait for it.
//!
//! What the disk refuses is not forgotten: records are owed and stored before the next one, bytes
//! are counted and become a gap.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use basalt_clock::Clock;
use basalt_model::UtcMicros;
use tokio::sync::watch;

use crate::protocol::{ConsoleView, CounterValues, SourceState};
use crate::segment::{Body, GapRecord, Record, SegmentWriter, SourceRecord};

/// What a console has cost.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) bytes_read: AtomicU64,
    pub(super) bytes_typed: AtomicU64,
    pub(super) bytes_written: AtomicU64,
    pub(super) fsyncs: AtomicU64,
    pub(super) opens: AtomicU64,
    pub(super) bytes_lost: AtomicU64,
}

impl Counters {
    pub(super) fn values(&self) -> CounterValues {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CounterValues {
            bytes_read: value(&self.bytes_read),
            bytes_typed: value(&self.bytes_typed),
            bytes_written: value(&self.bytes_written),
            fsyncs: value(&self.fsyncs),
            opens: value(&self.opens),
            bytes_lost: value(&self.bytes_lost),
        }
    }
}

/// Bytes that were read but could not be stored.
struct Lost {
    bytes: u64,
    since: UtcMicros,
    reason: String,
}

/// Stores what one console says.
pub(super) struct Recorder {
    name: String,
    pub(super) writer: SegmentWriter,
    pub(super) clock: Clock,
    pub(super) view: watch::Sender<ConsoleView>,
    pub(super) counters: Arc<Counters>,
    /// Records that could not be stored when they were due.
    owed: VecDeque<Record>,
    lost: Option<Lost>,
}

impl Recorder {
    pub(super) fn new(
        name: String,
        writer: SegmentWriter,
        clock: Clock,
        view: watch::Sender<ConsoleView>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            name,
            writer,
            clock,
            view,
            counters,
            owed: VecDeque::new(),
            lost: None,
        }
    }

    pub(super) fn record_gap(&mut self, from: UtcMicros, reason: String) {
        let to = self.clock.now().utc;
        self.record(Body::Gap(GapRecord { reason, from, to }));
    }

    pub(super) fn record_source(&mut self, open: bool, reason: String) {
        let since = self.clock.now().utc;
        self.record(Body::Source(SourceRecord {
            open,
            reason: reason.clone(),
        }));
        self.view.send_modify(|view| {
            view.source = SourceState {
                open,
                reason,
                since,
            };
        });
    }

    /// Stores a record now or, where the disk refuses, before whatever is stored next.
    pub(super) fn record(&mut self, body: Body) {
        let record = Record {
            stamp: self.clock.now(),
            body,
        };
        if let Err(error) = self.store_record(&record) {
            tracing::error!(console = %self.name, error = %error, "a console record cannot be stored");
            self.owed.push_back(record);
        }
    }

    pub(super) fn store(&mut self, body: Body) -> io::Result<()> {
        let record = Record {
            stamp: self.clock.now(),
            body,
        };
        self.store_record(&record)
    }

    fn store_record(&mut self, record: &Record) -> io::Result<()> {
        self.pay()?;
        self.writer.append(record)?;
        self.announce();
        Ok(())
    }

    pub(super) fn store_data(&mut self, bytes: &[u8]) {
        let stamp = self.clock.now();
        self.counters
            .bytes_read
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let stored = self
            .pay()
            .and_then(|()| self.writer.append_data(stamp, bytes));
        match stored {
            Ok(()) => self.announce(),
            Err(error) => {
                self.counters
                    .bytes_lost
                    .fetch_add(bytes.len() as u64, Ordering::Relaxed);
                let lost = self.lost.get_or_insert_with(|| {
                    tracing::error!(console = %self.name, error = %error, "console bytes cannot be stored and are lost");
                    Lost {
                        bytes: 0,
                        since: stamp.utc,
                        reason: error.to_string(),
                    }
                });
                lost.bytes += bytes.len() as u64;
            }
        }
    }

    /// Stores what could not be stored when it was due.
    fn pay(&mut self) -> io::Result<()> {
        while let Some(record) = self.owed.front() {
            self.writer.append(record)?;
            self.owed.pop_front();
            self.announce();
        }
        if let Some(lost) = &self.lost {
            let stamp = self.clock.now();
            let gap = GapRecord {
                reason: format!(
                    "{} bytes were read but could not be stored: {}",
                    lost.bytes, lost.reason
                ),
                from: lost.since,
                to: stamp.utc,
            };
            self.writer.append(&Record {
                stamp,
                body: Body::Gap(gap),
            })?;
            self.lost = None;
            self.announce();
        }
        Ok(())
    }

    fn announce(&self) {
        self.counters
            .bytes_written
            .store(self.writer.bytes_written(), Ordering::Relaxed);
        let end = self.writer.end();
        self.view.send_modify(|view| {
            view.end = end;
            view.records += 1;
        });
    }
}
