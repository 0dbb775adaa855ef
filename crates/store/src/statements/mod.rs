//! Every statement, the same text for both databases. A test prepares each on both.
//!
//! Placeholders are `$1`, `$2`, …; columns are taken in the order of the select list. Statements
//! with a changing number of placeholders begin with a constant of here.

/// Makes constants, and the list of them all.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)+) => {
        $($(#[$doc])* pub(crate) const $name: &str = $sql;)+
        /// Name and text of each.
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

pub(crate) mod account;
pub(crate) mod board;
pub(crate) mod feed;
pub(crate) mod ingest;
pub(crate) mod job;
pub(crate) mod lab;
pub(crate) mod log;
pub(crate) mod run;

/// The lists of all topics.
#[cfg(test)]
pub(crate) const ALL: &[&[(&str, &str)]] = &[
    account::ALL,
    board::ALL,
    feed::ALL,
    ingest::ALL,
    job::ALL,
    lab::ALL,
    log::ALL,
    run::ALL,
];

/// Heads of inserts of many rows, with how many columns each has.
#[cfg(test)]
pub(crate) const INSERTS: &[(&str, usize)] = &[
    (feed::FEED_INSERT, 8),
    (ingest::EVENTS_INSERT, 4),
    (ingest::TAIL_INSERT, 7),
    (ingest::CASES_INSERT, 7),
    (ingest::LATENCY_INSERT, 24),
];
