//! The pages of a lab: values in, HTML out, and the files that the pages load.
//!
//! Each page is a struct that holds everything that stands on it, and a template of the same name in
//! `web/pages`. What browsers run and how it looks is in `web/islands`; the build script has it
//! built, and [`asset`] gives it out. A page is complete without scripts; scripts make it live.
//!
//! Not done here: asking the lab, who may see what, HTTP ([`server`](../basalt_server/index.html)).
//! No clock is read: every page is told what time it is.

pub mod asset;
pub mod board;
pub mod boards;
pub mod chrome;
pub mod console;
pub mod dispatchers;
pub mod job;
pub mod jobs;
pub mod latency;
pub mod overview;
pub mod plot;
pub mod submit;
pub mod tag;
pub mod text;
pub mod words;

mod door;
mod escape;

pub use askama::Template;
pub use chrome::{Chrome, Person, Section, Theme};
pub use door::{Login, LoginState, Problem};
