//! The store against both databases. Everything that is promised of both is in one list
//! ([`contract`]); what only a server of its own can suffer is in [`postgres`], and callers that
//! stop half way are in [`abandoned`].

mod abandoned;
mod contract;
mod harness;
mod postgres;
