//! Where a request comes from, as the edge says it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::App;
use super::problem::Problem;

/// The client of a request: an IPv4 address, or the part of an IPv6 address that is given to one household.
///
/// We listen on the loopback only, so the last hop of `X-Forwarded-For` is the edge's word; what stands before it is
/// anybody's. A program of this machine says nothing.
pub(super) struct Client(pub(super) String);

impl FromRequestParts<Arc<App>> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        Ok(Self(last_hop(&parts.headers).map_or_else(|| "this machine".to_owned(), network)))
    }
}

fn last_hop(headers: &HeaderMap) -> Option<IpAddr> {
    let value = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next()?.trim().parse().ok()
}

fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [first, second, third, fourth, ..] = address.segments();
            format!("{first:x}:{second:x}:{third:x}:{fourth:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{last_hop, network};

    fn check(values: &[&'static str], want: Option<&str>) {
        let headers: HeaderMap =
            values.iter().map(|value| ("x-forwarded-for".parse().unwrap(), HeaderValue::from_static(value))).collect();
        assert_eq!(last_hop(&headers).map(network).as_deref(), want, "{values:?}");
    }

    #[test]
    fn the_last_hop_is_the_client() {
        check(&["203.0.113.7"], Some("203.0.113.7"));
        check(&["198.51.100.1, 203.0.113.7"], Some("203.0.113.7"));
        check(&["198.51.100.1", "203.0.113.7"], Some("203.0.113.7"));
        check(&[], None);
        check(&["somebody"], None);
    }

    #[test]
    fn one_household_is_one_client() {
        check(&["2001:db8:1:2:3:4:5:6"], Some("2001:db8:1:2::/64"));
        check(&["2001:db8:1:2::9"], Some("2001:db8:1:2::/64"));
        check(&["::ffff:203.0.113.7"], Some("203.0.113.7"));
    }
}
