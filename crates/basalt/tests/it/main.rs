//! The binary as its users meet it. One module a verb; what needs a whole rack of boards is in the
//! `e2e_*` modules.

mod checks;
mod console;
mod e2e_accounts;
mod e2e_console;
mod e2e_cost;
mod e2e_faults;
mod e2e_followers;
mod e2e_happy;
mod e2e_harness;
mod e2e_hostile;
mod e2e_kill;
mod e2e_matrix;
mod e2e_mistakes;
mod e2e_namespaces;
mod e2e_serve;
mod e2e_stopping;
mod help;
mod keeper;
mod power;
mod support;
