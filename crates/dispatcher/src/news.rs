//! What happens to a dispatcher's link, told to whoever runs it: a person at a terminal, a log.

use std::fmt;
use std::sync::Arc;

use basalt_model::BoardName;

/// The lab that a dispatcher serves its part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The lab's name.
    pub lab: String,
    /// Its revision.
    pub revision: i64,
    /// The boards of this dispatcher.
    pub boards: Vec<BoardName>,
}

/// What happens to a dispatcher's link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkNews {
    /// The server has let it in. Nothing is in force where what the server sent cannot be read here.
    Connected(Option<InForce>),
    /// Another revision of the lab is in force.
    Lab(InForce),
    /// The link is gone; the server is dialled again.
    Lost(String),
    /// The server is not reached, said once; it is tried on.
    Unreached(String),
    /// The server does not let it in any more, said once; it is tried on, seldom.
    Refused(String),
}

/// Who is told. It is called where the dispatcher does its work, so it must not wait.
#[derive(Clone, Default)]
pub struct Listener(Option<Arc<dyn Fn(LinkNews) + Send + Sync>>);

impl Listener {
    /// Tells this one.
    pub fn new(listener: impl Fn(LinkNews) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    pub(crate) fn tell(&self, news: LinkNews) {
        if let Some(listener) = &self.0 {
            listener(news);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listener").field(&self.0.is_some()).finish()
    }
}
