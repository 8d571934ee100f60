//! Failed attempts to show a password, so that nobody can try all of somebody's.
//!
//! They are counted by where they come from, so that nobody is locked out by what others try; and all together at a
//! higher bound, for whoever tries from many places. They are counted for each tenant by itself, whose admins can lift the
//! limit of their people, and nobody else's; those for a super admin's password, which is to be had at every tenant's host,
//! are counted once for all.

use redis::AsyncCommands;
use sha2::{Digest, Sha256};

use super::{Cache, Error};
use crate::random::in_hex;
use crate::tenant::TenantId;
use crate::viewer::Account;

/// How many failed attempts one client may have in a window, for one password.
const OF_CLIENT_MAX: i64 = 10;
/// How many all clients together may have.
const OF_ALL_MAX: i64 = 100;
/// The window, in seconds.
pub(crate) const WINDOW_SECONDS: u64 = 15 * 60;
/// The field that counts the attempts of all clients.
const ALL: &str = "all";

/// Whose password is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tried<'a> {
    /// That of a mail address at a tenant, which need not be anybody's, by somebody who logs in.
    Person(&'a TenantId, &'a str),
    /// That of a super admin's mail address, by somebody who logs in.
    SuperAdmin(&'a str),
    /// That of an account, by somebody who has its session.
    Own(&'a Account),
}

/// Counts an attempt; `false` when there were too many already.
pub(crate) async fn may_try(cache: &Cache, tried: Tried<'_>, client: &str) -> Result<bool, Error> {
    let (key, mut cache) = (tried.key(), cache.clone());
    let (of_client, of_all): (Option<i64>, Option<i64>) =
        redis::cmd("HMGET").arg(&key).arg(client).arg(ALL).query_async(&mut cache).await?;
    // What is refused is not counted: one client alone cannot reach the bound of all.
    if !within(of_client.unwrap_or(0) + 1, of_all.unwrap_or(0) + 1) {
        return Ok(false);
    }
    let (of_client, of_all): (i64, i64) = redis::pipe()
        .atomic()
        .hincr(&key, client, 1)
        .hincr(&key, ALL, 1)
        .cmd("EXPIRE")
        .arg(&key)
        .arg(WINDOW_SECONDS)
        .arg("NX")
        .ignore()
        .query_async(&mut cache)
        .await?;
    Ok(within(of_client, of_all))
}

fn within(of_client: i64, of_all: i64) -> bool {
    of_client <= OF_CLIENT_MAX && of_all <= OF_ALL_MAX
}

/// Takes back a client's attempts: the last one was good. Those of others still count.
pub(crate) async fn got_in(cache: &Cache, tried: Tried<'_>, client: &str) -> Result<(), Error> {
    let key = tried.key();
    let mut pipe = redis::pipe();
    pipe.atomic().hdel(&key, client).ignore().hincr(&key, ALL, -1).ignore();
    pipe.cmd("EXPIRE").arg(&key).arg(WINDOW_SECONDS).arg("NX").ignore();
    Ok(pipe.exec_async(&mut cache.clone()).await?)
}

/// Forgets all attempts, because the password is another one now.
pub(crate) async fn forget(cache: &Cache, tried: Tried<'_>) -> Result<(), Error> {
    Ok(cache.clone().del(tried.key()).await?)
}

impl Tried<'_> {
    /// The key of a hash that has a field for each client. Whatever is typed as an address makes one of bounded length.
    fn key(self) -> String {
        match self {
            Self::Person(tenant, email) => format!("attempts:person:{tenant}:{}", in_hex(&Sha256::digest(email))),
            Self::SuperAdmin(email) => format!("attempts:super-admin:{}", in_hex(&Sha256::digest(email))),
            Self::Own(account) => format!("attempts:own:{account}"),
        }
    }
}
