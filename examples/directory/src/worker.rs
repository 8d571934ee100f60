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
use crate::database::{Database, people, tenants, unused_photos};
use crate::person::{PersonId, PhotoId, Thumbnail};
use crate::photos::{Name, Photos, Size};
use crate::tenant::TenantId;
use crate::{Failure, database, photos, settings, stopping, with_causes};

/// How often jobs that other workers left behind are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How often the database is searched for work that got lost.
const SEARCH_EVERY: Duration = Duration::from_secs(10 * 60);
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
    #[error("the work on a photo broke off")]
    Broken(#[from] tokio::task::JoinError),
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
    // A round is never interrupted half-way.
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
    fn due(last: &mut Option<Instant>, every: Duration) -> bool {
        let due = last.is_none_or(|last| last.elapsed() >= every);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

impl Worker {
    async fn round(&self, rounds: &mut Rounds) -> Result<(), Error> {
        if !rounds.prepared {
            jobs::prepare(&self.cache).await?;
            rounds.prepared = true;
        }
        if Rounds::due(&mut rounds.searched, SEARCH_EVERY) {
            self.search().await?;
        }
        if Rounds::due(&mut rounds.looked, LOOK_EVERY) {
            self.work_on(jobs::left_behind(&self.cache, &self.name).await?).await?;
        }
        match jobs::next(&self.cache, &self.name).await {
            Ok(taken) => self.work_on(taken).await,
            Err(error) => {
                // Redis may have come back without the stream; then everything is to be found again.
                if jobs::group_is_gone(&error) {
                    *rounds = Rounds::default();
                }
                Err(error.into())
            }
        }
    }

    /// Puts work that PostgreSQL knows of into the stream. What is there already is then done twice, which does no
    /// harm.
    async fn search(&self) -> Result<(), Error> {
        let mut connection = self.database.connection().await?;
        for tenant in tenants::all(&connection).await? {
            let scope = connection.scope(&tenant.id).await?;
            for (person, photo) in people::waiting_photos(&scope).await? {
                jobs::add(&self.cache, &Job::Thumbnail { tenant: tenant.id.clone(), person, photo }).await?;
            }
            for (person, photo) in unused_photos::given_up(&scope).await? {
                jobs::add(&self.cache, &Job::RemovePhoto { tenant: tenant.id.clone(), person, photo }).await?;
            }
        }
        Ok(())
    }

    /// Does each job and acknowledges it. One that fails stays this worker's, and is left behind for a later try.
    async fn work_on(&self, taken: Vec<Taken>) -> Result<(), Error> {
        for Taken { id, job } in taken {
            match &job {
                Some(Job::Thumbnail { tenant, person, photo }) => self.thumbnail(tenant, *person, photo).await?,
                Some(Job::RemovePhoto { tenant, person, photo }) => self.remove(tenant, *person, photo).await?,
                None => tracing::error!(job = id, "a job that this program does not know is passed over"),
            }
            jobs::done(&self.cache, &id).await?;
        }
        Ok(())
    }

    /// Makes a photo's small copy, stores it, and only then notes that it is there.
    async fn thumbnail(&self, tenant: &TenantId, person: PersonId, photo: &PhotoId) -> Result<(), Error> {
        let name = Name { tenant, person, photo };
        let made = match self.photos.get(&name, Size::Original).await? {
            Some(original) => self.store_small(&name, original).await?,
            // Replaced and removed meanwhile; if not, it is lost.
            None => Thumbnail::Impossible,
        };
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
        match tokio::task::spawn_blocking(move || thumbnail::make(&original)).await? {
            Ok(small) => {
                self.photos.put(name, Size::Thumbnail, small.into()).await?;
                Ok(Thumbnail::Ready)
            }
            Err(error) => {
                let Name { tenant, person, .. } = name;
                tracing::warn!(%tenant, %person, error = with_causes(&error), "a photo cannot be read");
                Ok(Thumbnail::Impossible)
            }
        }
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
