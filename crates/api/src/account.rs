//! Accounts, tokens, login links, and who did what.

use std::fmt;

use basalt_model::{Role, UserName, UtcMicros};
use serde::{Deserialize, Serialize};

/// How somebody proved who he is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// By a token in the `Authorization` header.
    Token,
    /// By the session of a browser.
    Session,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    /// The account.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: UserName,
    /// What it may do.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Role))]
    pub role: Role,
    /// How he proved it.
    pub via: Via,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: UserName,
    /// What it may do.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Role))]
    pub role: Role,
    /// It may not be used any more.
    pub disabled: bool,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub created_utc_us: UtcMicros,
}

/// An account to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Its name: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, beginning with a letter or digit.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: UserName,
    /// What it may do.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Role))]
    pub role: Role,
}

/// A change of an account; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct UserChange {
    /// What it may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Role>))]
    pub role: Option<Role>,
    /// It may not be used any more: its tokens and sessions end at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// A token; its secret is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// Whose it is.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub user: UserName,
    /// What its owner calls it.
    pub label: String,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub created_utc_us: UtcMicros,
    /// When it was used last, to about a minute; absent if never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub used_utc_us: Option<UtcMicros>,
    /// When it ends; never without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub expires_utc_us: Option<UtcMicros>,
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What to call it: `ci of project x`.
    pub label: String,
    /// Whose it shall be; whoever asks without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub user: Option<UserName>,
    /// When it shall end; never without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub expires_utc_us: Option<UtcMicros>,
}

/// Whose tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct TokenQuery {
    /// This account's; those of whoever asks without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>))]
    pub user: Option<UserName>,
}

/// A new token with its secret, which is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedToken {
    /// The token.
    pub token: Token,
    /// What stands after `Authorization: Bearer`.
    pub secret: String,
}

/// For whom a login link shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct NewLoginLink {
    /// The account; whoever asks without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub user: Option<UserName>,
}

/// A link that logs a browser in, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoginLink {
    /// Whom.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub user: UserName,
    /// What to open.
    pub url: String,
    /// When it ends, used or not.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub expires_utc_us: UtcMicros,
}

/// Who did what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Its number: higher ones came later.
    pub id: i64,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub utc_us: UtcMicros,
    /// Who: an account, `dispatcher NAME` or `system`.
    pub actor: String,
    /// What: `job.cancel`, `lab.apply`, ….
    pub action: String,
    /// To what: a job's number, a board's name, ….
    pub subject: String,
    /// More about it.
    pub detail: String,
}

// Secrets do not get into logs by way of `{:?}`.

impl fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedToken")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for LoginLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginLink")
            .field("user", &self.user)
            .field("expires_utc_us", &self.expires_utc_us)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for crate::DispatcherToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DispatcherToken")
            .field("dispatcher", &self.dispatcher)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for crate::CreatedWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedWebhook")
            .field("webhook", &self.webhook)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_stands_in_json_and_not_in_debug_output() {
        let created = CreatedToken {
            token: Token {
                id: 1,
                user: UserName::new("ann"),
                label: "ci".into(),
                created_utc_us: UtcMicros(1),
                used_utc_us: None,
                expires_utc_us: None,
            },
            secret: "hidden-thing".into(),
        };
        assert!(!format!("{created:?}").contains("hidden-thing"));
        assert!(
            serde_json::to_string(&created)
                .unwrap()
                .contains("hidden-thing")
        );
        let link = LoginLink {
            user: UserName::new("ann"),
            url: "http://lab/login?token=hidden-thing".into(),
            expires_utc_us: UtcMicros(1),
        };
        assert!(!format!("{link:?}").contains("hidden-thing"));
    }

    #[test]
    fn a_misspelt_field_of_a_request_is_refused() {
        let error = serde_json::from_str::<NewToken>(r#"{"label": "ci", "expires": 7}"#);
        assert!(error.unwrap_err().to_string().contains("`expires`"));
    }
}
