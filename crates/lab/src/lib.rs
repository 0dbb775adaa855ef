//! The lab's own files (boards, types, relays), handed in as texts, read into a [`profile::Lab`].

pub mod placeholder;
pub mod profile;
