//! Who asks, from a session's cookie or a token, and at which tenant's host.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use jiff::Timestamp;

use super::App;
use super::problem::Problem;
use crate::cache::sessions;
use crate::tenant::TenantId;
use crate::viewer::Viewer;

/// The session's cookie. Browsers accept the prefix only for a cookie that is sent over TLS, to this very host.
pub(super) const COOKIE: &str = "__Host-session";

/// The tenant whose host was asked. It need not exist.
pub(super) struct AtHost(pub(super) TenantId);

/// Who asks, and how they have shown it.
pub(super) struct Identified {
    pub(super) viewer: Viewer,
    pub(super) proof: Proof,
}

/// What shows who asks.
pub(super) enum Proof {
    /// A session, by its token.
    Session(String),
    /// A program's token, which is good until then.
    Token { until: Timestamp },
}

impl FromRequestParts<Arc<App>> for AtHost {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        host.and_then(|host| TenantId::of_host(host, &app.domain)).map(Self).ok_or(Problem::NotFound)
    }
}

impl FromRequestParts<Arc<App>> for Identified {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let AtHost(tenant) = AtHost::from_request_parts(parts, app).await?;
        let found = match bearer(&parts.headers) {
            Some(token) => app.tokens.read(token).map(|(viewer, until)| Self { viewer, proof: Proof::Token { until } }),
            None => by_session(&parts.headers, app).await?,
        };
        // What one tenant's host gave out is worth nothing at another's.
        found.filter(|identified| identified.viewer.tenant == tenant).ok_or(Problem::Unauthenticated)
    }
}

impl FromRequestParts<Arc<App>> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        Ok(Identified::from_request_parts(parts, app).await?.viewer)
    }
}

async fn by_session(headers: &HeaderMap, app: &App) -> Result<Option<Identified>, Problem> {
    let Some(token) = cookie(headers) else { return Ok(None) };
    let viewer = sessions::viewer(&app.cache, token, Timestamp::now()).await?;
    Ok(viewer.map(|viewer| Identified { viewer, proof: Proof::Session(token.to_owned()) }))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}
