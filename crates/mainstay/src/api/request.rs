//! Reading a request: path parts, queries and bodies, each bounded, each refused with a JSON body.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::Request;
use axum::http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::bodies::{ErrorBody, ErrorKind};

/// Largest request body in bytes. A stack file holds at most 1 MiB; JSON escapes can near double it.
pub(crate) const BODY_BYTES_MAX: usize = 2 << 20;

/// How long a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// One part of the path, read as what it names.
pub(crate) struct Named<T>(pub(crate) T);

impl<S, T> FromRequestParts<S> for Named<T>
where
    S: Send + Sync,
    T: FromStr<Err: Display> + Send,
{
    type Rejection = ErrorBody;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorBody> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ErrorBody::new(ErrorKind::Invalid, rejection.body_text()))?;
        text.parse()
            .map(Named)
            .map_err(|error| ErrorBody::new(ErrorKind::Invalid, format!("`{text}` in the path: {error}")))
    }
}

/// The query of the address.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S, T> FromRequestParts<S> for Asked<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = ErrorBody;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorBody> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Asked(asked)),
            Err(rejection) => Err(ErrorBody::new(ErrorKind::Invalid, rejection.body_text())),
        }
    }
}

/// Reads a JSON body.
pub(crate) async fn read_json<T: DeserializeOwned>(request: Request<Body>) -> Result<T, ErrorBody> {
    let bytes = read(request).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ErrorBody::new(ErrorKind::Invalid, format!("the body is not what this call takes: {error}")))
}

/// Reads a JSON body that holds a secret: an error names the place and repeats nothing of the text.
pub(crate) async fn read_secret_json<T: DeserializeOwned>(request: Request<Body>) -> Result<T, ErrorBody> {
    let bytes = read(request).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        ErrorBody::new(ErrorKind::Invalid, format!("the body is not what this call takes ({place})"))
    })
}

async fn read(request: Request<Body>) -> Result<Bytes, ErrorBody> {
    let collected = tokio::time::timeout(BODY_TIME_MAX, Limited::new(request.into_body(), BODY_BYTES_MAX).collect());
    match collected.await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(ErrorBody::new(ErrorKind::Invalid, format!("a body holds at most {BODY_BYTES_MAX} bytes")))
        }
        Ok(Err(_)) => Err(ErrorBody::new(ErrorKind::Invalid, "the body ended before it was complete")),
        Err(_) => Err(ErrorBody::new(
            ErrorKind::Invalid,
            format!("the body did not arrive within {} s", BODY_TIME_MAX.as_secs()),
        )),
    }
}
