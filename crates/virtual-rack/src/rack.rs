//! Builds a rack from its configuration and keeps it running.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{
    board::Board,
    config::{self, Config},
    http,
    knobs::KnobPanel,
    log::{RackLog, now_us},
    measure::Truth,
    netns,
    port::{
        Port, PortSettings,
        pty::{Pty, PtyServer},
    },
    qemu::{Emulated, Link},
    random::Random,
    relay::{Contacts, lcus, tasmota},
    simulated::{Firmware, Machine},
};

/// Where the statically linked busybox of Debian's busybox-static is.
const BUSYBOX: &str = "/bin/busybox";

/// A rack that listens.
pub struct Rack {
    /// What the ready file says.
    pub ready: Value,
    run_dir: PathBuf,
    _temporary: Option<TempDir>,
    _ptys: PtyServer,
    _serial_relays: Vec<Arc<Pty>>,
}

/// Binds everything and starts everything; when this returns, all addresses are known and open.
pub async fn start(config: Config, inside_netns: bool) -> anyhow::Result<Rack> {
    let (run_dir, temporary) = match &config.run_dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("cannot make {}", dir.display()))?;
            (std::path::absolute(dir)?, None)
        }
        None => {
            let dir = tempfile::Builder::new().prefix("virtual-rack-").tempdir()?;
            (dir.path().to_owned(), Some(dir))
        }
    };
    let log_path = run_dir.join(&config.log);
    let log = RackLog::open(&log_path)
        .with_context(|| format!("cannot open the log {}", log_path.display()))?;
    let log = Arc::new(log);
    log.event("start", json!({"version": 1, "pid": std::process::id()}));
    let taps = if inside_netns {
        let emulated = config
            .boards
            .iter()
            .filter(|board| matches!(board, config::Board::Qemu(_)));
        netns::set_up(config.network.as_ref(), emulated.count())?
    } else {
        Vec::new()
    };
    let ptys = PtyServer::start().context("cannot start the PTY thread")?;
    let boards = start_boards(&config, &run_dir, taps, &log, &ptys).await?;
    let (relays, serial_relays) = start_relays(&config, &run_dir, &boards, &log, &ptys).await?;
    let listener = TcpListener::bind(config.http.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.http.listen))?;
    let http = listener.local_addr()?;
    let router = http::router(boards.clone(), config.http.files.clone());
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!("the control interface ended: {error}");
        }
    });
    let board_list: BTreeMap<&str, Value> = boards
        .values()
        .map(|board| {
            let about = json!({
                "kind": board.kind,
                "tcp": board.port.tcp_address(),
                "pty": board.port.pty_link(),
            });
            (board.name.as_str(), about)
        })
        .collect();
    let ready = json!({
        "version": 1,
        "pid": std::process::id(),
        "http": http,
        "run_dir": run_dir,
        "log": log_path,
        "boards": board_list,
        "relays": relays,
        "netns": inside_netns.then(netns::describe),
    });
    Ok(Rack {
        ready,
        run_dir,
        _temporary: temporary,
        _ptys: ptys,
        _serial_relays: serial_relays,
    })
}

impl Rack {
    /// Writes the ready file in one step.
    pub fn write_ready(&self, path: &Path) -> anyhow::Result<()> {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let file = tempfile::NamedTempFile::new_in(parent.unwrap_or(Path::new(".")))?;
        serde_json::to_writer_pretty(&file, &self.ready)?;
        file.persist(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(())
    }

    /// Removes what the boards left in a run directory that stays. Call after the runtime has ended.
    pub fn clean_up(&self) {
        let roots = self.run_dir.join("roots");
        for _ in 0..50 {
            match std::fs::remove_dir_all(&roots) {
                Ok(()) => return,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
                // Programs of the boards may still be dying.
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

async fn start_boards(
    config: &Config,
    run_dir: &Path,
    taps: Vec<String>,
    log: &Arc<RackLog>,
    ptys: &PtyServer,
) -> anyhow::Result<BTreeMap<String, Arc<Board>>> {
    let roots = run_dir.join("roots");
    std::fs::create_dir_all(&roots)?;
    let mut firmware: Option<Arc<Firmware>> = None;
    let mut taps = taps.into_iter();
    let mut boards = BTreeMap::new();
    let start = now_us().unsigned_abs();
    for one in &config.boards {
        let name = one.name();
        let knobs = Arc::new(KnobPanel::new());
        let link = one.pty().map(|link| run_dir.join(link));
        let settings = PortSettings {
            board: name,
            tcp: one.tcp(),
            pty: link.as_deref(),
            patience: Duration::from_millis(config.patience_ms),
        };
        let port = Port::open(settings, Arc::clone(log), Arc::clone(&knobs), ptys)
            .await
            .with_context(|| format!("board {name}: cannot open its console"))?;
        let make = |kind, truth| Board::new(name, kind, port, knobs, truth, Arc::clone(log));
        let board = match one {
            config::Board::Simulated(simulated) => {
                let seed = simulated
                    .seed
                    .unwrap_or_else(|| Random::seed_of(start, name));
                let board = make(
                    "simulated",
                    Some(Truth {
                        seed,
                        phases: Vec::new(),
                    }),
                );
                let firmware = match &firmware {
                    Some(firmware) => Arc::clone(firmware),
                    None => {
                        let made = Firmware::prepare(Path::new(BUSYBOX), run_dir)
                            .context("simulated boards need busybox (package busybox-static)")?;
                        Arc::clone(firmware.insert(Arc::new(made)))
                    }
                };
                let machine = Machine::new(
                    Arc::clone(&board),
                    simulated.clone(),
                    firmware,
                    roots.clone(),
                );
                tokio::spawn(machine.run());
                board
            }
            config::Board::Qemu(qemu) => {
                let board = make("qemu", None);
                let link = taps.next().map_or(Link::User, Link::Tap);
                let emulated = Emulated::new(Arc::clone(&board), qemu.clone(), link, run_dir)
                    .with_context(|| format!("board {name}: cannot make its console socket"))?;
                tokio::spawn(emulated.run());
                board
            }
        };
        boards.insert(name.to_owned(), board);
    }
    Ok(boards)
}

async fn start_relays(
    config: &Config,
    run_dir: &Path,
    boards: &BTreeMap<String, Arc<Board>>,
    log: &Arc<RackLog>,
    ptys: &PtyServer,
) -> anyhow::Result<(BTreeMap<String, Value>, Vec<Arc<Pty>>)> {
    let mut about = BTreeMap::new();
    let mut serial = Vec::new();
    for relay in &config.relays {
        let name = relay.name();
        let outlets = relay
            .outlets()
            .iter()
            .map(|board| boards.get(board).cloned())
            .collect();
        let contacts = Contacts::new(name, outlets, Arc::clone(log));
        let one = match relay {
            config::Relay::Tasmota {
                listen,
                user,
                password,
                ..
            } => {
                let credentials = password
                    .clone()
                    .map(|password| (user.clone().unwrap_or_else(|| "admin".to_owned()), password));
                let address = tasmota::start(*listen, contacts, credentials)
                    .await
                    .with_context(|| format!("relay {name}: cannot listen on {listen}"))?;
                json!({"kind": "tasmota", "http": address, "outlets": relay.outlets()})
            }
            config::Relay::Lcus { pty, .. } => {
                let link = run_dir.join(pty);
                let pty = lcus::start(&link, contacts, name, Arc::clone(log), ptys)
                    .with_context(|| format!("relay {name}: cannot make its PTY"))?;
                serial.push(pty);
                json!({"kind": "lcus", "pty": link, "outlets": relay.outlets()})
            }
        };
        about.insert(name.to_owned(), one);
    }
    Ok((about, serial))
}
