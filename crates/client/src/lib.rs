//! The typed client of the HTTP API: what `basalt submit`, `jobs`, `logs` and the others speak.
//!
//! - [`Client`] asks and answers in the types of `basalt_api`;
//! - [`follow`](Client::follow) and [`follow_log`](Client::follow_log) stay connected over cuts, and
//!   go on where they were;
//! - [`settings`] is where `basalt login` keeps the server's address and the token.
//!
//! Not done here: presentation, and every decision about jobs and boards, which are the server's.

mod connection;
mod error;
mod follow;
mod request;
pub mod settings;
pub mod sse;
mod tls;

pub use connection::Client;
pub use error::ClientError;
pub use follow::{FeedStream, LogStream};
pub use settings::{Settings, SettingsError};
