//! What can be asked of a lab. Each use case is a method of [`crate::App`] that takes an
//! [`crate::Actor`], asks [`crate::authorize()`] first, and returns plain values; it knows nothing
//! of HTTP.
