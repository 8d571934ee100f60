//! What is done once the server answers: one database, its owner, and one role per service.
//!
//! Everything here can be done again at any time. Statements carry SCRAM verifiers, never a password.
//!
//! - `NAME_owner` owns the database `NAME` and all that a release's `run` hook makes in it.
//! - `NAME_users` cannot log in; it holds what services may do: connect, and read and write the rows of the
//!   owner's tables, present and future. They may not make, change or drop anything.
//! - `SERVICE_service` is a service's login, a member of `NAME_users`. A service that no longer uses the resource
//!   keeps its role, without login, password or membership.
//!
//! The owner may take rights away from `NAME_users`, table by table; that stands.

use model::{Holder, ResourceName};
use postgres_protocol::password::scram_sha_256;
use tokio_postgres::{Client, NoTls};

use super::{OPERATOR, Server};
use crate::Passwords;
use crate::connection::{identifier, service_user};
use crate::operated::COMPLETE_TIMEOUT;
use crate::place::{PlaceError, read_small};

/// Changes when what is done here changes, so that it is done again on servers that run.
pub(crate) const FORMAT: u32 = 1;

/// Databases and roles could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// The server's file could not be read.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The server's port could not be told.
    #[error("cannot tell on which port the server listens: {} is missing or holds none", path.display())]
    Port {
        /// The server's file.
        path: std::path::PathBuf,
    },
    /// No connection could be had.
    #[error("cannot connect to database {database} as {OPERATOR}")]
    Connect {
        /// The database.
        database: String,
        /// Why not.
        source: tokio_postgres::Error,
    },
    /// A statement failed.
    #[error("cannot {doing}")]
    Statement {
        /// What it was for.
        doing: &'static str,
        /// Why not.
        source: tokio_postgres::Error,
    },
    /// The connection ended in the middle.
    #[error("the server closed the connection")]
    Closed,
    /// It took too long.
    #[error("the server did not finish within {} s", COMPLETE_TIMEOUT.as_secs())]
    Late,
}

impl Server {
    /// Makes the database and roles as the passwords say: a service among them may log in, any other may not.
    pub async fn complete(&self, passwords: &Passwords) -> Result<(), CompleteError> {
        let work = self.complete_in_time(passwords);
        tokio::time::timeout(COMPLETE_TIMEOUT, work).await.unwrap_or(Err(CompleteError::Late))
    }

    async fn complete_in_time(&self, passwords: &Passwords) -> Result<(), CompleteError> {
        let resource = &self.place.resource;
        let name = database(resource);
        let roles = role_statements(resource, passwords);
        let run = |doing| move |source| CompleteError::Statement { doing, source };
        self.connected("postgres", passwords, async |client| {
            client.batch_execute(&roles).await.map_err(run("make the roles"))?;
            let known = client
                .query_opt("SELECT FROM pg_database WHERE datname = $1", &[&name])
                .await
                .map_err(run("look for the database"))?;
            if known.is_none() {
                let create = format!("CREATE DATABASE {} TEMPLATE template0", quoted(&name));
                client.batch_execute(&create).await.map_err(run("create the database"))?;
            }
            client.batch_execute(&database_statements(resource)).await.map_err(run("grant the database"))
        })
        .await?;
        self.connected(&name, passwords, async |client| {
            client.batch_execute(&schema_statements(resource)).await.map_err(run("grant the tables"))
        })
        .await
    }

    async fn connected(
        &self,
        database: &str,
        passwords: &Passwords,
        work: impl AsyncFnOnce(&Client) -> Result<(), CompleteError>,
    ) -> Result<(), CompleteError> {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(&self.place.sockets)
            .port(self.port()?)
            .user(OPERATOR)
            .password(passwords.operator.expose())
            .dbname(database)
            .application_name(OPERATOR);
        let connected = config.connect(NoTls).await;
        let (client, connection) =
            connected.map_err(|source| CompleteError::Connect { database: database.to_owned(), source })?;
        tokio::select! {
            done = work(&client) => done,
            _ = connection => Err(CompleteError::Closed),
        }
    }

    /// The port of the running server, from the fourth line of its `postmaster.pid`.
    fn port(&self) -> Result<u16, CompleteError> {
        let path = self.place.data().join("postmaster.pid");
        let text = read_small(&path)?.unwrap_or_default();
        let port = String::from_utf8_lossy(&text).lines().nth(3).and_then(|line| line.trim().parse().ok());
        port.ok_or(CompleteError::Port { path })
    }
}

/// The database of a resource: its name, unless the server keeps that one for itself.
pub(crate) fn database(resource: &ResourceName) -> String {
    match resource.as_str() {
        reserved @ ("template0" | "template1") => format!("{reserved}_db"),
        name => identifier(name),
    }
}

/// The role of a holder. The three endings keep services, owners and groups apart, whatever they are called.
pub(crate) fn role(resource: &ResourceName, holder: &Holder) -> String {
    match holder {
        Holder::Operator => OPERATOR.to_owned(),
        Holder::Owner => format!("{}_owner", identifier(resource.as_str())),
        Holder::Service(service) => service_user(service),
    }
}

fn group(resource: &ResourceName) -> String {
    format!("{}_users", identifier(resource.as_str()))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Roles of the whole server, in one transaction.
fn role_statements(resource: &ResourceName, passwords: &Passwords) -> String {
    let group = group(resource);
    // A statement that failed would be logged with the verifiers in it.
    let mut text = String::from("SET log_min_error_statement = panic;\nBEGIN;\n");
    text.push_str(&ensure_role(&group));
    text.push_str(&format!("ALTER ROLE {} {POWERLESS} NOLOGIN;\n", quoted(&group)));
    let owner = role(resource, &Holder::Owner);
    text.push_str(&ensure_role(&owner));
    text.push_str(&format!("ALTER ROLE {} {POWERLESS} NOLOGIN PASSWORD NULL;\n", quoted(&owner)));
    let mut services = Vec::new();
    for (holder, password) in &passwords.others {
        let name = role(resource, holder);
        let verifier = literal(&scram_sha_256(password.expose().as_bytes()));
        text.push_str(&ensure_role(&name));
        text.push_str(&format!("ALTER ROLE {} {POWERLESS} LOGIN PASSWORD {verifier};\n", quoted(&name)));
        if let Holder::Service(_) = holder {
            text.push_str(&format!("GRANT {} TO {};\n", quoted(&group), quoted(&name)));
            services.push(literal(&name));
        }
    }
    text.push_str(&format!(
        "DO $$ DECLARE gone name; BEGIN\n\
         FOR gone IN SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname ~ '_service$'\n\
         AND rolname <> ALL (ARRAY[{}]::name[]) LOOP\n\
         EXECUTE format('ALTER ROLE %I NOLOGIN PASSWORD NULL', gone);\n\
         EXECUTE format('REVOKE %I FROM %I', {}, gone);\n\
         END LOOP; END $$;\n",
        services.join(", "),
        literal(&group)
    ));
    text.push_str("COMMIT;\n");
    text
}

const POWERLESS: &str = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT";

fn ensure_role(name: &str) -> String {
    format!(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {}) THEN CREATE ROLE {}; END IF; END $$;\n",
        literal(name),
        quoted(name)
    )
}

/// Who may connect to which database.
fn database_statements(resource: &ResourceName) -> String {
    let (name, owner, group) =
        (quoted(&database(resource)), quoted(&role(resource, &Holder::Owner)), quoted(&group(resource)));
    format!(
        "BEGIN;\n\
         ALTER DATABASE {name} OWNER TO {owner};\n\
         REVOKE ALL ON DATABASE {name}, postgres, template1 FROM PUBLIC;\n\
         GRANT CONNECT ON DATABASE {name} TO {group};\n\
         COMMIT;\n"
    )
}

/// Who may do what inside the resource's database. What is there already is granted once; later the defaults
/// see to it, so that what the owner took away stays away.
fn schema_statements(resource: &ResourceName) -> String {
    let (owner, group) = (role(resource, &Holder::Owner), group(resource));
    let (owner_literal, group_literal) = (literal(&owner), literal(&group));
    let (owner, group) = (quoted(&owner), quoted(&group));
    format!(
        "BEGIN;\n\
         DO $$ DECLARE place name; BEGIN\n\
         IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public') THEN\n\
         ALTER SCHEMA public OWNER TO {owner};\n\
         REVOKE ALL ON SCHEMA public FROM PUBLIC;\n\
         END IF;\n\
         IF NOT EXISTS (SELECT FROM pg_default_acl WHERE defaclrole = {owner_literal}::regrole AND defaclobjtype = 'r') THEN\n\
         FOR place IN SELECT nspname FROM pg_namespace WHERE nspowner = {owner_literal}::regrole LOOP\n\
         EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', place, {group_literal});\n\
         EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I', place, {group_literal});\n\
         EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %I TO %I', place, {group_literal});\n\
         END LOOP;\n\
         END IF; END $$;\n\
         ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE ON SCHEMAS TO {group};\n\
         ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {group};\n\
         ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE, SELECT ON SEQUENCES TO {group};\n\
         COMMIT;\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_meet() {
        let resource: ResourceName = "order-db".parse().unwrap();
        assert_eq!(database(&resource), "order_db");
        assert_eq!(role(&resource, &Holder::Owner), "order_db_owner");
        assert_eq!(role(&resource, &Holder::Service("order-db-owner".parse().unwrap())), "order_db_owner_service");
        assert_eq!(group(&resource), "order_db_users");
        assert_eq!(database(&"template1".parse().unwrap()), "template1_db");
    }
}
