//! Answers to requests that were not carried out (RFC 9457): what is wrong, and for whoever operates this, why.

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::cache::attempts;
use crate::database::Meaning;
use crate::validation::FieldErrors;
use crate::{cache, database, password, photos, with_causes};

/// Why a request was not carried out.
#[derive(Debug)]
pub(super) enum Problem {
    /// It cannot be read.
    Malformed(String),
    /// Who asks has not shown who they are.
    Unauthenticated,
    /// The address or the password is wrong; which of them is not told.
    WrongLogin,
    /// Who asks may not do that.
    Forbidden(String),
    /// Another site asks in a user's name.
    ForeignOrigin,
    /// There is no such thing, or none that who asks may know of.
    NotFound,
    /// Somebody was quicker.
    Conflict(&'static str),
    /// The body is larger than this route takes.
    TooLarge,
    /// The body took longer to arrive than this route waits.
    TooSlow,
    /// The body is no photo that we take.
    NotAPhoto(String),
    /// Some fields are wrong.
    Invalid(FieldErrors),
    /// Too many failed logins.
    TooManyAttempts,
    /// As many watch, log in or send photos as this process can serve.
    Full,
    /// This process is about to end.
    Stopping,
    /// Something that this takes is away. The cause is not for the user.
    Unavailable(String),
    /// A mistake of ours. The cause is not for the user.
    Broken(String),
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated | Self::WrongLogin => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NotAPhoto(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            Self::Full | Self::Stopping | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What programs tell problems apart by.
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unauthenticated => "unauthenticated",
            Self::WrongLogin => "wrong-login",
            Self::Forbidden(_) => "forbidden",
            Self::ForeignOrigin => "foreign-origin",
            Self::NotFound => "not-found",
            Self::Conflict(_) => "conflict",
            Self::TooLarge => "too-large",
            Self::TooSlow => "too-slow",
            Self::NotAPhoto(_) => "not-a-photo",
            Self::Invalid(_) => "invalid",
            Self::TooManyAttempts => "too-many-attempts",
            Self::Full => "full",
            Self::Stopping => "stopping",
            Self::Unavailable(_) => "unavailable",
            Self::Broken(_) => "broken",
        }
    }

    /// For whoever asked.
    fn detail(&self) -> String {
        match self {
            Self::Malformed(detail) | Self::Forbidden(detail) | Self::NotAPhoto(detail) => detail.clone(),
            Self::Conflict(detail) => (*detail).to_owned(),
            Self::Unauthenticated => "Log in first.".to_owned(),
            Self::WrongLogin => "The address or the password is wrong.".to_owned(),
            Self::ForeignOrigin => "This was asked from another site.".to_owned(),
            Self::NotFound => "There is nothing here.".to_owned(),
            Self::TooLarge => "This is larger than can be taken here.".to_owned(),
            Self::TooSlow => "This took too long to arrive. Try again.".to_owned(),
            Self::Invalid(_) => "Some fields need another look.".to_owned(),
            Self::TooManyAttempts => "Too many failed attempts. Try again later.".to_owned(),
            Self::Full | Self::Stopping | Self::Unavailable(_) => {
                "This cannot be done right now. Try again in a moment.".to_owned()
            }
            Self::Broken(_) => "Something went wrong here.".to_owned(),
        }
    }

    fn log_cause(&self) {
        match self {
            Self::Unavailable(cause) => tracing::warn!(cause, "a request cannot be answered now"),
            Self::Broken(cause) => tracing::error!(cause, "a request failed"),
            _ => {}
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooManyAttempts => Some(attempts::WINDOW_SECONDS),
            Self::Full | Self::Stopping | Self::Unavailable(_) => Some(1),
            _ => None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.log_cause();
        let status = self.status();
        let mut body = json!({ "status": status.as_u16(), "code": self.code(), "detail": self.detail() });
        if let Self::Invalid(FieldErrors(fields)) = &self {
            body["fields"] = json!(fields);
        }
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<database::Error> for Problem {
    fn from(error: database::Error) -> Self {
        match error.meaning() {
            Meaning::Unavailable => Self::Unavailable(with_causes(&error)),
            Meaning::ImpossibleValue => Self::Malformed("A value in this cannot be stored.".to_owned()),
            Meaning::Unforeseen => Self::Broken(with_causes(&error)),
        }
    }
}

impl From<cache::Error> for Problem {
    fn from(error: cache::Error) -> Self {
        Self::Unavailable(with_causes(&error))
    }
}

impl From<photos::Error> for Problem {
    fn from(error: photos::Error) -> Self {
        Self::Unavailable(with_causes(&error))
    }
}

impl From<password::Error> for Problem {
    fn from(error: password::Error) -> Self {
        match error {
            password::Error::Busy => Self::Full,
            error => Self::Broken(with_causes(&error)),
        }
    }
}

impl From<jsonwebtoken::errors::Error> for Problem {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        Self::Broken(with_causes(&error))
    }
}

impl From<FieldErrors> for Problem {
    fn from(errors: FieldErrors) -> Self {
        Self::Invalid(errors)
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Self {
        Self::NotFound
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::Malformed(rejection.body_text())
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        Self::of_body(rejection.status(), rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::of_body(rejection.status(), rejection.body_text())
    }
}

impl Problem {
    fn of_body(status: StatusCode, detail: String) -> Self {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            _ => Self::Malformed(detail),
        }
    }
}
