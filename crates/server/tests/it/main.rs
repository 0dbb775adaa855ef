//! The server as a whole: a real store, real connections.

mod dispatching;
mod http;
