//! Those who run the product: a table without a tenant.

use super::credentials::Credential;
use super::{Connection, Error};
use crate::person::Role;
use crate::tenant::TenantId;
use crate::viewer::{Viewer, Who};

/// The credential of an address at the given tenant.
pub(crate) async fn find(connection: &Connection, email: &str, tenant: &TenantId) -> Result<Option<Credential>, Error> {
    let sql = "SELECT id, name, password_hash FROM super_admins WHERE email = $1";
    let row = connection.0.query_opt(sql, &[&email]).await?;
    Ok(row.map(|row| {
        let who = Who::SuperAdmin(row.get(0));
        let viewer = Viewer { tenant: tenant.clone(), who, name: row.get(1), role: Role::SuperAdmin };
        Credential { viewer, email: email.to_owned(), password_hash: row.get(2) }
    }))
}

/// Makes somebody a super admin, who is called by their address; one who is gets this password. Returns who it is.
pub(crate) async fn appoint(connection: &Connection, email: &str, hash: &str) -> Result<i64, Error> {
    let sql = "INSERT INTO super_admins (email, name, password_hash) VALUES ($1, $1, $2)
               ON CONFLICT (email) DO UPDATE SET password_hash = excluded.password_hash RETURNING id";
    Ok(connection.0.query_one(sql, &[&email, &hash]).await?.get(0))
}

/// Adds one, unless the address is taken.
pub(crate) async fn add(connection: &Connection, email: &str, name: &str, hash: &str) -> Result<(), Error> {
    let sql = "INSERT INTO super_admins (email, name, password_hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    connection.0.execute(sql, &[&email, &name, &hash]).await?;
    Ok(())
}

/// The hash of a super admin's password.
pub(crate) async fn hash(connection: &Connection, id: i64) -> Result<Option<String>, Error> {
    let row = connection.0.query_opt("SELECT password_hash FROM super_admins WHERE id = $1", &[&id]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// Gives a super admin another password, and returns their address; `None` when there is no such one.
pub(crate) async fn set_password(connection: &Connection, id: i64, hash: &str) -> Result<Option<String>, Error> {
    let sql = "UPDATE super_admins SET password_hash = $2 WHERE id = $1 RETURNING email";
    Ok(connection.0.query_opt(sql, &[&id, &hash]).await?.map(|row| row.get(0)))
}
