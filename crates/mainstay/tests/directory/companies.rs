//! One company never sees another's people: by the API, and by SQL with the API's own role.

use crate::product::Product;

/// What the API's role sees: who it is, without a tenant, and with one: all, and those of another.
const SEEN: &str = r#"exec psql "$DB_URL" -XAtq -v ON_ERROR_STOP=1 \
    -c "SELECT NOT rolsuper AND NOT rolbypassrls FROM pg_roles WHERE rolname = current_user" \
    -c "SELECT count(*) FROM people" \
    -c "BEGIN; SET LOCAL app.tenant = 'acme'; SELECT count(*), count(*) FILTER (WHERE tenant <> 'acme') FROM people""#;

/// Fails when somebody's session, a number or SQL gets at another company's people.
#[test]
fn one_company_never_sees_another() {
    let product = Product::up("directory-companies");
    let acme = product.visitor("acme").logged_in("admin@acme.example");
    let birch = product.visitor("birch").logged_in("admin@birch.example");
    let theirs = format!("/api/people/{}", birch.own_id());
    assert_eq!(birch.get(&theirs).status, 200);
    assert_eq!(acme.get(&theirs).status, 404);
    assert_eq!(acme.ask(&theirs, &["-X", "DELETE"]).status, 404);
    assert_eq!(acme.at("birch").get("/api/people").status, 401, "a session is good at its own company's host");
    let listed = acme.get("/api/people?limit=100").json();
    let emails: Vec<&str> = listed["people"].as_array().unwrap().iter().filter_map(|it| it["email"].as_str()).collect();
    assert_eq!((listed["total"].as_u64(), emails.len()), (Some(500), 100));
    assert!(emails.iter().all(|email| email.ends_with("@acme.example")), "{emails:?}");

    let seen = product.world.done(&["run", "api", "--", "sh", "-c", SEEN]).out;
    assert_eq!(seen.lines().collect::<Vec<_>>(), ["t", "0", "500|0"]);
    product.world.down();
}
