//! Logging in and out, and tokens for programs.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::App;
use super::authentication::{AtHost, COOKIE, Identified, Proof};
use super::client::Client;
use super::input::Json;
use super::problem::Problem;
use crate::cache::attempts::{self, Tried};
use crate::cache::sessions;
use crate::database::credentials::{self, Credential};
use crate::database::{super_admins, tenants};
use crate::permission;
use crate::tenant::TenantId;
use crate::token::LIFE_SECONDS;
use crate::validation;
use crate::viewer::{Viewer, Who};

/// Somebody's address and password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    email: String,
    password: String,
}

/// Begins a session.
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    AtHost(tenant): AtHost,
    Client(client): Client,
    Json(login): Json<Login>,
) -> Result<impl IntoResponse, Problem> {
    let credential = authenticate(&app, &tenant, &client, login).await?;
    let token = sessions::begin(&app.cache, &credential.viewer, Timestamp::now()).await?;
    if find(&app, &tenant, &credential.email).await?.as_ref() != Some(&credential) {
        // Whoever changed it ended the sessions that there were; this one may have come too late for that.
        sessions::end(&app.cache, &credential.viewer.account(), &token).await?;
        return Err(Problem::Conflict("This account was changed a moment ago. Log in again."));
    }
    let body = described(&credential.viewer);
    Ok(([(header::SET_COOKIE, set_cookie(&token, sessions::LIFE_SECONDS))], body))
}

/// Who asks.
pub(super) async fn current(viewer: Viewer) -> impl IntoResponse {
    described(&viewer)
}

/// Ends the session.
pub(super) async fn end(State(app): State<Arc<App>>, identified: Identified) -> Result<impl IntoResponse, Problem> {
    if let Proof::Session(token) = &identified.proof {
        sessions::end(&app.cache, &identified.viewer.account(), token).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, set_cookie("", 0))]))
}

/// Gives a program a token.
pub(super) async fn token(
    State(app): State<Arc<App>>,
    AtHost(tenant): AtHost,
    Client(client): Client,
    Json(login): Json<Login>,
) -> Result<impl IntoResponse, Problem> {
    let Credential { viewer, .. } = authenticate(&app, &tenant, &client, login).await?;
    let token = app.tokens.issue(viewer, Timestamp::now())?;
    Ok(axum::Json(json!({ "token": token, "type": "Bearer", "expires_in": LIFE_SECONDS })))
}

async fn authenticate(app: &App, tenant: &TenantId, client: &str, login: Login) -> Result<Credential, Problem> {
    let email = validation::login_email(&login.email)?;
    let credential = find(app, tenant, &email).await?;
    let tried = match credential.as_ref().map(|credential| credential.viewer.who) {
        Some(Who::SuperAdmin(_)) => Tried::SuperAdmin(&email),
        Some(Who::Person(_)) | None => Tried::Person(tenant, &email),
    };
    if !attempts::may_try(&app.cache, tried, client).await? {
        return Err(Problem::TooManyAttempts);
    }
    let hash = credential.as_ref().map(|credential| credential.password_hash.clone());
    if !app.passwords.is(login.password, hash).await? {
        return Err(Problem::WrongLogin);
    }
    attempts::got_in(&app.cache, tried, client).await?;
    credential.ok_or(Problem::WrongLogin)
}

/// The credential of an address at a tenant's host.
async fn find(app: &App, tenant: &TenantId, email: &str) -> Result<Option<Credential>, Problem> {
    let mut connection = app.database.connection().await?;
    tenants::find(&connection, tenant).await?.ok_or(Problem::NotFound)?;
    let person = credentials::find(&connection.scope(tenant).await?, email, tenant).await?;
    match person {
        Some(person) => Ok(Some(person)),
        None => Ok(super_admins::find(&connection, email, tenant).await?),
    }
}

fn described(viewer: &Viewer) -> axum::Json<serde_json::Value> {
    axum::Json(json!({
        "who": viewer.who,
        "name": viewer.name,
        "role": viewer.role,
        "may_add_people": permission::may_add_people(viewer),
        "may_run_tenants": permission::may_run_tenants(viewer),
    }))
}

fn set_cookie(token: &str, seconds: i64) -> String {
    format!("{COOKIE}={token}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict")
}
