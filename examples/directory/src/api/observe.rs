//! One log line and some figures for each request, and the ids by which its other lines are found.
//!
//! The edge gives every request an id and a trace (`traceparent`, W3C Trace Context). Both are passed on; where one is
//! missing or not well-formed, it is made here.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use super::App;
use crate::random;
use crate::tenant::TenantId;

const REQUEST_ID: &str = "x-request-id";
/// The longest request id that is believed.
const REQUEST_ID_MAX: usize = 64;

/// Answers a request, and notes what came of it.
pub(super) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = request_id(request.headers());
    let trace_id = trace_id(request.headers()).unwrap_or_else(random::hex::<16>);
    let span = tracing::info_span!("request", request_id, trace_id);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let tenant = tenant(&app, request.headers());
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, duration) = (response.status(), started.elapsed());
    app.metrics.count(&method, route, status, duration);
    let milliseconds = duration.as_secs_f64() * 1000.0;
    span.in_scope(|| {
        let tenant = tenant.as_ref().map(TenantId::as_str);
        tracing::info!(%method, path, route, status = status.as_u16(), milliseconds, tenant, "answered");
    });
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn tenant(app: &App, headers: &HeaderMap) -> Option<TenantId> {
    TenantId::of_host(headers.get("host")?.to_str().ok()?, &app.domain)
}

fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let fits = |id: &&str| {
        (1..=REQUEST_ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    given.filter(fits).map_or_else(random::hex::<16>, str::to_owned)
}

/// The trace of `VERSION-TRACE-PARENT-FLAGS`.
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let mut parts = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let known = version.len() == 2 && hexadecimal(version) && version != "ff";
    let fits = known && trace.len() == 32 && hexadecimal(trace) && trace.bytes().any(|byte| byte != b'0');
    fits.then(|| trace.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{request_id, trace_id};

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(axum::http::HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn a_well_formed_trace_is_passed_on() {
        let trace = |value| trace_id(&headers("traceparent", value));
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace(good).as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf9-00f067aa0ba902b7-01",
        ] {
            assert_eq!(trace(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_request_id_that_would_spoil_the_log_is_replaced() {
        assert_eq!(request_id(&headers("x-request-id", "edge-7f")), "edge-7f");
        for bad in ["", "a b", "{\"a\":1}", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            let made = request_id(&headers("x-request-id", bad));
            assert!(made.len() == 32 && made != bad, "{made}");
        }
    }
}
