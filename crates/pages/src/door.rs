//! The pages at the door: logging in, and what is said to whoever cannot come in.

use askama::Template;

use crate::Chrome;

/// What the login page has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginState {
    /// Nobody brought a link: how to get one.
    Ask,
    /// The link is unknown, has been used or is too old.
    Refused,
    /// The link is good: one press of a button logs in. Looking at a link does not use it up.
    Ready,
}

/// `/login`.
#[derive(Clone, Debug, Template)]
#[template(path = "login.html")]
pub struct Login {
    /// The frame.
    pub chrome: Chrome,
    /// What it says.
    pub state: LoginState,
    /// The link's token, where it is good.
    pub token: String,
    /// Where to go afterwards: a path of this server.
    pub next: String,
}

/// Any answer that is no success.
#[derive(Clone, Debug, Template)]
#[template(path = "problem.html")]
pub struct Problem {
    /// The frame.
    pub chrome: Chrome,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, in a few words.
    pub headline: String,
    /// What is wrong, in a sentence.
    pub detail: String,
    /// What can be done about it.
    pub hint: Option<String>,
    /// Logging in may help.
    pub offer_login: bool,
}
