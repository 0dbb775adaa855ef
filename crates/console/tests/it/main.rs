//! The keeper against real sockets, terminals and files.

mod board;
mod capture;
mod claims;
mod segments;
mod session;
