//! Runs: assigned, found again, ended, told and forgotten; and what the server says of them.

use basalt_link::{Assignment, BoardEpoch, Down, ProtocolRange, RunCursor, Up};
use basalt_model::{PowerState, RunId};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::entry::{Dropped, Entry};
use super::{Actor, Connection};
use crate::acceptance::{Asked, Refusal, Taken, accept};
use crate::away;
use crate::common::Notice;
use crate::lease::Found;
use crate::performance::{Performance, Performed};
use crate::retention;
use crate::uplink::{Acked, Uplink};

impl Actor {
    /// Says who this is and how its runs stand.
    pub(super) fn greet(&self, connection: &mut Connection) {
        let boards = self.slice.iter().flat_map(|slice| slice.boards());
        let epochs = boards.map(|board| BoardEpoch {
            board: board.name.clone(),
            epoch: self.common.host.highest_epoch(&board.name),
        });
        let standings = self
            .runs
            .values()
            .filter(|entry| entry.dropped.is_none())
            .map(|entry| entry.lease.standing(*entry.grown.borrow()));
        let hello = Up::Hello {
            protocol: ProtocolRange::OURS,
            build: self.config.build.clone(),
            dispatcher: self.config.name.clone(),
            boot_id: self.common.clock.boot_id().clone(),
            revision: self.slice.as_ref().map(|slice| slice.revision),
            epochs: epochs.collect(),
            runs: standings.collect(),
        };
        connection.greet(hello, self.common.clock.now());
    }

    /// What the server says.
    pub(super) fn hear(&mut self, down: Down, connection: &mut Connection) {
        match down {
            Down::Welcome {
                offline_limit_ms,
                heartbeat_ms,
                revision,
                runs,
                discard,
                ..
            } => {
                self.away.limit = std::time::Duration::from_millis(offline_limit_ms);
                self.away.heartbeat = std::time::Duration::from_millis(heartbeat_ms.max(1));
                // It answers our hello: what the server counts from is later than that.
                if let Some(sent) = connection.welcomed() {
                    self.acknowledge(sent);
                }
                tracing::info!(
                    runs.known = runs.len(),
                    "the server welcomes this dispatcher"
                );
                self.welcome(runs, &discard, connection);
                self.lab_to_come = Some(revision);
                // Otherwise once that has come.
                if self
                    .slice
                    .as_ref()
                    .is_some_and(|slice| slice.revision == revision)
                {
                    self.tell_lab();
                }
            }
            Down::Refuse { code, message } => {
                tracing::debug!(code, message, "the server refuses this dispatcher");
                connection.refuse(message);
            }
            Down::Lab {
                revision,
                name,
                files,
            } => self.apply_lab(revision, &name, &files, connection),
            Down::Assign(assignment) => self.assign(assignment, connection),
            Down::Cancel { run, reason } => match self.runs.get(&run) {
                Some(entry) => entry.ending.cancel(Some(&reason)),
                None if self.accepting_over.contains_key(&run) => {
                    self.canceled.insert(run, reason);
                }
                // It has been forgotten, or never came here.
                None => {}
            },
            Down::Ack {
                run,
                events_seq,
                log_line,
            } => {
                if let Some(entry) = self.runs.get(&run) {
                    entry.acked.send_replace(Acked {
                        events_seq,
                        log_line,
                    });
                }
            }
            Down::HeartbeatAck { number } => {
                if let Some(sent) = connection.acknowledged(number) {
                    self.acknowledge(sent);
                }
            }
            Down::Forget { run } => self.forget(run),
            Down::Stop { mode } => self.stop(mode, Some(connection)),
            Down::Unknown => {}
        }
    }

    fn acknowledge(&mut self, sent: basalt_model::Stamp) {
        self.away.acknowledge(sent, self.common.clock.boot_id());
        self.said_away = false;
        if let Err(error) = self.away.keep(&self.place.file(away::FILE)) {
            // On a full disk it is said once what that means.
            if self.common.reserve.why_closed().is_none() {
                tracing::error!(%error, "the time of the last acknowledgement cannot be kept");
            }
        }
    }

    /// Ends all runs where the server has been away for too long (decision D2).
    pub(super) fn check_away(&mut self) {
        let now = self.common.clock.now();
        let boot_id = self.common.clock.boot_id();
        if !self.away.is_over(now, boot_id) {
            return;
        }
        let silence = self.away.silence(now, boot_id).unwrap_or_default();
        let limit = self.away.limit;
        for entry in self.runs.values() {
            if !entry.has_ended() {
                entry.ending.server_away(silence, limit);
            }
        }
        if !self.said_away && !self.runs.is_empty() {
            self.said_away = true;
            tracing::error!(
                away.silence_ms = silence.as_millis() as u64,
                away.limit_ms = limit.as_millis() as u64,
                host.boot_ns = now.boot.0,
                "the server has been away for too long; all runs end"
            );
        }
    }

    fn welcome(&mut self, cursors: Vec<RunCursor>, discard: &[RunId], connection: &mut Connection) {
        for run in discard {
            self.drop_run(*run, Dropped::Discarded, connection);
        }
        for cursor in &cursors {
            // The host lost power, and with it events that the server has: nothing fits any more.
            let lost = self
                .runs
                .get(&cursor.run)
                .and_then(|entry| entry.found_at)
                .is_some_and(|seq| cursor.events_seq > seq);
            if lost {
                tracing::error!(run.id = %cursor.run, "the server knows more of a run than this disk");
                self.drop_run(cursor.run, Dropped::Contradicted, connection);
            }
        }
        let told: Vec<RunId> = self
            .runs
            .iter()
            .filter(|(_, entry)| entry.dropped.is_none())
            .map(|(run, _)| *run)
            .collect();
        for run in told {
            let cursor = cursors.iter().find(|cursor| cursor.run == run);
            self.tell_run(run, cursor.cloned(), connection);
        }
        for fact in self.facts.all() {
            connection.tell(fact);
        }
        if self.is_stopping() {
            connection.tell(Up::Stopping);
        }
        if self.common.reserve.why_closed().is_some() {
            self.tell_closed(connection);
        }
    }

    /// Ends all runs where what their boards say finds no room any more.
    pub(super) fn end_on_full_disk(&self) {
        let standing = self.common.reserve.subscribe().borrow().clone();
        let Some(said) = standing.closed.filter(|_| standing.is_over) else {
            return;
        };
        for entry in self.runs.values() {
            if !entry.has_ended() {
                entry.ending.disk_full(&said);
            }
        }
    }

    /// Whether runs are taken.
    pub(super) fn tell_closed(&self, connection: &Connection) {
        let reason = self.common.reserve.why_closed();
        connection.tell(Up::Closed { reason });
    }

    /// Follows a run for the server, over this connection.
    fn tell_run(&mut self, run: RunId, cursor: Option<RunCursor>, connection: &mut Connection) {
        let Some(entry) = self.runs.get_mut(&run) else {
            return;
        };
        let cursor = cursor.unwrap_or(RunCursor {
            run,
            events_seq: 0,
            log: None,
        });
        entry.found_at = None;
        entry.silence();
        let log_line = cursor
            .log
            .as_ref()
            .and_then(|log| log.get("line"))
            .and_then(serde_json::Value::as_u64)
            .map_or(0, |line| line.saturating_sub(1));
        entry.acked.send_replace(Acked {
            events_seq: cursor.events_seq,
            log_line,
        });
        let which = run.as_uuid().as_u128() as usize % self.files.len();
        let uplink = Uplink {
            common: self.common.clone(),
            run,
            board: entry.lease.board.clone(),
            path: entry.path.clone(),
            grown: entry.grown.clone(),
            ended: entry.ended.subscribe(),
            acked: entry.acked.subscribe(),
            server: connection.sender(),
            files: self.files[which].clone(),
            notices: self.notifier.clone(),
        };
        entry.uplink = Some(connection.spawn(async move {
            if let Err(error) = uplink.follow(cursor).await {
                let reason = basalt_runner::session::chain(&error);
                tracing::warn!(run.id = %run, reason, "a run is not told any further");
            }
        }));
    }

    fn assign(&mut self, assignment: Box<Assignment>, connection: &Connection) {
        let run = assignment.run;
        if self.runs.contains_key(&run) {
            // The server did not hear it the first time.
            connection.tell(Up::Accepted { run });
            return;
        }
        if self.accepting_over.contains_key(&run) {
            return;
        }
        if self.is_stopping() {
            connection.tell(Up::Refused {
                run,
                code: basalt_link::RefusalCode::Stopping,
                message: "the dispatcher is stopping".into(),
            });
            return;
        }
        if let Some(message) = self.common.reserve.why_closed() {
            connection.tell(Up::Refused {
                run,
                code: basalt_link::RefusalCode::Closed,
                message,
            });
            return;
        }
        let board = self.slice.as_ref().and_then(|slice| {
            let board = slice.board(&assignment.board)?;
            Some((board.clone(), slice.lab.relay_of(board).clone()))
        });
        let previous = self
            .runs
            .values()
            .find(|entry| entry.lease.board == assignment.board && !entry.has_ended())
            .map(Entry::previous);
        let asked = Asked {
            assignment,
            board,
            previous,
        };
        self.accepting_over.insert(run, connection.number);
        let common = self.common.clone();
        self.accepting
            .spawn(async move { (run, accept(common, asked).await) });
    }

    /// An acceptance has ended, one way or the other.
    pub(super) fn accepted(
        &mut self,
        run: RunId,
        accepted: Result<Taken, Refusal>,
        connection: &mut Option<Connection>,
    ) {
        let over = self.accepting_over.remove(&run);
        let canceled = self.canceled.remove(&run);
        let same = connection
            .as_ref()
            .is_some_and(|connection| over == Some(connection.number));
        match accepted {
            Ok(taken) => {
                self.begin(taken, canceled);
                match connection {
                    Some(connection) if same => {
                        connection.tell(Up::Accepted { run });
                        self.tell_run(run, None, connection);
                    }
                    // The server was told of all runs but this one, and may have given it up: the
                    // next hello asks.
                    Some(connection) => connection.close(),
                    None => {}
                }
            }
            Err(Refusal { code, message }) => {
                tracing::warn!(run.id = %run, ?code, message, "a run is not taken");
                if let Some(connection) = connection
                    && same
                {
                    connection.tell(Up::Refused { run, code, message });
                    if code == basalt_link::RefusalCode::OldEpoch {
                        // The next hello says which epochs this host has seen.
                        connection.close_soon();
                    }
                }
            }
        }
    }

    fn begin(&mut self, taken: Taken, canceled: Option<String>) {
        let Taken {
            lease,
            path,
            directory,
            lock,
        } = taken;
        let run = lease.run;
        let (sender, grown) = watch::channel(basalt_runner::Grown::default());
        let entry = Entry::new(lease, path, grown);
        if let Some(reason) = canceled {
            entry.ending.cancel(Some(&reason));
        }
        if self.stop_mode() == Some(basalt_link::StopMode::End) {
            entry.ending.lab_stopped();
        }
        let performance = self.performance(&entry, sender);
        self.performing
            .spawn(async move { (run, performance.perform(Some((directory, lock))).await) });
        self.runs.insert(run, entry);
    }

    /// Goes on with a run that was found on disk.
    pub(super) fn resume(&mut self, found: Found) {
        let run = found.lease.run;
        let (sender, grown) = watch::channel(found.grown);
        let mut entry = Entry::new(found.lease, found.path, grown);
        entry.found_at = Some(found.grown.seq);
        if found.ended {
            entry.ended.send_replace(true);
            self.runs.insert(run, entry);
            return;
        }
        tracing::info!(run.id = %run, board = %entry.lease.board, "going on with a run");
        let now = self.common.clock.now();
        let boot_id = self.common.clock.boot_id();
        if self.away.is_over(now, boot_id) {
            let silence = self.away.silence(now, boot_id).unwrap_or_default();
            entry.ending.server_away(silence, self.away.limit);
        }
        let performance = self.performance(&entry, sender);
        self.performing
            .spawn(async move { (run, performance.perform(None).await) });
        self.runs.insert(run, entry);
    }

    fn performance(
        &self,
        entry: &Entry,
        grown: watch::Sender<basalt_runner::Grown>,
    ) -> Performance {
        Performance {
            common: self.common.clone(),
            path: entry.path.clone(),
            lease: entry.lease.clone(),
            ending: entry.ending.clone(),
            grown,
        }
    }

    /// A run's task has ended.
    pub(super) fn performed(
        &mut self,
        run: RunId,
        performed: Performed,
        connection: &mut Option<Connection>,
    ) {
        let Some(entry) = self.runs.get_mut(&run) else {
            return;
        };
        entry.ended.send_replace(true);
        let board = entry.lease.board.clone();
        let dropped = entry.dropped;
        let broke_off = entry.uplink.as_ref().is_some_and(AbortHandle::is_finished);
        let (power, broken) = match performed {
            Performed::Ended(summary) => {
                tracing::info!(
                    run.id = %run,
                    outcome = summary.outcome.as_str(),
                    failure = summary.failure.map(|failure| failure.code),
                    "a run has ended"
                );
                (summary.power, None)
            }
            Performed::Broken { power, reason } => (power, Some(reason)),
        };
        self.tell_power(board, power, connection.as_ref());
        match (broken, dropped) {
            (Some(reason), _) => {
                self.abandon(run, &reason);
                if let Some(connection) = connection {
                    connection.close();
                }
            }
            (None, Some(Dropped::Contradicted)) => {
                self.abandon(run, "the server knows more of it than this disk");
                if let Some(connection) = connection {
                    connection.close();
                }
            }
            (None, Some(Dropped::Discarded)) => self.forget(run),
            // Whoever told of the run broke off, as over a file whose end was torn and mended: the
            // next greeting says where to go on.
            (None, None) if broke_off => {
                if let Some(connection) = connection {
                    connection.close();
                }
            }
            (None, None) => {}
        }
    }

    fn tell_power(
        &mut self,
        board: basalt_model::BoardName,
        power: PowerState,
        connection: Option<&Connection>,
    ) {
        let now = self.common.clock.now().utc;
        let news = self.facts.power(&board, power, now);
        if let (Some(news), Some(connection)) = (news, connection)
            && connection.is_welcome()
        {
            connection.tell(news);
        }
    }

    /// The server is told nothing more of a run; its board is switched off.
    fn drop_run(&mut self, run: RunId, dropped: Dropped, connection: &Connection) {
        let Some(entry) = self.runs.get_mut(&run) else {
            return;
        };
        entry.dropped = Some(dropped);
        entry.silence();
        if !entry.has_ended() {
            entry.ending.lease_lost();
            return;
        }
        match dropped {
            Dropped::Discarded => self.forget(run),
            Dropped::Contradicted => {
                self.abandon(run, "the server knows more of it than this disk");
                connection.close();
            }
        }
    }

    /// Nothing will come of a run any more: the server finds it missing in the next hello.
    fn abandon(&mut self, run: RunId, reason: &str) {
        let Some(mut entry) = self.runs.remove(&run) else {
            return;
        };
        entry.silence();
        match retention::move_aside(&entry.path) {
            Ok(aside) => tracing::error!(
                run.id = %run,
                run.path = %aside.display(),
                reason,
                "a run is given up"
            ),
            Err(error) => tracing::error!(run.id = %run, %error, "a run cannot be moved aside"),
        }
    }

    /// The server needs nothing of a run any more.
    fn forget(&mut self, run: RunId) {
        let Some(mut entry) = self.runs.remove(&run) else {
            return;
        };
        entry.silence();
        if let Err(error) = retention::forget(&entry.path) {
            tracing::error!(run.id = %run, %error, "a run is not marked as done");
        }
    }

    /// What tasks have noticed.
    pub(super) fn notice(&mut self, notice: Notice, connection: Option<&Connection>) {
        match notice {
            Notice::Power { board, power } => self.tell_power(board, power, connection),
            Notice::Console {
                board,
                open,
                reason,
            } => {
                let reason = (!open).then_some(reason);
                let console = basalt_link::ConsoleFact { open, reason };
                let news = self.facts.console(&board, console);
                if let (Some(news), Some(connection)) = (news, connection)
                    && connection.is_welcome()
                {
                    connection.tell(news);
                }
            }
        }
    }
}
