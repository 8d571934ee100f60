//! Errors of the API on their way to the caller: one body, one status, always JSON.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::bodies::{ErrorBody, ErrorKind};

impl ErrorBody {
    /// A failure without a hint.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, problems: Vec::new() }
    }

    /// The same with what to do about it.
    #[must_use]
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl ErrorKind {
    /// The HTTP status that goes with it.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            ErrorKind::Refused => StatusCode::FORBIDDEN,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Busy | ErrorKind::Ending => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for ErrorBody {
    fn into_response(self) -> Response {
        (self.kind.status(), Json(self)).into_response()
    }
}
