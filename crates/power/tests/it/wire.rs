//! A Tasmota device on a loopback socket, with faults to choose from.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use basalt_lab::profile::{Relay, RelayDriver};
use basalt_model::{DispatcherName, RelayName};
use basalt_power::{Pace, RelayHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// No wait in these tests lasts longer.
pub const BOUND: Duration = Duration::from_secs(20);

/// How the device behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manner {
    /// As it should, with the number in its answers.
    Obeys,
    /// As devices with one relay do: without the number.
    ObeysSingle,
    /// HTTP 500 so many times, then as it should.
    FailsFirst(u32),
    /// Answers something else.
    Answers(&'static str),
    /// Says that it did, and did not.
    Lies,
    /// Takes the request and says nothing.
    Silent,
    /// Breaks off in mid answer.
    Halves,
    /// Says the old state so many times after a switch.
    SlowContact(u32),
}

#[derive(Default)]
struct State {
    on: bool,
    failed: u32,
    stale: u32,
    open: u32,
    most_open: u32,
}

/// The device.
pub struct Tasmota {
    pub url: String,
    state: Arc<Mutex<State>>,
    log: watch::Receiver<Vec<String>>,
}

impl Tasmota {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let (sender, log) = watch::channel(Vec::new());
        let shared = state.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, manner, shared.clone(), sender.clone()));
            }
        });
        Self { url, state, log }
    }

    /// The `cmnd` values asked so far, in order.
    pub fn asked(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    /// Waits until so many requests came.
    pub async fn wait_for(&self, count: usize) -> Vec<String> {
        let mut log = self.log.clone();
        let seen = tokio::time::timeout(BOUND, log.wait_for(|log| log.len() >= count));
        seen.await.expect("requests in time").unwrap().clone()
    }

    pub fn is_on(&self) -> bool {
        self.state.lock().unwrap().on
    }

    /// The most connections that were open at one time.
    pub fn most_open(&self) -> u32 {
        self.state.lock().unwrap().most_open
    }
}

async fn serve(
    mut stream: TcpStream,
    manner: Manner,
    state: Arc<Mutex<State>>,
    log: watch::Sender<Vec<String>>,
) {
    {
        let mut state = state.lock().unwrap();
        state.open += 1;
        state.most_open = state.most_open.max(state.open);
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            break;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    log.send_modify(|log| log.push(target.trim_start_matches("/cm?cmnd=").to_owned()));
    let answer = answer(&target, manner, &state);
    state.lock().unwrap().open -= 1;
    match answer {
        Some(bytes) => stream.write_all(bytes.as_bytes()).await.unwrap_or(()),
        // Held open until the client gives up.
        None => while stream.read(&mut [0]).await.unwrap_or(0) > 0 {},
    }
}

fn answer(target: &str, manner: Manner, state: &Mutex<State>) -> Option<String> {
    let mut state = state.lock().unwrap();
    let command = target.trim_start_matches("/cm?cmnd=");
    let command = command.split('&').next().unwrap_or_default();
    let (member, word) = command.split_once("%20").unwrap_or((command, ""));
    let before = state.on;
    match word {
        "On" if manner != Manner::Lies => state.on = true,
        "Off" if manner != Manner::Lies => state.on = false,
        _ => {}
    }
    let said = match manner {
        Manner::Lies if word == "On" => true,
        Manner::Lies if word == "Off" => false,
        Manner::SlowContact(times) if word.is_empty() && state.stale < times => {
            state.stale += 1;
            !state.on
        }
        Manner::SlowContact(_) if !word.is_empty() => before,
        _ => state.on,
    };
    let said = if said { "ON" } else { "OFF" };
    let member = match manner {
        Manner::ObeysSingle => "POWER".to_owned(),
        _ => member.to_uppercase(),
    };
    let body = format!("{{\"{member}\":\"{said}\"}}");
    match manner {
        Manner::Silent => None,
        Manner::Halves => Some(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
            body.len(),
            &body[..6]
        )),
        Manner::FailsFirst(times) if state.failed < times => {
            state.failed += 1;
            Some(respond("500 Internal Server Error", "out of memory"))
        }
        Manner::Answers(text) => Some(respond("200 OK", text)),
        _ => Some(respond("200 OK", &body)),
    }
}

fn respond(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// A relay of the lab file at that URL.
pub fn relay(url: &str) -> Relay {
    Relay {
        name: RelayName::new("pdu1"),
        dispatcher: DispatcherName::new("main"),
        driver: RelayDriver::Tasmota {
            url: url.to_owned(),
            credentials: None,
        },
        timeout: Duration::from_secs(5),
    }
}

/// Short delays, so that tests of faults do not take long.
pub fn pace() -> Pace {
    Pace {
        retry_delay: Duration::from_millis(10),
        ..Pace::default()
    }
}

pub fn handle(relay: &Relay, directory: &Path) -> RelayHandle {
    RelayHandle::spawn_with(relay, directory, pace())
}
