//! The servers against real clients over real sockets on loopback.

mod tftp;
mod tftp_programs;
