//! (JobDefinition, BoardProfile) -> Plan: actions, deadlines, retries. Pure.

pub mod plan;

pub use plan::Plan;
