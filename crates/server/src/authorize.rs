//! Whether he who asks may.
//!
//! One function, asked by every use case before it reads or changes anything. What is not allowed
//! here in so many words is forbidden.

use basalt_model::{DispatcherName, Role, UserName};

use crate::actor::Actor;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// See boards, jobs, logs, results, dispatchers, the queue and the feed.
    See,
    /// Put a job into the queue, or have one checked.
    Submit,
    /// End a job before its time.
    Cancel {
        /// Whose job it is.
        submitter: &'a UserName,
    },
    /// Take a board out of service, or bring it back.
    MaintainBoard,
    /// Add dispatchers, give them tokens, change their mode.
    ManageDispatchers,
    /// See the lab's files: they hold the relays' credentials.
    SeeLabFiles,
    /// Put another lab into force.
    ApplyLab,
    /// Make accounts, change their roles, disable them.
    ManageUsers,
    /// Make a link that logs somebody in.
    MakeLoginLink {
        /// Whom.
        user: &'a UserName,
    },
    /// See, make and revoke an account's tokens.
    ManageTokens {
        /// Whose.
        user: &'a UserName,
    },
    /// See, make and remove webhooks: the server calls their addresses.
    ManageWebhooks,
    /// Read who did what.
    ReadAudit,
    /// Serve a dispatcher's boards: its link, its runs' files.
    Dispatch {
        /// Which dispatcher's.
        dispatcher: &'a DispatcherName,
    },
}

/// He may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{actor} may not {what}")]
pub struct Forbidden {
    /// Who asked.
    pub actor: String,
    /// What he asked for.
    pub what: &'static str,
    /// Nobody knows who he is: logging in might help.
    pub anonymous: bool,
}

/// Whether `actor` may do `action`.
///
/// # Errors
/// He may not; the caller does nothing.
pub fn authorize(actor: &Actor, action: Action<'_>) -> Result<(), Forbidden> {
    let allowed = match actor {
        Actor::System => true,
        Actor::User {
            role: Role::Administrator,
            ..
        } => !matches!(action, Action::Dispatch { .. }),
        Actor::User {
            name,
            role: Role::User,
        } => match action {
            Action::See | Action::Submit => true,
            Action::Cancel { submitter } => submitter == name,
            Action::MakeLoginLink { user } | Action::ManageTokens { user } => user == name,
            _ => false,
        },
        Actor::Dispatcher(name) => {
            matches!(action, Action::Dispatch { dispatcher } if dispatcher == name)
        }
        Actor::Anonymous => false,
    };
    if allowed {
        return Ok(());
    }
    Err(Forbidden {
        actor: actor.label(),
        what: action.words(),
        anonymous: *actor == Actor::Anonymous,
    })
}

impl Action<'_> {
    /// What is asked for, after "may not".
    pub fn words(self) -> &'static str {
        match self {
            Self::See => "see this lab",
            Self::Submit => "submit jobs",
            Self::Cancel { .. } => "cancel another's job",
            Self::MaintainBoard => "change a board's service",
            Self::ManageDispatchers => "manage dispatchers",
            Self::SeeLabFiles => "see the lab's files",
            Self::ApplyLab => "apply a lab",
            Self::ManageUsers => "manage accounts",
            Self::MakeLoginLink { .. } => "make another's login link",
            Self::ManageTokens { .. } => "manage another's tokens",
            Self::ManageWebhooks => "manage webhooks",
            Self::ReadAudit => "read the audit",
            Self::Dispatch { .. } => "serve this dispatcher's boards",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every action, as asked by or about `ann` and dispatcher `main`.
    fn actions<'a>(ann: &'a UserName, main: &'a DispatcherName) -> Vec<Action<'a>> {
        // A new action does not compile here before it has its row below.
        let known = |action: Action<'a>| match action {
            Action::See
            | Action::Submit
            | Action::Cancel { .. }
            | Action::MaintainBoard
            | Action::ManageDispatchers
            | Action::SeeLabFiles
            | Action::ApplyLab
            | Action::ManageUsers
            | Action::MakeLoginLink { .. }
            | Action::ManageTokens { .. }
            | Action::ManageWebhooks
            | Action::ReadAudit
            | Action::Dispatch { .. } => action,
        };
        [
            Action::See,
            Action::Submit,
            Action::Cancel { submitter: ann },
            Action::MaintainBoard,
            Action::ManageDispatchers,
            Action::SeeLabFiles,
            Action::ApplyLab,
            Action::ManageUsers,
            Action::MakeLoginLink { user: ann },
            Action::ManageTokens { user: ann },
            Action::ManageWebhooks,
            Action::ReadAudit,
            Action::Dispatch { dispatcher: main },
        ]
        .map(known)
        .to_vec()
    }

    #[test]
    fn everybody_may_what_the_table_says_and_nothing_else() {
        let ann = UserName::new("ann");
        let main = DispatcherName::new("main");
        let user = |name: &str, role| Actor::User {
            name: UserName::new(name),
            role,
        };
        let actors = [
            Actor::System,
            user("root", Role::Administrator),
            user("ann", Role::User),
            user("ben", Role::User),
            Actor::Dispatcher(main.clone()),
            Actor::Dispatcher(DispatcherName::new("rack-2")),
            Actor::Anonymous,
        ];
        // Columns: system, administrator, ann herself, another user, main itself, another
        // dispatcher, nobody.
        let table = [
            "see this lab                    yyyy...",
            "submit jobs                     yyyy...",
            "cancel another's job            yyy....",
            "change a board's service        yy.....",
            "manage dispatchers              yy.....",
            "see the lab's files             yy.....",
            "apply a lab                     yy.....",
            "manage accounts                 yy.....",
            "make another's login link       yyy....",
            "manage another's tokens         yyy....",
            "manage webhooks                 yy.....",
            "read the audit                  yy.....",
            "serve this dispatcher's boards  y...y..",
        ];
        let actual: Vec<String> = actions(&ann, &main)
            .into_iter()
            .map(|action| {
                let marks: String = actors
                    .iter()
                    .map(|actor| match authorize(actor, action) {
                        Ok(()) => 'y',
                        Err(_) => '.',
                    })
                    .collect();
                format!("{:<32}{marks}", action.words())
            })
            .collect();
        assert_eq!(actual, table);
    }

    #[test]
    fn a_refusal_says_who_may_not_do_what() {
        let refusal = authorize(&Actor::Anonymous, Action::See).unwrap_err();
        assert_eq!(refusal.to_string(), "anonymous may not see this lab");
        assert!(refusal.anonymous);
    }
}
