//! Failed logins, so that nobody can try all passwords of somebody.

use redis::AsyncCommands;
use sha2::{Digest, Sha256};

use super::{Cache, Error};
use crate::random::in_hex;
use crate::tenant::TenantId;

/// How many failed attempts one address may have in a window.
const ATTEMPTS_MAX: u32 = 10;
/// The window, in seconds.
pub(crate) const WINDOW_SECONDS: u64 = 15 * 60;

/// Counts an attempt; `false` when there were too many already.
pub(crate) async fn may_try(cache: &Cache, tenant: &TenantId, email: &str) -> Result<bool, Error> {
    let key = key(tenant, email);
    let (count,): (u32,) = redis::pipe()
        .atomic()
        // Begins the window, unless one runs.
        .cmd("SET")
        .arg(&key)
        .arg(0)
        .arg("EX")
        .arg(WINDOW_SECONDS)
        .arg("NX")
        .ignore()
        .incr(&key, 1)
        .query_async(&mut cache.clone())
        .await?;
    Ok(count <= ATTEMPTS_MAX)
}

/// Forgets the attempts of somebody who got in.
pub(crate) async fn forget(cache: &Cache, tenant: &TenantId, email: &str) -> Result<(), Error> {
    Ok(cache.clone().del(key(tenant, email)).await?)
}

/// Whatever is typed as an address becomes a key of bounded length.
fn key(tenant: &TenantId, email: &str) -> String {
    format!("attempts:{tenant}:{}", in_hex(&Sha256::digest(email)))
}
