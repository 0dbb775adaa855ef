//! The verbs, one file each.

mod check;
mod completions;
mod console;
mod keeper;
mod lab;
mod plan;
mod power;
mod results;
mod run;

use crate::arguments::{Arguments, LabVerb, Verb};
use crate::exit::Exit;
use crate::terminal::Terminal;

/// Does what the command line says.
pub async fn perform(arguments: Arguments) -> anyhow::Result<Exit> {
    let terminal = Terminal::new(arguments.color);
    let state = arguments.state.as_deref();
    match arguments.verb {
        Verb::Run(verb) => run::perform(&verb, state, terminal).await,
        Verb::Check(verb) => check::perform(&verb, terminal),
        Verb::Plan(verb) => plan::perform(&verb, terminal),
        Verb::Results(verb) => results::perform(&verb, terminal),
        Verb::Lab(verb) => match verb.verb {
            LabVerb::Check(verb) => lab::check(&verb, terminal),
        },
        Verb::Power(verb) => power::perform(&verb, state, terminal).await,
        Verb::Console(verb) => console::perform(&verb, state, terminal).await,
        Verb::Keeper(verb) => keeper::perform(&verb, state, terminal).await,
        Verb::Completions(verb) => completions::perform(&verb),
    }
}
