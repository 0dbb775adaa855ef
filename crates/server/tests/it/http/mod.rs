//! The HTTP API over a real connection, a real store, and runs whose dispatcher is played.

mod accounts;
mod document;
mod feed;
mod hostile;
mod jobs;
mod login;
mod logs;
mod runs;
mod secrets;
mod site;
mod webhooks;

use site::{Seeded, Site, problem};
