//! What whoever operates the product sees.

use std::process::Output;

use serde_json::{Value, json};

use crate::program::{Api, finish, run};
use crate::stores::Ground;

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
    assert_eq!(failed(&run("dance", &[])), "directory: usage: directory serve | work | migrate | digest | seed\n");
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
    let seeded = finish("seed", &[("DB_URL", &ground.db_url("api_service"))]);
    assert!(seeded.starts_with("0 of 10000 people are new, in 20 companies"), "{seeded}");
    for login in ["user@acme.example", "manager@acme.example", "admin@acme.example", "super@directory.example"] {
        assert!(seeded.contains(login), "{seeded}");
    }
}

#[test]
fn test_people_are_never_made_in_production() {
    let environment = [("DB_URL", "postgres://nowhere"), ("MAINSTAY_ENVIRONMENT", "production")];
    assert!(failed(&run("seed", &environment)).contains("never made in production"));
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
