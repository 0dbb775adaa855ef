//! Dispatchers: added, looked at, taken out of service.

use basalt_api::{Dispatcher, DispatcherToken, ModeChange};
use basalt_model::{DispatcherName, DispatcherState, UtcMicros};
use basalt_store::{NewToken, NewTokenOwner, TokenKind, TokenOwner};

use super::patiently;
use crate::actor::Actor;
use crate::app::App;
use crate::authorize::{Action, authorize};
use crate::error::UseCaseError;
use crate::link_endpoint;
use crate::scheduling::Message;
use crate::secret;

impl App {
    /// Every dispatcher of the lab, by name.
    ///
    /// # Errors
    /// He may not.
    pub async fn dispatchers(&self, actor: &Actor) -> Result<Vec<Dispatcher>, UseCaseError> {
        authorize(actor, Action::See)?;
        let runs = self.store.open_runs().await?;
        let lab = self.lab();
        let all = self.store.dispatchers().await?;
        let views = all.iter().map(|one| {
            let standing = self.registry.standing(&one.name);
            let (state, mode) = self.state_of(&one.name, &all);
            let ever = one.last_seen.is_some() || one.build.is_some();
            let runs = runs.iter().filter(|run| run.dispatcher == one.name).count();
            Dispatcher {
                name: one.name.clone(),
                state,
                state_since_utc_us: ever.then_some(one.state_since),
                mode,
                mode_by: one.mode_set_by.clone(),
                mode_reason: one.mode_reason.clone(),
                heard_utc_us: standing.heard.or(one.last_seen),
                build: one.build.clone(),
                revision: standing.revision,
                problems: problems(standing.problems, standing.closed),
                boards: u32::try_from(lab.lab.boards_of(&one.name).count()).unwrap_or(u32::MAX),
                runs: u32::try_from(runs).unwrap_or(u32::MAX),
                embedded: self.embedded.as_ref() == Some(&one.name),
            }
        });
        Ok(views.collect())
    }

    /// Gives a dispatcher of the lab a token; the ones before end.
    ///
    /// # Errors
    /// He may not, the lab has no such dispatcher, or it is the one beside this server.
    pub async fn add_dispatcher(
        &self,
        actor: &Actor,
        name: &DispatcherName,
    ) -> Result<DispatcherToken, UseCaseError> {
        authorize(actor, Action::ManageDispatchers)?;
        if self.lab().lab.dispatcher(name).is_none() {
            return Err(UseCaseError::Conflict {
                message: format!("the lab has no dispatcher {name}"),
                hint: Some(format!(
                    "describe it in the lab's `dispatchers/{name}.yaml`, apply the lab, and ask again"
                )),
            });
        }
        if self.embedded.as_ref() == Some(name) {
            return Err(UseCaseError::Conflict {
                message: format!(
                    "the dispatcher {name} is beside this server, which makes its token itself"
                ),
                hint: Some(
                    "a dispatcher elsewhere needs a name and a file of its own below `dispatchers/`"
                        .into(),
                ),
            });
        }
        let token = self.new_dispatcher_token(name).await?;
        let detail = "{}";
        self.store
            .note(
                &actor.label(),
                "dispatcher.token",
                name.as_str(),
                detail,
                self.now(),
            )
            .await?;
        Ok(token)
    }

    /// Makes a dispatcher's token, and revokes those before it.
    pub(crate) async fn new_dispatcher_token(
        &self,
        name: &DispatcherName,
    ) -> Result<DispatcherToken, UseCaseError> {
        let secret = new_secret("basalt_dispatcher")?;
        let new = NewToken {
            kind: TokenKind::Dispatcher,
            label: format!("dispatcher {name}"),
            owner: NewTokenOwner::Dispatcher(name.clone()),
            hash: secret::hash(&secret),
            expires: None,
        };
        let made = self.store.create_token(&new, self.now()).await?;
        for token in self.store.tokens(None).await? {
            let its = matches!(&token.owner, TokenOwner::Dispatcher(owner) if owner == name);
            if its && token.id != made && token.revoked.is_none() {
                self.store.revoke_token(token.id, self.now()).await?;
            }
        }
        // Whoever is connected is so by one of those.
        self.registry.send(name, link_endpoint::token_ended());
        Ok(DispatcherToken {
            version: 1,
            dispatcher: name.clone(),
            token: secret,
            certificate_sha256: self.certificate_sha256.clone(),
        })
    }

    /// Changes whether a dispatcher gets new runs. Those that it has go on.
    ///
    /// # Errors
    /// He may not, or there is no such dispatcher.
    pub async fn set_dispatcher_mode(
        &self,
        actor: &Actor,
        name: &DispatcherName,
        change: &ModeChange,
    ) -> Result<Dispatcher, UseCaseError> {
        authorize(actor, Action::ManageDispatchers)?;
        let who = actor.label();
        let feed = patiently!(self.store.set_dispatcher_mode(
            name,
            change.mode,
            change.reason.as_deref(),
            &who,
            self.now(),
        ));
        self.tell_feed(&feed?);
        self.scheduling
            .tell(Message::Dispatcher(name.clone()))
            .await;
        let all = self.dispatchers(actor).await?;
        all.into_iter()
            .find(|one| one.name == *name)
            .ok_or_else(|| UseCaseError::not_found("dispatcher", name))
    }

    /// Whether a dispatcher is connected.
    pub fn is_connected(&self, name: &DispatcherName) -> bool {
        self.state_of(name, &[]).0 == DispatcherState::Online
    }
}

/// A new secret, or why there is none.
pub(super) fn new_secret(prefix: &str) -> Result<String, UseCaseError> {
    secret::new(prefix).map_err(|error| UseCaseError::Internal {
        message: format!("no random bytes: {error}"),
    })
}

/// What is wrong with a dispatcher, each in a sentence.
fn problems(of_lab: Vec<String>, closed: Option<(String, UtcMicros)>) -> Vec<String> {
    let closed = closed.map(|(reason, _)| format!("it takes no runs: {reason}"));
    closed.into_iter().chain(of_lab).collect()
}
