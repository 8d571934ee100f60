//! Answers about a tenant's people that are asked for again and again.
//!
//! Each is kept under the tenant's *generation*, a random word that every change to the people replaces: what was kept
//! before is never asked for again, and expires. An answer computed from rows older than a change is kept under the
//! generation that was read before those rows, and so is lost with it.

use redis::AsyncCommands;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Cache, Error};
use crate::random;
use crate::tenant::TenantId;

/// How long an answer is kept, in seconds.
const KEPT_SECONDS: u64 = 60;
/// How long a generation lasts without a change, in seconds; longer than any answer of it.
const GENERATION_SECONDS: u64 = 24 * 60 * 60;

/// Where the answer to a question is kept.
pub(crate) struct Slot {
    key: String,
}

/// The slot of a question about a tenant's people, and what is in it. To be asked *before* the database.
pub(crate) async fn find(
    cache: &Cache,
    tenant: &TenantId,
    question: &impl Serialize,
) -> Result<(Slot, Option<String>), Error> {
    let mut cache = cache.clone();
    let (_, generation): (redis::Value, String) = redis::pipe()
        .cmd("SET")
        .arg(generation_key(tenant))
        .arg(random::hex::<8>())
        .arg("EX")
        .arg(GENERATION_SECONDS)
        .arg("NX")
        .get(generation_key(tenant))
        .query_async(&mut cache)
        .await?;
    let question = random::in_hex(&Sha256::digest(serde_json::to_vec(question)?));
    let slot = Slot { key: format!("answer:{tenant}:{generation}:{question}") };
    let kept = cache.get(&slot.key).await?;
    Ok((slot, kept))
}

/// Keeps an answer in its slot.
pub(crate) async fn keep(cache: &Cache, slot: &Slot, answer: &str) -> Result<(), Error> {
    Ok(cache.clone().set_ex(&slot.key, answer, KEPT_SECONDS).await?)
}

/// Forgets all answers about a tenant's people. To be called *after* the change is committed.
pub(crate) async fn forget(cache: &Cache, tenant: &TenantId) -> Result<(), Error> {
    let generation = random::hex::<8>();
    Ok(cache.clone().set_ex(generation_key(tenant), generation, GENERATION_SECONDS).await?)
}

fn generation_key(tenant: &TenantId) -> String {
    format!("generation:{tenant}")
}
