//! Which dispatchers are connected, how they are spoken to, and when they were last acknowledged
//! (decision D2).
//!
//! Sending here never waits: a dispatcher that does not take what it is told loses its link, and
//! hears everything again when it is back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use basalt_link::Down;
use basalt_model::{BootNanos, DispatcherName, UtcMicros};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Limits;

/// Messages that may wait for a dispatcher to take them.
pub(crate) const OUTGOING: usize = 4096;

/// The dispatchers; cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    known: Arc<Mutex<Known>>,
    started: BootNanos,
}

#[derive(Debug, Default)]
struct Known {
    dispatchers: HashMap<DispatcherName, Entry>,
    generation: u64,
}

#[derive(Debug)]
struct Entry {
    link: Option<Link>,
    /// When the last acknowledgement went out, or this server began.
    acknowledged: BootNanos,
    heard: Option<UtcMicros>,
    revision: Option<i64>,
    problems: Vec<String>,
    stopping: bool,
    /// It takes no runs for a while: why, and since when.
    closed: Option<(String, UtcMicros)>,
    /// Its runs were given up in this silence.
    given_up: bool,
    /// One greeting at a time.
    greeting: Arc<tokio::sync::Mutex<()>>,
}

/// One connection of a dispatcher.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    generation: u64,
    outgoing: mpsc::Sender<Down>,
    /// Ends the connection.
    pub close: CancellationToken,
    /// It has ended: nothing more comes from it.
    pub done: CancellationToken,
}

/// What is known of a dispatcher beside what the store knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// It is connected.
    pub connected: bool,
    /// It said that it is stopping.
    pub stopping: bool,
    /// When it was heard last.
    pub heard: Option<UtcMicros>,
    /// The revision of the lab that it serves.
    pub revision: Option<i64>,
    /// What it could not apply of that revision.
    pub problems: Vec<String>,
    /// It takes no runs for a while: why, and since when.
    pub closed: Option<(String, UtcMicros)>,
}

impl Registry {
    /// Nobody is connected; silence counts from `started`.
    pub(crate) fn new(started: BootNanos) -> Self {
        Self {
            known: Arc::default(),
            started,
        }
    }

    /// Held while a connection of this dispatcher is greeted, so that two do not take turns.
    pub(crate) async fn greeting(&self, name: &DispatcherName) -> tokio::sync::OwnedMutexGuard<()> {
        let greeting = self.lock().entry(name, self.started).greeting.clone();
        greeting.lock_owned().await
    }

    /// The connection that a dispatcher has now.
    pub(crate) fn link(&self, name: &DispatcherName) -> Option<Link> {
        let known = self.lock();
        known.dispatchers.get(name)?.link.clone()
    }

    /// From now on this is how a dispatcher is spoken to.
    pub(crate) fn attach(
        &self,
        name: &DispatcherName,
        outgoing: mpsc::Sender<Down>,
        close: CancellationToken,
        done: CancellationToken,
        now: BootNanos,
    ) -> Link {
        let mut known = self.lock();
        known.generation += 1;
        let link = Link {
            generation: known.generation,
            outgoing,
            close,
            done,
        };
        let entry = known.entry(name, self.started);
        entry.link = Some(link.clone());
        entry.acknowledged = entry.acknowledged.max(now);
        entry.stopping = false;
        entry.closed = None;
        entry.given_up = false;
        link
    }

    /// A connection has ended; `false` if another one has replaced it already.
    pub(crate) fn detach(&self, name: &DispatcherName, link: &Link) -> bool {
        let mut known = self.lock();
        let entry = known.entry(name, self.started);
        let current = entry
            .link
            .as_ref()
            .is_some_and(|current| current.generation == link.generation);
        if current {
            entry.link = None;
        }
        current
    }

    /// Tells a dispatcher something; `false` if it is not connected, or takes nothing.
    pub(crate) fn send(&self, name: &DispatcherName, message: Down) -> bool {
        self.link(name).is_some_and(|link| link.send(name, message))
    }

    /// Notes that an acknowledgement goes out.
    pub(crate) fn acknowledged(&self, name: &DispatcherName, boot: BootNanos, utc: UtcMicros) {
        let mut known = self.lock();
        let entry = known.entry(name, self.started);
        entry.acknowledged = entry.acknowledged.max(boot);
        entry.heard = Some(utc);
    }

    /// Notes which revision a dispatcher serves.
    pub(crate) fn applied(&self, name: &DispatcherName, revision: i64, problems: Vec<String>) {
        let mut known = self.lock();
        let entry = known.entry(name, self.started);
        entry.revision = Some(revision);
        entry.problems = problems;
    }

    /// Notes that a dispatcher takes no more runs.
    pub(crate) fn stopping(&self, name: &DispatcherName) {
        self.lock().entry(name, self.started).stopping = true;
    }

    /// Notes that a dispatcher takes no runs for a while and why, or takes them again.
    pub(crate) fn closed(&self, name: &DispatcherName, reason: Option<String>, now: UtcMicros) {
        let mut known = self.lock();
        let entry = known.entry(name, self.started);
        let since = entry.closed.as_ref().map_or(now, |(_, since)| *since);
        entry.closed = reason.map(|reason| (reason, since));
    }

    /// What is known of a dispatcher.
    pub fn standing(&self, name: &DispatcherName) -> Standing {
        let known = self.lock();
        let Some(entry) = known.dispatchers.get(name) else {
            return Standing::default();
        };
        Standing {
            connected: entry.link.is_some(),
            stopping: entry.stopping,
            heard: entry.heard,
            revision: entry.revision,
            problems: entry.problems.clone(),
            closed: entry.closed.clone(),
        }
    }

    /// When the boards of a silent dispatcher may be given to others: after the limit at which it
    /// ends its runs itself, and the margin. `None` while it is connected.
    pub fn given_up_at(&self, name: &DispatcherName, limits: &Limits) -> Option<BootNanos> {
        let known = self.lock();
        let entry = known.dispatchers.get(name);
        if entry.is_some_and(|entry| entry.link.is_some()) {
            return None;
        }
        let acknowledged = entry.map_or(self.started, |entry| entry.acknowledged);
        Some(later(acknowledged, limits.offline_limit + limits.margin))
    }

    /// Whether the runs of a silent dispatcher are to be given up now; once a silence, unless
    /// [`Registry::not_given_up`] says that it did not succeed.
    pub(crate) fn give_up(&self, name: &DispatcherName, limits: &Limits, now: BootNanos) -> bool {
        let due = self
            .given_up_at(name, limits)
            .is_some_and(|moment| now >= moment);
        if !due {
            return false;
        }
        let mut known = self.lock();
        let entry = known.entry(name, self.started);
        // It may have come back between the two looks.
        entry.link.is_none() && !std::mem::replace(&mut entry.given_up, true)
    }

    /// Giving up did not succeed: it is to be tried again.
    pub(crate) fn not_given_up(&self, name: &DispatcherName) {
        self.lock().entry(name, self.started).given_up = false;
    }

    /// When each dispatcher was heard last, for those that were.
    pub(crate) fn heard(&self) -> Vec<(DispatcherName, UtcMicros)> {
        let known = self.lock();
        known
            .dispatchers
            .iter()
            .filter_map(|(name, entry)| Some((name.clone(), entry.heard?)))
            .collect()
    }

    /// Those that are connected.
    pub(crate) fn connected(&self) -> Vec<DispatcherName> {
        let known = self.lock();
        let connected = known
            .dispatchers
            .iter()
            .filter(|(_, entry)| entry.link.is_some());
        connected.map(|(name, _)| name.clone()).collect()
    }

    /// Ends all connections.
    pub(crate) fn close_all(&self) {
        for entry in self.lock().dispatchers.values() {
            if let Some(link) = &entry.link {
                link.close.cancel();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn entry(&mut self, name: &DispatcherName, started: BootNanos) -> &mut Entry {
        self.dispatchers
            .entry(name.clone())
            .or_insert_with(|| Entry {
                link: None,
                acknowledged: started,
                heard: None,
                revision: None,
                problems: Vec::new(),
                stopping: false,
                closed: None,
                given_up: false,
                greeting: Arc::default(),
            })
    }
}

impl Link {
    /// Tells it something; a connection that takes nothing is ended.
    pub fn send(&self, name: &DispatcherName, message: Down) -> bool {
        match self.outgoing.try_send(message) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::warn!(dispatcher.name = %name, "a dispatcher takes nothing; its link is ended");
                self.close.cancel();
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

/// A moment so much later.
pub(crate) fn later(moment: BootNanos, by: Duration) -> BootNanos {
    let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
    BootNanos(moment.0.saturating_add(by))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn silence_counts_from_the_last_acknowledgement_or_the_servers_start() {
        let limits = Limits::default();
        let registry = Registry::new(BootNanos(1_000 * SECOND));
        let name = DispatcherName::new("main");
        let at = |seconds: u64| BootNanos(seconds * SECOND);
        assert_eq!(registry.given_up_at(&name, &limits), Some(at(1_150)));
        assert!(!registry.give_up(&name, &limits, at(1_149)));

        let (outgoing, _rest) = mpsc::channel(1);
        let token = CancellationToken::new;
        let link = registry.attach(&name, outgoing, token(), token(), at(1_010));
        registry.acknowledged(&name, at(1_200), UtcMicros(0));
        assert_eq!(registry.given_up_at(&name, &limits), None);
        assert!(!registry.give_up(&name, &limits, at(9_999)));

        assert!(registry.detach(&name, &link));
        assert!(!registry.give_up(&name, &limits, at(1_349)));
        assert!(registry.give_up(&name, &limits, at(1_350)));
        assert!(
            !registry.give_up(&name, &limits, at(1_351)),
            "once a silence"
        );
        registry.not_given_up(&name);
        assert!(registry.give_up(&name, &limits, at(1_352)));
    }

    #[test]
    fn a_connection_that_was_replaced_takes_nothing_away() {
        let registry = Registry::new(BootNanos(0));
        let name = DispatcherName::new("main");
        let token = CancellationToken::new;
        let (outgoing, _rest) = mpsc::channel(1);
        let old = registry.attach(&name, outgoing.clone(), token(), token(), BootNanos(0));
        let new = registry.attach(&name, outgoing, token(), token(), BootNanos(0));
        assert!(!registry.detach(&name, &old));
        assert!(registry.standing(&name).connected);
        assert!(registry.detach(&name, &new));
        assert!(!registry.standing(&name).connected);
    }

    #[test]
    fn a_dispatcher_that_takes_nothing_loses_its_link() {
        let registry = Registry::new(BootNanos(0));
        let name = DispatcherName::new("main");
        let (outgoing, _rest) = mpsc::channel(1);
        let close = CancellationToken::new();
        let done = CancellationToken::new();
        registry.attach(&name, outgoing, close.clone(), done, BootNanos(0));
        let message = || Down::HeartbeatAck { number: 1 };
        assert!(registry.send(&name, message()));
        assert!(!registry.send(&name, message()));
        assert!(close.is_cancelled());
    }
}
