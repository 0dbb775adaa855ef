//! A dispatcher's end of the link, moved by hand.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use basalt_link::files::PutFile;
use basalt_link::{
    Assignment, Dialer, Down, Endpoint, Pace, ProtocolRange, Receiver, RunCursor, Sender, Token,
    Trust, Up,
};
use basalt_model::{BootId, DispatcherName, RunId};
use tokio::task::JoinSet;
use tokio::time;

use super::disk::Disk;
use super::site::{PATIENCE, Site};

/// Where the server's copy of a run ends, by what it said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    pub events: u64,
    pub lines: u64,
}

/// A connected dispatcher.
pub struct Script {
    pub dialer: Dialer,
    pub sender: Sender<Up>,
    pub receiver: Receiver<Down>,
    pub welcome: Welcome,
    pub known: HashMap<RunId, Known>,
    /// What was said while something else was waited for.
    unheard: VecDeque<Down>,
    // Dropped with the rest: a dispatcher that is gone says nothing.
    _heartbeats: JoinSet<()>,
}

/// What the server said to the hello.
#[derive(Clone, Debug, Default)]
pub struct Welcome {
    pub revision: i64,
    pub runs: Vec<RunCursor>,
    pub discard: Vec<RunId>,
}

/// A dialer with this token.
pub fn dialer(site: &Site, token: &str) -> Dialer {
    let endpoint = Endpoint::Unix(site.socket());
    let token = Token::new(token).unwrap();
    Dialer::new(endpoint, token, &Trust::System).unwrap()
}

impl Script {
    /// The embedded dispatcher connects and is welcomed.
    pub async fn connect(site: &Site, disk: &mut Disk) -> Self {
        Self::connect_as(site, "main", &site.token(), disk).await
    }

    pub async fn connect_as(site: &Site, name: &str, token: &str, disk: &mut Disk) -> Self {
        let dialer = dialer(site, token);
        let (sender, mut receiver) = dialer.link(Pace::default()).await.unwrap();
        let name = DispatcherName::new(name);
        sender.send(hello(&name, disk)).await.unwrap();
        let welcome = match heard(&mut receiver).await {
            Some(Down::Welcome {
                revision,
                runs,
                discard,
                ..
            }) => Welcome {
                revision,
                runs,
                discard,
            },
            other => panic!("no welcome, but {other:?}"),
        };
        for run in &welcome.discard {
            disk.runs.remove(run);
        }
        let known = welcome.runs.iter().map(|cursor| {
            let next = cursor
                .log
                .as_ref()
                .and_then(|log| log["line"].as_u64())
                .unwrap_or(1);
            let known = Known {
                events: cursor.events_seq,
                lines: next - 1,
            };
            (cursor.run, known)
        });
        let mut heartbeats = JoinSet::new();
        heartbeats.spawn(heartbeats_of(sender.clone()));
        Self {
            dialer,
            _heartbeats: heartbeats,
            known: known.collect(),
            unheard: VecDeque::new(),
            sender,
            receiver,
            welcome,
        }
    }

    pub async fn say(&self, up: Up) {
        self.sender.send(up).await.unwrap();
    }

    /// The next thing for which `wanted` has an answer; others are kept for later.
    pub async fn hear_until<T>(&mut self, what: &str, wanted: impl Fn(&Down) -> Option<T>) -> T {
        for place in 0..self.unheard.len() {
            if let Some(found) = wanted(&self.unheard[place]) {
                self.unheard.remove(place);
                return found;
            }
        }
        let found = time::timeout(PATIENCE, async {
            loop {
                let down = heard(&mut self.receiver).await;
                let down = down.expect("the server ended the link");
                if let Some(found) = wanted(&down) {
                    return found;
                }
                self.unheard.push_back(down);
            }
        });
        found
            .await
            .unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    pub async fn hear_assign(&mut self) -> Assignment {
        self.hear_until("an assignment", |down| match down {
            Down::Assign(assignment) => Some(assignment.as_ref().clone()),
            _ => None,
        })
        .await
    }

    /// Waits for an assignment, takes it, and says so.
    pub async fn take(&mut self, disk: &mut Disk) -> RunId {
        let assignment = self.hear_assign().await;
        disk.take(&assignment);
        self.say(Up::Accepted {
            run: assignment.run,
        })
        .await;
        assignment.run
    }

    /// Sends what the server does not have of a run, and waits until it is acknowledged.
    pub async fn send_all(&mut self, disk: &Disk, run: RunId) {
        let on_disk = &disk.runs[&run];
        let known = self.known.get(&run).copied().unwrap_or_default();
        for events in on_disk.events_after(known.events, 3) {
            self.sender.events(events).await.unwrap();
        }
        for lines in on_disk.lines_after(known.lines, 7) {
            self.sender.log(lines).await.unwrap();
        }
        let all = Known {
            events: on_disk.events.len() as u64,
            lines: on_disk.lines.len() as u64,
        };
        if known.events == all.events && known.lines == all.lines {
            return;
        }
        self.hear_until("all acknowledgements", |down| match down {
            Down::Ack {
                run: of,
                events_seq,
                log_line,
            } if *of == run && *events_seq == all.events && *log_line == all.lines => Some(()),
            _ => None,
        })
        .await;
        self.known.insert(run, all);
    }

    /// Says that a run has ended, and waits until it may be forgotten.
    pub async fn say_ended(&mut self, disk: &mut Disk, run: RunId) {
        self.say(Up::Ended { run }).await;
        self.hear_until("leave to forget a run", |down| match down {
            Down::Forget { run: of } if *of == run => Some(()),
            _ => None,
        })
        .await;
        disk.runs.remove(&run);
    }

    /// Takes the next run and performs it to its end.
    pub async fn perform_one(&mut self, disk: &mut Disk) -> RunId {
        let run = self.take(disk).await;
        disk.runs.get_mut(&run).unwrap().perform();
        self.send_all(disk, run).await;
        self.say_ended(disk, run).await;
        run
    }

    /// Sends a file of a run.
    pub async fn put(&self, run: RunId, name: &str, content: &[u8]) -> u64 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, content).unwrap();
        let file = PutFile {
            run,
            name: name.into(),
            path,
        };
        self.dialer.files().put(&file).await.unwrap()
    }

    /// Waits until the server ends the link.
    pub async fn ended(&mut self) {
        let ended = async { while let Ok(Some(_)) = self.receiver.next().await {} };
        time::timeout(PATIENCE, ended)
            .await
            .expect("the server kept the link");
    }
}

async fn heard(receiver: &mut Receiver<Down>) -> Option<Down> {
    let heard = time::timeout(PATIENCE, receiver.next()).await;
    heard
        .expect("the server says nothing")
        .unwrap_or_else(|error| panic!("the link broke: {error}"))
}

/// Says every second that the dispatcher lives.
async fn heartbeats_of(sender: Sender<Up>) {
    for number in 1_000_000.. {
        time::sleep(Duration::from_secs(1)).await;
        if sender.send(Up::Heartbeat { number }).await.is_err() {
            return;
        }
    }
}

pub fn hello(name: &DispatcherName, disk: &Disk) -> Up {
    Up::Hello {
        protocol: ProtocolRange::OURS,
        build: "test".into(),
        dispatcher: name.clone(),
        boot_id: BootId("test".into()),
        revision: disk.revision,
        epochs: disk.board_epochs(),
        runs: disk.standings(),
    }
}
