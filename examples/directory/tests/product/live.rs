//! Changes as they happen.

use axum::http::StatusCode;
use serde_json::json;

use crate::program::Api;

#[tokio::test]
async fn a_change_in_one_process_is_told_by_another() {
    let api = Api::start();
    let other = api.twin();
    let admin = api.visitor("admin", "nimbus").await;
    // Each process listens on its own; a watcher is told at the latest when listening began.
    let mut watching = admin.at(other.port).watch().await.unwrap();
    let stranger = api.visitor("admin", "onyx").await;
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
async fn at_the_end_watchers_are_told_to_go_elsewhere() {
    let api = Api::start();
    let mut watching = api.visitor("user", "nimbus").await.watch().await.unwrap();
    api.process.ask_to_stop();
    assert_eq!(watching.close_code().await, 1001);
    api.process.wait_for_end();
}
