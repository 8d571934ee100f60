//! The variables with which a service reaches a resource.
//!
//! Their names are [`ResourceName::variable_prefix`], `_` and one of [`model::stack::Resource::variable_suffixes`].
//! URLs hold nothing that a client would have to decode: names are letters, digits and `_`, passwords are base64url.

use std::collections::BTreeMap;

use model::{Port, ResourceName, ServiceName, VariableName};
use supervise::launch::EnvironmentValue;

/// Variables by name; their values are never shown.
pub type Variables = BTreeMap<VariableName, EnvironmentValue>;

/// The parts of a connection.
pub(crate) struct Connection<'a> {
    pub(crate) resource: &'a ResourceName,
    pub(crate) scheme: &'static str,
    pub(crate) port: Port,
    pub(crate) user: &'a str,
    pub(crate) password: &'a crate::Password,
    /// The database, where the kind has them.
    pub(crate) database: Option<&'a str>,
}

/// The address at which services reach every resource of this machine.
pub const HOST: &str = "127.0.0.1";

impl Connection<'_> {
    pub(crate) fn variables(&self) -> Variables {
        let Self { scheme, port, user, password, database, .. } = self;
        let password = password.expose();
        let path = database.map_or(String::new(), |database| format!("/{database}"));
        let mut values = vec![
            ("URL", format!("{scheme}://{user}:{password}@{HOST}:{port}{path}")),
            ("HOST", HOST.to_owned()),
            ("PORT", port.to_string()),
            ("USER", (*user).to_owned()),
            ("PASSWORD", password.to_owned()),
        ];
        values.extend(database.map(|database| ("NAME", database.to_owned())));
        variables(self.resource, values)
    }
}

/// The variables of a resource, from what follows its prefix in their names.
pub(crate) fn variables(
    resource: &ResourceName,
    values: impl IntoIterator<Item = (&'static str, String)>,
) -> Variables {
    let prefix = resource.variable_prefix();
    let named = |(suffix, value): (&str, String)| {
        // Every resource's name makes a variable's: this fails for none.
        let name = format!("{prefix}_{suffix}").parse().ok()?;
        Some((name, EnvironmentValue::from(value)))
    };
    values.into_iter().filter_map(named).collect()
}

/// What a service is called as a user of a data service: a role of PostgreSQL, a user of Redis, the id of a store's key.
pub(crate) fn service_user(service: &ServiceName) -> String {
    format!("{}_service", identifier(service.as_str()))
}

/// A label as an identifier of a data service. Labels hold no `_`, so two of them never become one.
pub(crate) fn identifier(label: &str) -> String {
    label.replace('-', "_")
}
