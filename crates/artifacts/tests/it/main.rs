//! Downloads from real sockets, archives on a real file system, ramdisks read back by cpio.

mod archives;
mod compressed;
mod downloads;
mod faults;
mod files;
mod images;
mod ramdisks;
mod redirects;
mod resume;
mod server;
