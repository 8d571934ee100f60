//! Redis: who is logged in, answers worth keeping for a moment, what has just changed, and work for later.
//!
//! PostgreSQL alone says what is true. Losing everything here logs people out and makes the next answers slower.
//! Each use has a module of its own, which alone knows its keys; a tenant's keys carry its id.

pub(crate) mod answers;
pub(crate) mod attempts;
pub(crate) mod changes;
pub(crate) mod jobs;
pub(crate) mod sessions;

use std::time::Duration;

use redis::Client;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};

/// How long an answer is waited for, and how long a new connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// Redis did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("Redis")]
    Redis(#[from] redis::RedisError),
    #[error("what is stored in Redis cannot be read")]
    Stored(#[from] serde_json::Error),
}

/// A connection that is shared by all who clone it; connects on first use, and again when it was lost.
pub(crate) type Cache = ConnectionManager;

/// Redis at an address, and how others than [`Cache`] connect to it.
pub(crate) fn open(url: &str) -> Result<(Client, Cache), Error> {
    let client = Client::open(url)?;
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_response_timeout(Some(PATIENCE))
        .set_connection_timeout(Some(PATIENCE));
    Ok((client.clone(), ConnectionManager::new_lazy_with_config(client, config)?))
}

/// Asks Redis whether it is there.
pub(crate) async fn ping(cache: &Cache) -> Result<(), Error> {
    Ok(redis::cmd("PING").query_async(&mut cache.clone()).await?)
}
