//! Accounts, tokens, login links, and who did what.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use basalt_api::{
    AuditEntry, CreatedToken, LoginLink, Me, NewLoginLink, NewToken, NewUser, Page, PageQuery,
    Token, TokenQuery, User, UserChange,
};
use basalt_model::UserName;

use super::auth::Caller;
use super::extract::{Json, OptionalJson, Path, Query};
use super::problem::{ApiProblem, ProblemKind};
use crate::{Actor, App};

/// Who asks.
#[utoipa::path(get, path = "/api/v1/me", tag = "accounts", responses((status = 200, body = Me)))]
pub(super) async fn me(caller: Caller) -> Result<axum::Json<Me>, ApiProblem> {
    match (caller.actor, caller.via) {
        (Actor::User { name, role }, Some(via)) => Ok(axum::Json(Me { name, role, via })),
        (Actor::Anonymous, _) => Err(ApiProblem::new(
            ProblemKind::NotLoggedIn,
            "nobody knows who asks",
        )),
        (actor, _) => Err(ApiProblem::new(
            ProblemKind::Forbidden,
            format!("{} has no account", actor.label()),
        )
        .hint("use an account's token")),
    }
}

/// Every account, by name.
#[utoipa::path(get, path = "/api/v1/users", tag = "accounts",
    responses((status = 200, body = Page<User>)))]
pub(super) async fn users(
    State(app): State<App>,
    caller: Caller,
) -> Result<axum::Json<Page<User>>, ApiProblem> {
    Ok(axum::Json(Page::whole(app.users(&caller.actor).await?)))
}

/// Makes an account.
#[utoipa::path(post, path = "/api/v1/users", tag = "accounts", request_body = NewUser,
    responses((status = 201, body = User)))]
pub(super) async fn add_user(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewUser>,
) -> Result<Response, ApiProblem> {
    let user = app.add_user(&caller.actor, &new).await?;
    Ok((StatusCode::CREATED, axum::Json(user)).into_response())
}

/// Changes an account.
#[utoipa::path(patch, path = "/api/v1/users/{name}", tag = "accounts",
    params(("name" = String, Path, description = "The account.")),
    request_body = UserChange,
    responses((status = 200, body = User)))]
pub(super) async fn change_user(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<UserName>,
    Json(change): Json<UserChange>,
) -> Result<axum::Json<User>, ApiProblem> {
    let user = app.change_user(&caller.actor, &name, &change);
    Ok(axum::Json(user.await?))
}

/// An account's tokens, without their secrets.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "accounts", params(TokenQuery),
    responses((status = 200, body = Page<Token>)))]
pub(super) async fn tokens(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<TokenQuery>,
) -> Result<axum::Json<Page<Token>>, ApiProblem> {
    let tokens = app.tokens(&caller.actor, query.user.as_ref()).await?;
    Ok(axum::Json(Page::whole(tokens)))
}

/// Makes a token.
///
/// Its secret is shown this once.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "accounts", request_body = NewToken,
    responses((status = 201, body = CreatedToken)))]
pub(super) async fn create_token(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewToken>,
) -> Result<Response, ApiProblem> {
    let created = app.create_token(&caller.actor, &new).await?;
    Ok((StatusCode::CREATED, axum::Json(created)).into_response())
}

/// Ends a token.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "accounts",
    params(("id" = i64, Path, description = "The token.")),
    responses((status = 204, description = "It has ended.")))]
pub(super) async fn revoke_token(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<StatusCode, ApiProblem> {
    app.revoke_token(&caller.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a link that logs a browser in, once.
#[utoipa::path(post, path = "/api/v1/login-links", tag = "accounts",
    request_body(content = Option<NewLoginLink>),
    responses((status = 201, body = LoginLink)))]
pub(super) async fn login_link(
    State(app): State<App>,
    caller: Caller,
    OptionalJson(new): OptionalJson<NewLoginLink>,
) -> Result<Response, ApiProblem> {
    let link = app.login_link(&caller.actor, new.user.as_ref()).await?;
    Ok((StatusCode::CREATED, axum::Json(link)).into_response())
}

/// Who did what, the newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "accounts", params(PageQuery),
    responses((status = 200, body = Page<AuditEntry>)))]
pub(super) async fn audit(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<AuditEntry>>, ApiProblem> {
    Ok(axum::Json(app.audit(&caller.actor, &query).await?))
}
