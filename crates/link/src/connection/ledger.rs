//! Credit: which bytes of streams the server has not acknowledged.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use basalt_model::RunId;
use bytes::Bytes;
use tokio::sync::Notify;

use crate::frame::Message;
use crate::message::{Down, Up};

/// What a message costs beside its bytes, so that many small ones cannot grow the ledger.
const PER_MESSAGE: u64 = 64;

/// Which bytes of streams the server has not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What `welcome` allows; nothing goes before it.
    window: Option<u64>,
    unacknowledged: u64,
    runs: HashMap<RunId, Streams>,
}

/// Messages on their way, by stream: their last number and their cost, in order.
#[derive(Debug, Default)]
struct Streams {
    events: VecDeque<(u64, u64)>,
    log: VecDeque<(u64, u64)>,
}

impl Ledger {
    /// Waits until there is credit for a message and takes it. A message that is larger than the
    /// whole window goes alone.
    pub(super) async fn take(&self, message: &Message<Up>, frames: &[Bytes]) {
        let (run, last, is_log) = match message {
            Message::Events(events) => (events.run, events.last_seq(), false),
            Message::Log(log) => (log.run, log.last_line(), true),
            Message::Control(_) => return,
        };
        let cost = PER_MESSAGE + frames.iter().map(|frame| frame.len() as u64).sum::<u64>();
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.lock();
                let held = state.unacknowledged;
                if state
                    .window
                    .is_some_and(|window| held == 0 || held + cost <= window)
                {
                    state.unacknowledged += cost;
                    let streams = state.runs.entry(run).or_default();
                    let stream = match is_log {
                        true => &mut streams.log,
                        false => &mut streams.events,
                    };
                    stream.push_back((last, cost));
                    return;
                }
            }
            changed.await;
        }
    }

    /// Gives back what the server acknowledges.
    pub(super) fn hear(&self, down: &Down) {
        let mut state = self.lock();
        let freed = match down {
            Down::Welcome { window_bytes, .. } => {
                state.window = Some(*window_bytes);
                0
            }
            Down::Ack {
                run,
                events_seq,
                log_line,
            } => {
                let Some(streams) = state.runs.get_mut(run) else {
                    return;
                };
                let freed =
                    settle(&mut streams.events, *events_seq) + settle(&mut streams.log, *log_line);
                if streams.events.is_empty() && streams.log.is_empty() {
                    state.runs.remove(run);
                }
                freed
            }
            Down::Forget { run } => state.runs.remove(run).map_or(0, |mut streams| {
                settle(&mut streams.events, u64::MAX) + settle(&mut streams.log, u64::MAX)
            }),
            _ => return,
        };
        state.unacknowledged -= freed;
        drop(state);
        self.changed.notify_waiters();
    }

    pub(super) fn unacknowledged(&self) -> u64 {
        self.lock().unacknowledged
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing between lock and unlock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes off what is acknowledged up to a number; what it cost.
fn settle(stream: &mut VecDeque<(u64, u64)>, up_to: u64) -> u64 {
    let mut freed = 0;
    while let Some((last, cost)) = stream.front().copied() {
        if last > up_to {
            break;
        }
        freed += cost;
        stream.pop_front();
    }
    freed
}
