//! The runner from outside.

mod golden;
