//! YAML 1.1 as PyYAML reads it, with positions, budgets and collected diagnostics (decision D24).
//!
//! [`parse()`] makes a tree of [`Node`]s of one document. Every node knows its place, and every
//! scalar keeps its source text, so that one tree serves two kinds of readers: jobs are read with
//! the values that PyYAML's safe loader would give ([`Node::value`], [`Field::string`],
//! [`Field::int`]), and the project's own files by the type that is expected at a place
//! ([`Field::text`], [`Field::integer`], [`Field::bool_strict`]), where `52:54:00:12:34:56` is
//! text and not a number to the base of sixty.
//!
//! [`MapReader`] reads mappings without stopping at the first mistake; [`Diagnostics`] collects
//! the mistakes and shows them all at their places.
//!
//! PyYAML has two safe loaders. The one followed here, in what is accepted and in what is made of
//! it, is `CSafeLoader`, with libyaml behind it: LAVA loads with it wherever it is installed. Where
//! the other one differs, and where this crate differs on purpose, is written down in
//! `tests/it/pyyaml/known.rs`, and `cargo xtask campaign yaml` looks for more.
//!
//! The way of a text: [`decode`] makes characters of bytes, `scan` tokens of characters, `compose`
//! a tree of tokens, and `construct` values of the tree.
//!
//! Not done here: writing YAML, several documents in a text, lists and mappings that hold
//! themselves, and whatever beyond PyYAML's safe loader its other loaders know.

mod compose;
mod construct;
mod decode;
mod diagnostic;
mod duration;
mod field;
mod foreign;
mod node;
mod number;
mod parse;
mod pattern;
mod reader;
mod render;
mod scan;
mod suggest;
mod tag;

pub use decode::decode;
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use duration::{DurationError, format_duration, parse_duration};
pub use field::Field;
pub use foreign::{Date, DateTime, Foreign};
pub use node::{Node, Style, Value};
pub use parse::{
    MAX_BYTES, MAX_DEPTH, MAX_NODES, Reading, parse, parse_as, parse_file, parse_own_file,
};
pub use reader::{MapReader, Unknown};
pub use suggest::closest;

/// A file among those that one [`Diagnostics`] speaks of: its place in the order in which they
/// were entered. With one file it is always the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// A text and what to call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name shown before the line number, usually a path.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// A place in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Line, from 1. 0 where there is no place to show, only a file.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// The file.
    pub source: SourceId,
}
