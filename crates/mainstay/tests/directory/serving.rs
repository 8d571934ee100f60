//! The page as a client gets it: over TLS that it can verify, and at every address that is the frontend's.

use crate::product::{Answer, Product};

/// curl's exit code for a certificate that nobody it trusts has issued.
const NOT_TRUSTED: i32 = 60;

/// Fails when the page is served by another certificate than the local authority's, also without TLS, or only at `/`; or when
/// what the API does not know is answered with the page.
#[test]
fn a_company_has_its_page_at_every_address_over_tls() {
    let product = Product::up("directory-tls");
    let acme = product.visitor("acme");
    let page = acme.get("/");
    assert_eq!((page.status, page.field("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.text().contains("<title>Company Directory</title>"), "{}", page.text());
    assert!(page.field("content-security-policy").contains("default-src 'self'"), "{page:?}");
    assert_eq!(acme.get("/people/7?from=mail").body, page.body);
    assert_eq!(acme.get("/api/tenant").json()["name"], "Acme Works");
    let unknown = acme.get("/api/none");
    assert_eq!((unknown.status, unknown.field("content-type")), (404, "application/problem+json"));

    let stranger = product.curl("acme").arg(product.address("acme", "/")).output().unwrap();
    assert_eq!(stranger.status.code(), Some(NOT_TRUSTED), "{stranger:?}");
    let plain = format!("http://{}:{}/people/7?from=mail", Product::host("acme"), product.http);
    let sent_on = Answer::of(&product.curl("acme").args(["-i", &plain]).output().unwrap());
    let place = product.address("acme", "/people/7?from=mail");
    assert_eq!((sent_on.status, sent_on.field("location")), (308, place.as_str()));

    let status = product.world.status().unwrap();
    let shown = format!("https://{{tenant}}.directory.localhost:{}/", product.https);
    assert_eq!(status["edge"]["addresses"], serde_json::json!([shown]));
    product.world.down();
}
