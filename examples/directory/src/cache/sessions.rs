//! Who is logged in.
//!
//! A session ends half an hour after it was last used, twelve hours after it began, when its person logs out, and when
//! their role, password or place is changed. Redis knows the digest of a session's token, not the token: whoever reads
//! Redis is not logged in by it.

use jiff::Timestamp;
use redis::{AsyncCommands, Expiry};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Cache, Error};
use crate::random;
use crate::viewer::{Account, Viewer};

/// How long a session outlives its last use, in seconds.
const IDLE_SECONDS: u64 = 30 * 60;
/// How long a session lives at most, in seconds.
pub(crate) const LIFE_SECONDS: i64 = 12 * 60 * 60;

/// How many sessions somebody may have; the oldest end beyond.
const SESSIONS_MAX: usize = 50;

/// What is stored of a session.
#[derive(Serialize, Deserialize)]
struct Session {
    viewer: Viewer,
    /// When it ends however much it is used, in seconds.
    until: i64,
}

/// Begins a session and returns its token.
pub(crate) async fn begin(cache: &Cache, viewer: &Viewer, now: Timestamp) -> Result<String, Error> {
    let token = random::token();
    let (key, index) = (key(&token), index(&viewer.account()));
    let session = serde_json::to_string(&Session { viewer: viewer.clone(), until: now.as_second() + LIFE_SECONDS })?;
    let (count,): (usize,) = redis::pipe()
        .atomic()
        .set_ex(&key, session, IDLE_SECONDS)
        .ignore()
        .zrembyscore(&index, "-inf", begun_before(now))
        .ignore()
        .zadd(&index, &key, now.as_millisecond())
        .ignore()
        .expire(&index, LIFE_SECONDS)
        .ignore()
        .zcard(&index)
        .query_async(&mut cache.clone())
        .await?;
    if count > SESSIONS_MAX {
        end_oldest(cache, &index).await?;
    }
    Ok(token)
}

/// What began before that, in milliseconds, has ended.
fn begun_before(now: Timestamp) -> i64 {
    now.as_millisecond() - LIFE_SECONDS * 1000
}

/// Ends the oldest sessions beyond [`SESSIONS_MAX`]. Those that ended by themselves, unused, do not count.
async fn end_oldest(cache: &Cache, index: &str) -> Result<(), Error> {
    let mut cache = cache.clone();
    let oldest_first: Vec<String> = cache.zrange(index, 0, -1).await?;
    let mut lookup = redis::pipe();
    for key in &oldest_first {
        lookup.exists(key);
    }
    let alive: Vec<bool> = lookup.query_async(&mut cache).await?;
    let surplus = alive.iter().filter(|alive| **alive).count().saturating_sub(SESSIONS_MAX);
    let (living, mut over): (Vec<_>, Vec<_>) = oldest_first.into_iter().zip(alive).partition(|(_, alive)| *alive);
    over.extend(living.into_iter().take(surplus));
    let over: Vec<String> = over.into_iter().map(|(key, _)| key).collect();
    if over.is_empty() {
        return Ok(());
    }
    Ok(redis::pipe().atomic().zrem(index, &over).ignore().del(&over).ignore().exec_async(&mut cache).await?)
}

/// Whose session this is, if it has not ended. That is a use of it.
pub(crate) async fn viewer(cache: &Cache, token: &str, now: Timestamp) -> Result<Option<Viewer>, Error> {
    let stored: Option<String> = cache.clone().get_ex(key(token), Expiry::EX(IDLE_SECONDS)).await?;
    Ok(session(stored, now)?.map(|session| session.viewer))
}

/// Whether a session has not ended. That is no use of it.
pub(crate) async fn lives(cache: &Cache, token: &str, now: Timestamp) -> Result<bool, Error> {
    let stored: Option<String> = cache.clone().get(key(token)).await?;
    Ok(session(stored, now)?.is_some())
}

fn session(stored: Option<String>, now: Timestamp) -> Result<Option<Session>, Error> {
    let session: Option<Session> = stored.map(|text| serde_json::from_str(&text)).transpose()?;
    Ok(session.filter(|session| session.until > now.as_second()))
}

/// Ends a session of somebody.
pub(crate) async fn end(cache: &Cache, account: &Account, token: &str) -> Result<(), Error> {
    let key = key(token);
    let mut pipe = redis::pipe();
    pipe.atomic().del(&key).ignore().zrem(index(account), &key).ignore();
    Ok(pipe.exec_async(&mut cache.clone()).await?)
}

/// Ends every session of somebody.
pub(crate) async fn end_all(cache: &Cache, account: &Account) -> Result<(), Error> {
    let index = index(account);
    let mut cache = cache.clone();
    let keys: Vec<String> = cache.zrange(&index, 0, -1).await?;
    if keys.is_empty() {
        return Ok(());
    }
    // One that has begun meanwhile stays in the index: it must be found to be ended.
    Ok(redis::pipe().atomic().del(&keys).ignore().zrem(index, &keys).ignore().exec_async(&mut cache).await?)
}

fn key(token: &str) -> String {
    format!("session:{}", random::in_hex(&Sha256::digest(token)))
}

/// The key of the keys of all sessions of somebody, by when each began, in milliseconds.
fn index(account: &Account) -> String {
    format!("sessions:{account}")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::session;

    #[test]
    fn a_session_ends_however_much_it_is_used() {
        let viewer = r#"{"tenant":"acme","who":{"person":7},"name":"Ada","role":"user"}"#;
        let stored = Some(format!(r#"{{"viewer":{viewer},"until":1000}}"#));
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(session(stored.clone(), at(999)).unwrap().is_some());
        assert!(session(stored, at(1000)).unwrap().is_none());
        assert!(session(None, at(0)).unwrap().is_none());
    }
}
