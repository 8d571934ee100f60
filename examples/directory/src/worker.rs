//! `directory work`: makes photos' small copies, and removes photos that nobody has.
//!
//! The stream of jobs says what to do at once. What got lost with it is found by a search: PostgreSQL knows which
//! thumbnails are missing and which photos are unused.

mod thumbnail;

use std::time::Duration;

use axum::body::Bytes;
use tokio::time::{Instant, sleep};

use crate::cache::changes::{self, Change};
use crate::cache::jobs::{self, Job, Taken};
use crate::cache::{self, Cache, answers};
use crate::database::{Database, Scope, people, tenants, unused_photos};
use crate::person::{PersonId, PhotoId, Thumbnail};
use crate::photos::{Name, Photos, Size};
use crate::tenant::TenantId;
use crate::{Failure, database, photos, settings, stopping, with_causes};

/// How often jobs that other workers left behind are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How often the database is searched for work that got lost.
const SEARCH_EVERY: Duration = Duration::from_secs(10 * 60);
/// How many jobs one search finds; the next one goes on.
const FOUND_MAX: usize = jobs::LISTED_MAX;
/// How long until the next round when one failed.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A round or a job was not finished.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Database(#[from] database::Error),
    #[error(transparent)]
    Cache(#[from] cache::Error),
    #[error(transparent)]
    Photos(#[from] photos::Error),
}

struct Worker {
    name: String,
    database: Database,
    cache: Cache,
    photos: Photos,
}

/// Works until asked to stop, then finishes the job at hand. A store that is away is waited for.
pub(crate) async fn run() -> Result<(), Failure> {
    let (_, cache) = cache::open(&settings::cache_url()?)?;
    let worker = Worker {
        name: settings::unit(),
        database: Database::new(&settings::db_url()?)?,
        cache,
        photos: Photos::open(settings::photos()?)?,
    };
    tracing::info!(worker = worker.name, "working");
    let stopping = stopping()?;
    let mut rounds = Rounds::default();
    // A round does one job at most, and is never interrupted half-way.
    while !stopping.is_cancelled() {
        let pause = match worker.round(&mut rounds).await {
            Ok(()) => Duration::ZERO,
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "this round failed, the next one tries again");
                AGAIN_AFTER
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = sleep(pause) => {}
        }
    }
    Ok(())
}

/// What was last done when.
#[derive(Default)]
struct Rounds {
    prepared: bool,
    looked: Option<Instant>,
    searched: Option<Instant>,
}

impl Rounds {
    fn is_due(last: Option<Instant>, every: Duration) -> bool {
        last.is_none_or(|last| last.elapsed() >= every)
    }
}

impl Worker {
    async fn round(&self, rounds: &mut Rounds) -> Result<(), Error> {
        let outcome = self.try_round(rounds).await;
        // Redis may have come back without the stream; then everything is to be found again.
        if matches!(&outcome, Err(Error::Cache(error)) if jobs::group_is_gone(error)) {
            *rounds = Rounds::default();
        }
        outcome
    }

    async fn try_round(&self, rounds: &mut Rounds) -> Result<(), Error> {
        if !rounds.prepared {
            jobs::prepare(&self.cache).await?;
            rounds.prepared = true;
        }
        if Rounds::is_due(rounds.searched, SEARCH_EVERY) {
            self.search().await?;
            rounds.searched = Some(Instant::now());
        }
        if Rounds::is_due(rounds.looked, LOOK_EVERY) {
            if let Some(taken) = jobs::left_behind(&self.cache, &self.name).await? {
                return self.work_on(taken).await;
            }
            rounds.looked = Some(Instant::now());
        }
        match jobs::next(&self.cache, &self.name).await? {
            Some(taken) => self.work_on(taken).await,
            None => Ok(()),
        }
    }

    /// Puts work that PostgreSQL knows of into the stream, unless it is there already.
    async fn search(&self) -> Result<(), Error> {
        let Some(mut known) = jobs::all(&self.cache).await? else {
            tracing::info!("there is enough to do: nothing is searched for");
            return Ok(());
        };
        let most = known.len() + FOUND_MAX;
        let mut connection = self.database.connection().await?;
        for tenant in tenants::all(&connection).await? {
            for job in lost(&connection.scope(&tenant.id).await?, &tenant.id).await? {
                if known.len() == most {
                    return Ok(());
                }
                if !known.contains(&job) {
                    jobs::add(&self.cache, &job).await?;
                    known.push(job);
                }
            }
        }
        Ok(())
    }

    /// Does a job and acknowledges it. What a store that is away keeps from being done is left behind for later.
    async fn work_on(&self, taken: Taken) -> Result<(), Error> {
        match self.carry_out(&taken).await {
            Ok(()) => Ok(jobs::done(&self.cache, &taken.id).await?),
            Err(error) => {
                jobs::put_off(&self.cache, &self.name, &taken).await?;
                Err(error)
            }
        }
    }

    async fn carry_out(&self, taken: &Taken) -> Result<(), Error> {
        match &taken.job {
            Some(Job::Thumbnail { tenant, person, photo }) if taken.is_hopeless() => {
                tracing::error!(job = taken.id, %tenant, %person, "no worker came to an end with this photo");
                self.note(tenant, *person, photo, Thumbnail::Impossible).await
            }
            Some(Job::Thumbnail { tenant, person, photo }) => self.thumbnail(tenant, *person, photo).await,
            Some(Job::RemovePhoto { .. }) if taken.is_hopeless() => {
                tracing::error!(job = taken.id, "a photo is not removed now: the next search finds it again");
                Ok(())
            }
            Some(Job::RemovePhoto { tenant, person, photo }) => self.remove(tenant, *person, photo).await,
            None => {
                tracing::error!(job = taken.id, "a job that this program does not know is passed over");
                Ok(())
            }
        }
    }

    /// Makes a photo's small copy, stores it, and only then notes that it is there.
    async fn thumbnail(&self, tenant: &TenantId, person: PersonId, photo: &PhotoId) -> Result<(), Error> {
        let name = Name { tenant, person, photo };
        let made = match self.photos.get(&name, Size::Original).await? {
            Some(original) => self.store_small(&name, original).await?,
            // Replaced and removed meanwhile; if not, it is lost.
            None => Thumbnail::Impossible,
        };
        self.note(tenant, person, photo, made).await
    }

    /// Notes what became of a photo's small copy, and tells those who see the photo.
    async fn note(&self, tenant: &TenantId, person: PersonId, photo: &PhotoId, made: Thumbnail) -> Result<(), Error> {
        let mut connection = self.database.connection().await?;
        let scope = connection.scope(tenant).await?;
        let current = people::set_thumbnail(&scope, person, photo, made).await?;
        scope.commit().await?;
        if current {
            answers::forget(&self.cache, tenant).await?;
            changes::tell(&self.cache, tenant, &Change::Changed { person }).await?;
        }
        Ok(())
    }

    async fn store_small(&self, name: &Name<'_>, original: Bytes) -> Result<Thumbnail, Error> {
        let why = match tokio::task::spawn_blocking(move || thumbnail::make(&original)).await {
            Ok(Ok(small)) => {
                self.photos.put(name, Size::Thumbnail, small.into()).await?;
                return Ok(Thumbnail::Ready);
            }
            Ok(Err(error)) => with_causes(&error),
            // A panic: another try would end the same way.
            Err(error) => with_causes(&error),
        };
        let Name { tenant, person, .. } = name;
        tracing::warn!(%tenant, %person, error = why, "a photo cannot be read");
        Ok(Thumbnail::Impossible)
    }

    /// Removes a photo's objects, and only then forgets the photo.
    async fn remove(&self, tenant: &TenantId, person: PersonId, photo: &PhotoId) -> Result<(), Error> {
        let mut connection = self.database.connection().await?;
        let scope = connection.scope(tenant).await?;
        if unused_photos::take_off(&scope, photo).await? {
            self.photos.remove(&Name { tenant, person, photo }).await?;
        }
        Ok(scope.commit().await?)
    }
}

/// What PostgreSQL knows is yet to be done for a tenant, as much as one search finds.
async fn lost(scope: &Scope<'_>, tenant: &TenantId) -> Result<Vec<Job>, database::Error> {
    let waiting = people::waiting_photos(scope, FOUND_MAX).await?.into_iter();
    let given_up = unused_photos::given_up(scope, FOUND_MAX).await?.into_iter();
    let thumbnail = |(person, photo)| Job::Thumbnail { tenant: tenant.clone(), person, photo };
    let removal = |(person, photo)| Job::RemovePhoto { tenant: tenant.clone(), person, photo };
    Ok(waiting.map(thumbnail).chain(given_up.map(removal)).collect())
}
