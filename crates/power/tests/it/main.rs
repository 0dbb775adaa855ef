//! Relays over real sockets and a real pseudo-terminal.

mod cycle;
mod lcus;
mod lock;
mod tasmota;
mod wire;
