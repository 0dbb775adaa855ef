//! The link of this moment: dialled until it is there, and what belongs to it while it is.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use basalt_clock::Clock;
use basalt_link::{DialError, Dialer, Down, Endpoint, Pace, ReceiveError, Receiver, Sender, Up};
use basalt_model::Stamp;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::config::{DispatcherConfig, Tempo};
use crate::news::{LinkNews, Listener};

/// Control messages that may wait for the link's own queue; a server that takes none of so many is
/// not there.
const CONTROL: usize = 4096;
/// Heartbeats whose answer is awaited.
const BEATS: usize = 64;

/// How long the last words over a connection may be on their way.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What dialling comes to.
pub type Opened = Result<(Sender<Up>, Receiver<Down>), DialError>;

/// Reaches the server, again and again.
pub struct Dialling {
    dialer: Dialer,
    listener: Listener,
    pace: Pace,
    tempo: Tempo,
    under_way: Option<BoxFuture<'static, Opened>>,
    pause: Duration,
    said: bool,
    /// What a person has to do something about was said.
    said_refused: bool,
}

impl Dialling {
    pub fn new(config: &DispatcherConfig) -> Self {
        let silence = config.tempo.silence;
        Self {
            dialer: config.server.clone(),
            listener: config.listener.clone(),
            pace: Pace {
                silence,
                stall: silence,
            },
            tempo: config.tempo,
            under_way: None,
            pause: Duration::ZERO,
            said: false,
            said_refused: false,
        }
    }

    /// The next try's end. May be dropped and called again.
    pub async fn open(&mut self) -> Opened {
        let under_way = self.under_way.get_or_insert_with(|| {
            let (dialer, pace, pause) = (self.dialer.clone(), self.pace, jittered(self.pause));
            Box::pin(async move {
                tokio::time::sleep(pause).await;
                dialer.link(pace).await
            })
        });
        let opened = under_way.await;
        self.under_way = None;
        // A server that takes connections and drops them is not dialled without a pause.
        self.pause = self.longer();
        opened
    }

    fn longer(&self) -> Duration {
        let most = match self.dialer.endpoint() {
            Endpoint::Unix(_) => self.tempo.redial_local,
            _ => self.tempo.redial_most,
        };
        (self.pause * 2).max(self.tempo.redial).min(most)
    }

    /// The server was not reached.
    pub fn failed(&mut self, error: &DialError) {
        let reason = basalt_runner::session::chain(error);
        if !error.is_passing() {
            self.refused(&reason);
        } else if self.said {
            tracing::debug!(link.reason = reason, "the server is not there");
        } else {
            tracing::info!(link.reason = reason, "the server is not there; trying on");
            self.listener.tell(LinkNews::Unreached(reason));
            self.said = true;
        }
    }

    /// The server does not want this dispatcher; a person has to do something. It did before, so
    /// that it is tried on.
    pub fn refused(&mut self, reason: &str) {
        self.pause = match self.said_refused {
            true => self.tempo.redial_refused,
            false => self.tempo.redial_most,
        };
        if self.said_refused {
            tracing::debug!(
                link.reason = reason,
                "the server does not let this dispatcher in"
            );
        } else {
            tracing::info!(
                link.reason = reason,
                "the server does not let this dispatcher in, and has before"
            );
            self.listener.tell(LinkNews::Refused(reason.to_owned()));
            self.said_refused = true;
        }
    }

    /// The server has welcomed us.
    pub fn succeeded(&mut self) {
        self.pause = Duration::ZERO;
        self.said = false;
        self.said_refused = false;
    }
}

/// Between half and one and a half of it, so that the dispatchers of a site do not come together.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    let share = (random % 1000) as f64 / 1000.0;
    pause.mul_f64(0.5 + share)
}

/// How far a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// `hello` was sent, or will be.
    Greeting(Option<Stamp>),
    /// The server has answered.
    Welcome,
    /// The server wants nothing of us, and said why.
    Refused(String),
}

/// A connection that is there.
pub struct Connection {
    /// Tells connections of one life apart.
    pub number: u64,
    sender: Sender<Up>,
    receiver: Receiver<Down>,
    control: mpsc::Sender<Up>,
    /// Uplinks, and the pump of control messages; they end with the connection.
    tasks: JoinSet<()>,
    phase: Phase,
    beats: VecDeque<(u64, Stamp)>,
    last_beat: u64,
}

impl Connection {
    pub fn new(number: u64, sender: Sender<Up>, receiver: Receiver<Down>) -> Self {
        let (control, waiting) = mpsc::channel(CONTROL);
        let mut tasks = JoinSet::new();
        tasks.spawn(pump(waiting, sender.clone()));
        Self {
            number,
            sender,
            receiver,
            control,
            tasks,
            phase: Phase::Greeting(None),
            beats: VecDeque::new(),
            last_beat: 0,
        }
    }

    /// The next thing that the server says, or `None` where an uplink has ended. May be dropped and
    /// called again.
    pub async fn next(&mut self) -> Option<Result<Option<Down>, ReceiveError>> {
        tokio::select! {
            heard = self.receiver.next() => Some(heard),
            Some(_) = self.tasks.join_next() => None,
        }
    }

    /// Tells the server something, without waiting for it.
    pub fn tell(&self, up: Up) {
        if self.control.try_send(up).is_err() {
            tracing::warn!("the server takes no messages; the link is given up");
            self.sender.close();
        }
    }

    /// Says hello.
    pub fn greet(&mut self, hello: Up, now: Stamp) {
        self.phase = Phase::Greeting(Some(now));
        self.tell(hello);
    }

    /// The server welcomes us: when the hello was sent that it answers, once.
    pub fn welcomed(&mut self) -> Option<Stamp> {
        match std::mem::replace(&mut self.phase, Phase::Welcome) {
            Phase::Greeting(sent) => sent,
            Phase::Welcome | Phase::Refused(_) => None,
        }
    }

    /// The server wants nothing of us.
    pub fn refuse(&mut self, reason: String) {
        self.phase = Phase::Refused(reason);
    }

    /// Why the server wants nothing of us, if so.
    pub fn refusal(&self) -> Option<String> {
        match &self.phase {
            Phase::Refused(reason) => Some(reason.clone()),
            Phase::Greeting(_) | Phase::Welcome => None,
        }
    }

    pub fn is_welcome(&self) -> bool {
        self.phase == Phase::Welcome
    }

    /// Asks for an acknowledgement.
    pub fn beat(&mut self, clock: &Clock) {
        if !self.is_welcome() {
            return;
        }
        self.last_beat += 1;
        let number = self.last_beat;
        // Before it is sent: whatever the server does about it comes later.
        self.beats.push_back((number, clock.now()));
        if self.beats.len() > BEATS {
            self.beats.pop_front();
        }
        self.tell(Up::Heartbeat { number });
    }

    /// A heartbeat was acknowledged: when it was sent.
    pub fn acknowledged(&mut self, number: u64) -> Option<Stamp> {
        let mut sent = None;
        while let Some((first, at)) = self.beats.front().copied() {
            if first > number {
                break;
            }
            if first == number {
                sent = Some(at);
            }
            self.beats.pop_front();
        }
        sent
    }

    /// Runs something until the connection ends.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.tasks.spawn(task)
    }

    /// For streams.
    pub fn sender(&self) -> Sender<Up> {
        self.sender.clone()
    }

    /// Ends it once what was told before is on its way.
    pub fn close_soon(&mut self) {
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            tokio::time::sleep(LAST_WORDS).await;
            sender.close();
        });
    }

    /// Ends it; what waits is not sent.
    pub fn close(&self) {
        self.sender.close();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.sender.close();
    }
}

async fn pump(mut waiting: mpsc::Receiver<Up>, sender: Sender<Up>) {
    while let Some(up) = waiting.recv().await {
        if let Err(error) = sender.send(up).await {
            tracing::debug!(%error, "a message was not sent");
            sender.close();
            return;
        }
    }
}
