//! `/jobs/new`: a job's text, and what is wrong with it while it is being written.

use askama::Template;

use crate::Chrome;
use crate::overview::Candidate;

/// Something to say about a place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// It keeps the job from being taken.
    pub is_error: bool,
    /// The line, from 1; 0 for the whole text.
    pub line: u32,
    /// The column, from 1; 0 for the whole line.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What can be done about it.
    pub hint: Option<String>,
}

/// `/jobs/new`.
#[derive(Clone, Debug, Template)]
#[template(path = "submit.html")]
pub struct Submit {
    /// The frame.
    pub chrome: Chrome,
    /// The job's text so far.
    pub text: String,
    /// What was said about it, where it was sent and refused.
    pub diagnostics: Vec<Diagnostic>,
    /// The boards that might take it.
    pub candidates: Vec<Candidate>,
    /// It was sent, and refused.
    pub refused: bool,
    /// Where the text comes from: a job that is submitted again.
    pub source: Option<String>,
    /// The key that keeps a form sent twice from being two jobs.
    pub idempotency_key: String,
}
