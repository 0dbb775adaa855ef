//! The shape of a job as LAVA's own validator sees it: tables, and one walker over them.
//!
//! A table says which keys a block has, which of them must be there, and what each holds
//! ([`Kind`], [`Map`]). [`check`] walks a job along the tables and reports every place where it
//! does not fit, so that the readers behind it meet only jobs of the right shape.
//!
//! The facts come from the behaviour of LAVA 2026.10 (`lava_common.schemas`), asked as a black
//! box; `cargo xtask campaign jobs` asks again. Keys that stand in no schema of LAVA's but are
//! honoured by its code, and those that are Basalt's own, are marked so ([`Listed`]).
//!
//! Not done here: what a value means (the readers), and whether a board can do it (the plan).

mod blocks;
mod boot;
mod deploy;
mod job;
mod kind;
mod rules;
mod test;
mod walk;
mod words;

pub(crate) use blocks::UNITS;
pub(crate) use kind::{Key, Kind, Listed, Map, Pattern, Rest, listed, optional, required};

use basalt_yaml::{Diagnostics, Node};

use crate::Reading;
use walk::Walk;

/// What a reading may be told beside the job.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules<'a> {
    pub reading: Reading,
    /// Names that this site allows in `context` beside LAVA's.
    pub extra_context: &'a [String],
}

/// Reports everything in a job that does not fit LAVA's shape.
pub(crate) fn check(node: &Node, rules: Rules<'_>, diagnostics: &mut Diagnostics) {
    let mut walk = Walk::new(rules, diagnostics);
    walk.kind(node, &job::JOB, "the job");
    rules::check(node, &mut walk);
}

/// The same for a test definition in a file of its own.
pub(crate) fn check_definition(node: &Node, rules: Rules<'_>, diagnostics: &mut Diagnostics) {
    Walk::new(rules, diagnostics).kind(node, &test::DEFINITION, "the test definition");
}

/// Every destination of `deploy`.
pub fn destinations() -> Vec<&'static str> {
    names(&deploy::DEPLOY)
}

/// Every method of `boot`.
pub fn methods() -> Vec<&'static str> {
    names(&boot::BOOT)
}

fn names(kind: &Kind) -> Vec<&'static str> {
    match kind {
        Kind::Select { cases, .. } => cases.iter().map(|(name, _)| *name).collect(),
        _ => Vec::new(),
    }
}
