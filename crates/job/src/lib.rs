//! The job language: LAVA's job YAML and our `realtime` test kind, read into a [`JobDefinition`].

pub mod definition;

pub use definition::JobDefinition;
