//! The verbs, one file each.

mod check;
mod completions;
mod config;
mod console;
mod dispatch;
mod in_session;
mod keeper;
mod lab;
mod lava;
mod plan;
mod power;
mod remote;
mod results;
mod run;
mod serve;

use crate::arguments::{Arguments, LabVerb, LavaVerb, Verb};
use crate::exit::Exit;
use crate::terminal::Terminal;

/// Does what the command line says.
pub async fn perform(arguments: Arguments) -> anyhow::Result<Exit> {
    let terminal = Terminal::new(arguments.color);
    let state = arguments.state.as_deref();
    match arguments.verb {
        Verb::Serve(verb) => serve::perform(&verb, state, terminal).await,
        Verb::Dispatch(verb) => dispatch::perform(&verb, state, terminal).await,
        Verb::Config(verb) => config::perform(&verb, state, terminal),
        Verb::Submit(verb) => remote::submit(&verb, terminal).await,
        Verb::Jobs(verb) => remote::jobs(&verb, terminal).await,
        Verb::Job(verb) => remote::job(&verb, terminal).await,
        Verb::Logs(verb) => remote::logs(&verb, terminal).await,
        Verb::Latency(verb) => remote::latency(&verb, terminal).await,
        Verb::Why(verb) => remote::why(&verb, terminal).await,
        Verb::Wait(verb) => remote::wait(&verb, terminal).await,
        Verb::Cancel(verb) => remote::cancel(&verb, terminal).await,
        Verb::Resubmit(verb) => remote::resubmit(&verb, terminal).await,
        Verb::Boards(verb) => remote::boards(&verb, terminal).await,
        Verb::Maintenance(verb) => remote::maintenance(&verb, terminal).await,
        Verb::Dispatchers(verb) => remote::dispatchers(&verb, terminal).await,
        Verb::Tokens(verb) => remote::tokens(&verb, terminal).await,
        Verb::Users(verb) => remote::users(&verb, terminal).await,
        Verb::Login(verb) => remote::login(&verb, terminal).await,
        Verb::LoginLink(verb) => remote::login_link(&verb, terminal).await,
        Verb::Run(verb) => run::perform(&verb, state, terminal).await,
        Verb::Check(verb) => check::perform(&verb, terminal),
        Verb::Plan(verb) => plan::perform(&verb, terminal),
        Verb::Results(verb) => results::perform(&verb, terminal).await,
        Verb::Lab(verb) => match verb.verb {
            LabVerb::Check(verb) => lab::check(&verb, terminal),
            LabVerb::Diff(verb) => remote::diff(&verb, terminal).await,
            LabVerb::Apply(verb) => remote::apply(&verb, terminal).await,
            LabVerb::Lava(verb) => match verb.verb {
                LavaVerb::Render(verb) => lava::render(&verb, terminal),
            },
        },
        Verb::Power(verb) => power::perform(&verb, state, terminal).await,
        Verb::Console(verb) => console::perform(&verb, state, terminal).await,
        Verb::Keeper(verb) => keeper::perform(&verb, state, terminal).await,
        Verb::Completions(verb) => completions::perform(&verb),
        Verb::InSession(verb) => match in_session::perform(&verb)? {},
    }
}
