//! `directory serve`: what browsers and programs ask.
//!
//! Everything below `/api/` is for users and answers in JSON; `/readyz`, `/healthz` and `/metrics` are for whoever
//! operates this. The tenant is the first label of the host. Start reading at [`routes`].

mod authentication;
mod client;
mod digest;
mod health;
mod input;
mod live;
mod metrics;
mod observe;
mod origin;
mod password;
mod people;
mod photos;
mod places;
mod problem;
mod session;
mod tenants;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Router, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cache::changes::{self, Change, Watchers};
use crate::cache::jobs::{self, Job};
use crate::cache::{self, Cache, answers, sessions};
use crate::database::{Database, Scope};
use crate::password::Passwords;
use crate::photos::Photos;
use crate::tenant::TenantId;
use crate::token::Tokens;
use crate::viewer::Account;
use crate::{Failure, settings, stopping, with_causes};

use metrics::Metrics;
use places::Places;
use problem::Problem;

/// How long open requests may take after the signal to stop. Less than `drain` in `mainstay.yaml`.
pub(crate) const DRAIN: Duration = Duration::from_secs(25);
/// The largest body of a request, but for photos.
const BODY_MAX: usize = 64 * 1024;

/// What answering takes.
struct App {
    database: Database,
    cache: Cache,
    photos: Photos,
    /// Places of photos that are being taken.
    uploads: Places,
    passwords: Passwords,
    tokens: Tokens,
    /// The domain below which each tenant has a host.
    domain: String,
    watchers: Arc<Watchers>,
    /// Open WebSockets, to be waited for at the end.
    live: TaskTracker,
    /// Their places.
    watching: Places,
    metrics: Metrics,
    stopping: CancellationToken,
}

/// Serves until asked to stop, then finishes the requests that are open.
pub(crate) async fn run() -> Result<(), Failure> {
    let port = settings::port()?;
    let (client, cache) = cache::open(&settings::cache_url()?)?;
    let app = Arc::new(App {
        database: Database::new(&settings::db_url()?)?,
        cache,
        photos: Photos::open(settings::photos()?)?,
        uploads: photos::places(),
        passwords: Passwords::new().await?,
        tokens: Tokens::new(&settings::jwt_key()?),
        domain: settings::domain()?,
        watchers: Arc::default(),
        live: TaskTracker::new(),
        watching: live::places(),
        metrics: Metrics::default(),
        stopping: stopping()?,
    });
    let failed = |source| Failure::Serve { port, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
    tracing::info!(address = %listener.local_addr().map_err(failed)?, "serving");
    tokio::spawn(changes::listen(client, Arc::clone(&app.watchers)));
    tokio::select! {
        served = serve_until_drained(listener, &app) => served.map_err(failed),
        () = deadline(&app.stopping) => Err(Failure::Late),
    }
}

async fn serve_until_drained(listener: TcpListener, app: &Arc<App>) -> std::io::Result<()> {
    serve(listener, routes(app)).with_graceful_shutdown(app.stopping.clone().cancelled_owned()).await?;
    app.live.close();
    app.live.wait().await;
    Ok(())
}

async fn deadline(stopping: &CancellationToken) {
    stopping.cancelled().await;
    tokio::time::sleep(DRAIN).await;
}

/// What can be asked.
fn routes(app: &Arc<App>) -> Router {
    let people = Router::new()
        .route("/people", get(people::list).post(people::add))
        .route("/people/{id}", get(people::one).patch(people::change).delete(people::remove))
        .route("/people/{id}/password", put(password::set))
        .route("/departments", get(people::departments))
        .route("/digest", get(digest::latest))
        .route("/live", get(live::watch));
    let access = Router::new()
        .route("/password", put(password::change))
        .route("/session", get(session::current).post(session::begin).delete(session::end))
        .route("/token", post(session::token))
        .route("/tenant", get(tenants::current))
        .route("/tenants", get(tenants::all).post(tenants::add));
    let photos = Router::new()
        .route("/photos/{id}", put(photos::put).delete(photos::remove))
        .route("/photos/{id}/{photo}", get(photos::original))
        .route("/photos/{id}/{photo}/thumbnail", get(photos::thumbnail));
    let api = people
        .merge(access)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .merge(photos.layer(DefaultBodyLimit::max(photos::BODY_MAX)))
        .fallback(async || Problem::NotFound)
        .layer(from_fn(origin::refuse_foreign))
        .layer(map_response(kept_by_nobody));
    Router::new()
        .nest("/api", api)
        .route("/readyz", get(health::ready))
        .route("/healthz", get(health::alive))
        .route("/metrics", get(metrics::show))
        .fallback(async || Problem::NotFound)
        .layer(from_fn_with_state(Arc::clone(app), observe::observe))
        .with_state(Arc::clone(app))
}

/// What is told to one viewer is not for another, so no cache on the way may keep it, unless the answer says more.
async fn kept_by_nobody(mut response: Response) -> Response {
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

impl App {
    /// Commits a change after which somebody has to log in anew. Their sessions end before it, so that none outlives it
    /// when Redis is away; and after it, for whoever logged in meanwhile as what they were.
    async fn commit_and_log_out(&self, scope: Scope<'_>, account: &Account) -> Result<(), Problem> {
        sessions::end_all(&self.cache, account).await?;
        scope.commit().await?;
        Ok(sessions::end_all(&self.cache, account).await?)
    }

    /// Tells everybody that a tenant's people have changed. The change is stored already: when Redis is away, kept
    /// answers stay wrong until they expire, within a minute.
    async fn announce(&self, tenant: &TenantId, change: &Change) {
        if let Err(error) = answers::forget(&self.cache, tenant).await {
            tracing::warn!(error = with_causes(&error), "kept answers are not forgotten");
        }
        if let Err(error) = changes::tell(&self.cache, tenant, change).await {
            tracing::warn!(error = with_causes(&error), "nobody is told of a change");
        }
    }

    /// Asks a worker for something. It is noted in the database already: when Redis is away, the worker finds it
    /// later by itself.
    async fn ask(&self, job: &Job) {
        if let Err(error) = jobs::add(&self.cache, job).await {
            tracing::warn!(error = with_causes(&error), "a job waits until the worker looks for it");
        }
    }
}
