//! Companies: which one this host is, and for those who run the product, all of them and new ones.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Zoned;
use serde::Deserialize;

use super::App;
use super::authentication::AtHost;
use super::input::Json;
use super::problem::Problem;
use crate::database::{credentials, people, tenants};
use crate::permission;
use crate::tenant::{Tenant, TenantId};
use crate::validation::{self, FieldErrors, NewPerson, NewPersonDraft};
use crate::viewer::Viewer;

/// A company and its first admin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTenant {
    id: String,
    name: String,
    admin: FirstAdmin,
}

/// The first admin of a tenant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstAdmin {
    name: String,
    email: String,
    password: String,
}

/// The tenant of this host.
pub(super) async fn current(State(app): State<Arc<App>>, AtHost(tenant): AtHost) -> Result<Answer<Tenant>, Problem> {
    let connection = app.database.connection().await?;
    tenants::find(&connection, &tenant).await?.map(Answer).ok_or(Problem::NotFound)
}

/// All tenants.
pub(super) async fn all(State(app): State<Arc<App>>, viewer: Viewer) -> Result<Answer<Vec<Tenant>>, Problem> {
    refuse_others(&viewer)?;
    Ok(Answer(tenants::all(&app.database.connection().await?).await?))
}

/// Adds a tenant with its first admin.
pub(super) async fn add(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Json(new): Json<NewTenant>,
) -> Result<(StatusCode, Answer<Tenant>), Problem> {
    refuse_others(&viewer)?;
    let id: TenantId =
        new.id.parse().map_err(|error: crate::tenant::InvalidId| FieldErrors::one("id", error.to_string()))?;
    let name = validation::tenant_name(&new.name).map_err(|message| FieldErrors::one("name", message))?;
    let (admin, password) = new.admin.check()?;
    let hash = app.passwords.hash(password).await?;
    let mut connection = app.database.connection().await?;
    let scope = connection.scope(&id).await?;
    if !tenants::add(&scope, &name).await? {
        return Err(FieldErrors::one("id", "is taken").into());
    }
    let person = people::add(&scope, &admin).await?;
    credentials::set(&scope, person, &hash).await?;
    scope.commit().await?;
    Ok((StatusCode::CREATED, Answer(Tenant { id, name })))
}

impl FirstAdmin {
    /// The admin, checked, and their password.
    fn check(self) -> Result<(NewPerson, String), FieldErrors> {
        let Self { name, email, password } = self;
        validation::password(&password).map_err(|message| FieldErrors::one("password", message))?;
        Ok((NewPersonDraft::first_admin(name, email, Zoned::now().date()).check()?, password))
    }
}

fn refuse_others(viewer: &Viewer) -> Result<(), Problem> {
    match permission::may_run_tenants(viewer) {
        true => Ok(()),
        false => Err(Problem::Forbidden("This is for those who run the directory.".to_owned())),
    }
}
