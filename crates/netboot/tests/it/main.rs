//! The servers against real clients over real sockets on loopback.

mod nfs;
mod tftp;
mod tftp_programs;
mod tftp_uploads;
