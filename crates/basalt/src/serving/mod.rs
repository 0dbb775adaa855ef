//! A server as a process of this host: what it holds, where it listens, what it starts and ends.
//!
//! - [`lock`]: one server at a state directory; [`listening`]: its sockets; [`tls`]: its
//!   certificate.
//! - [`embedded`]: the dispatcher beside it, started, found again, started again, ended.
//! - [`token_file`]: how a dispatcher knows who it is; [`notify`]: what systemd is told.
//! - [`greeting`]: what a person at the terminal reads.
//!
//! Not done here: everything that the server does for its lab (`basalt_server`).

pub mod embedded;
pub mod greeting;
pub mod listening;
pub mod lock;
pub mod notify;
pub mod tls;
pub mod token_file;

/// The server's own directory below the state directory.
pub const DIRECTORY: &str = "server";
/// Its Unix socket, in that directory.
pub const SOCKET: &str = "server.sock";
