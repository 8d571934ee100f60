//! What whoever operates the product sees.

use std::process::Output;

use axum::http::Method;
use serde_json::{Value, json};

use crate::program::{Api, finish, run, run_with_input};
use crate::stores::Ground;
use crate::visitor::PASSWORD;

fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_variable_that_is_missing_or_wrong_is_named() {
    let set_by_hand = "is not set: start this through `mainstay up`, or set it by hand";
    assert_eq!(failed(&run("serve", &[])), format!("directory: PORT {set_by_hand}\n"));
    assert_eq!(failed(&run("work", &[])), format!("directory: CACHE_URL {set_by_hand}\n"));
    assert_eq!(failed(&run("migrate", &[])), format!("directory: DB_URL {set_by_hand}\n"));
    assert_eq!(failed(&run("serve", &[("PORT", "http")])), "directory: PORT is not a number from 0 to 65535\n");
    assert_eq!(
        failed(&run("dance", &[])),
        "directory: usage: directory serve | work | migrate | digest | admin EMAIL | company ID NAME | seed\n"
    );
}

#[test]
fn a_key_that_is_too_short_is_refused() {
    let ground = Ground::new();
    let (db, cache) = (ground.db_url("api_service"), ground.cache_url());
    let environment =
        [("PORT", "0"), ("DB_URL", &db), ("CACHE_URL", &cache), ("PHOTOS_FOLDER", "/tmp"), ("JWT_KEY", "short")];
    assert_eq!(failed(&run("serve", &environment)), "directory: JWT_KEY is not at least 32 bytes long\n");
}

#[test]
fn migrating_and_seeding_again_change_nothing() {
    let ground = Ground::new();
    let line: Value = serde_json::from_str(&finish("migrate", &[("DB_URL", &ground.db_url("db_owner"))])).unwrap();
    assert_eq!(line["count"], 0);
    let seeded = seed(&ground);
    assert!(seeded.starts_with("0 of 10000 people are new, in 20 companies"), "{seeded}");
    for login in ["user@acme.example", "manager@acme.example", "admin@acme.example", "super@directory.example"] {
        assert!(seeded.contains(login), "{seeded}");
    }
}

fn seed(ground: &Ground) -> String {
    finish("seed", &[("DB_URL", &ground.db_url("api_service")), ("MAINSTAY_ENVIRONMENT", "test")])
}

#[test]
fn test_people_are_made_only_where_that_is_said() {
    let want = "directory: test people are made only where MAINSTAY_ENVIRONMENT is one of development, bench, test: \
                their password is public\n";
    let db = ("DB_URL", "postgres://nowhere");
    assert_eq!(failed(&run("seed", &[db])), want);
    for environment in ["production", "Production", "prod", "staging", "live"] {
        assert_eq!(failed(&run("seed", &[db, ("MAINSTAY_ENVIRONMENT", environment)])), want, "{environment}");
    }
}

#[tokio::test]
async fn seeding_again_gives_nobody_who_was_there_a_password() {
    let api = Api::start();
    let admin = api.visitor("admin", "harbor").await;
    let listed = json!({ "name": "Eve Novak", "email": "eve@harbor.example", "title": "Cook", "department": "Support",
                         "started_on": "2026-02-03" });
    admin.send(Method::POST, "/api/people", listed).await.good();
    let user = admin.find("user@").await;
    admin.delete(&format!("/api/people/{user}")).await.good();
    let seeded = seed(&api.ground);
    assert!(seeded.starts_with("1 of 10000 people are new"), "{seeded}");
    assert_eq!(api.stranger("harbor").log_in("eve@harbor.example", PASSWORD).await.status, 401);
    api.stranger("harbor").log_in("user@harbor.example", PASSWORD).await.good();
}

#[tokio::test]
async fn the_first_company_is_added_by_hand() {
    let api = Api::start();
    let db = api.ground.db_url("api_service");
    let company = |id, name| run_with_input(&["company", id, name], &[("DB_URL", &db)], "");
    assert!(company("zephyr", "Zephyr Sails").status.success());
    let root = api.stranger("zephyr").logged_in("super@directory.example").await;
    assert_eq!(root.get("/api/tenant").await.good()["name"], "Zephyr Sails");
    assert_eq!(failed(&company("zephyr", "Another")), "directory: ID is not as it should be: it is taken\n");
    let wrong = failed(&company("Zephyr", "Another"));
    assert!(wrong.starts_with("directory: ID is not as it should be: 1 to 40 lower-case letters"), "{wrong}");
}

#[tokio::test]
async fn a_super_admin_is_made_with_a_password_from_standard_input() {
    let api = Api::start();
    let (db, cache) = (api.ground.db_url("api_service"), api.ground.cache_url());
    let stores = [("DB_URL", db.as_str()), ("CACHE_URL", cache.as_str())];
    let admin = |email, password: &str| run_with_input(&["admin", email], &stores, password);
    assert!(admin("Ops@directory.example", "first password\n").status.success());
    let root = api.stranger("acme");
    let answer = root.log_in("ops@directory.example", "first password").await;
    assert_eq!(answer.good()["role"], "super_admin");
    let root = root.with("cookie", answer.header("set-cookie").split(';').next().unwrap());

    // Again, for who has forgotten it: the first one is worth nothing any more, nor is the session.
    assert!(admin("ops@directory.example", "second password").status.success());
    assert_eq!(root.get("/api/session").await.status, 401);
    assert_eq!(root.log_in("ops@directory.example", "first password").await.status, 401);
    root.log_in("ops@directory.example", "second password").await.good();

    let weak = failed(&admin("ops@directory.example", "short\n"));
    assert_eq!(weak, "directory: the password is not as it should be: 10 to 200 characters\n");
    let wrong = failed(&admin("ops", "first password\n"));
    assert_eq!(wrong, "directory: EMAIL is not as it should be: an address such as ada@acme.example\n");
}

#[test]
fn a_service_cannot_migrate() {
    let output = run("migrate", &[("DB_URL", &Ground::new().db_url("api_service"))]);
    assert!(failed(&output).contains("permission denied"), "{output:?}");
}

#[tokio::test]
async fn probes_and_figures() {
    let api = Api::start();
    let stranger = api.stranger("acme");
    assert_eq!(stranger.get("/healthz").await.body, "alive\n");
    assert_eq!(stranger.get("/readyz").await.body, "ready\n");
    stranger.get("/api/people/7").await;
    let text = String::from_utf8(stranger.get("/metrics").await.body.to_vec()).unwrap();
    let series = "directory_requests_total{method=\"GET\",route=\"/api/people/{id}\",status=\"401\"} 1";
    assert!(text.lines().any(|line| line == series), "{text}");
    assert!(text.contains("directory_request_seconds_bucket{le=\"0.2\",route=\"/readyz\"} "), "{text}");
    assert!(text.contains("directory_live_connections 0"), "{text}");
}

#[tokio::test]
async fn a_request_is_found_in_the_log_by_its_ids() {
    let api = Api::start();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let visitor = api
        .stranger("acme")
        .with("x-request-id", "edge-17")
        .with("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
    assert_eq!(visitor.get("/api/tenant").await.header("x-request-id"), "edge-17");
    let line = api.process.wait_for_line(|line| line["span"]["request_id"] == "edge-17");
    assert_eq!(line["span"]["trace_id"], trace);
    assert_eq!(
        (&line["method"], &line["route"], &line["status"], &line["tenant"]),
        (&json!("GET"), &json!("/api/tenant"), &json!(200), &json!("acme"))
    );
}

#[tokio::test]
async fn the_weekly_job_counts_for_every_tenant() {
    let api = Api::start();
    let user = api.visitor("user", "alder").await;
    for _ in 0..2 {
        finish("digest", &[("DB_URL", &api.ground.db_url("api_service"))]);
    }
    let digest = user.get("/api/digest").await.good();
    assert_eq!(digest["people"], 500);
    let week: jiff::civil::Date = digest["week"].as_str().unwrap().parse().unwrap();
    assert_eq!(week.weekday(), jiff::civil::Weekday::Monday);
}
