//! The task that commits.

use std::collections::HashMap;

use basalt_link::{Down, RefusalCode};
use basalt_model::{DispatcherName, Epoch, JobState, RunId};
use basalt_store::{
    CommitReport, LeaseAnswer, RunBatch, RunDisposition, RunFate, RunReport, StoreError,
};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use super::group::{Group, Sender};
use super::{GROUP_BYTES, Inbox, Item, Kind, WINDOW};
use crate::App;
use crate::error::causes;
use crate::hub::RunProgress;
use crate::patience::Patience;
use crate::policy;
use crate::scheduling::Message;

/// Runs whose epochs are remembered; more are looked up again.
const RUNS_KEPT: usize = 10_000;

struct Task {
    app: App,
    epochs: HashMap<RunId, Epoch>,
    /// Lines whose cursor has not come yet: they are committed together with it, so that what is
    /// stored always ends where the sender can go on.
    without_cursor: HashMap<RunId, Vec<Item>>,
    /// Belongs into the next group.
    put_back: Option<Item>,
    committed: Instant,
}

/// Runs until all links are gone, or until `stop`; what waits then is committed first.
pub(crate) async fn run(app: App, mut inbox: Inbox, stop: CancellationToken) {
    let mut task = Task {
        app,
        epochs: HashMap::new(),
        without_cursor: HashMap::new(),
        put_back: None,
        committed: Instant::now(),
    };
    loop {
        let first = match task.put_back.take() {
            Some(item) => Some(item),
            None => tokio::select! {
                item = inbox.0.recv() => item,
                () = stop.cancelled() => inbox.0.try_recv().ok(),
            },
        };
        let Some(first) = first else { return };
        let group = task.gather(first, &mut inbox).await;
        task.commit(group, &stop).await;
        task.committed = Instant::now();
    }
}

impl Task {
    /// A group: what waits, and what comes within the window if more than one thing waits.
    async fn gather(&mut self, first: Item, inbox: &mut Inbox) -> Group {
        let mut group = Group::default();
        let mut urgent = first.kind.is_urgent();
        let mut count = 1;
        self.add(&mut group, first).await;
        let until = self.committed + WINDOW;
        while group.bytes < GROUP_BYTES {
            let next = match inbox.0.try_recv() {
                Ok(item) => item,
                Err(_) if count > 1 && !urgent && Instant::now() < until => {
                    match time::timeout_at(until, inbox.0.recv()).await {
                        Ok(Some(item)) => item,
                        _ => break,
                    }
                }
                Err(_) => break,
            };
            if group.clashes(&next) {
                self.put_back = Some(next);
                break;
            }
            urgent |= next.kind.is_urgent();
            count += 1;
            self.add(&mut group, next).await;
        }
        group
    }

    async fn add(&mut self, group: &mut Group, item: Item) {
        let run = match &item.kind {
            Kind::Accepted(run) | Kind::Refused { run, .. } | Kind::Ended(run, _) => *run,
            Kind::Events(events) => events.run,
            Kind::Log(log) if log.cursor.is_none() => {
                self.without_cursor.entry(log.run).or_default().push(item);
                return;
            }
            Kind::Log(log) => log.run,
            Kind::Reset(_) => {
                // A new connection sends again what was not acknowledged.
                self.without_cursor
                    .retain(|_, items| items.iter().all(|one| one.dispatcher != item.dispatcher));
                return put(group, item, Epoch(0));
            }
            Kind::Fact(_) | Kind::File { .. } | Kind::Barrier(_) => {
                return put(group, item, Epoch(0));
            }
        };
        let Some(epoch) = self.epoch(run, &item.dispatcher).await else {
            tracing::warn!(
                run.id = %run, dispatcher.name = %item.dispatcher,
                "something came of a run that is not this dispatcher's; its link is ended"
            );
            item.close.cancel();
            return;
        };
        if matches!(item.kind, Kind::Log(_)) {
            for earlier in self.without_cursor.remove(&run).unwrap_or_default() {
                put(group, earlier, epoch);
            }
        }
        put(group, item, epoch);
    }

    /// The epoch of a run's lease, if the run is this dispatcher's.
    async fn epoch(&mut self, run: RunId, dispatcher: &DispatcherName) -> Option<Epoch> {
        if let Some(epoch) = self.epochs.get(&run) {
            return Some(*epoch);
        }
        let mut patience = Patience::endless();
        let found = loop {
            match self.app.store.run(run).await {
                Ok(found) => break found?,
                Err(error) => {
                    tracing::warn!(error = %causes(&error), "cannot look up a run; trying again");
                    patience.wait().await;
                }
            }
        };
        if found.dispatcher != *dispatcher {
            return None;
        }
        if self.epochs.len() >= RUNS_KEPT {
            self.epochs.clear();
        }
        self.epochs.insert(run, found.epoch);
        Some(found.epoch)
    }

    /// Commits a group, however long the store is away, and answers it.
    async fn commit(&mut self, group: Group, stop: &CancellationToken) {
        let mut groups = vec![group];
        while let Some(group) = groups.pop() {
            let report = match group.is_empty() {
                true => CommitReport::default(),
                false => match self.try_commit(&group, stop).await {
                    Ok(report) => report,
                    Err(_) if group.batch.runs.len() > 1 => {
                        groups.extend(group.apart());
                        continue;
                    }
                    Err(error) => {
                        // Not acknowledged: it comes again over the next connection.
                        let runs: Vec<_> = group.batch.runs.iter().map(|one| one.run).collect();
                        tracing::error!(?runs, error = %causes(&error), "the store refused what came of a run");
                        for sender in &group.senders {
                            sender.close.cancel();
                        }
                        continue;
                    }
                },
            };
            self.answer(&group, report).await;
            for waiting in group.barriers.into_iter().chain(group.stored) {
                let _ = waiting.send(());
            }
        }
    }

    async fn try_commit(
        &self,
        group: &Group,
        stop: &CancellationToken,
    ) -> Result<CommitReport, StoreError> {
        let mut patience = Patience::endless();
        loop {
            let error = match self.app.store.commit(&group.batch, self.app.now()).await {
                Ok(report) => return Ok(report),
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error),
            };
            tracing::warn!(error = %causes(&error), "cannot commit what dispatchers sent; trying again");
            tokio::select! {
                _ = patience.wait() => {}
                // Nothing of it is acknowledged, so nothing is lost.
                () = stop.cancelled() => return Err(error),
            }
        }
    }

    /// Acknowledges what is committed and tells everybody who waits for it.
    async fn answer(&mut self, group: &Group, report: CommitReport) {
        self.app.tell_feed(&report.feed);
        let parts = group.batch.runs.iter().zip(&group.senders);
        for (report, (batch, sender)) in report.runs.iter().zip(parts) {
            self.answer_run(report, batch, sender).await;
        }
    }

    async fn answer_run(&mut self, report: &RunReport, batch: &RunBatch, sender: &Sender) {
        let run = report.run;
        if report.fate != RunFate::Taken {
            tracing::info!(
                run.id = %run, dispatcher.name = %sender.dispatcher, fate = ?report.fate,
                "something came of a run that is not driven any more; its dispatcher is greeted anew"
            );
            self.epochs.remove(&run);
            sender.close.cancel();
            return;
        }
        self.acknowledge(report, batch, sender);
        self.app.hub.run(
            run,
            RunProgress {
                last_seq: report.events_seq,
                last_line: report.log_line,
                ended: report.ended.is_some(),
            },
        );
        self.tell_scheduler(report, batch, sender).await;
        if batch.answer.is_some() && report.ended.is_none() {
            self.cancel_if_wanted(report, sender).await;
        }
        if report.ended.is_some() {
            self.epochs.remove(&run);
        }
    }

    fn acknowledge(&self, report: &RunReport, batch: &RunBatch, sender: &Sender) {
        let send = |message| self.app.registry.send(&sender.dispatcher, message);
        let sent = (
            batch.events.last().map_or(0, |last| last.seq),
            batch
                .logs
                .last()
                .map_or(0, |last| last.from_line + last.lines - 1),
        );
        if sent.0 > report.events_seq || sent.1 > report.log_line {
            tracing::warn!(
                run.id = %report.run, dispatcher.name = %sender.dispatcher,
                "a run's stream has a hole; its link is ended, so that it goes on where it broke"
            );
            sender.close.cancel();
            return;
        }
        if !batch.events.is_empty() || !batch.logs.is_empty() {
            send(Down::Ack {
                run: report.run,
                events_seq: report.events_seq,
                log_line: report.log_line,
            });
        }
        if report.ended.is_some() {
            send(Down::Forget { run: report.run });
        }
    }

    async fn tell_scheduler(&self, report: &RunReport, batch: &RunBatch, sender: &Sender) {
        let (Some(job), Some(board)) = (report.job, report.board.clone()) else {
            return;
        };
        let scheduling = &self.app.scheduling;
        match &sender.refusal {
            Some((code, message)) if report.ended.is_some() => {
                tracing::warn!(
                    job.id = %job, board.name = %board, dispatcher.name = %sender.dispatcher,
                    code = policy::word(*code), message, "a dispatcher did not take a run"
                );
                let why = format!("dispatcher {}: {message}", sender.dispatcher);
                scheduling.tell(Message::Refused { board, why }).await;
                if *code == RefusalCode::OtherRevision {
                    self.app.send_lab(&sender.dispatcher);
                }
            }
            _ if report.board_freed => scheduling.tell(Message::Freed { board, job }).await,
            _ if batch.answer == Some(LeaseAnswer::Accepted) && !report.finished => {
                scheduling.tell(Message::Accepted { board, job }).await;
            }
            _ => {}
        }
        if report.ended == Some(RunDisposition::Requeued) {
            scheduling.tell(Message::Job(job)).await;
        }
    }

    /// A job may have been canceled before its dispatcher knew of its run.
    async fn cancel_if_wanted(&self, report: &RunReport, sender: &Sender) {
        let Some(job) = report.job else { return };
        match self.app.store.job(job).await {
            Ok(Some(job)) if job.state == JobState::Canceling => {
                let message = crate::use_case::jobs::cancel_message(&job, report.run);
                self.app.registry.send(&sender.dispatcher, message);
            }
            Ok(_) => {}
            // The guard asks again soon.
            Err(error) => tracing::warn!(error = %causes(&error), "cannot look up a job"),
        }
    }
}

fn put(group: &mut Group, item: Item, epoch: Epoch) {
    let (dispatcher, close) = (item.dispatcher.clone(), item.close.clone());
    if let Err(error) = group.add(item, epoch) {
        tracing::warn!(
            dispatcher.name = %dispatcher, error = %causes(&error),
            "a dispatcher does not keep to the protocol; its link is ended"
        );
        close.cancel();
    }
}
