//! Boards: what they do, whether they may be used, what they measured.

use std::collections::HashMap;

use basalt_api::{
    Board, BoardRun, BoardUse, ConsoleState, Maintenance, Page, PageQuery, TrendPoint, TrendQuery,
};
use basalt_model::{
    BoardHealth, BoardName, DispatcherMode, DispatcherName, DispatcherState, JobId, PowerState,
    UtcMicros,
};
use basalt_realtime::Percentile;
use basalt_store::{Dispatcher, HealthActor, StoredLatency, TrendFilter};

use super::{number, page, patiently};
use crate::actor::Actor;
use crate::app::App;
use crate::authorize::{Action, authorize};
use crate::error::UseCaseError;
use crate::scheduling::Message;

/// Points of a trend without a wish for their number.
const USUAL_POINTS: u32 = 200;
/// At most so many at once.
const MOST_POINTS: u32 = 1000;
/// The longest reason that is kept.
const LONGEST_REASON: usize = 1000;

impl App {
    /// Every board of the lab, by name.
    ///
    /// # Errors
    /// He may not.
    pub async fn boards(&self, actor: &Actor) -> Result<Vec<Board>, UseCaseError> {
        authorize(actor, Action::See)?;
        let dispatchers = self.store.dispatchers().await?;
        let mut boards = Vec::new();
        for board in self.store.boards(false).await? {
            boards.push(self.view_board(board, &dispatchers).await?);
        }
        Ok(boards)
    }

    /// A board.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn board(&self, actor: &Actor, name: &BoardName) -> Result<Board, UseCaseError> {
        authorize(actor, Action::See)?;
        let board = self.find_board(name).await?;
        let dispatchers = self.store.dispatchers().await?;
        self.view_board(board, &dispatchers).await
    }

    async fn find_board(&self, name: &BoardName) -> Result<basalt_store::Board, UseCaseError> {
        let board = self.store.board(name).await?;
        board.ok_or_else(|| UseCaseError::not_found("board", name))
    }

    async fn view_board(
        &self,
        board: basalt_store::Board,
        dispatchers: &[Dispatcher],
    ) -> Result<Board, UseCaseError> {
        let held_by = match (board.job, board.run) {
            (Some(job), Some(run)) => self.store.job(job).await?.map(|job| BoardUse {
                job: job.id,
                job_name: job.name,
                run,
                submitter: job.submitter,
                since_utc_us: board.state_since,
            }),
            _ => None,
        };
        let (dispatcher_state, dispatcher_mode) = self.state_of(&board.dispatcher, dispatchers);
        let fenced_until = held_by
            .as_ref()
            .and_then(|_| self.fenced_until(&board.dispatcher));
        let asked = board.power != PowerState::Unknown || board.power_since.0 > 0;
        let lab = self.lab();
        Ok(Board {
            timebase: lab
                .lab
                .board(&board.name)
                .and_then(|profile| profile.timebase.clone()),
            name: board.name,
            device_type: board.device_type,
            tags: board.tags,
            state: board.state,
            health: board.health,
            health_since_utc_us: board.health_since,
            health_by: board.health_set_by,
            health_reason: board.health_reason,
            held_by,
            epoch: board.epoch,
            power: board.power,
            power_since_utc_us: asked.then_some(board.power_since),
            console: ConsoleState {
                // Whoever says that it is closed says why.
                open: (board.console_open || board.console_reason.is_some())
                    .then_some(board.console_open),
                reason: board.console_reason,
            },
            dispatcher: board.dispatcher,
            dispatcher_state,
            dispatcher_mode,
            fenced_until_utc_us: fenced_until,
        })
    }

    /// What this server sees of a dispatcher.
    pub(super) fn state_of(
        &self,
        name: &DispatcherName,
        dispatchers: &[Dispatcher],
    ) -> (DispatcherState, DispatcherMode) {
        let state = match self.registry.standing(name).connected {
            true => DispatcherState::Online,
            false => DispatcherState::Offline,
        };
        let mode = dispatchers
            .iter()
            .find(|one| one.name == *name)
            .map_or(DispatcherMode::Active, |one| one.mode);
        (state, mode)
    }

    /// When the boards of a silent dispatcher are given to others, on the wall clock.
    fn fenced_until(&self, dispatcher: &DispatcherName) -> Option<UtcMicros> {
        let at = self.registry.given_up_at(dispatcher, &self.limits)?;
        let now = self.clock.now();
        let left = i64::try_from(at.0.saturating_sub(now.boot.0) / 1_000).unwrap_or(i64::MAX);
        (left > 0).then(|| UtcMicros(now.utc.0.saturating_add(left)))
    }

    /// Takes a board out of service, or brings it back. A run that has it goes on to its end.
    ///
    /// # Errors
    /// He may not, or there is no such board.
    pub async fn set_maintenance(
        &self,
        actor: &Actor,
        name: &BoardName,
        change: &Maintenance,
    ) -> Result<Board, UseCaseError> {
        authorize(actor, Action::MaintainBoard)?;
        self.find_board(name).await?;
        let health = match change.on {
            true => BoardHealth::Maintenance,
            false => BoardHealth::Unknown,
        };
        let reason: Option<String> = change.reason.as_ref().map(|reason| {
            let plain = reason.chars().filter(|one| !one.is_control());
            plain.take(LONGEST_REASON).collect()
        });
        let who = HealthActor::Person(actor.label());
        let feed = patiently!(self.store.set_board_health(
            name,
            health,
            reason.as_deref(),
            &who,
            self.now()
        ));
        self.tell_feed(&feed?.unwrap_or_default());
        self.scheduling.tell(Message::Board(name.clone())).await;
        self.board(actor, name).await
    }

    /// The runs of a board, the newest first.
    ///
    /// # Errors
    /// There is no such board.
    pub async fn board_runs(
        &self,
        actor: &Actor,
        name: &BoardName,
        query: &PageQuery,
    ) -> Result<Page<BoardRun>, UseCaseError> {
        authorize(actor, Action::See)?;
        self.find_board(name).await?;
        let (before, limit) = page(query)?;
        let runs = self
            .store
            .runs_of_board(name, before.map(UtcMicros), limit)
            .await?;
        // Two grants of one board are never at the same microsecond: a run lies between them.
        let next = (runs.len() >= limit as usize)
            .then(|| runs.last().map(|run| run.granted.0.to_string()))
            .flatten();
        let mut jobs = HashMap::new();
        let mut items = Vec::new();
        for run in runs {
            let Some((job_name, submitter)) = self.name_of(run.job, &mut jobs).await? else {
                continue;
            };
            items.push(BoardRun {
                job_name,
                submitter,
                run: super::runs::summary(run),
            });
        }
        Ok(Page { items, next })
    }

    async fn name_of(
        &self,
        job: JobId,
        known: &mut HashMap<JobId, (String, basalt_model::UserName)>,
    ) -> Result<Option<(String, basalt_model::UserName)>, UseCaseError> {
        if let Some(found) = known.get(&job) {
            return Ok(Some(found.clone()));
        }
        let Some(found) = self.store.job(job).await? else {
            return Ok(None);
        };
        known.insert(job, (found.name.clone(), found.submitter.clone()));
        Ok(Some((found.name, found.submitter)))
    }

    /// What was measured on a board, the newest first.
    ///
    /// # Errors
    /// There is no such board.
    pub async fn board_latency(
        &self,
        actor: &Actor,
        name: &BoardName,
        query: &TrendQuery,
    ) -> Result<Page<TrendPoint>, UseCaseError> {
        authorize(actor, Action::See)?;
        self.find_board(name).await?;
        let limit = query.limit.unwrap_or(USUAL_POINTS);
        if !(1..=MOST_POINTS).contains(&limit) {
            return Err(UseCaseError::bad_request(format!(
                "`limit` is 1 to {MOST_POINTS}"
            )));
        }
        let filter = TrendFilter {
            to: number(query.cursor.as_deref())?.map(UtcMicros),
            ..TrendFilter::default()
        };
        let mut points = self.store.latency_trend(name, &filter, limit).await?;
        points.reverse();
        let next = (points.len() >= limit as usize)
            .then(|| points.last().map(|point| point.row.measured.0.to_string()))
            .flatten();
        let is = |wanted: &Option<String>, what: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == what)
        };
        points.retain(|point| {
            is(&query.phase, &point.row.phase) && is(&query.measure, &point.row.measure)
        });
        let mut jobs = HashMap::new();
        let mut items = Vec::new();
        for point in points {
            let named = self.name_of(point.job, &mut jobs).await?;
            items.push(trend_point(
                point,
                named.map_or_else(String::new, |(name, _)| name),
            ));
        }
        Ok(Page { items, next })
    }
}

fn trend_point(point: StoredLatency, job_name: String) -> TrendPoint {
    let row = point.row;
    TrendPoint {
        utc_us: row.measured,
        job: point.job,
        job_name,
        run: point.run,
        phase: row.phase,
        suite: row.suite,
        measure: row.measure,
        load: row.loads,
        kernel_release: Some(row.kernel),
        kernel_version: row.kernel_version,
        image_sha256: row.image_sha256,
        timebase: row.timebase,
        verdict: row.verdict,
        limit_us: row.limit_us,
        samples: row.samples.unwrap_or(0),
        min_us: row.min_us,
        avg_us: row.avg_ns.map(|ns| ns as f64 / 1000.0),
        max_us: row.max_us,
        p99: percentile(row.p99_us, row.p99_at_least),
        p99_99: percentile(row.p9999_us, row.p9999_at_least),
    }
}

fn percentile(us: Option<u64>, at_least: bool) -> Option<Percentile> {
    us.map(|us| match at_least {
        true => Percentile::AtLeast(us),
        false => Percentile::Exact(us),
    })
}
