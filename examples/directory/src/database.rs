//! PostgreSQL, and how companies are kept apart in it.
//!
//! Every table with a tenant has forced row-level security (`migrations/`): a statement sees the rows of the tenant
//! that its transaction has set, and none without one. Here, statements about such tables take a [`Scope`], which only
//! [`Connection::scope`] makes, so that none can be written that forgets it. The tables without a tenant take a
//! [`Connection`].

pub(crate) mod migrations;

pub(crate) mod credentials;
pub(crate) mod digests;
pub(crate) mod people;
pub(crate) mod super_admins;
pub(crate) mod tenants;
pub(crate) mod unused_photos;

use std::error::Error as _;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Transaction};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls, Row};

use crate::tenant::TenantId;

/// Connections of one process.
const CONNECTIONS_MAX: usize = 8;
/// How long one is waited for, and how long opening one may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the server works on a statement before it gives up.
const STATEMENT_TIMEOUT: &str = "-c statement_timeout=5s";

/// The database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("DB_URL is not an address of PostgreSQL")]
    Url(#[source] tokio_postgres::Error),
    #[error("the connections to PostgreSQL cannot be kept")]
    Build(#[from] deadpool_postgres::BuildError),
    #[error("no connection to PostgreSQL")]
    Connection(#[from] PoolError),
    #[error("PostgreSQL")]
    Statement(#[from] tokio_postgres::Error),
}

/// What an error says to who asked for something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The server is away, busy or about to end: later it may be done.
    Unavailable,
    /// It was asked for with a value that cannot be.
    ImpossibleValue,
    /// A mistake of ours.
    Unforeseen,
}

impl Error {
    /// What this says to who asked for something.
    pub(crate) fn meaning(&self) -> Meaning {
        match self {
            Self::Connection(_) => Meaning::Unavailable,
            Self::Statement(error) => meaning_of_statement(error),
            Self::Url(_) | Self::Build(_) => Meaning::Unforeseen,
        }
    }

    /// Whether a statement was refused because of this constraint.
    pub(crate) fn is_of_constraint(&self, name: &str) -> bool {
        match self {
            Self::Statement(error) => error.as_db_error().and_then(|error| error.constraint()) == Some(name),
            Self::Url(_) | Self::Build(_) | Self::Connection(_) => false,
        }
    }
}

fn meaning_of_statement(error: &tokio_postgres::Error) -> Meaning {
    let lost = |error: &tokio_postgres::Error| {
        error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>())
    };
    match error.code() {
        Some(state) => meaning_of_state(state.code()),
        None if lost(error) => Meaning::Unavailable,
        None => Meaning::Unforeseen,
    }
}

/// What an SQLSTATE says. Its first two characters are its class.
fn meaning_of_state(state: &str) -> Meaning {
    match state.get(..2) {
        // Connection, conflict with another transaction, lack of resources, operator, system.
        Some("08" | "40" | "53" | "57" | "58") => Meaning::Unavailable,
        // A server that is, or was until now, another's standby.
        _ if state == "25006" => Meaning::Unavailable,
        Some("22") => Meaning::ImpossibleValue,
        _ => Meaning::Unforeseen,
    }
}

/// A bounded number of connections, opened when needed and again when lost.
#[derive(Clone)]
pub(crate) struct Database {
    pool: Pool,
}

impl Database {
    /// Connects on first use.
    pub(crate) fn new(url: &str) -> Result<Self, Error> {
        let mut config: Config = url.parse().map_err(Error::Url)?;
        config.options(STATEMENT_TIMEOUT).application_name("directory").connect_timeout(PATIENCE);
        let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .runtime(Runtime::Tokio1)
            .build()?;
        Ok(Self { pool })
    }

    pub(crate) async fn connection(&self) -> Result<Connection, Error> {
        Ok(Connection(self.pool.get().await?))
    }

    /// Connections that are open, and those of them that nobody uses.
    pub(crate) fn connections(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size, status.available)
    }
}

/// A connection, for as long as it is held. Without a scope it sees no tenant's rows.
pub(crate) struct Connection(Object);

impl Connection {
    /// Begins a transaction that sees one tenant. What it wrote is kept by [`Scope::commit`], else undone.
    pub(crate) async fn scope(&mut self, tenant: &TenantId) -> Result<Scope<'_>, Error> {
        let transaction = self.0.transaction().await?;
        // SET takes no parameters; an id holds nothing to quote (`TenantId`).
        transaction.batch_execute(&format!("SET LOCAL app.tenant = '{tenant}'")).await?;
        Ok(Scope(transaction))
    }

    /// Asks the server whether it is there.
    pub(crate) async fn ping(&self) -> Result<(), Error> {
        Ok(self.0.batch_execute("SELECT 1").await?)
    }
}

/// A transaction within one tenant.
pub(crate) struct Scope<'a>(Transaction<'a>);

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Scope<'_> {
    pub(crate) async fn commit(self) -> Result<(), Error> {
        Ok(self.0.commit().await?)
    }

    async fn rows(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, Error> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.query(&statement, parameters).await?)
    }

    async fn row(&self, sql: &str, parameters: Parameters<'_>) -> Result<Option<Row>, Error> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.query_opt(&statement, parameters).await?)
    }

    /// The one row of a statement that always has one.
    async fn one_row(&self, sql: &str, parameters: Parameters<'_>) -> Result<Row, Error> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.query_one(&statement, parameters).await?)
    }

    /// How many rows a statement changed.
    async fn execute(&self, sql: &str, parameters: Parameters<'_>) -> Result<u64, Error> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.execute(&statement, parameters).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Meaning, meaning_of_state};

    #[test]
    fn what_the_server_says_is_laid_at_the_right_door() {
        for state in ["08006", "40P01", "53300", "57014", "57P01", "58030", "25006"] {
            assert_eq!(meaning_of_state(state), Meaning::Unavailable, "{state}");
        }
        // A character that PostgreSQL does not store, and a date before its first.
        for state in ["22021", "22008"] {
            assert_eq!(meaning_of_state(state), Meaning::ImpossibleValue, "{state}");
        }
        for state in ["23505", "25P02", "42501", "42703", "XX000", ""] {
            assert_eq!(meaning_of_state(state), Meaning::Unforeseen, "{state}");
        }
    }
}
