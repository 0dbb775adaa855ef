//! The server: use cases with authorization, the queue's grants, the dispatchers' link, and on top
//! of them the HTTP API and the pages.
//!
//! - [`actor`], [`authorize`]: who asks, and whether he may. Every use case asks first.
//! - [`app`]: what everything in the process shares.
//! - [`use_case`]: what can be asked of a lab, as plain values; REST and pages show the same.
//! - [`hub`]: wakes those who follow a log or the feed. What happened is read from the store.
//!   `folds`, inside, keeps what the runs come to that are looked at.
//! - [`lab_in_force`], [`planning`]: the lab, and jobs held against it.
//! - [`scheduling`]: gives boards to jobs. [`registry`]: the connected dispatchers; their link, and
//!   what they send, are inside. [`policy`]: what becomes of a job whose run the lab ended.
//! - [`http`], [`pages`], [`outbox`]: the faces, and what is told to others.
//!
//! Not done here: access to hardware (`dispatcher`), SQL (`store`), the choice of boards
//! (`scheduler`), starting processes and reading configuration files (`basalt`).

pub mod actor;
pub mod app;
pub mod authorize;
pub mod config;
mod entrance;
pub mod error;
mod folds;
pub mod http;
pub mod hub;
mod ingest;
pub mod lab_in_force;
mod leases;
mod link_endpoint;
pub mod outbox;
pub mod pages;
mod patience;
pub mod planning;
pub mod policy;
pub mod registry;
mod running;
pub mod scheduling;
pub mod secret;
mod upkeep;
pub mod use_case;

pub use actor::Actor;
pub use app::App;
pub use authorize::{Action, Forbidden, authorize};
pub use config::{Keep, Limits, ServerConfig, StopMode, TcpEntrance, UnsafeLimits};
pub use entrance::Peer;
pub use error::UseCaseError;
pub use hub::Hub;
pub use running::{
    CLIENT_TOKEN_FILE, DISPATCHER_TOKEN_FILE, RunningServer, Server, StartError, Stopper,
};
