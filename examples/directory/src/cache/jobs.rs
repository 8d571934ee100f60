//! Work for later: a stream in Redis, shared out among workers.
//!
//! A job is acknowledged once it is done. One that a worker took and did not finish is taken over by another after
//! [`TAKEN_OVER_AFTER`]; one that keeps failing is given up. The stream is bounded. A job that got lost with it is found
//! again by the worker's search for photos without a thumbnail.

use std::time::Duration;

use redis::RedisError;
use redis::streams::{StreamClaimReply, StreamId, StreamReadReply};
use serde::{Deserialize, Serialize};

use super::{Cache, Error};
use crate::person::{PersonId, PhotoId};
use crate::tenant::TenantId;

const STREAM: &str = "jobs";
const GROUP: &str = "workers";
/// How many jobs may wait; the oldest are dropped beyond.
const WAITING_MAX: usize = 10_000;
/// How many jobs are taken at once.
const TAKEN_MAX: usize = 16;
/// How long a worker may keep a job to itself; well above what one takes.
const TAKEN_OVER_AFTER: Duration = Duration::from_secs(60);
/// How often a job is tried.
const TRIES_MAX: u64 = 5;
/// How long [`next`] waits for a job. Below the patience of `cache`, so that waiting is not taken for a lost connection.
const WAIT: Duration = Duration::from_secs(1);

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Job {
    /// Make the small copy of a photo.
    Thumbnail { tenant: TenantId, person: PersonId, photo: PhotoId },
    /// Remove a photo that nobody has any more, and its small copy.
    RemovePhoto { tenant: TenantId, person: PersonId, photo: PhotoId },
}

/// A job that this worker has.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) id: String,
    /// Absent when the entry holds none that this program knows.
    pub(crate) job: Option<Job>,
}

/// Puts a job into the stream.
pub(crate) async fn add(cache: &Cache, job: &Job) -> Result<(), Error> {
    let mut command = redis::cmd("XADD");
    command.arg(STREAM).arg("MAXLEN").arg("~").arg(WAITING_MAX).arg("*").arg("job").arg(serde_json::to_string(job)?);
    Ok(command.exec_async(&mut cache.clone()).await?)
}

/// Makes the group of workers, if there is none.
pub(crate) async fn prepare(cache: &Cache) -> Result<(), Error> {
    let mut command = redis::cmd("XGROUP");
    command.arg("CREATE").arg(STREAM).arg(GROUP).arg(0).arg("MKSTREAM");
    match command.exec_async(&mut cache.clone()).await {
        Err(error) if !exists(&error) => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn exists(error: &RedisError) -> bool {
    error.code() == Some("BUSYGROUP")
}

/// Whether the group of workers is gone, as after Redis lost its data.
pub(crate) fn group_is_gone(error: &Error) -> bool {
    matches!(error, Error::Redis(error) if error.code() == Some("NOGROUP"))
}

/// The next jobs for this worker; none when there were none for a moment.
pub(crate) async fn next(cache: &Cache, worker: &str) -> Result<Vec<Taken>, Error> {
    let mut command = redis::cmd("XREADGROUP");
    command.arg("GROUP").arg(GROUP).arg(worker).arg("COUNT").arg(TAKEN_MAX).arg("BLOCK").arg(WAIT.as_millis() as u64);
    let reply: Option<StreamReadReply> =
        command.arg("STREAMS").arg(STREAM).arg(">").query_async(&mut cache.clone()).await?;
    Ok(reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids).map(taken).collect())
}

/// Jobs that another worker, or an earlier life of this one, took and did not finish. Those that were tried too often
/// are given up and told.
pub(crate) async fn left_behind(cache: &Cache, worker: &str) -> Result<Vec<Taken>, Error> {
    let idle = TAKEN_OVER_AFTER.as_millis() as u64;
    let mut command = redis::cmd("XPENDING");
    command.arg(STREAM).arg(GROUP).arg("IDLE").arg(idle).arg("-").arg("+").arg(TAKEN_MAX);
    let pending: Vec<(String, String, u64, u64)> = command.query_async(&mut cache.clone()).await?;
    let (again, hopeless): (Vec<_>, Vec<_>) = pending.into_iter().partition(|(_, _, _, tries)| *tries < TRIES_MAX);
    for (id, ..) in hopeless {
        tracing::error!(job = id, tries = TRIES_MAX, "a job is given up");
        done(cache, &id).await?;
    }
    if again.is_empty() {
        return Ok(Vec::new());
    }
    let mut command = redis::cmd("XCLAIM");
    let ids: Vec<String> = again.into_iter().map(|(id, ..)| id).collect();
    command.arg(STREAM).arg(GROUP).arg(worker).arg(idle).arg(ids);
    let reply: StreamClaimReply = command.query_async(&mut cache.clone()).await?;
    Ok(reply.ids.into_iter().map(taken).collect())
}

/// Takes a finished job out of the stream.
pub(crate) async fn done(cache: &Cache, id: &str) -> Result<(), Error> {
    let mut pipe = redis::pipe();
    pipe.atomic().xack(STREAM, GROUP, &[id]).ignore().xdel(STREAM, &[id]).ignore();
    Ok(pipe.exec_async(&mut cache.clone()).await?)
}

fn taken(entry: StreamId) -> Taken {
    let text: Option<String> = entry.get("job");
    Taken { job: text.and_then(|text| serde_json::from_str(&text).ok()), id: entry.id }
}
