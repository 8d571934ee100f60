//! A hundred requests a minute from one address, whatever it claims and however many threads judge it.

use crate::product::Product;
use crate::world::steady;

/// What the example's file allows an address in a minute.
const ALLOWED: u32 = 100;
/// Clients that ask at the same time, each over a connection of its own: the kernel spreads them over the edge's threads.
const CLIENTS: u32 = 16;
/// Requests of each, one after the other.
const REQUESTS: u32 = 10;

/// Fails when two threads admit more than the limit together or fewer, when an address that a client claims is believed,
/// when an answer does not say how it stands, or when photos are counted.
#[test]
fn an_address_has_its_hundred_requests_a_minute() {
    let product = Product::up("directory-limit");
    let begun = steady();
    let (admitted, others) = std::thread::scope(|scope| {
        let clients: Vec<_> = (1..=CLIENTS)
            .map(|client| {
                scope.spawn({
                    let product = &product;
                    move || asked_by(product, client)
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).fold(
            (0, Vec::new()),
            |(sum, mut others), (good, other)| {
                others.extend(other);
                (sum + good, others)
            },
        )
    });
    let took = steady().saturating_sub(begun);
    // The allowance comes back evenly: one request for every 600 ms that it took.
    let returned = u32::try_from(took.as_millis() * u128::from(ALLOWED) / 60_000).unwrap();
    println!("{admitted} of {} requests were admitted in {took:?}", CLIENTS * REQUESTS);
    assert!((ALLOWED..=ALLOWED + returned).contains(&admitted), "{admitted} were admitted in {took:?}");
    assert!(others.iter().all(|status| status == "429"), "{others:?}");

    let acme = product.visitor("acme");
    let (refused, _) =
        product.world.wait_for("a refusal", || Some(acme.get("/api/tenant")).filter(|it| it.status == 429));
    assert_eq!(refused.field("ratelimit-policy"), "\"address\";q=100;w=60");
    assert!(refused.field("ratelimit").starts_with("\"address\";r=0;t="), "{refused:?}");
    assert_eq!(refused.field("retry-after"), "1");
    assert_eq!(acme.get("/api/photos/1/none").status, 401, "photos are not counted");
    assert_eq!(acme.get("/").status, 200, "nor is the frontend");
    product.world.down();
}

/// How many of a client's requests were admitted, and what the others were answered.
fn asked_by(product: &Product, client: u32) -> (u32, Vec<String>) {
    let mut curl = product.curl("acme");
    curl.arg("--cacert").arg(product.authority()).args(["-o", "/dev/null", "-w", "%{http_code}\n"]);
    for header in ["X-Forwarded-For", "X-Real-IP", "Forwarded"] {
        let claimed = format!("203.0.113.{client}");
        let value = if header == "Forwarded" { format!("for={claimed}") } else { claimed };
        curl.args(["-H", &format!("{header}: {value}")]);
    }
    let ran = curl.arg(product.address("acme", &format!("/api/tenant?[1-{REQUESTS}]"))).output().unwrap();
    let statuses = String::from_utf8(ran.stdout).unwrap();
    let (good, others): (Vec<&str>, Vec<&str>) = statuses.lines().partition(|status| *status == "200");
    assert_eq!(good.len() + others.len(), REQUESTS as usize, "{}", String::from_utf8_lossy(&ran.stderr));
    (u32::try_from(good.len()).unwrap(), others.into_iter().map(str::to_owned).collect())
}
