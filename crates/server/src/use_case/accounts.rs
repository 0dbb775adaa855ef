//! Accounts, tokens, sessions, login links, and who did what.

use basalt_api::{
    AuditEntry, CreatedToken, LoginLink, NewToken, NewUser, Page, PageQuery, Token, User,
    UserChange,
};
use basalt_model::{Role, UserName, UtcMicros};
use basalt_store::{NewTokenOwner, TokenId, TokenKind, TokenOwner};

use super::dispatchers::new_secret;
use super::page;
use crate::actor::Actor;
use crate::app::App;
use crate::authorize::{Action, authorize};
use crate::error::UseCaseError;
use crate::link_endpoint;
use crate::secret;

/// The account that the first start makes.
pub(crate) const FIRST_ADMINISTRATOR: &str = "admin";

/// How long a login link works, microseconds.
const LINK_TIME_US: i64 = 3_600_000_000;
/// How long a session lasts, microseconds.
const SESSION_TIME_US: i64 = 30 * 24 * 3_600_000_000;
const LONGEST_NAME: usize = 64;
const LONGEST_LABEL: usize = 100;

impl App {
    /// Whose token this is: nobody's if it is unknown, revoked or void.
    ///
    /// # Errors
    /// The store is away.
    pub async fn authenticate(&self, token: &str) -> Result<Actor, UseCaseError> {
        self.owner_of(token, TokenKind::Api).await
    }

    /// Whose session this is, likewise.
    ///
    /// # Errors
    /// The store is away.
    pub async fn session(&self, secret: &str) -> Result<Actor, UseCaseError> {
        self.owner_of(secret, TokenKind::Session).await
    }

    async fn owner_of(&self, secret: &str, kind: TokenKind) -> Result<Actor, UseCaseError> {
        let token = self
            .store
            .token_by_hash(secret::hash(secret), self.now())
            .await?;
        Ok(match token.filter(|token| token.kind == kind) {
            Some(token) => match token.owner {
                TokenOwner::User(user) => Actor::User {
                    name: user.name,
                    role: user.role,
                },
                TokenOwner::Dispatcher(name) => Actor::Dispatcher(name),
            },
            None => Actor::Anonymous,
        })
    }

    /// Uses a login link up: the session's secret, and who logged in.
    ///
    /// # Errors
    /// [`UseCaseError::Conflict`] if the link is unknown, void, or was used.
    pub async fn begin_session(&self, login_token: &str) -> Result<(String, Actor), UseCaseError> {
        let session = new_secret("basalt_session")?;
        let now = self.now();
        let user = self
            .store
            .redeem_login_link(
                secret::hash(login_token),
                secret::hash(&session),
                UtcMicros(now.0 + SESSION_TIME_US),
                now,
            )
            .await?;
        let user = user.ok_or_else(|| UseCaseError::Conflict {
            message: "this login link is unknown, too old, or was used already".into(),
            hint: Some("`basalt login-link` makes another".into()),
        })?;
        tracing::info!(user.name = %user.name, "somebody logged in");
        let actor = Actor::User {
            name: user.name,
            role: user.role,
        };
        Ok((session, actor))
    }

    /// Ends a session; nothing happens if there is none.
    ///
    /// # Errors
    /// The store is away.
    pub async fn end_session(&self, secret: &str) -> Result<(), UseCaseError> {
        let token = self
            .store
            .token_by_hash(secret::hash(secret), self.now())
            .await?;
        if let Some(token) = token.filter(|token| token.kind == TokenKind::Session) {
            self.store.revoke_token(token.id, self.now()).await?;
        }
        Ok(())
    }

    /// Every account, by name.
    ///
    /// # Errors
    /// He may not.
    pub async fn users(&self, actor: &Actor) -> Result<Vec<User>, UseCaseError> {
        authorize(actor, Action::ManageUsers)?;
        let users = self.store.users().await?;
        Ok(users.into_iter().map(user).collect())
    }

    /// Makes an account.
    ///
    /// # Errors
    /// The name is none, or taken.
    pub async fn add_user(&self, actor: &Actor, new: &NewUser) -> Result<User, UseCaseError> {
        authorize(actor, Action::ManageUsers)?;
        check_name(&new.name)?;
        let made = self
            .store
            .create_user(&new.name, new.role, self.now())
            .await?;
        let made = made.ok_or_else(|| {
            UseCaseError::conflict(format!("there is an account {} already", new.name))
        })?;
        let detail = serde_json::json!({ "role": new.role }).to_string();
        self.audit_note(actor, "user.add", new.name.as_str(), &detail)
            .await?;
        Ok(user(made))
    }

    /// Changes an account.
    ///
    /// # Errors
    /// There is none of this name, or it is the asker's own: nobody locks himself out.
    pub async fn change_user(
        &self,
        actor: &Actor,
        name: &UserName,
        change: &UserChange,
    ) -> Result<User, UseCaseError> {
        authorize(actor, Action::ManageUsers)?;
        let loses = change.disabled == Some(true)
            || change.role.is_some_and(|role| role != Role::Administrator);
        if actor.user() == Some(name) && loses {
            return Err(UseCaseError::conflict(
                "nobody takes his own account out of service; another administrator can",
            ));
        }
        let changed = self
            .store
            .change_user(name, change.role, change.disabled)
            .await?;
        let changed = changed.ok_or_else(|| UseCaseError::not_found("account", name))?;
        let detail =
            serde_json::json!({ "role": change.role, "disabled": change.disabled }).to_string();
        self.audit_note(actor, "user.change", name.as_str(), &detail)
            .await?;
        Ok(user(changed))
    }

    async fn audit_note(
        &self,
        actor: &Actor,
        what: &str,
        target: &str,
        detail: &str,
    ) -> Result<(), UseCaseError> {
        let actor = actor.label();
        self.store
            .note(&actor, what, target, detail, self.now())
            .await?;
        Ok(())
    }

    /// Tokens that are valid, the newest first: an account's, or the asker's own.
    ///
    /// # Errors
    /// He may not, or there is no such account.
    pub async fn tokens(
        &self,
        actor: &Actor,
        of: Option<&UserName>,
    ) -> Result<Vec<Token>, UseCaseError> {
        let owner = self.account(actor, of).await?;
        authorize(actor, Action::ManageTokens { user: &owner.name })?;
        let now = self.now();
        let tokens = self.store.tokens(Some(owner.id)).await?;
        let valid = tokens.into_iter().filter(|token| {
            token.kind == TokenKind::Api
                && token.revoked.is_none()
                && token.expires.is_none_or(|end| end > now)
        });
        Ok(valid.map(|token| view_token(token, &owner.name)).collect())
    }

    /// Makes a token.
    ///
    /// # Errors
    /// He may not, or there is no such account.
    pub async fn create_token(
        &self,
        actor: &Actor,
        new: &NewToken,
    ) -> Result<CreatedToken, UseCaseError> {
        let owner = self.account(actor, new.user.as_ref()).await?;
        authorize(actor, Action::ManageTokens { user: &owner.name })?;
        let label: String = new
            .label
            .chars()
            .filter(|one| !one.is_control())
            .take(LONGEST_LABEL)
            .collect();
        if label.trim().is_empty() {
            return Err(UseCaseError::bad_request(
                "a token needs a label that says what it is for",
            ));
        }
        let now = self.now();
        if new.expires_utc_us.is_some_and(|end| end <= now) {
            return Err(UseCaseError::bad_request(
                "the token would have ended already",
            ));
        }
        let secret = new_secret("basalt")?;
        let id = self
            .store
            .create_token(
                &basalt_store::NewToken {
                    kind: TokenKind::Api,
                    label: label.clone(),
                    owner: NewTokenOwner::User(owner.id),
                    hash: secret::hash(&secret),
                    expires: new.expires_utc_us,
                },
                now,
            )
            .await?;
        self.audit_note(actor, "token.add", owner.name.as_str(), "{}")
            .await?;
        Ok(CreatedToken {
            token: Token {
                id: id.0,
                user: owner.name,
                label,
                created_utc_us: now,
                used_utc_us: None,
                expires_utc_us: new.expires_utc_us,
            },
            secret,
        })
    }

    /// Ends a token.
    ///
    /// # Errors
    /// He may not, or there is no such token.
    pub async fn revoke_token(&self, actor: &Actor, id: i64) -> Result<(), UseCaseError> {
        authorize(actor, Action::See)?;
        let missing = || UseCaseError::not_found("token", id);
        let tokens = self.store.tokens(None).await?;
        let token = tokens.into_iter().find(|token| token.id == TokenId(id));
        let token = token.ok_or_else(missing)?;
        match &token.owner {
            TokenOwner::User(user) => {
                authorize(actor, Action::ManageTokens { user: &user.name })?;
            }
            TokenOwner::Dispatcher(_) => authorize(actor, Action::ManageDispatchers)?,
        }
        if !self.store.revoke_token(token.id, self.now()).await? {
            return Err(missing());
        }
        if let TokenOwner::Dispatcher(name) = &token.owner {
            self.registry.send(name, link_endpoint::token_ended());
        }
        self.audit_note(actor, "token.revoke", &id.to_string(), "{}")
            .await
    }

    /// Makes a link that logs a browser in, once.
    ///
    /// # Errors
    /// He may not, or there is no such account.
    pub async fn login_link(
        &self,
        actor: &Actor,
        of: Option<&UserName>,
    ) -> Result<LoginLink, UseCaseError> {
        let owner = self.account(actor, of).await?;
        authorize(actor, Action::MakeLoginLink { user: &owner.name })?;
        let secret = new_secret("basalt_login")?;
        let now = self.now();
        let expires = UtcMicros(now.0 + LINK_TIME_US);
        self.store
            .create_login_link(owner.id, secret::hash(&secret), expires, now)
            .await?;
        Ok(LoginLink {
            user: owner.name,
            url: format!("{}/login?token={secret}", self.public_url),
            expires_utc_us: expires,
        })
    }

    /// An account by its name, or the asker's own. Whoever may see nothing learns no names.
    async fn account(
        &self,
        actor: &Actor,
        name: Option<&UserName>,
    ) -> Result<basalt_store::User, UseCaseError> {
        authorize(actor, Action::See)?;
        let name = name
            .or(actor.user())
            .ok_or_else(|| UseCaseError::bad_request("say which account"))?;
        let user = self.store.user(name).await?;
        user.ok_or_else(|| UseCaseError::not_found("account", name))
    }

    /// Who did what, the newest first.
    ///
    /// # Errors
    /// He may not.
    pub async fn audit(
        &self,
        actor: &Actor,
        query: &PageQuery,
    ) -> Result<Page<AuditEntry>, UseCaseError> {
        authorize(actor, Action::ReadAudit)?;
        let (before, limit) = page(query)?;
        let entries = self.store.audit(before, limit).await?;
        let next = (entries.len() >= limit as usize)
            .then(|| entries.last().map(|entry| entry.id.to_string()))
            .flatten();
        let items = entries.into_iter().map(|entry| AuditEntry {
            id: entry.id,
            utc_us: entry.at,
            actor: entry.actor,
            action: entry.action,
            subject: entry.target,
            detail: entry.detail,
        });
        Ok(Page {
            items: items.collect(),
            next,
        })
    }
}

fn user(user: basalt_store::User) -> User {
    User {
        name: user.name,
        role: user.role,
        disabled: user.disabled,
        created_utc_us: user.created,
    }
}

fn view_token(token: basalt_store::Token, owner: &UserName) -> Token {
    Token {
        id: token.id.0,
        user: owner.clone(),
        label: token.label,
        created_utc_us: token.created,
        used_utc_us: token.last_used,
        expires_utc_us: token.expires,
    }
}

/// 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, beginning with a letter or digit.
fn check_name(name: &UserName) -> Result<(), UseCaseError> {
    let text = name.as_str();
    let starts_well =
        text.starts_with(|one: char| one.is_ascii_lowercase() || one.is_ascii_digit());
    let plain = text.len() <= LONGEST_NAME
        && text.chars().all(|one| {
            one.is_ascii_lowercase() || one.is_ascii_digit() || matches!(one, '.' | '_' | '-')
        });
    if starts_well && plain {
        return Ok(());
    }
    Err(UseCaseError::BadRequest {
        message: format!("{text:?} is no name of an account"),
        hint: Some(
            "use 1 to 64 of a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit".into(),
        ),
    })
}
