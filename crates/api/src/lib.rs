//! Request and answer types of the HTTP API, version 1.
//!
//! The server fills them in, its pages show them, the client reads them: one set of values for
//! all. Words (states, verdicts, outcomes) are those of `basalt_model`. Times are microseconds
//! since 1970 UTC, in fields whose names end in `_utc_us`; durations name their unit, too. Fields
//! are only ever added, and readers skip those that they do not know.
//!
//! Not done here: paths and status codes (`server::http`), who may ask what (`server::authorize`).

pub mod account;
pub mod board;
pub mod dispatcher;
pub mod feed;
pub mod job;
pub mod lab;
pub mod latency;
pub mod log;
pub mod page;
pub mod problem;
pub mod queue;
pub mod result;
pub mod run;
#[cfg(feature = "openapi")]
pub mod schema;
pub mod webhook;

pub use account::{
    AuditEntry, CreatedToken, LoginLink, Me, NewLoginLink, NewToken, NewUser, Token, TokenQuery,
    User, UserChange, Via,
};
pub use board::{Board, BoardRun, BoardUse, ConsoleChunk, ConsoleState, Maintenance};
pub use dispatcher::{Dispatcher, DispatcherToken, ModeChange, NewDispatcher};
pub use feed::{
    BoardChange, DispatcherChange, FeedEvent, FeedKind, FeedQuery, JobChange, LabApplication,
};
pub use job::{CancelJob, Candidate, Definition, Job, JobQuery, JobSummary, SubmitJob, Validation};
pub use lab::{ApplyLab, Lab, LabApplied, LabChange, LabDiff, LabFile, LabSubject, LabVerb};
pub use latency::{Latency, TrendPoint, TrendQuery};
pub use log::{FollowQuery, LogEnd, LogFormat, LogLine, LogQuery, LogRange};
pub use page::{Page, PageQuery};
pub use problem::{Diagnostic, Problem, Severity};
pub use queue::{CandidateBoard, Explanation, Queue, QueueEntry, QueueQuery};
pub use result::{Case, CaseCounts, RunResults};
pub use run::{Run, RunFile, RunSummary, Step, StepState};
pub use webhook::{
    CreatedWebhook, Delivery, DeliveryState, NewWebhook, Webhook, WebhookBody, WebhookChange,
    WebhookEvent,
};

/// The version in the API's paths.
pub const VERSION: u32 = 1;
/// What every path of the API begins with.
pub const BASE: &str = "/api/v1";
/// The header that makes a submission repeatable without a second job.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The media type of [`Problem`].
pub const PROBLEM_TYPE: &str = "application/problem+json";
