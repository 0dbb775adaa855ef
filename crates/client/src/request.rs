//! The requests, one a function. Paths and types are those of `basalt_api`.

use basalt_api::{
    ApplyLab, BASE, Board, CancelJob, CreatedToken, Dispatcher, DispatcherToken, Explanation,
    IDEMPOTENCY_KEY, Job, JobQuery, JobSummary, LabApplied, LabDiff, Latency, LogFormat, LogLine,
    LogQuery, LoginLink, Maintenance, Me, ModeChange, NewDispatcher, NewLoginLink, NewToken,
    NewUser, Page, Run, RunResults, SubmitJob, Token, TokenQuery, User, UserChange, Validation,
};
use basalt_model::{BoardName, DispatcherName, JobId, RunId, UserName};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::Method;

use crate::connection::Client;
use crate::error::ClientError;

/// How often a submission is sent again after its answer was lost; the key keeps it one job.
const TRIES: u32 = 5;

impl Client {
    /// Who the token belongs to.
    pub async fn me(&self) -> Result<Me, ClientError> {
        self.get(&format!("{BASE}/me")).await
    }

    /// Queues a job. The same key gives the same job, so a lost answer is asked for again.
    pub async fn submit(&self, definition: &str, key: &str) -> Result<Job, ClientError> {
        let body = SubmitJob {
            definition: definition.to_owned(),
        };
        let mut tries = 1;
        loop {
            let request = self
                .request(Method::POST, &format!("{BASE}/jobs"))
                .header(IDEMPOTENCY_KEY, key)
                .json(&body);
            match self.json(request).await {
                Err(error) if error.is_passing() && tries < TRIES => {
                    tracing::debug!(%error, "submitting again under the same key");
                    tokio::time::sleep(std::time::Duration::from_millis(200) * tries).await;
                    tries += 1;
                }
                answer => return answer,
            }
        }
    }

    /// Checks a job against the lab's boards; nothing is queued.
    pub async fn validate(&self, definition: &str) -> Result<Validation, ClientError> {
        let body = SubmitJob {
            definition: definition.to_owned(),
        };
        self.post(&format!("{BASE}/jobs/validate"), &body).await
    }

    /// One page of jobs, the newest first.
    pub async fn jobs(&self, query: &JobQuery) -> Result<Page<JobSummary>, ClientError> {
        let request = self
            .request(Method::GET, &format!("{BASE}/jobs"))
            .query(query);
        self.json(request).await
    }

    /// One job.
    pub async fn job(&self, job: JobId) -> Result<Job, ClientError> {
        self.get(&format!("{BASE}/jobs/{job}")).await
    }

    /// Why a job waits.
    pub async fn why(&self, job: JobId) -> Result<Explanation, ClientError> {
        self.get(&format!("{BASE}/jobs/{job}/why")).await
    }

    /// Ends a job before its time.
    pub async fn cancel(&self, job: JobId, reason: Option<String>) -> Result<Job, ClientError> {
        let body = CancelJob { reason };
        self.post(&format!("{BASE}/jobs/{job}/cancel"), &body).await
    }

    /// Submits a job again as it was.
    pub async fn resubmit(&self, job: JobId, key: &str) -> Result<Job, ClientError> {
        let request = self
            .request(Method::POST, &format!("{BASE}/jobs/{job}/resubmit"))
            .header(IDEMPOTENCY_KEY, key);
        self.json(request).await
    }

    /// One run with its steps.
    pub async fn run(&self, run: RunId) -> Result<Run, ClientError> {
        self.get(&format!("{BASE}/runs/{run}")).await
    }

    /// The cases of a run.
    pub async fn results(&self, run: RunId) -> Result<RunResults, ClientError> {
        self.get(&format!("{BASE}/runs/{run}/results")).await
    }

    /// The measurements of a run.
    pub async fn latency(&self, run: RunId) -> Result<Latency, ClientError> {
        self.get(&format!("{BASE}/runs/{run}/latency")).await
    }

    /// Lines of a run's log, as they come; never all at once in memory.
    pub async fn log(
        &self,
        run: RunId,
        query: &LogQuery,
    ) -> Result<impl Stream<Item = Result<LogLine, ClientError>> + Unpin + use<>, ClientError> {
        let query = LogQuery {
            format: Some(LogFormat::Json),
            ..query.clone()
        };
        let request = self
            .request(Method::GET, &format!("{BASE}/runs/{run}/log"))
            .query(&query);
        let response = self.send(request).await?;
        let client = self.clone();
        let mut lines = Lines::default();
        let stream = response.bytes_stream().flat_map(move |chunk| {
            let parsed = match chunk {
                Ok(bytes) => lines.feed(&client, &bytes),
                Err(source) => vec![Err(client.broken_off(source))],
            };
            futures::stream::iter(parsed)
        });
        Ok(stream)
    }

    /// The bytes that the board said in a run, as they came.
    pub async fn console(
        &self,
        run: RunId,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + Unpin + use<>, ClientError> {
        self.bytes(
            &format!("{BASE}/runs/{run}/console"),
            "application/octet-stream",
        )
        .await
    }

    /// Every board.
    pub async fn boards(&self) -> Result<Vec<Board>, ClientError> {
        self.every(&format!("{BASE}/boards")).await
    }

    /// Takes a board out of service or brings it back.
    pub async fn maintenance(
        &self,
        board: &BoardName,
        maintenance: &Maintenance,
    ) -> Result<Board, ClientError> {
        self.post(&format!("{BASE}/boards/{board}/maintenance"), maintenance)
            .await
    }

    /// Every dispatcher.
    pub async fn dispatchers(&self) -> Result<Vec<Dispatcher>, ClientError> {
        self.every(&format!("{BASE}/dispatchers")).await
    }

    /// A token file for a dispatcher of the lab.
    pub async fn add_dispatcher(
        &self,
        name: &DispatcherName,
    ) -> Result<DispatcherToken, ClientError> {
        let body = NewDispatcher { name: name.clone() };
        self.post(&format!("{BASE}/dispatchers"), &body).await
    }

    /// Says whether a dispatcher gets new runs.
    pub async fn dispatcher_mode(
        &self,
        name: &DispatcherName,
        change: &ModeChange,
    ) -> Result<Dispatcher, ClientError> {
        self.post(&format!("{BASE}/dispatchers/{name}/mode"), change)
            .await
    }

    /// What applying these files would change.
    pub async fn lab_diff(&self, lab: &ApplyLab) -> Result<LabDiff, ClientError> {
        self.post(&format!("{BASE}/lab/diff"), lab).await
    }

    /// Puts these files into force.
    pub async fn lab_apply(&self, lab: &ApplyLab) -> Result<LabApplied, ClientError> {
        self.post(&format!("{BASE}/lab/apply"), lab).await
    }

    /// A link that logs somebody in once.
    pub async fn login_link(&self, link: &NewLoginLink) -> Result<LoginLink, ClientError> {
        self.post(&format!("{BASE}/login-links"), link).await
    }

    /// An account's tokens, without their secrets; those of whoever asks without a name.
    pub async fn tokens(&self, user: Option<&UserName>) -> Result<Vec<Token>, ClientError> {
        let query = TokenQuery {
            user: user.cloned(),
        };
        self.every_of(&format!("{BASE}/tokens"), &query).await
    }

    /// Makes a token; its secret is in this answer and nowhere else.
    pub async fn create_token(&self, token: &NewToken) -> Result<CreatedToken, ClientError> {
        self.post(&format!("{BASE}/tokens"), token).await
    }

    /// Ends a token.
    pub async fn revoke_token(&self, id: i64) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, &format!("{BASE}/tokens/{id}"));
        self.send(request).await.map(drop)
    }

    /// Every account.
    pub async fn users(&self) -> Result<Vec<User>, ClientError> {
        self.every(&format!("{BASE}/users")).await
    }

    /// Makes an account.
    pub async fn add_user(&self, user: &NewUser) -> Result<User, ClientError> {
        self.post(&format!("{BASE}/users"), user).await
    }

    /// Changes an account.
    pub async fn change_user(
        &self,
        name: &UserName,
        change: &UserChange,
    ) -> Result<User, ClientError> {
        let request = self
            .request(Method::PATCH, &format!("{BASE}/users/{name}"))
            .json(change);
        self.json(request).await
    }

    /// All pages of a list.
    async fn every<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Vec<T>, ClientError> {
        self.every_of(path, &()).await
    }

    /// All pages of what a query asks for.
    async fn every_of<Q: serde::Serialize, T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        query: &Q,
    ) -> Result<Vec<T>, ClientError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut request = self.request(Method::GET, path).query(query);
            if let Some(cursor) = &cursor {
                request = request.query(&[("cursor", cursor)]);
            }
            let page: Page<T> = self.json(request).await?;
            items.extend(page.items);
            match page.next {
                Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
                _ => return Ok(items),
            }
        }
    }
}

/// JSON lines out of chunks of bytes.
#[derive(Default)]
struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, client: &Client, bytes: &[u8]) -> Vec<Result<LogLine, ClientError>> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.pending);
                lines.push(
                    serde_json::from_slice(&line).map_err(|error| ClientError::NotBasalt {
                        server: client.server().to_owned(),
                        status: 200,
                        said: format!("a line of the log that cannot be read: {error}"),
                    }),
                );
            }
        }
        lines
    }
}
