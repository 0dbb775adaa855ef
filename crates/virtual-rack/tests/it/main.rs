//! The rack from outside: its program, its sockets, its PTYs. Nothing here links the rack's code.

mod boards;
mod consoles;
mod faults;
mod machines;
mod measurements;
mod relays;
mod support;
mod tftp_server;
