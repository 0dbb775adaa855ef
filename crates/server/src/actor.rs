//! Who asks.

use basalt_model::{DispatcherName, Role, UserName};

/// Who asks for something. Made where a request comes in ([`crate::http`], the link), from a token
/// or session that the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Nobody who could say who he is.
    Anonymous,
    /// A person or a program with an account.
    User {
        /// The account.
        name: UserName,
        /// What it may do.
        role: Role,
    },
    /// A dispatcher, on its link.
    Dispatcher(DispatcherName),
    /// The server itself: what its configuration says at start, and its own tasks.
    System,
}

impl Actor {
    /// The account's name, for whoever has one.
    pub fn user(&self) -> Option<&UserName> {
        match self {
            Self::User { name, .. } => Some(name),
            _ => None,
        }
    }

    /// How the audit and the boards' history call him.
    pub fn label(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".into(),
            Self::User { name, .. } => name.to_string(),
            Self::Dispatcher(name) => format!("dispatcher {name}"),
            Self::System => "system".into(),
        }
    }
}
