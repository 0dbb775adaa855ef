//! Jinja2 templates rendered byte for byte as Python's Jinja2 renders them, over minijinja.
//!
//! The settings are those of LAVA's device templates: a sandboxed environment, no escaping, a line's
//! end after a block is dropped (`trim_blocks`), what is undefined prints nothing, and three filters
//! of LAVA's own. minijinja parses and runs the templates; what it does otherwise than Jinja2 is
//! mended on two sides:
//!
//! - before it runs, a template is written anew from its syntax tree (`rewrite`): operators become
//!   calls of functions that have Python's meaning, variables that are set in a block are kept from
//!   the blocks inside it, and what Jinja2 refuses when it compiles is refused;
//! - while it runs, values are printed, compared and converted as Python does (`value`), and methods,
//!   filters and tests are Jinja2's (`methods`, `filters`, `predicates`).
//!
//! Sources of the facts: the documentation of Jinja2 3.1 and of Python 3.11, and what their programs
//! print; `cargo xtask campaign templates` compares with them.
//!
//! Not done here: reading files (templates come from a function that the caller hands in), and
//! saying what a rendered text means.

mod arguments;
mod collections;
mod engine;
mod filters;
mod format;
mod methods;
mod operators;
mod predicates;
mod rewrite;
mod value;

pub use engine::{Engine, RenderError};
