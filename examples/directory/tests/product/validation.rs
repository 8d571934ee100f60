//! What the API does not take.

use axum::body::Bytes;
use axum::http::Method;
use serde_json::json;

use crate::program::Api;

#[tokio::test]
async fn every_wrong_field_is_named() {
    let api = Api::start();
    let admin = api.visitor("admin", "indigo").await;
    let user = admin.find("user@").await;
    let answer = admin.change(user, json!({ "name": "", "email": "no", "phone": "?", "title": "Weaver" })).await;
    assert_eq!(answer.problem(), (422, "invalid".to_owned()));
    assert_eq!(
        answer.json()["fields"],
        json!({ "name": "must not be empty", "email": "an address such as ada@acme.example",
                "phone": "a number such as +44 20 7946 0000" })
    );
    assert_ne!(admin.get(&format!("/api/people/{user}")).await.good()["title"], "Weaver", "nothing was changed");
}

#[tokio::test]
async fn what_only_the_database_knows_is_told_by_field_too() {
    let api = Api::start();
    let admin = api.visitor("admin", "indigo").await;
    let (user, manager) = (admin.find("user@").await, admin.find("manager@").await);
    let wrong = async |person, changes| admin.change(person, changes).await.json()["fields"].clone();
    assert_eq!(wrong(user, json!({ "email": "admin@indigo.example" })).await, json!({ "email": "is somebody else's" }));
    assert_eq!(wrong(user, json!({ "manager": 999_999_999 })).await, json!({ "manager": "is nobody here" }));
    assert_eq!(wrong(manager, json!({ "manager": user })).await, json!({ "manager": "reports to this person" }));
    assert_eq!(wrong(user, json!({ "manager": user })).await, json!({ "manager": "reports to this person" }));
    let theirs = api.visitor("admin", "acme").await.own_id().await;
    assert_eq!(wrong(user, json!({ "manager": theirs })).await, json!({ "manager": "is nobody here" }));
}

#[tokio::test]
async fn nobody_overwrites_what_they_have_not_seen() {
    let api = Api::start();
    let admin = api.visitor("admin", "juniper").await;
    let user = admin.find("user@").await;
    let seen = admin.version(user).await;
    let path = format!("/api/people/{user}");
    admin.send(Method::PATCH, &path, json!({ "version": seen, "title": "Binder" })).await.good();
    let late = admin.send(Method::PATCH, &path, json!({ "version": seen, "title": "Printer" })).await;
    assert_eq!(late.problem(), (409, "conflict".to_owned()));
    assert_eq!(admin.get(&path).await.good()["title"], "Binder");
}

#[tokio::test]
async fn what_cannot_be_stored_is_the_mistake_of_who_asks() {
    let api = Api::start();
    let login = api.stranger("indigo").log_in("a\0b@indigo.example", "a password").await;
    assert_eq!(login.problem(), (422, "invalid".to_owned()));
    assert_eq!(login.json()["fields"], json!({ "email": "must be one line of text" }));
    let admin = api.visitor("admin", "indigo").await;
    // "7 a", a zero and "b", as `next` would say it.
    for query in ["search=a%00b", "department=a%00b", "after=NyBhAGI"] {
        assert_eq!(admin.get(&format!("/api/people?{query}")).await.problem().0, 422, "{query}");
    }
    // A date that our calendar has and PostgreSQL's has not.
    let early = admin.change(admin.own_id().await, json!({ "started_on": "-009999-01-01" })).await;
    assert_eq!(early.problem(), (400, "malformed".to_owned()));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let api = Api::start();
    let admin = api.visitor("admin", "indigo").await;
    let post = async |media_type, body: String| {
        admin.exchange(Method::POST, "/api/people", media_type, Bytes::from(body)).await.problem().0
    };
    assert_eq!(post("application/json", "{".to_owned()).await, 400);
    assert_eq!(post("application/json", r#"{"salary":1}"#.to_owned()).await, 400);
    assert_eq!(post("text/plain", "{}".to_owned()).await, 400);
    assert_eq!(post("application/json", format!("\"{}\"", "a".repeat(70_000))).await, 413);
    for path in ["/api/people/none", "/api/people/9999999999999999999", "/api/nothing", "/nothing"] {
        assert_eq!(admin.get(path).await.problem().0, 404, "{path}");
    }
    for query in ["limit=0", "limit=101", "after=!", &format!("search={}", "a".repeat(101))] {
        assert_eq!(admin.get(&format!("/api/people?{query}")).await.problem().0, 422, "{query}");
    }
    assert_eq!(admin.get("/api/people?order=name").await.problem().0, 400);
}
