//! Connections to PostgreSQL and Redis that come back after either was restarted.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::sync::Mutex;
use tokio_postgres::{Client, NoTls};

/// How long an answer of Redis is waited for, and how long a new connection to it.
const CACHE_PATIENCE: Duration = Duration::from_secs(2);

/// A store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("PostgreSQL")]
    Db(#[from] tokio_postgres::Error),
    #[error("Redis")]
    Cache(#[from] redis::RedisError),
}

/// PostgreSQL, reached over one connection that is opened again when it was lost.
pub(crate) struct Db {
    url: String,
    client: Mutex<Option<Arc<Client>>>,
}

impl Db {
    pub(crate) fn new(url: String) -> Self {
        Self { url, client: Mutex::new(None) }
    }

    /// The open connection, or a new one.
    pub(crate) async fn client(&self) -> Result<Arc<Client>, Error> {
        let mut slot = self.client.lock().await;
        if let Some(client) = slot.as_ref().filter(|client| !client.is_closed()) {
            return Ok(Arc::clone(client));
        }
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("minimal: the connection to PostgreSQL ended: {error}");
            }
        });
        let client = Arc::new(client);
        *slot = Some(Arc::clone(&client));
        Ok(client)
    }
}

/// Redis; connects on first use, and again when the connection was lost.
pub(crate) fn cache(url: &str) -> Result<ConnectionManager, Error> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_response_timeout(Some(CACHE_PATIENCE))
        .set_connection_timeout(Some(CACHE_PATIENCE));
    Ok(ConnectionManager::new_lazy_with_config(redis::Client::open(url)?, config)?)
}
