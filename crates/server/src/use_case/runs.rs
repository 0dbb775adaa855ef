//! Runs: their steps, results, measurements and files.

use basalt_api::{Case, CaseCounts, Latency, Run, RunFile, RunResults, RunSummary};
use basalt_model::RunId;
use basalt_report::results::counted;
use basalt_report::{Results, RunFold};
use basalt_store::StoreError;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::actor::Actor;
use crate::app::App;
use crate::authorize::{Action, authorize};
use crate::error::{UseCaseError, causes};
use crate::folds::Folded;
use crate::ingest::end::EndError;

/// A file of a run, opened.
pub struct OpenedFile {
    /// What it is.
    pub file: RunFile,
    /// Its content, in pieces.
    pub stream: BoxStream<'static, Result<Bytes, StoreError>>,
}

impl std::fmt::Debug for OpenedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedFile")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl From<EndError> for UseCaseError {
    fn from(error: EndError) -> Self {
        match error {
            EndError::Store(error) => error.into(),
            error => Self::Internal {
                message: causes(&error),
            },
        }
    }
}

impl App {
    pub(super) async fn find_run(&self, id: RunId) -> Result<basalt_store::Run, UseCaseError> {
        let run = self.store.run(id).await?;
        run.ok_or_else(|| UseCaseError::not_found("run", id))
    }

    /// A run with its steps.
    ///
    /// # Errors
    /// There is no such run.
    pub async fn run(&self, actor: &Actor, id: RunId) -> Result<Run, UseCaseError> {
        authorize(actor, Action::See)?;
        let run = self.find_run(id).await?;
        let (store, events_seq) = (&self.store, run.events_seq);
        let look = self
            .folds
            .look(store, id, events_seq, |folded| view(run, folded));
        Ok(look.await?)
    }

    /// The results of a run, so far or at its end.
    ///
    /// # Errors
    /// There is no such run.
    pub async fn results(&self, actor: &Actor, id: RunId) -> Result<RunResults, UseCaseError> {
        authorize(actor, Action::See)?;
        let run = self.find_run(id).await?;
        let cases = match run.ended {
            Some(_) => self.store.cases(id).await?,
            None => self
                .results_so_far(&run)
                .await?
                .map_or_else(Vec::new, |results| results.cases),
        };
        let count: Vec<*const _> = counted(&cases)
            .into_iter()
            .map(std::ptr::from_ref)
            .collect();
        let cases: Vec<Case> = cases
            .iter()
            .map(|case| Case {
                suite: case.suite.clone(),
                set: case.set.clone(),
                case: case.case.clone(),
                result: case.result,
                measurement: case.measurement,
                units: case.units.clone(),
                attempt: case.attempt,
                counted: count.contains(&std::ptr::from_ref(case)),
                detail: case.detail.clone(),
                reference: case.reference.clone(),
            })
            .collect();
        Ok(RunResults {
            run: id,
            job: run.job,
            outcome: run.outcome,
            counts: CaseCounts::of(&cases),
            cases,
        })
    }

    /// The whole results of a run as a document; `None` before it has begun.
    async fn document(&self, run: &basalt_store::Run) -> Result<Option<Results>, UseCaseError> {
        if run.ended.is_some()
            && let Some(text) = self.store.results(run.id).await?
        {
            let results = serde_json::from_str(&text).map_err(|error| UseCaseError::Internal {
                message: format!("the results of run {} cannot be read: {error}", run.id),
            })?;
            return Ok(Some(results));
        }
        self.results_so_far(run).await
    }

    async fn results_so_far(
        &self,
        run: &basalt_store::Run,
    ) -> Result<Option<Results>, UseCaseError> {
        let (store, id) = (&self.store, run.id);
        let look = self
            .folds
            .look(store, id, run.events_seq, Folded::results)
            .await?;
        look.map_err(|error| UseCaseError::Internal {
            message: format!("the events of run {id} make no results: {error}"),
        })
    }

    /// The results of a run as JUnit XML.
    ///
    /// # Errors
    /// There is no such run, or it has not begun.
    pub async fn junit(&self, actor: &Actor, id: RunId) -> Result<String, UseCaseError> {
        authorize(actor, Action::See)?;
        let run = self.find_run(id).await?;
        let results = self.document(&run).await?;
        let results = results.ok_or_else(|| UseCaseError::not_found("result of run", id))?;
        basalt_report::junit(&results).map_err(|error| UseCaseError::Internal {
            message: causes(&error),
        })
    }

    /// The measurements of a run.
    ///
    /// # Errors
    /// There is no such run.
    pub async fn latency(&self, actor: &Actor, id: RunId) -> Result<Latency, UseCaseError> {
        authorize(actor, Action::See)?;
        let run = self.find_run(id).await?;
        let records = match self.document(&run).await? {
            Some(results) => results.phases,
            None => Vec::new(),
        };
        Ok(Latency {
            run: id,
            job: run.job,
            board: run.board,
            records,
        })
    }

    /// The files of a run, by path.
    ///
    /// # Errors
    /// There is no such run.
    pub async fn run_files(&self, actor: &Actor, id: RunId) -> Result<Vec<RunFile>, UseCaseError> {
        authorize(actor, Action::See)?;
        self.find_run(id).await?;
        let files = self.store.files(id).await?;
        Ok(files.into_iter().map(file).collect())
    }

    /// Opens a file of a run.
    ///
    /// # Errors
    /// There is no such file.
    pub async fn run_file(
        &self,
        actor: &Actor,
        id: RunId,
        path: &str,
    ) -> Result<OpenedFile, UseCaseError> {
        authorize(actor, Action::See)?;
        let found = self.store.file(id, path).await?;
        let found = found.ok_or_else(|| UseCaseError::not_found("file", path))?;
        let stream = self.store.read_file(&found, None).await?;
        Ok(OpenedFile {
            file: file(found),
            stream,
        })
    }
}

fn file(file: basalt_store::RunFile) -> RunFile {
    RunFile {
        path: file.path,
        bytes: file.bytes,
        sha256: file.sha256,
        complete: true,
    }
}

/// A run as it stands in lists.
pub(super) fn summary(run: basalt_store::Run) -> RunSummary {
    RunSummary {
        id: run.id,
        job: run.job,
        attempt: run.attempt,
        board: run.board,
        dispatcher: run.dispatcher,
        lease_state: run.lease_state,
        outcome: run.outcome,
        reason: run.end_reason,
        granted_utc_us: run.granted,
        started_utc_us: run.accepted,
        finished_utc_us: run.finished.or(run.ended),
    }
}

fn view(run: basalt_store::Run, folded: &Folded) -> Run {
    let is_over = run.finished.is_some() || run.ended.is_some();
    let gaps = folded.known().map_or_else(Vec::new, RunFold::gaps);
    let known = folded.known().map(RunFold::known);
    let failure = known.and_then(|known| known.failure.clone());
    Run {
        id: run.id,
        job: run.job,
        attempt: run.attempt,
        board: run.board,
        dispatcher: run.dispatcher,
        lease: run.lease,
        epoch: run.epoch,
        lease_state: run.lease_state,
        outcome: run.outcome,
        reason: run
            .end_reason
            .or_else(|| failure.as_ref().map(basalt_model::Failure::sentence)),
        failure,
        power: run.power,
        timebase: known.and_then(|known| known.board.timebase.clone()),
        granted_utc_us: run.granted,
        started_utc_us: run.accepted,
        finished_utc_us: run.finished.or(run.ended),
        resumed: known.map_or(0, |known| known.resumed),
        steps: folded.steps(is_over),
        artifacts: known.map_or_else(Vec::new, |known| known.artifacts.clone()),
        kernel_banners: known.map_or_else(Vec::new, |known| known.kernel_banners.clone()),
        kernel_reports: known.map_or_else(Vec::new, |known| known.kernel_reports.clone()),
        gaps,
        events: run.events_seq,
        log_lines: run.log_line,
    }
}
