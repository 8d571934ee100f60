//! `directory company ID NAME`: adds a company, the first one before all: super admins log in at the host of one, and add
//! further ones there.

use crate::database::{Database, tenants};
use crate::tenant::{InvalidId, TenantId};
use crate::{Failure, settings, validation};

/// Adds a company without people.
pub(crate) async fn run(id: &str, name: &str) -> Result<(), Failure> {
    let id: TenantId =
        id.parse().map_err(|error: InvalidId| Failure::Argument { name: "ID", wanted: error.to_string() })?;
    let name = validation::tenant_name(name).map_err(|wanted| Failure::Argument { name: "NAME", wanted })?;
    let mut connection = Database::new(&settings::db_url()?)?.connection().await?;
    let scope = connection.scope(&id).await?;
    if !tenants::add(&scope, &name).await? {
        return Err(Failure::Argument { name: "ID", wanted: "it is taken".to_owned() });
    }
    scope.commit().await?;
    println!("{name} is added, at the host that begins with {id}");
    Ok(())
}
