//! What each role may do.

use axum::http::Method;
use serde_json::json;

use crate::program::Api;
use crate::visitor::PASSWORD;

#[tokio::test]
async fn a_user_edits_how_they_can_be_reached_and_nothing_else() {
    let api = Api::start();
    let user = api.visitor("user", "cobalt").await;
    let (own, boss) = (user.own_id().await, user.find("manager@").await);
    let changed = user.change(own, json!({ "phone": "+49 30 7654", "about": "Bees.\nAnd trees." })).await.good();
    assert_eq!(changed["about"], "Bees.\nAnd trees.");
    assert_eq!(changed["may_edit"], json!(["location", "phone", "about", "photo"]));

    let refused = user.change(own, json!({ "title": "Queen", "role": "admin", "phone": "1234" })).await;
    assert_eq!(refused.problem(), (403, "forbidden".to_owned()));
    assert_eq!(refused.json()["detail"], "You may not change: title, role.");
    assert_eq!(user.change(boss, json!({ "phone": "12345" })).await.status, 403);
    assert_eq!(user.delete(&format!("/api/people/{boss}")).await.status, 403);
    assert_eq!(user.send(Method::POST, "/api/people", new_person("eve@cobalt.example")).await.status, 403);
}

#[tokio::test]
async fn naming_no_field_is_no_way_to_change_somebody() {
    let api = Api::start();
    let (user, admin) = (api.visitor("user", "cobalt").await, api.visitor("admin", "cobalt").await);
    let boss = user.find("manager@").await;
    let before = user.version(boss).await;
    assert_eq!(user.change(boss, json!({})).await.problem(), (403, "forbidden".to_owned()));
    let nothing = admin.change(boss, json!({})).await;
    assert_eq!(nothing.problem(), (422, "invalid".to_owned()));
    assert_eq!(nothing.json()["fields"], json!({ "version": "comes with at least one field to change" }));
    assert_eq!(user.version(boss).await, before);
}

#[tokio::test]
async fn a_manager_edits_the_work_of_their_reports() {
    let api = Api::start();
    let manager = api.visitor("manager", "delta").await;
    let (report, boss) = (manager.find("user@").await, manager.find("admin@").await);
    assert_eq!(manager.change(report, json!({ "title": "Captain" })).await.good()["title"], "Captain");
    assert_eq!(manager.change(report, json!({ "phone": "12345" })).await.status, 403);
    assert_eq!(manager.change(boss, json!({ "title": "Stoker" })).await.status, 403);
}

#[tokio::test]
async fn an_admin_adds_promotes_and_removes() {
    let api = Api::start();
    let admin = api.visitor("admin", "ember").await;
    let added = admin.send(Method::POST, "/api/people", new_person("eve@ember.example")).await;
    assert_eq!(added.status, 201);
    let eve = added.good()["id"].as_i64().unwrap();
    let visitor = api.stranger("ember").logged_in("eve@ember.example").await;
    assert_eq!(visitor.get("/api/session").await.good()["role"], "user");

    assert_eq!(admin.change(eve, json!({ "role": "manager" })).await.good()["role"], "manager");
    assert_eq!(visitor.get("/api/session").await.status, 401, "the session of the former role is over");
    let visitor = api.stranger("ember").logged_in("eve@ember.example").await;
    assert_eq!(visitor.get("/api/session").await.good()["role"], "manager");

    admin.delete(&format!("/api/people/{eve}")).await.good();
    assert_eq!(visitor.get("/api/session").await.status, 401);
    assert_eq!(api.stranger("ember").log_in("eve@ember.example", PASSWORD).await.status, 401);
    assert_eq!(admin.get(&format!("/api/people/{eve}")).await.status, 404);
}

#[tokio::test]
async fn an_admin_cannot_lock_themselves_out() {
    let api = Api::start();
    let admin = api.visitor("admin", "fjord").await;
    let own = admin.own_id().await;
    assert_eq!(admin.change(own, json!({ "role": "user" })).await.status, 403);
    assert_eq!(admin.delete(&format!("/api/people/{own}")).await.status, 403);
}

#[tokio::test]
async fn whoever_is_removed_leaves_their_reports_behind() {
    let api = Api::start();
    let admin = api.visitor("admin", "garnet").await;
    let (manager, report) = (admin.find("manager@").await, admin.find("user@").await);
    admin.delete(&format!("/api/people/{manager}")).await.good();
    assert_eq!(admin.get(&format!("/api/people/{report}")).await.good()["manager"], json!(null));
}

#[tokio::test]
async fn those_who_run_the_directory_add_companies() {
    let api = Api::start();
    let admin = api.visitor("admin", "harbor").await;
    assert_eq!(admin.get("/api/tenants").await.status, 403);
    let new = json!({ "id": "zephyr", "name": "Zephyr Sails", "admin":
        { "name": "Zoe Abel", "email": "zoe@zephyr.example", "password": "sails and wind" } });
    assert_eq!(admin.send(Method::POST, "/api/tenants", new.clone()).await.status, 403);

    let root = api.stranger("harbor").logged_in("super@directory.example").await;
    assert_eq!(root.get("/api/session").await.good()["role"], "super_admin");
    let person = root.find("user@").await;
    assert_eq!(root.change(person, json!({ "title": "Pilot" })).await.good()["title"], "Pilot");
    assert_eq!(root.send(Method::POST, "/api/tenants", new.clone()).await.status, 201);
    let again = root.send(Method::POST, "/api/tenants", new).await;
    assert_eq!(again.json()["fields"], json!({ "id": "is taken" }));

    let zephyr = api.stranger("zephyr");
    let login = zephyr.log_in("zoe@zephyr.example", "sails and wind").await;
    assert_eq!(login.good()["role"], "admin");
}

fn new_person(email: &str) -> serde_json::Value {
    json!({ "name": "Eve Novak", "email": email, "title": "Cook", "department": "Support",
            "started_on": "2026-02-03", "password": PASSWORD })
}
