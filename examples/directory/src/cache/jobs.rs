//! Work for later: a stream in Redis, shared out among workers.
//!
//! Jobs are taken one at a time, so that one that ends its worker takes no other with it. A job is acknowledged once it is
//! done. One that a worker took and did not finish is taken over by another after [`TAKEN_OVER_AFTER`]; one that was
//! never finished in [`TRIES_MAX`] tries is hopeless. The stream is bounded. A job that got lost with it is found again by
//! the worker's search for photos without a thumbnail.

use std::time::Duration;

use redis::streams::{StreamClaimReply, StreamId, StreamRangeReply, StreamReadReply};
use redis::{AsyncCommands, RedisError};
use serde::{Deserialize, Serialize};

use super::{Cache, Error};
use crate::person::{PersonId, PhotoId};
use crate::tenant::TenantId;

const STREAM: &str = "jobs";
const GROUP: &str = "workers";
/// How many jobs may wait; the oldest are dropped beyond.
const WAITING_MAX: usize = 10_000;
/// How long a worker may keep a job to itself; well above what one takes.
const TAKEN_OVER_AFTER: Duration = Duration::from_secs(60);
/// How many jobs [`all`] lists.
pub(crate) const LISTED_MAX: usize = 1000;
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
    /// How often it was tried, this time included.
    tries: u64,
}

impl Taken {
    /// Whether it was tried so often without coming to an end that it is not worth another try.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.tries > TRIES_MAX
    }

    fn of(entry: &StreamId, tries: u64) -> Self {
        Self { id: entry.id.clone(), job: job(entry), tries }
    }
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

/// The next job for this worker; none when there was none for a moment.
pub(crate) async fn next(cache: &Cache, worker: &str) -> Result<Option<Taken>, Error> {
    let mut command = redis::cmd("XREADGROUP");
    command.arg("GROUP").arg(GROUP).arg(worker).arg("COUNT").arg(1).arg("BLOCK").arg(WAIT.as_millis() as u64);
    let reply: Option<StreamReadReply> =
        command.arg("STREAMS").arg(STREAM).arg(">").query_async(&mut cache.clone()).await?;
    let entry = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids).next();
    Ok(entry.map(|entry| Taken::of(&entry, 1)))
}

/// A job that another worker, or an earlier life of this one, took and did not finish.
pub(crate) async fn left_behind(cache: &Cache, worker: &str) -> Result<Option<Taken>, Error> {
    let idle = TAKEN_OVER_AFTER.as_millis() as u64;
    // An entry that cannot be claimed is another worker's by now, or gone: either way it is not listed again.
    while let Some((id, tries)) = oldest_left_behind(cache, idle).await? {
        let mut command = redis::cmd("XCLAIM");
        command.arg(STREAM).arg(GROUP).arg(worker).arg(idle).arg(id);
        let reply: StreamClaimReply = command.query_async(&mut cache.clone()).await?;
        if let Some(entry) = reply.ids.first() {
            return Ok(Some(Taken::of(entry, tries + 1)));
        }
    }
    Ok(None)
}

/// The id of an entry that was taken so long ago, in milliseconds, and how often it was tried.
async fn oldest_left_behind(cache: &Cache, idle: u64) -> Result<Option<(String, u64)>, Error> {
    let mut command = redis::cmd("XPENDING");
    command.arg(STREAM).arg(GROUP).arg("IDLE").arg(idle).arg("-").arg("+").arg(1);
    let pending: Vec<(String, String, u64, u64)> = command.query_async(&mut cache.clone()).await?;
    Ok(pending.into_iter().next().map(|(id, _, _, tries)| (id, tries)))
}

/// Leaves a job behind for a later try. This one does not count: what stood in the way was not the job.
pub(crate) async fn put_off(cache: &Cache, worker: &str, taken: &Taken) -> Result<(), Error> {
    let mut command = redis::cmd("XCLAIM");
    command.arg(STREAM).arg(GROUP).arg(worker).arg(0).arg(&taken.id);
    command.arg("RETRYCOUNT").arg(taken.tries - 1).arg("JUSTID");
    Ok(command.exec_async(&mut cache.clone()).await?)
}

/// Takes a finished job out of the stream.
pub(crate) async fn done(cache: &Cache, id: &str) -> Result<(), Error> {
    let mut pipe = redis::pipe();
    pipe.atomic().xack(STREAM, GROUP, &[id]).ignore().xdel(STREAM, &[id]).ignore();
    Ok(pipe.exec_async(&mut cache.clone()).await?)
}

/// All jobs of the stream, taken or not; `None` when there are [`LISTED_MAX`] or more.
pub(crate) async fn all(cache: &Cache) -> Result<Option<Vec<Job>>, Error> {
    let entries: StreamRangeReply = cache.clone().xrange_count(STREAM, "-", "+", LISTED_MAX).await?;
    Ok((entries.ids.len() < LISTED_MAX).then(|| entries.ids.iter().filter_map(job).collect()))
}

fn job(entry: &StreamId) -> Option<Job> {
    let text: String = entry.get("job")?;
    serde_json::from_str(&text).ok()
}
