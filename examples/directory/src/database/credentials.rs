//! Password hashes of a tenant's people.

use super::{Error, Scope};
use crate::person::{PersonId, Role};
use crate::tenant::TenantId;
use crate::viewer::{Viewer, Who};

/// What somebody logs in by, and whom it makes them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) viewer: Viewer,
    pub(crate) email: String,
    pub(crate) password_hash: String,
}

/// The credential of an address. Who has no password has none.
pub(crate) async fn find(scope: &Scope<'_>, email: &str, tenant: &TenantId) -> Result<Option<Credential>, Error> {
    let sql = "SELECT id, name, role, password_hash FROM people
               JOIN credentials ON credentials.tenant = people.tenant AND person = id WHERE email = $1";
    Ok(scope.row(sql, &[&email]).await?.map(|row| {
        let who = Who::Person(PersonId(row.get(0)));
        let role = Role::of_row(row.get(2));
        let viewer = Viewer { tenant: tenant.clone(), who, name: row.get(1), role };
        Credential { viewer, email: email.to_owned(), password_hash: row.get(3) }
    }))
}

/// The hash of a person's password, if they have one.
pub(crate) async fn hash(scope: &Scope<'_>, person: PersonId) -> Result<Option<String>, Error> {
    let row = scope.row("SELECT password_hash FROM credentials WHERE person = $1", &[&person.0]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// Gives a person a password.
pub(crate) async fn set(scope: &Scope<'_>, person: PersonId, hash: &str) -> Result<(), Error> {
    let sql = "INSERT INTO credentials (person, password_hash) VALUES ($1, $2)
               ON CONFLICT (tenant, person) DO UPDATE SET password_hash = excluded.password_hash";
    scope.execute(sql, &[&person.0, &hash]).await?;
    Ok(())
}

/// Gives people who have no password this one.
pub(crate) async fn set_all(scope: &Scope<'_>, people: &[PersonId], hash: &str) -> Result<(), Error> {
    let people: Vec<i64> = people.iter().map(|person| person.0).collect();
    let sql = "INSERT INTO credentials (person, password_hash) SELECT id, $2 FROM unnest($1::bigint[]) AS id";
    scope.execute(sql, &[&people, &hash]).await?;
    Ok(())
}
