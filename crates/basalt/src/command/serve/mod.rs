//! `basalt serve`.

mod local_client;

use std::path::{Path, PathBuf};
use std::time::Duration;

use basalt_lab::LabFile;
use basalt_server::{Actor, App, RunningServer, Server, ServerConfig, StopMode, TcpEntrance};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::arguments::ServeArguments;
use crate::configuration::{self, Configuration};
use crate::exit::{Exit, refused};
use crate::serving::embedded::{Embedded, Notice};
use crate::serving::greeting::{Greeting, Status, notice, status_line};
use crate::serving::lock::Lock;
use crate::serving::{self, listening, notify, tls};
use crate::signals::{Ask, Signals, StopHow, next_stop};
use crate::terminal::{Ink, Terminal};
use crate::{laboratory, state};

/// How long runs may take to end and boards to be switched off before everything is killed.
const END_LIMIT: Duration = Duration::from_secs(200);
/// As many entries of the feed at once.
const FEED_PIECE: u32 = 200;

/// Serves a lab until it is told to stop.
pub async fn perform(
    arguments: &ServeArguments,
    asked_for: Option<&Path>,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    let variable = |name: &str| std::env::var_os(name);
    let reading = configuration::read(&arguments.settings, asked_for, &variable)?;
    let configuration = reading.settle(&terminal)?;
    let (lab, files) = laboratory::open_with_files(&configuration.lab.value, &terminal)?;
    let host = state::open(configuration.state.value.as_deref(), &lab.name)?;
    let place = Place::new(host.path());
    // Before anything is listened on or started.
    let _lock = Lock::take(&place.server)?;
    let mut signals = Signals::catch_with_drain()?;
    let listening = Listening::open(&configuration, &place).await?;
    let url = listening.url.clone();
    let local_url = listening.local_url.clone();
    let certificate = listening.certificate;
    let server = Server::start(listening.config(&configuration, &place, files)).await?;
    let greeting = Greeting {
        lab: lab.name,
        url: url.clone(),
        login_link: server.login_link().map(str::to_owned),
        client: local_client::log_in(&place.server, &local_url, certificate),
        local_url,
        state: place.state.clone(),
        certificate,
    };
    terminal.write(&greeting.text(&terminal));
    notify::notify(notify::READY);
    let serving = Serving::begin(server, &configuration, place, terminal);
    serving.until_stopped(&mut signals, arguments.on_stop).await
}

/// Directories and files of one server.
#[derive(Clone, Debug)]
struct Place {
    state: PathBuf,
    server: PathBuf,
    socket: PathBuf,
}

impl Place {
    fn new(state: &Path) -> Self {
        let server = state.join(serving::DIRECTORY);
        Self {
            state: state.to_owned(),
            socket: server.join(serving::SOCKET),
            server,
        }
    }
}

/// What is listened on, before there is a server.
struct Listening {
    tcp: Vec<TcpEntrance>,
    unix: tokio::net::UnixListener,
    url: String,
    /// The address for programs of this host.
    local_url: String,
    certificate: Option<basalt_model::Sha256>,
}

impl Listening {
    async fn open(configuration: &Configuration, place: &Place) -> anyhow::Result<Self> {
        let listen = &configuration.listen.value;
        let tls_how = &configuration.tls.value;
        let addresses = listen.iter().map(std::net::SocketAddr::ip);
        let spoken = tls::load(tls_how, &place.server, addresses)?;
        let listeners = listening::tcp(listen).await?;
        // The port that was got, where any was asked for.
        let got = listeners
            .iter()
            .map(tokio::net::TcpListener::local_addr)
            .collect::<Result<Vec<_>, _>>()?;
        let first = *got.first().ok_or_else(|| refused("nowhere to listen"))?;
        let public = configuration.public_url.value.clone();
        let url = public.unwrap_or_else(|| listening::url(first, tls_how));
        let config = spoken.as_ref().map(|spoken| spoken.config.clone());
        Ok(Self {
            tcp: listeners
                .into_iter()
                .map(|listener| TcpEntrance {
                    listener,
                    tls: config.clone(),
                })
                .collect(),
            unix: listening::unix(&place.socket)?,
            local_url: listening::local_url(&got, tls_how).unwrap_or_else(|| url.clone()),
            url,
            certificate: spoken.and_then(|spoken| spoken.own),
        })
    }

    fn config(
        self,
        configuration: &Configuration,
        place: &Place,
        lab: Vec<LabFile>,
    ) -> ServerConfig {
        let database = configuration.database.value.as_ref();
        ServerConfig {
            state: place.server.clone(),
            database: database.map(|url| url.0.clone()),
            tcp: self.tcp,
            unix: Some(self.unix),
            lab,
            limits: configuration.limits(),
            public_url: self.url,
            objects: configuration.objects.value.clone(),
            embedded: configuration.dispatcher.start.value,
            webhook_hosts: configuration.webhook_hosts.value.clone(),
            keep: configuration.keep(),
            certificate_sha256: self.certificate.map(|digest| digest.to_string()),
        }
    }
}

/// A server and what was started beside it.
struct Serving {
    server: RunningServer,
    dispatcher: Option<Supervised>,
    status: JoinHandle<()>,
    terminal: Terminal,
}

/// The dispatcher and the task that sees to it.
struct Supervised {
    embedded: Embedded,
    task: JoinHandle<Option<tokio::process::Child>>,
    stop: CancellationToken,
}

impl Serving {
    fn begin(
        server: RunningServer,
        configuration: &Configuration,
        place: Place,
        terminal: Terminal,
    ) -> Self {
        let (notices, noticed) = mpsc::unbounded_channel();
        let embedded = Embedded {
            server: format!("unix:{}", place.socket.display()),
            token_file: place.server.join(basalt_server::DISPATCHER_TOKEN_FILE),
            start_with: configuration.dispatcher.start_with.value.clone(),
            state: place.state,
        };
        let stop = CancellationToken::new();
        let dispatcher = configuration.dispatcher.start.value.then(|| Supervised {
            task: tokio::spawn({
                let (embedded, stop) = (embedded.clone(), stop.clone());
                async move { embedded.supervise(notices, stop).await }
            }),
            embedded,
            stop,
        });
        let status = tokio::spawn(tell(server.app().clone(), noticed, terminal));
        Self {
            server,
            dispatcher,
            status,
            terminal,
        }
    }

    /// Decision D23.
    async fn until_stopped(self, signals: &mut Signals, on_stop: StopHow) -> anyhow::Result<Exit> {
        let Self {
            server,
            dispatcher,
            status,
            terminal,
        } = self;
        let say = |ink, text: &str| terminal.line(&status_line(&terminal, ink, text));
        let mut ask = signals.next().await;
        notify::notify(notify::STOPPING);
        // The first one always means something.
        let mut how = next_stop(None, ask, on_stop).unwrap_or(on_stop);
        say(Ink::Odd, &farewell(how, ask, dispatcher.is_some()));
        let stopper = server.stopper();
        let (embedded, mut child) = match dispatcher {
            None => (None, None),
            Some(Supervised {
                embedded,
                task,
                stop,
            }) => {
                stop.cancel();
                (Some(embedded), task.await?)
            }
        };
        let finished = server.finished();
        tokio::pin!(finished);
        let mut has_finished = false;
        let at_once = loop {
            stopper.stop(mode_of(how));
            match (&embedded, how) {
                (Some(embedded), StopHow::End) => embedded.ask_to_end(child.as_ref()),
                (Some(embedded), StopHow::Drain) => embedded.ask_to_drain(child.as_ref()),
                (Some(_), StopHow::Detach) | (None, _) => {}
            }
            let ending = async {
                if !has_finished {
                    finished.as_mut().await;
                    has_finished = true;
                }
                if let Some(embedded) = embedded.as_ref().filter(|_| how != StopHow::Detach) {
                    embedded.ended(child.as_mut()).await;
                }
            };
            // Runs may finish whenever they do; each has its deadline.
            let limit = match how {
                StopHow::Drain => None,
                StopHow::End | StopHow::Detach => Some(END_LIMIT),
            };
            let limited = async {
                match limit {
                    Some(limit) => time::timeout(limit, ending).await.is_ok(),
                    None => {
                        ending.await;
                        true
                    }
                }
            };
            tokio::select! {
                in_time = limited => match in_time {
                    true => break None,
                    false => {
                        say(Ink::Bad, "the dispatcher does not end its runs; it is killed");
                        break Some(None);
                    }
                },
                next = signals.next() => ask = next,
            }
            match next_stop(Some(how), ask, on_stop) {
                Some(next) if next == how => {}
                Some(next) => {
                    how = next;
                    say(Ink::Odd, &farewell(how, ask, embedded.is_some()));
                }
                None => break Some(Some(ask)),
            }
        };
        status.abort();
        let Some(at_once) = at_once else {
            let Some(embedded) = &embedded else {
                say(Ink::Plain, "stopped");
                return Ok(Exit::DONE);
            };
            if how == StopHow::Detach {
                say(
                    Ink::Plain,
                    "stopped; the dispatcher, its boards and its runs go on",
                );
                return Ok(Exit::DONE);
            }
            // The dispatcher has ended its own; this is for one that was killed before.
            embedded.end_keeper(Duration::ZERO).await;
            say(Ink::Plain, "stopped; nothing is left running");
            return Ok(Exit::DONE);
        };
        if how == StopHow::Detach {
            // Nothing but the server was to stop.
            std::process::exit(Exit::signal(ask.number()));
        }
        if let Some(embedded) = &embedded {
            embedded.kill(child.as_mut()).await;
        }
        say(
            Ink::Bad,
            "stopped at once; boards stay as they are, runs go on at the next start",
        );
        match at_once {
            // What the server holds, a kill would end too: everything that counts is committed.
            Some(ask) => std::process::exit(Exit::signal(ask.number())),
            None => Ok(Exit::HOST),
        }
    }
}

fn mode_of(how: StopHow) -> StopMode {
    match how {
        StopHow::End => StopMode::End,
        StopHow::Drain => StopMode::Drain,
        StopHow::Detach => StopMode::Detach,
    }
}

/// What is said when the server is asked to stop.
fn farewell(how: StopHow, ask: Ask, has_dispatcher: bool) -> String {
    let text = match (how, has_dispatcher) {
        (StopHow::End, true) => "stopping: no new jobs; runs end and go back to the queue",
        (StopHow::Drain, true) => "draining: no new jobs; stopping when those that run finish",
        (StopHow::Detach, true) => "stopping the server; the dispatcher and its runs go on",
        (_, false) => "stopping",
    };
    let again = match (how, ask) {
        (StopHow::Drain, _) => "Ctrl-C or SIGTERM ends them now",
        (_, Ask::Interrupt) => "Ctrl-C again stops at once",
        (_, Ask::Terminate | Ask::Hangup | Ask::Drain) => "a second signal stops at once",
    };
    format!("{text} ({again})")
}

/// Says what changes until it is aborted.
async fn tell(app: App, mut notices: mpsc::UnboundedReceiver<Notice>, terminal: Terminal) {
    let say = |ink, text: &str| terminal.line(&status_line(&terminal, ink, text));
    let mut status = Status::default();
    match status.begin(&app).await {
        Ok(boards) => say(Ink::Plain, &boards),
        Err(error) => tracing::warn!(%error, "the boards cannot be listed"),
    }
    let system = Actor::System;
    let (Ok(mut feed), Ok(mut last)) = (app.follow_feed(&system), app.feed_last(&system).await)
    else {
        tracing::warn!("what changes cannot be followed");
        return;
    };
    // What came before the feed was followed.
    match app.dispatchers(&system).await {
        Ok(dispatchers) => {
            for one in dispatchers {
                if let Some((ink, text)) = status.met(one.name, one.state) {
                    say(ink, &text);
                }
            }
        }
        Err(error) => tracing::warn!(%error, "the dispatchers cannot be listed"),
    }
    let mut has_dispatcher = true;
    loop {
        tokio::select! {
            heard = notices.recv(), if has_dispatcher => match heard {
                Some(one) => {
                    if let Some((ink, text)) = notice(&one) {
                        say(ink, &text);
                    }
                }
                None => has_dispatcher = false,
            },
            changed = feed.changed() => {
                if changed.is_err() {
                    return;
                }
                loop {
                    let events = match app.feed(&system, last, FEED_PIECE).await {
                        Ok(events) => events,
                        Err(error) => {
                            tracing::warn!(%error, "the feed cannot be read");
                            break;
                        }
                    };
                    let Some(newest) = events.last() else { break };
                    last = newest.id;
                    for event in &events {
                        if let Some((ink, text)) = status.hear(event) {
                            say(ink, &text);
                        }
                    }
                }
            }
        }
    }
}
