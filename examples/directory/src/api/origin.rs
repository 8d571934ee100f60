//! Refuses what other sites ask in a user's name.
//!
//! The session's cookie is `SameSite=Strict`, but all tenants are one *site* to a browser: a page of one tenant's
//! host could still send requests with the cookie of another's. So whatever may change something, or opens a WebSocket,
//! must come from the very host that it goes to. Browsers always say where a request comes from; what says nothing is
//! no browser, and has no cookie that it was not given.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// Lets a request through unless another site sent it.
pub(super) async fn refuse_foreign(request: Request, next: Next) -> Response {
    let harmless = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method())
        && !request.headers().contains_key(header::UPGRADE);
    match harmless || is_own(request.headers()) {
        true => next.run(request).await,
        false => Problem::ForeignOrigin.into_response(),
    }
}

fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = text("origin") else { return true };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host == text("host")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    use super::is_own;

    fn check(headers: &[(&'static str, &'static str)], want: bool) {
        let map: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        assert_eq!(is_own(&map), want, "{headers:?}");
    }

    #[test]
    fn a_browser_on_our_page() {
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("origin", "https://acme.directory.localhost:8443"), ("host", "acme.directory.localhost:8443")], true);
    }

    #[test]
    fn another_tenants_page_is_another_site() {
        check(&[("sec-fetch-site", "same-site")], false);
        check(
            &[("origin", "https://birch.directory.localhost:8443"), ("host", "acme.directory.localhost:8443")],
            false,
        );
    }

    #[test]
    fn foreign_and_hidden_origins() {
        check(&[("sec-fetch-site", "cross-site")], false);
        check(&[("origin", "null"), ("host", "acme.directory.localhost")], false);
        check(&[("origin", "https://evil.example"), ("host", "acme.directory.localhost")], false);
    }

    #[test]
    fn a_program_says_nothing() {
        check(&[("host", "acme.directory.localhost")], true);
    }
}
