//! The link over real sockets.

mod files;
mod links;
mod server;
