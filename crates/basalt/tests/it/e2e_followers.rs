//! Whoever follows a job or the lab over a real server misses nothing and gets nothing twice, when
//! the server is killed and started again and when the way to it breaks in the middle of a message.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use basalt_client::{Client, Settings};
use basalt_model::JobState;
use serde_json::Value;

use crate::e2e_harness::{BOUND, Board, Running, Served, Site, definition, phase, until};

/// What the board says before it measures.
const MEASURING: &str = "LOADS alive=1>";
/// Of a stream's answer so many bytes pass before its connection is cut: no number of whole
/// messages, and not the same twice.
const PASS: [usize; 4] = [1_700, 5_003, 2_311, 9_973];

/// A way to the server that breaks: each answer of a stream is cut after some bytes.
struct Way {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    target: Mutex<SocketAddr>,
    cuts: AtomicUsize,
    closed: AtomicBool,
}

impl Way {
    fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            target: Mutex::new(target),
            cuts: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.closed.load(Ordering::Relaxed) {
                    return;
                }
                let target = *accepting.target.lock().unwrap();
                // A server that has just been killed refuses; so does this.
                if let Ok(server) = TcpStream::connect(target) {
                    carry(client, server, &accepting);
                }
            }
        });
        Self { address, state }
    }

    fn lead_to(&self, target: SocketAddr) {
        *self.state.target.lock().unwrap() = target;
    }

    fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::Relaxed);
        // Wakes the listener, which looks whether it is to go.
        let _ = TcpStream::connect(self.address);
    }
}

fn carry(client: TcpStream, server: TcpStream, state: &Arc<State>) {
    let is_stream = Arc::new(AtomicBool::new(false));
    let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let asked = Arc::clone(&is_stream);
    std::thread::spawn(move || {
        copy(from, to, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            if text.contains("/log/stream") || text.contains("GET /api/v1/events") {
                asked.store(true, Ordering::SeqCst);
            }
            bytes.len()
        });
    });
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        let mut passed = 0;
        copy(server, client, |bytes| {
            if !is_stream.load(Ordering::SeqCst) {
                return bytes.len();
            }
            let limit = PASS[state.cuts.load(Ordering::Relaxed) % PASS.len()];
            let pass = bytes.len().min(limit - passed.min(limit));
            passed += pass;
            if pass < bytes.len() {
                state.cuts.fetch_add(1, Ordering::Relaxed);
            }
            pass
        });
    });
}

/// Hands bytes on until fewer are let pass than there are.
fn copy(mut from: TcpStream, mut to: TcpStream, mut pass: impl FnMut(&[u8]) -> usize) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        let let_through = pass(&buffer[..count]);
        let is_cut = let_through < count || count == 0;
        if to.write_all(&buffer[..let_through]).is_err() || is_cut {
            break;
        }
    }
    // The other direction ends with this one; it may have already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// A job that says much before it measures, and more after.
fn job(site: &Site) -> String {
    let steps = ["for n in $(seq 1 300); do echo before $n; done"];
    let after = ["for n in $(seq 1 300); do echo after $n; done"];
    site.job("talks")
        .definitions(&[definition("talk", &steps, &[], &[])])
        .realtime(&[phase("hackbench", "limit: 400us, load: [hackbench]")])
        .definitions(&[definition("talk-on", &after, &[], &[])])
        .text()
}

/// The line numbers of a log that was written as JSON, a line an object.
fn numbers(stdout: &str) -> Vec<u64> {
    let values = serde_json::Deserializer::from_str(stdout).into_iter::<Value>();
    values
        .filter_map(|value| value.unwrap()["number"].as_u64())
        .collect()
}

#[test]
fn followers_miss_nothing_over_a_killed_server_and_a_way_that_breaks() {
    let site = Site::start(&[Board::new("sim-1").uploads()]);
    let served = Served::start(&site, "sim-1", &[]);
    let token = served.token();
    let way = Way::to(served.address());
    let server = format!("http://{}", way.address);
    let verb = |name: &str, arguments: &[&str]| {
        let mut command = site.basalt(arguments);
        command
            .env("BASALT_SERVER", &server)
            .env("BASALT_TOKEN", &token);
        Running::start(command, site.path(), name, site.path().join(name))
    };

    // The lab's feed, from its first entry on.
    let settings = Settings::new(&server, &token, None);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = {
        let (settings, heard) = (settings.clone(), Arc::clone(&heard));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let client = Client::new(&settings).unwrap();
                let mut feed = client.follow(None, Some(0));
                let until_finished = async {
                    loop {
                        let event = feed.next().await.unwrap().expect("no reset");
                        heard.lock().unwrap().push(event.id);
                        let finished = event.job.is_some_and(|job| job.state == JobState::Finished);
                        if finished {
                            return;
                        }
                    }
                };
                tokio::time::timeout(BOUND * 2, until_finished)
                    .await
                    .expect("the feed tells of the job's end");
            });
        })
    };

    site.rack.hold("sim-1", MEASURING);
    let path = site.path().join("talks.yaml");
    std::fs::write(&path, job(&site)).unwrap();
    let submitted = verb(
        "follow",
        &["submit", path.to_str().unwrap(), "--follow", "--json"],
    );
    let id = until("the job", || {
        let jobs = served.get("/api/v1/jobs");
        jobs["items"][0]["id"].as_i64()
    })
    .to_string();
    let waiting = verb("wait", &["wait", &id, "--json"]);
    let logs = verb("logs", &["logs", &id, "--follow", "--json"]);
    let console = verb("console", &["logs", &id, "--follow", "--console"]);
    site.rack.wait_held("sim-1", 1);
    until("the followers to have seen what was said before", || {
        let seen = |running: &Running| running.stdout().contains("before 300");
        (seen(&submitted) && seen(&logs) && seen(&console)).then_some(())
    });

    served.kill();
    let served = Served::start(&site, "sim-1", &[]);
    way.lead_to(served.address());
    site.rack.let_go("sim-1");

    let submitted = submitted.wait();
    submitted.expect_code(0);
    waiting.wait().expect_code(0);
    let logs = logs.wait();
    logs.expect_code(0);
    let console = console.wait();
    console.expect_code(0);
    listener.join().unwrap();
    assert!(way.cuts() > 10, "only {} cuts", way.cuts());

    // What there is, asked for at once and without anything between.
    let at_once = {
        let mut command = site.basalt(&["logs", &id, "--json"]);
        command
            .env("BASALT_SERVER", format!("http://{}", served.address()))
            .env("BASALT_TOKEN", &token);
        Running::start(command, site.path(), "at-once", path).wait()
    };
    at_once.expect_code(0);
    let all = numbers(&at_once.stdout);
    let wanted: Vec<u64> = (1..=all.len() as u64).collect();
    assert!(all.len() > 700, "{}", all.len());
    assert_eq!(all, wanted);
    assert_eq!(numbers(&logs.stdout), wanted);
    assert_eq!(numbers(&submitted.stdout), wanted);
    for said in ["before", "after"] {
        for number in 1..=300 {
            let line = format!("\r\n{said} {number}\r\n");
            assert_eq!(console.stdout.matches(&line).count(), 1, "{line:?}");
        }
    }

    // The feed's numbers have no holes.
    let heard = heard.lock().unwrap();
    let wanted: Vec<i64> = (1..=heard.len() as i64).collect();
    assert_eq!(*heard, wanted);
    served.signal("INT");
    served.wait().expect_code(0);
}

#[test]
fn a_server_that_is_not_there_is_said_by_its_address_and_with_a_code_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    // Nobody listens where somebody just did.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap().to_string();
    drop(gone);
    let job = directory.path().join("job.yaml");
    std::fs::write(&job, "job_name: x\n").unwrap();
    let job = job.to_str().unwrap();
    for arguments in [
        &["jobs"][..],
        &["job", "1"],
        &["submit", job],
        &["submit", job, "--follow"],
        &["logs", "1"],
        &["results", "1"],
        &["boards"],
        &["why", "1"],
        &["cancel", "1"],
        &["dispatchers"],
        &["login-link"],
    ] {
        let said = crate::support::said(
            crate::support::basalt()
                .args(arguments)
                .env("BASALT_SERVER", format!("http://{address}"))
                .env("BASALT_TOKEN", "basalt_nobody"),
        );
        let said = said.expect(69);
        assert!(
            said.stderr.contains(&address),
            "{arguments:?}: {}",
            said.stderr
        );
        assert!(
            said.stderr.contains("hint: "),
            "{arguments:?}: {}",
            said.stderr
        );
        assert_eq!(
            said.stdout.trim_matches(['[', ']', '\n']),
            "",
            "{arguments:?}"
        );
    }
}
