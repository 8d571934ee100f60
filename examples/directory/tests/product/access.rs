//! Getting in, staying in and getting out.

use axum::http::Method;
use redis::AsyncCommands;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::program::Api;
use crate::visitor::{PASSWORD, Visitor};

/// The key of a session in Redis.
fn session_key(visitor: &Visitor) -> String {
    let digest: String = Sha256::digest(visitor.token()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("session:{digest}")
}

#[tokio::test]
async fn a_session_lasts_from_login_to_logout() {
    let api = Api::start();
    let stranger = api.stranger("alder");
    assert_eq!(stranger.get("/api/session").await.problem(), (401, "unauthenticated".to_owned()));
    let answer = stranger.log_in("Manager@alder.example ", PASSWORD).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-session="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Max-Age=43200; Secure; HttpOnly; SameSite=Strict"), "{cookie}");
    let visitor = stranger.with("cookie", cookie.split(';').next().unwrap());
    let current = visitor.get("/api/session").await;
    assert_eq!((&current.good()["role"], current.header("cache-control")), (&json!("manager"), "no-store"));
    visitor.delete("/api/session").await.good();
    assert_eq!(visitor.get("/api/session").await.status, 401);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_not_told_apart() {
    let api = Api::start();
    let stranger = api.stranger("alder");
    let wrong = stranger.log_in("admin@alder.example", "not the password").await;
    let unknown = stranger.log_in("nobody@alder.example", PASSWORD).await;
    assert_eq!(wrong.problem(), (401, "wrong-login".to_owned()));
    assert_eq!(wrong.body, unknown.body);
}

#[tokio::test]
async fn a_host_of_no_tenant_has_nothing() {
    let api = Api::start();
    assert_eq!(api.stranger("nowhere").log_in("super@directory.example", PASSWORD).await.status, 404);
    assert_eq!(api.stranger("alder").with("host", "directory.localhost").get("/api/tenant").await.status, 404);
    assert_eq!(api.stranger("alder").get("/api/tenant").await.good()["name"], "Alder & Sons");
}

#[tokio::test]
async fn a_session_and_a_token_are_worth_nothing_at_another_tenants_host() {
    let api = Api::start();
    let visitor = api.visitor("admin", "alder").await;
    let elsewhere = visitor.with("host", "birch.directory.localhost:8443");
    assert_eq!(elsewhere.get("/api/people").await.problem(), (401, "unauthenticated".to_owned()));

    let login = json!({ "email": "user@alder.example", "password": PASSWORD });
    let token = api.stranger("alder").send(Method::POST, "/api/token", login).await.good();
    assert_eq!(token["expires_in"], 900);
    let program = api.stranger("alder").with("authorization", &format!("Bearer {}", token["token"].as_str().unwrap()));
    assert_eq!(program.get("/api/session").await.good()["role"], "user");
    assert_eq!(program.with("host", "birch.directory.localhost").get("/api/session").await.status, 401);
    assert_eq!(program.with("authorization", "Bearer a.b.c").get("/api/session").await.status, 401);
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used() {
    let api = Api::start();
    let visitor = api.visitor("user", "alder").await;
    let (mut cache, key) = (api.ground.cache().await, session_key(&visitor));
    let _: () = cache.expire(&key, 100).await.unwrap();
    visitor.get("/api/session").await.good();
    let left: i64 = cache.ttl(&key).await.unwrap();
    assert!((1700..=1800).contains(&left), "a use prolongs it to half an hour: {left}");
    let _: () = cache.pexpire(&key, 0).await.unwrap();
    assert_eq!(visitor.get("/api/session").await.status, 401);
}

#[tokio::test]
async fn the_oldest_of_very_many_sessions_end() {
    let api = Api::start();
    let (oldest, second) = (api.visitor("user", "saffron").await, api.visitor("user", "saffron").await);
    for _ in 0..49 {
        api.visitor("user", "saffron").await;
    }
    assert_eq!(oldest.get("/api/session").await.status, 401);
    second.get("/api/session").await.good();
}

#[tokio::test]
async fn sessions_that_have_ended_push_out_no_other() {
    let api = Api::start();
    let first = api.visitor("user", "saffron").await;
    let mut cache = api.ground.cache().await;
    for number in 0..50 {
        let visitor = api.visitor("user", "saffron").await;
        if number % 2 == 0 {
            visitor.delete("/api/session").await.good();
        } else {
            let _: () = cache.pexpire(session_key(&visitor), 0).await.unwrap();
        }
    }
    first.get("/api/session").await.good();
}

#[tokio::test]
async fn another_site_cannot_ask_in_a_users_name() {
    let api = Api::start();
    let visitor = api.visitor("user", "alder").await;
    let own = visitor.own_id().await;
    for (name, value) in [
        ("origin", "https://birch.directory.localhost:8443"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let foreign = visitor.with(name, value);
        let answer = foreign.send(Method::PATCH, &format!("/api/people/{own}"), json!({ "version": 1 })).await;
        assert_eq!(answer.problem(), (403, "foreign-origin".to_owned()), "{name}: {value}");
    }
    let own_page = visitor.with("origin", "https://alder.directory.localhost:8443");
    own_page.change(own, json!({ "phone": "+49 30 1234" })).await.good();
}

#[tokio::test]
async fn passwords_cannot_be_tried_for_ever() {
    let api = Api::start();
    let stranger = api.stranger("saffron");
    for _ in 0..10 {
        assert_eq!(stranger.log_in("manager@saffron.example", "guess").await.status, 401);
    }
    let answer = stranger.log_in("manager@saffron.example", PASSWORD).await;
    assert_eq!(answer.problem(), (429, "too-many-attempts".to_owned()));
    assert_eq!(answer.header("retry-after"), "900");
    // Others of the tenant are not locked out with them.
    stranger.log_in("admin@saffron.example", PASSWORD).await.good();
    // Nor are they themselves, at another place: that somebody knows their address is no reason.
    stranger.with("x-forwarded-for", "203.0.113.7").log_in("manager@saffron.example", PASSWORD).await.good();
}

#[tokio::test]
async fn a_password_cannot_be_tried_from_very_many_places_either() {
    let api = Api::start();
    let from = |client: &str| api.stranger("saffron").with("x-forwarded-for", client);
    assert_eq!(from("203.0.113.1").log_in("user@saffron.example", "guess").await.status, 401);
    let mut cache = api.ground.cache().await;
    let (_, keys): (u64, Vec<String>) = redis::cmd("SCAN")
        .arg(0)
        .arg("MATCH")
        .arg("attempts:*")
        .arg("COUNT")
        .arg(1000)
        .query_async(&mut cache)
        .await
        .unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_eq!(cache.hincr::<_, _, _, i64>(&keys[0], "all", 99).await.unwrap(), 100);
    let answer = from("203.0.113.2").log_in("user@saffron.example", PASSWORD).await;
    assert_eq!(answer.problem(), (429, "too-many-attempts".to_owned()));
}

#[tokio::test]
async fn a_super_admins_password_cannot_be_tried_at_each_tenant_anew() {
    let api = Api::start();
    for _ in 0..10 {
        assert_eq!(api.stranger("saffron").log_in("super@directory.example", "guess").await.status, 401);
    }
    let elsewhere = api.stranger("alder");
    assert_eq!(elsewhere.log_in("super@directory.example", PASSWORD).await.status, 429);
    let another_place = elsewhere.with("x-forwarded-for", "203.0.113.7");
    another_place.log_in("super@directory.example", PASSWORD).await.good();
}

#[tokio::test]
async fn a_new_password_from_an_admin_opens_the_door_again() {
    let api = Api::start();
    let admin = api.visitor("admin", "rowan").await;
    let (user, stranger) = (admin.find("user@").await, api.stranger("rowan"));
    for _ in 0..11 {
        stranger.log_in("user@rowan.example", "forgotten").await;
    }
    assert_eq!(stranger.log_in("user@rowan.example", PASSWORD).await.status, 429);
    let new = json!({ "password": "another password" });
    admin.send(Method::PUT, &format!("/api/people/{user}/password"), new).await.good();
    stranger.log_in("user@rowan.example", "another password").await.good();
}

#[tokio::test]
async fn an_admin_lifts_the_limit_of_their_own_people_and_of_nobody_else() {
    let api = Api::start();
    let admin = api.visitor("admin", "rowan").await;
    let user = admin.find("user@").await;
    // Whoever has the address there is of no concern to those who have it elsewhere.
    let elsewhere = [("alder", "super@directory.example"), ("saffron", "manager@saffron.example")];
    for (version, (tenant, email)) in (1..).zip(elsewhere) {
        for _ in 0..10 {
            assert_eq!(api.stranger(tenant).log_in(email, "guess").await.status, 401);
        }
        let namesake = json!({ "version": version, "email": email });
        admin.send(Method::PATCH, &format!("/api/people/{user}"), namesake).await.good();
        let new = json!({ "password": "another password" });
        admin.send(Method::PUT, &format!("/api/people/{user}/password"), new).await.good();
        api.stranger("rowan").log_in(email, "another password").await.good();
        assert_eq!(api.stranger(tenant).log_in(email, PASSWORD).await.status, 429, "{email}");
    }
}

#[tokio::test]
async fn a_super_admin_changes_their_password_and_is_logged_out_everywhere() {
    let api = Api::start();
    let root = api.stranger("alder").logged_in("super@directory.example").await;
    let elsewhere = api.stranger("birch").logged_in("super@directory.example").await;
    let new = json!({ "current": PASSWORD, "password": "another password" });
    root.send(Method::PUT, "/api/password", new).await.good();
    assert_eq!(root.get("/api/session").await.status, 401);
    assert_eq!(elsewhere.get("/api/session").await.status, 401);
    assert_eq!(api.stranger("alder").log_in("super@directory.example", PASSWORD).await.status, 401);
    api.stranger("alder").log_in("super@directory.example", "another password").await.good();
}

#[tokio::test]
async fn a_new_password_ends_all_sessions() {
    let api = Api::start();
    let (here, there) = (api.visitor("user", "rowan").await, api.visitor("user", "rowan").await);
    let new = |current: &str| json!({ "current": current, "password": "another password" });
    let refused = here.send(Method::PUT, "/api/password", new("not it")).await;
    assert_eq!(refused.json()["fields"]["current"], "is not your present password");
    // Not even an admin's own is set without the present one.
    let admin = api.visitor("admin", "rowan").await;
    let path = format!("/api/people/{}/password", admin.own_id().await);
    assert_eq!(admin.send(Method::PUT, &path, json!({ "password": "another password" })).await.status, 403);
    here.send(Method::PUT, "/api/password", new(PASSWORD)).await.good();
    assert_eq!(here.get("/api/session").await.status, 401);
    assert_eq!(there.get("/api/session").await.status, 401);
    assert_eq!(api.stranger("rowan").log_in("user@rowan.example", PASSWORD).await.status, 401);
    api.stranger("rowan").log_in("user@rowan.example", "another password").await.good();
}
