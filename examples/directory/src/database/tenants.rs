//! The companies: a table without a tenant, seen by everybody.

use super::{Connection, Error, Scope};
use crate::tenant::{Tenant, TenantId};

/// The tenant of this id, if there is one.
pub(crate) async fn find(connection: &Connection, id: &TenantId) -> Result<Option<Tenant>, Error> {
    let statement = connection.0.prepare_cached("SELECT name FROM tenants WHERE id = $1").await?;
    let row = connection.0.query_opt(&statement, &[&id.as_str()]).await?;
    Ok(row.map(|row| Tenant { id: id.clone(), name: row.get(0) }))
}

/// All tenants, by id.
pub(crate) async fn all(connection: &Connection) -> Result<Vec<Tenant>, Error> {
    let rows = connection.0.query("SELECT id, name FROM tenants ORDER BY id", &[]).await?;
    // The table's constraint is at least as strict as `TenantId`.
    let tenant = |row: &tokio_postgres::Row| Some(Tenant { id: row.get::<_, &str>(0).parse().ok()?, name: row.get(1) });
    Ok(rows.iter().filter_map(tenant).collect())
}

/// Adds the tenant that the scope is of; `false` when it is there already.
pub(crate) async fn add(scope: &Scope<'_>, name: &str) -> Result<bool, Error> {
    let sql = "INSERT INTO tenants (id, name) VALUES (current_setting('app.tenant'), $1) ON CONFLICT DO NOTHING";
    Ok(scope.execute(sql, &[&name]).await? == 1)
}
