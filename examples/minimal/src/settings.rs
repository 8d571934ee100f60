//! What the node tells the program: one function per environment variable. Never a default for an address.

use std::env;

/// A variable that should be there is not.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not set: start this through `mainstay up`, or set it by hand")]
pub(crate) struct Missing(&'static str);

/// The port to listen on.
pub(crate) fn port() -> Result<u16, Missing> {
    text("PORT")?.parse().map_err(|_| Missing("PORT (a number from 1 to 65535)"))
}

/// Where PostgreSQL is, user and password included.
pub(crate) fn db_url() -> Result<String, Missing> {
    text("DB_URL")
}

/// Where Redis is, user and password included.
pub(crate) fn cache_url() -> Result<String, Missing> {
    text("CACHE_URL")
}

/// Whoever presents this may remove notes.
pub(crate) fn editor_key() -> Result<String, Missing> {
    text("EDITOR_KEY")
}

fn text(name: &'static str) -> Result<String, Missing> {
    env::var(name).ok().filter(|value| !value.is_empty()).ok_or(Missing(name))
}
