//! Users, their tokens, and login links that work once.
//!
//! Only hashes of tokens and links are stored. Who may do what is decided elsewhere.

use basalt_model::{DispatcherName, Role, Sha256, UserName, UtcMicros};

use crate::{Store, StoreError};

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

impl TokenKind {
    /// The word in the database and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Api => "api",
            Self::Dispatcher => "dispatcher",
        }
    }
}

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
        Err(StoreError::NotYet)
    }

    /// Makes the first account, an administrator; `None` if there is any account already.
    pub async fn create_first_administrator(
        &self,
        name: &UserName,
        now: UtcMicros,
    ) -> Result<Option<User>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// An account by its name.
    pub async fn user(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// All accounts by name.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        Err(StoreError::NotYet)
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
        Err(StoreError::NotYet)
    }

    /// The token with this hash, if it is neither revoked nor void and its owner may log in.
    /// Notes its use, at most once a minute.
    pub async fn token_by_hash(
        &self,
        hash: Sha256,
        now: UtcMicros,
    ) -> Result<Option<Token>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Tokens, newest first: of one account, or all. Revoked and void ones too.
    pub async fn tokens(&self, user: Option<UserId>) -> Result<Vec<Token>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Makes a token void from now on; `false` if there is none such that still is valid.
    pub async fn revoke_token(&self, token: TokenId, now: UtcMicros) -> Result<bool, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Stores a login link by the hash of its secret.
    pub async fn create_login_link(
        &self,
        user: UserId,
        hash: Sha256,
        expires: UtcMicros,
        now: UtcMicros,
    ) -> Result<(), StoreError> {
        Err(StoreError::NotYet)
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
        Err(StoreError::NotYet)
    }
}
