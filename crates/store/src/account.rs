//! Users, their tokens, and login links that work once.
//!
//! Only hashes of tokens and links are stored. Who may do what is decided elsewhere.

use basalt_model::{DispatcherName, Role, Sha256, UserName, UtcMicros};

use crate::database::one;
use crate::database::value::{Row, values};
use crate::error::unknown;
use crate::statements::account as sql;
use crate::statements::lab;
use crate::words::words;
use crate::{Store, StoreError};

/// The use of a token is noted this often at most.
const USE_NOTED_EVERY_US: i64 = 60_000_000;

/// The key of a user's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub i64);

/// The key of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub i64);

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its key.
    pub id: UserId,
    /// Its name, unique.
    pub name: UserName,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created: UtcMicros,
    /// It may not log in any more.
    pub disabled: bool,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A browser's session.
    Session,
    /// A program's.
    Api,
    /// A dispatcher's link.
    Dispatcher,
}

words!(TokenKind {
    Session = "session",
    Api = "api",
    Dispatcher = "dispatcher",
});

/// Whose a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenOwner {
    /// An account's.
    User(User),
    /// A dispatcher's.
    Dispatcher(DispatcherName),
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its key.
    pub id: TokenId,
    /// What it is for.
    pub kind: TokenKind,
    /// What its maker calls it.
    pub label: String,
    /// Whose it is.
    pub owner: TokenOwner,
    /// When it was made.
    pub created: UtcMicros,
    /// From when on it is void; `None`: never.
    pub expires: Option<UtcMicros>,
    /// When it was used last, at most a minute late.
    pub last_used: Option<UtcMicros>,
    /// When it was revoked.
    pub revoked: Option<UtcMicros>,
}

/// Whom a new token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewTokenOwner {
    /// An account.
    User(UserId),
    /// A dispatcher of the lab.
    Dispatcher(DispatcherName),
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it is for.
    pub kind: TokenKind,
    /// What its maker calls it.
    pub label: String,
    /// Whose it is.
    pub owner: NewTokenOwner,
    /// SHA-256 of its secret.
    pub hash: Sha256,
    /// From when on it is void.
    pub expires: Option<UtcMicros>,
}

impl Store {
    /// Makes an account; `None` if the name is taken.
    pub async fn create_user(
        &self,
        name: &UserName,
        role: Role,
        now: UtcMicros,
    ) -> Result<Option<User>, StoreError> {
        let mut transaction = self.database().write("create a user").await?;
        let row = transaction
            .row(sql::USER_INSERT, values![name, role, now])
            .await?;
        transaction.commit().await?;
        row.map(user).transpose()
    }

    /// Makes the first account, an administrator; `None` if there is any account already.
    pub async fn create_first_administrator(
        &self,
        name: &UserName,
        now: UtcMicros,
    ) -> Result<Option<User>, StoreError> {
        let mut transaction = self.database().write("create the administrator").await?;
        let count: i64 = one(transaction.row(sql::USER_ANY, values![]).await?)?.take()?;
        if count > 0 {
            transaction.roll_back().await?;
            return Ok(None);
        }
        let row = transaction
            .row(sql::USER_INSERT, values![name, Role::Administrator, now])
            .await?;
        transaction.commit().await?;
        row.map(user).transpose()
    }

    /// Changes an account; what is `None` stays. `None` if there is none of this name.
    pub async fn change_user(
        &self,
        name: &UserName,
        role: Option<Role>,
        disabled: Option<bool>,
    ) -> Result<Option<User>, StoreError> {
        let mut transaction = self.database().write("change a user").await?;
        let row = transaction
            .row(sql::USER_CHANGE, values![name, role, disabled])
            .await?;
        transaction.commit().await?;
        row.map(user).transpose()
    }

    /// An account by its name.
    pub async fn user(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        let rows = self.database();
        let row = rows.row("read a user", sql::USER_BY_NAME, values![name]);
        row.await?.map(user).transpose()
    }

    /// All accounts by name.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        let rows = self.database();
        let rows = rows.rows("list users", sql::USERS, values![]).await?;
        rows.into_iter().map(user).collect()
    }

    /// Stores a token.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if its owner does not exist.
    pub async fn create_token(
        &self,
        token: &NewToken,
        now: UtcMicros,
    ) -> Result<TokenId, StoreError> {
        let mut transaction = self.database().write("create a token").await?;
        let (user, dispatcher) = match &token.owner {
            NewTokenOwner::User(user) => {
                let row = transaction.row(sql::USER_BY_ID, values![user.0]).await?;
                row.ok_or_else(|| unknown("user", user.0))?;
                (Some(user.0), None)
            }
            NewTokenOwner::Dispatcher(name) => {
                let row = transaction
                    .row(lab::DISPATCHER_BY_NAME, values![name])
                    .await?;
                let mut row = row.ok_or_else(|| unknown("dispatcher", name))?;
                (None, Some(row.take::<i64>()?))
            }
        };
        let row = transaction
            .row(
                sql::TOKEN_INSERT,
                values![
                    token.kind.as_str(),
                    &token.label,
                    user,
                    dispatcher,
                    token.hash,
                    now,
                    token.expires,
                ],
            )
            .await?;
        let id = one(row)?.take()?;
        transaction.commit().await?;
        Ok(TokenId(id))
    }

    /// The token with this hash, if it is neither revoked nor void and its owner may log in.
    /// Notes its use, at most once a minute.
    pub async fn token_by_hash(
        &self,
        hash: Sha256,
        now: UtcMicros,
    ) -> Result<Option<Token>, StoreError> {
        const DOING: &str = "find a token";
        let row = self
            .database()
            .row(DOING, sql::TOKEN_BY_HASH, values![hash, now])
            .await?;
        let Some(mut found) = row.map(token).transpose()? else {
            return Ok(None);
        };
        if found
            .last_used
            .is_none_or(|used| now.0 - used.0 >= USE_NOTED_EVERY_US)
        {
            match self.note_use(found.id, now).await {
                Ok(()) => found.last_used = Some(now),
                // Whoever is let in can still read.
                Err(error) if error.is_full() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(found))
    }

    async fn note_use(&self, token: TokenId, now: UtcMicros) -> Result<(), StoreError> {
        let mut transaction = self.database().write_apart("note a token's use").await?;
        transaction
            .execute(sql::TOKEN_USED, values![token.0, now])
            .await?;
        transaction.commit().await
    }

    /// Tokens, newest first: of one account, or all. Revoked and void ones too.
    pub async fn tokens(&self, user: Option<UserId>) -> Result<Vec<Token>, StoreError> {
        const DOING: &str = "list tokens";
        let rows = match user {
            Some(user) => {
                let rows = self.database();
                rows.rows(DOING, sql::TOKENS_OF_USER, values![user.0]).await
            }
            None => self.database().rows(DOING, sql::TOKENS, values![]).await,
        };
        rows?.into_iter().map(token).collect()
    }

    /// Makes a token void from now on; `false` if there is none such that still is valid.
    pub async fn revoke_token(&self, token: TokenId, now: UtcMicros) -> Result<bool, StoreError> {
        let mut transaction = self.database().write_apart("revoke a token").await?;
        let count = transaction
            .execute(sql::TOKEN_REVOKE, values![token.0, now])
            .await?;
        transaction.commit().await?;
        Ok(count > 0)
    }

    /// Stores a login link by the hash of its secret.
    pub async fn create_login_link(
        &self,
        user: UserId,
        hash: Sha256,
        expires: UtcMicros,
        now: UtcMicros,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database().write_apart("create a login link").await?;
        transaction
            .execute(sql::LOGIN_LINK_INSERT, values![hash, user.0, now, expires])
            .await?;
        transaction.commit().await
    }

    /// Uses a login link up: makes a session of its user with this hash, unless the link is
    /// unknown, void or used. Of several callers at once, one gets the session.
    pub async fn redeem_login_link(
        &self,
        link: Sha256,
        session: Sha256,
        session_expires: UtcMicros,
        now: UtcMicros,
    ) -> Result<Option<User>, StoreError> {
        let mut transaction = self.database().write("redeem a login link").await?;
        let used = transaction
            .row(sql::LOGIN_LINK_USE, values![link, now])
            .await?;
        let Some(mut used) = used else {
            transaction.roll_back().await?;
            return Ok(None);
        };
        let id: i64 = used.take()?;
        let row = transaction.row(sql::USER_BY_ID, values![id]).await?;
        let user = user(one(row)?)?;
        if user.disabled {
            transaction.roll_back().await?;
            return Ok(None);
        }
        let kind = TokenKind::Session.as_str();
        let none: Option<i64> = None;
        transaction
            .row(
                sql::TOKEN_INSERT,
                values![kind, "login link", id, none, session, now, session_expires],
            )
            .await?;
        transaction.commit().await?;
        Ok(Some(user))
    }
}

fn user(mut row: Row) -> Result<User, StoreError> {
    user_columns(&mut row)
}

fn user_columns(row: &mut Row) -> Result<User, StoreError> {
    Ok(User {
        id: UserId(row.take()?),
        name: row.take()?,
        role: row.take()?,
        created: row.take()?,
        disabled: row.take()?,
    })
}

fn token(mut row: Row) -> Result<Token, StoreError> {
    Ok(Token {
        id: TokenId(row.take()?),
        kind: row.take()?,
        label: row.take()?,
        created: row.take()?,
        expires: row.take()?,
        last_used: row.take()?,
        revoked: row.take()?,
        owner: match row.take()? {
            Some(dispatcher) => TokenOwner::Dispatcher(dispatcher),
            None => TokenOwner::User(user_columns(&mut row)?),
        },
    })
}
