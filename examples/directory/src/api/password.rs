//! A person's password: changed by themselves, who show the present one, or set anew by an admin.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::App;
use super::input::{Json, Path};
use super::problem::Problem;
use crate::cache::attempts;
use crate::database::{credentials, people};
use crate::permission;
use crate::person::PersonId;
use crate::validation::{self, FieldErrors};
use crate::viewer::{Account, Viewer};

/// A new password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    /// The present one; needed for one's own.
    current: Option<String>,
    password: String,
}

/// Gives a person a password. All their sessions end.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Path(id): Path<PersonId>,
    Json(new): Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    validation::password(&new.password).map_err(|message| FieldErrors::one("password", message))?;
    refuse_strangers(&app, &viewer, id, new.current).await?;
    let hash = app.passwords.hash(new.password).await?;
    let mut connection = app.database.connection().await?;
    let scope = connection.scope(&viewer.tenant).await?;
    people::find(&scope, id).await?.ok_or(Problem::NotFound)?;
    credentials::set(&scope, id, &hash).await?;
    app.commit_and_log_out(scope, &Account::Person(viewer.tenant.clone(), id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn refuse_strangers(app: &App, viewer: &Viewer, id: PersonId, current: Option<String>) -> Result<(), Problem> {
    if !viewer.is(id) {
        return match permission::may_add_people(viewer) {
            true => Ok(()),
            false => Err(Problem::Forbidden("Only an admin sets somebody else's password.".to_owned())),
        };
    }
    // A stolen session is no way to try passwords either.
    if !attempts::may_try(&app.cache, &viewer.tenant, &viewer.who.to_string()).await? {
        return Err(Problem::TooManyAttempts);
    }
    let mut connection = app.database.connection().await?;
    let hash = credentials::hash(&connection.scope(&viewer.tenant).await?, id).await?;
    drop(connection);
    match app.passwords.is(current.unwrap_or_default(), hash).await? {
        true => Ok(attempts::forget(&app.cache, &viewer.tenant, &viewer.who.to_string()).await?),
        false => Err(FieldErrors::one("current", "is not your present password").into()),
    }
}
