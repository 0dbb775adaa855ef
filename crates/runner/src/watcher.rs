//! Who is told that a run goes on: a terminal that shows everything, or a reader of its files that
//! only wants to be woken.

use basalt_model::{Event, EventBody, PowerState};
use tokio::sync::{mpsc, watch};

/// What a watcher of a live run is told. Never what the journal does not also hold, but for
/// progress, which nobody needs afterwards.
#[derive(Clone, Debug)]
pub enum Live {
    /// An event, already in the journal.
    Event(Box<Event>),
    /// The board said this; already in the console's segments.
    Console(Vec<u8>),
    /// Something long goes on.
    Progress {
        /// What: `kernel`, `idle`.
        label: String,
        /// How much is done: bytes or milliseconds.
        done: u64,
        /// Of how much, where that is known.
        total: Option<u64>,
        /// `bytes` or `ms`.
        unit: &'static str,
    },
}

/// How far a run's files have grown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grown {
    /// The last event in the journal.
    pub seq: u64,
    /// The console's offset up to which the run has looked at it.
    pub console: u64,
    /// The run's last event is in the journal.
    pub finished: bool,
    /// What the board's relay was last asked for or said, as far as this run knows.
    pub power: Option<PowerState>,
}

/// Who watches a run.
#[derive(Clone, Debug)]
pub enum Watcher {
    /// Is told everything. Bounded by what the reader takes: for a terminal beside the run.
    Live(mpsc::UnboundedSender<Live>),
    /// Is told how far the files have grown, and reads them itself. Costs nothing while it sleeps.
    Files(watch::Sender<Grown>),
}

impl Watcher {
    pub(crate) fn event(&self, event: Event) {
        match self {
            // Nobody watching is no error.
            Self::Live(live) => drop(live.send(Live::Event(Box::new(event)))),
            Self::Files(files) => files.send_modify(|grown| {
                grown.seq = event.seq;
                match event.body {
                    EventBody::Finished { .. } => grown.finished = true,
                    EventBody::PowerOutcome { state, .. } => grown.power = Some(state),
                    _ => {}
                }
            }),
        }
    }

    /// The board has said this, up to an offset of its console.
    pub(crate) fn console(&self, end: u64, bytes: &[u8]) {
        match self {
            Self::Live(live) => drop(live.send(Live::Console(bytes.to_vec()))),
            Self::Files(files) => files.send_modify(|grown| grown.console = end),
        }
    }

    pub(crate) fn progress(&self, label: &str, done: u64, total: Option<u64>) {
        if let Self::Live(live) = self {
            let progress = Live::Progress {
                label: label.to_owned(),
                done,
                total,
                unit: "bytes",
            };
            drop(live.send(progress));
        }
    }
}
