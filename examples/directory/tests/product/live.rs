//! Changes as they happen.
//!
//! Channels of Redis are the same for all tests: nobody else changes somebody of the tenants that are watched here and in
//! `photos.rs`, which are kestrel, nimbus and onyx.

use std::time::Duration;

use axum::http::StatusCode;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use crate::program::{Api, JWT_KEY};

#[tokio::test]
async fn a_change_in_one_process_is_told_by_another() {
    let api = Api::start();
    let other = api.twin();
    let admin = api.visitor("admin", "nimbus").await;
    // Each process listens on its own; a watcher is told at the latest when listening began.
    let mut watching = admin.at(other.port).watch().await.unwrap();
    let stranger = api.visitor("admin", "kestrel").await;
    let mut elsewhere = stranger.at(other.port).watch().await.unwrap();
    let user = admin.find("user@").await;
    let want = json!({ "kind": "changed", "person": user });
    let told = async {
        let changes = async {
            loop {
                admin.change(user, json!({ "location": "Oslo" })).await.good();
                tokio::time::sleep(crate::stores::POLL).await;
            }
        };
        tokio::select! {
            told = watching.change() => told,
            () = changes => unreachable!("it goes on for ever"),
        }
    };
    assert_eq!(told.await, want);

    // The first thing that the other tenant hears of is its own.
    let own = stranger.own_id().await;
    stranger.change(own, json!({ "location": "Riga" })).await.good();
    assert_eq!(elsewhere.change().await, json!({ "kind": "changed", "person": own }));
}

#[tokio::test]
async fn watching_takes_a_session_and_the_own_page() {
    let api = Api::start();
    assert_eq!(api.stranger("nimbus").watch().await.unwrap_err(), StatusCode::UNAUTHORIZED);
    let user = api.visitor("user", "nimbus").await;
    let foreign = user.with("origin", "https://birch.directory.localhost:8443");
    assert_eq!(foreign.watch().await.unwrap_err(), StatusCode::FORBIDDEN);
    user.with("origin", "https://nimbus.directory.localhost:8443").watch().await.unwrap();
}

#[tokio::test]
async fn what_a_token_opened_ends_with_it() {
    let api = Api::start();
    let until = jiff::Timestamp::now().as_second() + 3;
    let claims = json!({ "iss": "company-directory", "sub": "person-1", "iat": until - 900, "exp": until, "viewer":
        { "tenant": "nimbus", "who": { "person": 1 }, "name": "A Program", "role": "user" } });
    let token = jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(JWT_KEY.as_bytes()));
    let program = api.stranger("nimbus").with("authorization", &format!("Bearer {}", token.unwrap()));
    assert_eq!(program.watch().await.unwrap().close_code().await, 1008);
    assert!(jiff::Timestamp::now().as_second() >= until, "and not before");
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_not_waited_for() {
    let api = Api::start();
    let mut watching = api.visitor("user", "nimbus").await.watch().await.unwrap();
    watching.begin_frame(1024 * 1024).await;
    // It would be given up anyway once nothing was heard for 50 s.
    tokio::time::timeout(Duration::from_secs(20), watching.ended()).await.expect("the frame's end is waited for");
}

#[tokio::test]
async fn one_viewer_does_not_take_all_places() {
    let api = Api::start();
    let (user, manager) = (api.visitor("user", "nimbus").await, api.visitor("manager", "nimbus").await);
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(user.watch().await.unwrap());
    }
    assert_eq!(user.watch().await.unwrap_err(), StatusCode::SERVICE_UNAVAILABLE);
    manager.watch().await.unwrap();
}

#[tokio::test]
async fn at_the_end_watchers_are_told_to_go_elsewhere() {
    let api = Api::start();
    let mut watching = api.visitor("user", "nimbus").await.watch().await.unwrap();
    api.process.ask_to_stop();
    assert_eq!(watching.close_code().await, 1001);
    api.process.wait_for_end();
}
