//! The task that owns a relay, and the handle that asks it.

use std::path::Path;
use std::time::Duration;

use basalt_lab::profile::Relay;
use basalt_model::{PowerState, RelayName};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::driver::{Driver, Fault, FaultKind};
use crate::error::{Asked, PowerError, Question};
use crate::lock::{HostLock, LockError};

/// A board that is off for less may keep its memory and is then not cold.
pub const SHORTEST_OFF_TIME: Duration = Duration::from_millis(100);

/// Nobody waits longer than this in a cycle.
pub const LONGEST_OFF_TIME: Duration = Duration::from_secs(600);

/// How many requests may stand behind the one that is being done: every outlet of a large rack.
const QUEUE: usize = 256;

/// How patient the owner of a relay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How often an exchange is tried, the first time included.
    pub tries: u32,
    /// Pause before another try, and before an outlet that says it has not switched yet is read
    /// again.
    pub retry_delay: Duration,
    /// How long another process on this host that holds the relay is waited for.
    pub lock_wait: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            tries: 3,
            retry_delay: Duration::from_millis(250),
            lock_wait: Duration::from_secs(30),
        }
    }
}

/// Asks one relay. Clones ask the same owner task, which ends after the last of them is gone and
/// what was begun is done.
#[derive(Clone, Debug)]
pub struct RelayHandle {
    relay: RelayName,
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Request {
    outlet: u32,
    order: Order,
    reply: oneshot::Sender<Result<PowerState, PowerError>>,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Set(bool),
    Read,
    Cycle(Duration),
}

impl Order {
    fn asked(self) -> Asked {
        match self {
            Self::Set(true) => Asked::On,
            Self::Set(false) => Asked::Off,
            Self::Read => Asked::Read,
            Self::Cycle(_) => Asked::Cycle,
        }
    }
}

impl RelayHandle {
    /// Starts the owner of a relay on the running tokio runtime. The relay is not touched before
    /// it is asked. `lock_dir/relay-NAME.lock` serializes all owners of it on this host; the
    /// directory is made if it is missing.
    pub fn spawn(relay: &Relay, lock_dir: &Path) -> Self {
        Self::spawn_with(relay, lock_dir, Pace::default())
    }

    /// As [`RelayHandle::spawn`], with other patience.
    pub fn spawn_with(relay: &Relay, lock_dir: &Path, pace: Pace) -> Self {
        let (requests, inbox) = mpsc::channel(QUEUE);
        let owner = Owner {
            relay: relay.name.clone(),
            bound: relay.timeout,
            pace,
            driver: Driver::new(relay),
            lock: HostLock::new(lock_dir.join(format!("relay-{}.lock", relay.name))),
        };
        tokio::spawn(owner.serve(inbox));
        Self {
            relay: relay.name.clone(),
            requests,
        }
    }

    /// The relay's name.
    pub fn relay(&self) -> &RelayName {
        &self.relay
    }

    /// Switches an outlet and reads it back. Answers the state asked for, or
    /// [`PowerState::Unknown`] where the model cannot be read.
    pub async fn set(&self, outlet: u32, on: bool) -> Result<PowerState, PowerError> {
        self.ask(outlet, Order::Set(on)).await
    }

    /// Reads an outlet; switches nothing. [`PowerState::Unknown`] where the model cannot be read.
    pub async fn read(&self, outlet: u32) -> Result<PowerState, PowerError> {
        self.ask(outlet, Order::Read).await
    }

    /// Off, read back, `off_time`, on, read back: one operation. Once it has begun, nothing that
    /// the caller does, dropping this future included, keeps it from its end, and no other request
    /// comes between. If off fails, on is not tried.
    pub async fn cycle(&self, outlet: u32, off_time: Duration) -> Result<PowerState, PowerError> {
        self.ask(outlet, Order::Cycle(off_time)).await
    }

    async fn ask(&self, outlet: u32, order: Order) -> Result<PowerState, PowerError> {
        let question = Question {
            relay: self.relay.clone(),
            outlet,
            asked: order.asked(),
        };
        let (reply, answer) = oneshot::channel();
        let request = Request {
            outlet,
            order,
            reply,
        };
        match self.requests.try_send(request) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                return Err(PowerError::Busy {
                    question,
                    holder: format!("this process, with {QUEUE} requests waiting"),
                    waited: Duration::ZERO,
                });
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {
                return Err(PowerError::Stopped { question });
            }
        }
        // Bounded: each request before this one is, and there are few.
        answer
            .await
            .unwrap_or(Err(PowerError::Stopped { question }))
    }
}

struct Owner {
    relay: RelayName,
    bound: Duration,
    pace: Pace,
    driver: Driver,
    lock: HostLock,
}

impl Owner {
    async fn serve(mut self, mut inbox: mpsc::Receiver<Request>) {
        while let Some(Request {
            outlet,
            order,
            reply,
        }) = inbox.recv().await
        {
            // Whoever asked left before it began; what he wanted then may be wrong now.
            if reply.is_closed() {
                debug!(relay = %self.relay, outlet, ?order, "request withdrawn before it began");
                continue;
            }
            let result = self.obey(outlet, order).await;
            if let Err(Err(error)) = reply.send(result) {
                warn!(relay = %self.relay, %error, "relay failed after its caller had left");
            }
        }
    }

    async fn obey(&mut self, outlet: u32, order: Order) -> Result<PowerState, PowerError> {
        let question = Question {
            relay: self.relay.clone(),
            outlet,
            asked: order.asked(),
        };
        self.check(&question, order)?;
        let purpose = format!("{} outlet {outlet}", question.asked);
        let _held = match self.lock.acquire(&purpose, self.pace.lock_wait).await {
            Ok(held) => held,
            Err(LockError::Busy { holder, waited }) => {
                return Err(PowerError::Busy {
                    question,
                    holder,
                    waited,
                });
            }
            Err(LockError::System(source)) => {
                return Err(PowerError::Lock {
                    question,
                    path: self.lock.path().to_owned(),
                    source,
                });
            }
        };
        match order {
            Order::Set(on) => self.switch(outlet, on).await,
            Order::Read => self.exchange(&question, Exchange::Read).await,
            Order::Cycle(off_time) => {
                self.switch(outlet, false).await?;
                sleep(off_time).await;
                self.switch(outlet, true).await
            }
        }
    }

    /// Everything that can be refused without touching the relay (invariant 6).
    fn check(&self, question: &Question, order: Order) -> Result<(), PowerError> {
        let outlets = self.driver.outlets();
        if !outlets.contains(&question.outlet) {
            return Err(PowerError::BadOutlet {
                question: question.clone(),
                first: *outlets.start(),
                last: *outlets.end(),
            });
        }
        match order {
            Order::Cycle(off_time)
                if !(SHORTEST_OFF_TIME..=LONGEST_OFF_TIME).contains(&off_time) =>
            {
                Err(PowerError::BadOffTime {
                    question: question.clone(),
                    off_time,
                    shortest: SHORTEST_OFF_TIME,
                    longest: LONGEST_OFF_TIME,
                })
            }
            _ => Ok(()),
        }
    }

    async fn switch(&mut self, outlet: u32, on: bool) -> Result<PowerState, PowerError> {
        let question = Question {
            relay: self.relay.clone(),
            outlet,
            asked: if on { Asked::On } else { Asked::Off },
        };
        self.exchange(&question, Exchange::Switch(on)).await?;
        if !self.driver.reads_back() {
            return Ok(PowerState::Unknown);
        }
        let wanted = if on { PowerState::On } else { PowerState::Off };
        let mut said = self.exchange(&question, Exchange::Read).await?;
        // Some relays switch a moment after they answer.
        for _ in 1..self.pace.tries {
            if said == wanted {
                break;
            }
            sleep(self.pace.retry_delay).await;
            said = self.exchange(&question, Exchange::Read).await?;
        }
        if said != wanted {
            return Err(PowerError::StateMismatch {
                question,
                asked: wanted,
                said,
            });
        }
        debug!(relay = %self.relay, outlet, state = %said, "outlet switched and read back");
        Ok(said)
    }

    /// One exchange, tried again where that may help. The answer to a switch is `Unknown`.
    async fn exchange(
        &mut self,
        question: &Question,
        exchange: Exchange,
    ) -> Result<PowerState, PowerError> {
        let mut tries = 1;
        loop {
            let outcome = timeout(self.bound, self.once(question.outlet, exchange)).await;
            let (error, again) = match outcome {
                Ok(Ok(state)) => return Ok(state),
                Ok(Err(fault)) => {
                    let again = fault.again;
                    (fault_error(question.clone(), fault), again)
                }
                Err(_) => {
                    let error = PowerError::Timeout {
                        question: question.clone(),
                        after: self.bound,
                        tries,
                    };
                    (error, true)
                }
            };
            if !again || tries >= self.pace.tries {
                return Err(error);
            }
            debug!(%error, tries, "asking the relay again");
            tries += 1;
            sleep(self.pace.retry_delay).await;
        }
    }

    async fn once(&mut self, outlet: u32, exchange: Exchange) -> Result<PowerState, Fault> {
        match exchange {
            Exchange::Read => self.driver.read(outlet).await,
            Exchange::Switch(on) => self
                .driver
                .switch(outlet, on, self.bound)
                .await
                .map(|()| PowerState::Unknown),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Exchange {
    Switch(bool),
    Read,
}

fn fault_error(question: Question, fault: Fault) -> PowerError {
    match fault.kind {
        FaultKind::Unreachable => PowerError::Unreachable {
            question,
            reason: fault.text,
        },
        FaultKind::Refused => PowerError::Refused {
            question,
            answer: fault.text,
        },
    }
}
