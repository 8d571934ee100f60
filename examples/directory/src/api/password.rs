//! Passwords: one's own is changed by who shows the present one, a person's is set by an admin.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::App;
use super::client::Client;
use super::input::{Json, Path};
use super::problem::Problem;
use crate::cache::attempts::{self, Tried};
use crate::cache::sessions;
use crate::database::{credentials, people, super_admins};
use crate::permission;
use crate::person::PersonId;
use crate::validation::{self, FieldErrors};
use crate::viewer::{Account, Viewer, Who};

/// A password instead of one's present one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    current: String,
    password: String,
}

/// A password for somebody else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    password: String,
}

/// Changes the password of who asks. All their sessions end.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Client(client): Client,
    Json(new): Json<Change>,
) -> Result<StatusCode, Problem> {
    refuse_weak(&new.password)?;
    refuse_guesses(&app, &viewer, &client, new.current).await?;
    let hash = app.passwords.hash(new.password).await?;
    match viewer.who {
        Who::Person(id) => set_of_person(&app, &viewer, id, &hash).await?,
        Who::SuperAdmin(id) => set_of_super_admin(&app, id, &hash).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a person a password. All their sessions end, and attempts that failed are forgotten.
pub(super) async fn set(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Path(id): Path<PersonId>,
    Json(new): Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    if !permission::may_set_password(&viewer, id) {
        let why = "An admin sets somebody else's password. Your own you change by showing the present one.";
        return Err(Problem::Forbidden(why.to_owned()));
    }
    refuse_weak(&new.password)?;
    let hash = app.passwords.hash(new.password).await?;
    set_of_person(&app, &viewer, id, &hash).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn refuse_weak(password: &str) -> Result<(), Problem> {
    validation::password(password).map_err(|message| FieldErrors::one("password", message).into())
}

/// Refuses who does not know their present password: a stolen session is no way to try passwords either.
async fn refuse_guesses(app: &App, viewer: &Viewer, client: &str, current: String) -> Result<(), Problem> {
    let account = viewer.account();
    let tried = Tried::Own(&account);
    if !attempts::may_try(&app.cache, tried, client).await? {
        return Err(Problem::TooManyAttempts);
    }
    let hash = present_hash(app, viewer).await?;
    match app.passwords.is(current, hash).await? {
        true => Ok(attempts::got_in(&app.cache, tried, client).await?),
        false => Err(FieldErrors::one("current", "is not your present password").into()),
    }
}

async fn present_hash(app: &App, viewer: &Viewer) -> Result<Option<String>, Problem> {
    let mut connection = app.database.connection().await?;
    Ok(match viewer.who {
        Who::Person(id) => credentials::hash(&connection.scope(&viewer.tenant).await?, id).await?,
        Who::SuperAdmin(id) => super_admins::hash(&connection, id).await?,
    })
}

async fn set_of_person(app: &App, viewer: &Viewer, id: PersonId, hash: &str) -> Result<(), Problem> {
    let mut connection = app.database.connection().await?;
    let scope = connection.scope(&viewer.tenant).await?;
    let person = people::find(&scope, id).await?.ok_or(Problem::NotFound)?;
    credentials::set(&scope, id, hash).await?;
    let account = Account::Person(viewer.tenant.clone(), id);
    app.commit_and_log_out(scope, &account).await?;
    attempts::forget(&app.cache, Tried::Person(&viewer.tenant, &person.summary.email)).await?;
    Ok(attempts::forget(&app.cache, Tried::Own(&account)).await?)
}

async fn set_of_super_admin(app: &App, id: i64, hash: &str) -> Result<(), Problem> {
    sessions::end_all(&app.cache, &Account::SuperAdmin(id)).await?;
    let email = super_admins::set_password(&app.database.connection().await?, id, hash).await?;
    let email = email.ok_or(Problem::NotFound)?;
    sessions::end_all(&app.cache, &Account::SuperAdmin(id)).await?;
    Ok(attempts::forget(&app.cache, Tried::SuperAdmin(&email)).await?)
}
