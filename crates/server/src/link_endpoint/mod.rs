//! Where dispatchers come in (decision D9): one WebSocket each, and the files of their runs.
//!
//! A connection is a reader that never waits for the store: heartbeats are answered while it is
//! away, and what waits to be committed is bounded by the credit that `welcome` gives. What a
//! connection begins with is in [`greeting`].

mod greeting;
mod upload;

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use basalt_link::{Channel, Down, LINK_PATH, Message, Pace, Receiver, Sender, Up};
use basalt_model::{DispatcherName, DispatcherState, RunId};
use basalt_store::{BoardFact, TokenKind, TokenOwner};
use futures::{SinkExt, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::App;
use crate::actor::Actor;
use crate::error::{UseCaseError, causes};
use crate::ingest::{Item, Kind, end};
use crate::policy;
use crate::registry::{Link, OUTGOING};
use crate::scheduling::Message as SchedulingMessage;
use crate::{leases, secret};

/// How long a dispatcher may take to say hello.
const HELLO_LIMIT: Duration = Duration::from_secs(20);
/// How long a dispatcher that is refused may take to hear why.
const LAST_WORD: Duration = Duration::from_secs(2);
/// Bytes of streams that a dispatcher may have unacknowledged.
const WINDOW_BYTES: u64 = 4 << 20;
/// Control messages of one dispatcher that may wait for the store, beside its streams. It has a few
/// boards, and says little of each.
const MOST_WAITING: usize = 100_000;
/// The largest frame is 64 KiB.
const LARGEST_FRAME: usize = 64 * 1024;

/// The routes of dispatchers.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route(LINK_PATH, get(link))
        .merge(upload::routes())
        .with_state(app)
}

/// Which dispatcher a request comes from.
async fn dispatcher(app: &App, headers: &HeaderMap) -> Result<DispatcherName, Response> {
    let refuse = |status: StatusCode, message: &'static str| (status, message).into_response();
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| refuse(StatusCode::UNAUTHORIZED, "a dispatcher's token is needed\n"))?;
    match app
        .store
        .token_by_hash(secret::hash(token), app.now())
        .await
    {
        Ok(Some(token)) if token.kind == TokenKind::Dispatcher => match token.owner {
            TokenOwner::Dispatcher(name) => Ok(name),
            TokenOwner::User(_) => Err(refuse(StatusCode::FORBIDDEN, "no dispatcher's token\n")),
        },
        Ok(_) => Err(refuse(
            StatusCode::UNAUTHORIZED,
            "this token is no dispatcher's, or not valid any more\n",
        )),
        Err(error) => {
            tracing::warn!(error = %causes(&error), "cannot look up a dispatcher's token");
            Err(refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "the database is away\n",
            ))
        }
    }
}

async fn link(State(app): State<App>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let name = match dispatcher(&app, &headers).await {
        Ok(name) => name,
        Err(refusal) => return refusal,
    };
    upgrade
        .max_message_size(LARGEST_FRAME)
        .max_frame_size(LARGEST_FRAME)
        .on_upgrade(move |socket| async move { serve(app, name, &headers, socket).await })
}

/// What a dispatcher hears whose token has ended while it was connected. Its uploads would be
/// refused from then on, and its runs lost with nobody knowing why.
pub(crate) fn token_ended() -> Down {
    Down::Refuse {
        code: "token-ended".into(),
        message: "its token has ended: it was revoked, or a newer one was made by `basalt \
                  dispatchers add`"
            .into(),
    }
}

/// The WebSocket as the link wants it: binary messages only.
fn channel(socket: WebSocket) -> Channel {
    let (outgoing, incoming) = socket.split();
    let incoming = incoming.filter_map(async |message| match message {
        Ok(Frame::Binary(bytes)) => Some(Ok(bytes)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    let outgoing = outgoing.with(async |bytes| Ok::<_, axum::Error>(Frame::Binary(bytes)));
    Channel::new(incoming, outgoing)
}

/// How long a connection may be silent: some heartbeats, well before its runs are given up.
fn pace(app: &App) -> Pace {
    let limits = app.limits;
    let silence = (limits.heartbeat * 5)
        .max(Duration::from_secs(5))
        .min(limits.offline_limit);
    Pace {
        silence,
        stall: silence,
    }
}

async fn serve(app: App, name: DispatcherName, headers: &HeaderMap, socket: WebSocket) {
    let (sender, mut receiver) = channel(socket).at_server(pace(&app));
    let hello = match time::timeout(HELLO_LIMIT, receiver.next()).await {
        Ok(Ok(Some(Message::Control(hello @ Up::Hello { .. })))) => hello,
        Ok(Ok(_)) => {
            return tracing::warn!(dispatcher.name = %name, "a dispatcher did not begin with hello");
        }
        Ok(Err(error)) => {
            return tracing::warn!(dispatcher.name = %name, error = %causes(&error), "a dispatcher went away");
        }
        Err(_) => return tracing::warn!(dispatcher.name = %name, "a dispatcher said nothing"),
    };
    // One greeting at a time: a dispatcher that dials twice is greeted twice, in order.
    let greeting = app.registry.greeting(&name).await;
    let greeted = match greeting::greet(&app, &name, hello).await {
        Ok(greeted) => greeted,
        Err(refusal) => {
            tracing::warn!(dispatcher.name = %name, error = %causes(&refusal), "a dispatcher was not welcomed");
            if let Some(message) = refusal.message() {
                let _ = sender.send(message).await;
            }
            return;
        }
    };
    let (outgoing, waiting) = mpsc::channel(OUTGOING);
    let close = CancellationToken::new();
    let done = CancellationToken::new();
    let ended = done.clone().drop_guard();
    // Before anybody else can say anything to it.
    for message in greeted.first {
        // The channel is new and has room for them.
        let _ = outgoing.try_send(message);
    }
    let stamp = app.clock.now();
    let link = app
        .registry
        .attach(&name, outgoing, close, done, stamp.boot);
    app.registry.acknowledged(&name, stamp.boot, stamp.utc);
    let writer = tokio::spawn(write(name.clone(), link.clone(), sender.clone(), waiting));
    set_state(&app, &name, DispatcherState::Online, Some(&greeted.build)).await;
    if let Err(error) = greeting::after(&app, &name, &greeted.known).await {
        // The guard of leases looks again.
        tracing::warn!(dispatcher.name = %name, error = %causes(&error), "cannot look after a dispatcher's runs");
    }
    drop(greeting);
    // A token that ended between the upgrade and now could tell no link that it has.
    if dispatcher(&app, headers)
        .await
        .is_err_and(|refusal| refusal.status() == StatusCode::UNAUTHORIZED)
    {
        link.send(&name, token_ended());
    }
    tracing::info!(dispatcher.name = %name, build = greeted.build, runs = greeted.known.len(), "a dispatcher is connected");

    let mut connection = Connection {
        app: app.clone(),
        name: name.clone(),
        link: link.clone(),
        waiting: VecDeque::new(),
    };
    let why = connection.run(&mut receiver).await;
    drop(ended);
    link.close.cancel();
    sender.close();
    let _ = writer.await;
    tracing::info!(dispatcher.name = %name, reason = why, "a dispatcher's link has ended");
    if app.registry.detach(&name, &link) {
        set_state(&app, &name, DispatcherState::Offline, None).await;
    }
}

/// Notes that a link is up or down, and tells the scheduler. The scheduler goes by the registry; in
/// the store it is for people, so it is not tried for ever.
async fn set_state(app: &App, name: &DispatcherName, state: DispatcherState, build: Option<&str>) {
    match app
        .store
        .set_dispatcher_state(name, state, build, app.now())
        .await
    {
        Ok(feed) => app.tell_feed(&feed),
        Err(error) => {
            tracing::warn!(dispatcher.name = %name, error = %causes(&error), "cannot note a dispatcher's state");
        }
    }
    app.scheduling
        .tell(SchedulingMessage::Dispatcher(name.clone()))
        .await;
}

/// Takes what waits for a dispatcher to its connection.
async fn write(
    name: DispatcherName,
    link: Link,
    sender: Sender<Down>,
    mut waiting: mpsc::Receiver<Down>,
) {
    loop {
        let message = tokio::select! {
            message = waiting.recv() => message,
            () = link.close.cancelled() => None,
        };
        let Some(message) = message else { break };
        let is_last = matches!(message, Down::Refuse { .. });
        if let Err(error) = sender.send(message).await {
            tracing::debug!(dispatcher.name = %name, error = %causes(&error), "a dispatcher hears nothing");
            break;
        }
        if is_last {
            // It goes by itself once it has heard why; who does not is ended.
            let _ = time::timeout(LAST_WORD, link.close.cancelled()).await;
            break;
        }
    }
    link.close.cancel();
}

/// One connection after its greeting.
struct Connection {
    app: App,
    name: DispatcherName,
    link: Link,
    /// What is to be committed and finds no place in the queue yet. Its streams are bounded by
    /// their credit.
    waiting: VecDeque<Kind>,
}

impl Connection {
    /// Until it ends; says why.
    async fn run(&mut self, receiver: &mut Receiver<Up>) -> String {
        // A handle of its own, so that a place in the queue can be waited for beside the rest.
        let ingest = self.app.ingest.clone();
        loop {
            let message = tokio::select! {
                biased;
                () = self.link.close.cancelled() => return "it was ended here".into(),
                place = ingest.place(), if !self.waiting.is_empty() => {
                    let Ok(place) = place else { return "the server is stopping".into() };
                    if let Some(kind) = self.waiting.pop_front() {
                        place.send(self.item(kind));
                    }
                    continue;
                }
                message = receiver.next() => message,
            };
            match message {
                Ok(Some(Message::Control(up))) => self.hear(up),
                Ok(Some(Message::Events(events))) => self.waiting.push_back(Kind::Events(events)),
                Ok(Some(Message::Log(log))) => self.waiting.push_back(Kind::Log(log)),
                Ok(None) => return "the dispatcher ended it".into(),
                Err(error) => return causes(&error),
            }
            if self.waiting.len() > MOST_WAITING {
                return "more waits for the store than its credit allows".into();
            }
        }
    }

    fn item(&self, kind: Kind) -> Item {
        Item {
            dispatcher: self.name.clone(),
            close: self.link.close.clone(),
            kind,
        }
    }

    /// The scheduler looks at this dispatcher again.
    fn tell_scheduler(&self) {
        let (scheduling, name) = (self.app.scheduling.clone(), self.name.clone());
        tokio::spawn(async move {
            scheduling.tell(SchedulingMessage::Dispatcher(name)).await;
        });
    }

    fn hear(&mut self, up: Up) {
        match up {
            Up::Heartbeat { number } => {
                let stamp = self.app.clock.now();
                if self.link.send(&self.name, Down::HeartbeatAck { number }) {
                    self.app
                        .registry
                        .acknowledged(&self.name, stamp.boot, stamp.utc);
                }
            }
            Up::Accepted { run } => self.waiting.push_back(Kind::Accepted(run)),
            Up::Refused { run, code, message } => {
                self.waiting.push_back(Kind::Refused { run, code, message });
            }
            Up::BoardFact {
                board,
                power,
                power_since,
                console,
            } => {
                let reason = console.reason.unwrap_or_else(|| "it is closed".into());
                let console = match console.open {
                    true => Ok(()),
                    false => Err(reason),
                };
                self.waiting.push_back(Kind::Fact(BoardFact {
                    board,
                    dispatcher: self.name.clone(),
                    power: Some((power, power_since)),
                    console: Some((console, self.app.now())),
                }));
            }
            Up::Ended { run } => {
                // Behind what came before it.
                let (barrier, settled) = oneshot::channel();
                self.waiting.push_back(Kind::Barrier(barrier));
                let (app, name, link) = (self.app.clone(), self.name.clone(), self.link.clone());
                tokio::spawn(async move {
                    // Where the connection ends first, it is said again over the next one.
                    if settled.await.is_ok() {
                        ended(app, name, link, run).await;
                    }
                });
            }
            Up::Applied { revision, problems } => {
                for problem in &problems {
                    tracing::warn!(dispatcher.name = %self.name, lab.revision = revision, problem, "a dispatcher cannot serve all of the lab");
                }
                self.app.registry.applied(&self.name, revision, problems);
            }
            Up::Stopping => {
                tracing::info!(dispatcher.name = %self.name, "a dispatcher is stopping");
                self.app.registry.stopping(&self.name);
                self.tell_scheduler();
            }
            Up::Closed { reason } => {
                match &reason {
                    Some(reason) => tracing::warn!(
                        dispatcher.name = %self.name, reason, "a dispatcher takes no runs"
                    ),
                    None => {
                        tracing::info!(dispatcher.name = %self.name, "a dispatcher takes runs again");
                    }
                }
                let now = self.app.now();
                self.app.registry.closed(&self.name, reason, now);
                self.tell_scheduler();
            }
            Up::Hello { .. } => {
                tracing::warn!(dispatcher.name = %self.name, "a dispatcher said hello twice");
                self.link.close.cancel();
            }
            Up::Unknown => {
                tracing::warn!(dispatcher.name = %self.name, "passed over a message of a later release");
            }
        }
    }
}

/// Everything of a run has arrived: finds out what it came to.
async fn ended(app: App, name: DispatcherName, link: Link, run: RunId) {
    match what_it_came_to(&app, &name, &link, run).await {
        Ok(()) => {}
        Err(error) if error.is_transient() => {
            // Its dispatcher says it again over the next connection.
            tracing::warn!(run.id = %run, error = %causes(&error), "cannot end a run now; its dispatcher is greeted anew");
            link.close.cancel();
        }
        Err(error) => {
            tracing::error!(run.id = %run, error = %causes(&error), "cannot end a run");
            link.close.cancel();
        }
    }
}

async fn what_it_came_to(
    app: &App,
    name: &DispatcherName,
    link: &Link,
    id: RunId,
) -> Result<(), basalt_store::StoreError> {
    let Some(run) = app
        .store
        .run(id)
        .await?
        .filter(|run| run.dispatcher == *name)
    else {
        link.send(name, Down::Forget { run: id });
        return Ok(());
    };
    if run.ended.is_some() {
        link.send(name, Down::Forget { run: id });
        return Ok(());
    }
    let reason = if run.finished.is_none() {
        "its dispatcher says that it has ended, and its last event is missing".to_owned()
    } else {
        match end::of_run(&app.store, &run).await {
            Ok(ended) => {
                let _ = app
                    .ingest
                    .put(Item {
                        dispatcher: name.clone(),
                        close: link.close.clone(),
                        kind: Kind::Ended(id, Box::new(ended)),
                    })
                    .await;
                return Ok(());
            }
            Err(end::EndError::Store(error)) => return Err(error),
            Err(error) => causes(&error),
        }
    };
    tracing::error!(run.id = %id, reason, "a run has no results");
    leases::give_up(app, id, &policy::fence(reason)).await?;
    link.send(name, Down::Forget { run: id });
    Ok(())
}

/// Whether he may send files of this dispatcher's runs.
fn allowed(name: &DispatcherName, owner: &DispatcherName) -> Result<(), UseCaseError> {
    let actor = Actor::Dispatcher(name.clone());
    crate::authorize(&actor, crate::Action::Dispatch { dispatcher: owner })?;
    Ok(())
}
