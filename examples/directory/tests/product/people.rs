//! The list of people: searching, going through it, and answers that are kept.

use std::collections::BTreeSet;

use serde_json::json;

use crate::program::Api;

#[tokio::test]
async fn all_parts_together_are_everybody_once() {
    let api = Api::start();
    let user = api.visitor("user", "kestrel").await;
    let (mut seen, mut names, mut path) = (BTreeSet::new(), Vec::new(), "/api/people?limit=100".to_owned());
    loop {
        let part = user.get(&path).await.good();
        assert_eq!(part["total"], 500);
        assert_ne!(part["people"], json!([]), "the part before said that there is more");
        for person in part["people"].as_array().unwrap() {
            assert!(seen.insert(person["id"].as_i64().unwrap()), "{person} was there before");
            names.push(person["name"].as_str().unwrap().to_owned());
        }
        match part["next"].as_str() {
            Some(next) => path = format!("/api/people?limit=100&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 500);
    assert!(names.is_sorted());
}

#[tokio::test]
async fn every_word_of_a_search_must_be_found() {
    let api = Api::start();
    let user = api.visitor("user", "kestrel").await;
    let total = async |query: &str| user.get(&format!("/api/people?{query}")).await.good()["total"].as_i64().unwrap();
    assert_eq!(total("search=MANAGER@%20head").await, 1);
    assert_eq!(total("search=manager@%20cook").await, 0);
    assert_eq!(total("search=%25").await, 0, "a wildcard is a character like any other");
    assert_eq!(total("department=Engineering").await, 51);
    assert_eq!(total("department=Engineering&search=head").await, 1);
}

#[tokio::test]
async fn an_answer_is_kept_until_somebody_changes() {
    let api = Api::start();
    let admin = api.visitor("admin", "larch").await;
    let path = "/api/people?search=user@";
    let first = admin.get(path).await;
    assert_eq!((first.header("x-cache"), admin.get(path).await.header("x-cache")), ("miss", "hit"));
    let user = first.json()["people"][0]["id"].as_i64().unwrap();
    admin.change(user, json!({ "title": "Sawyer" })).await.good();
    let after = admin.get(path).await;
    assert_eq!((after.header("x-cache"), &after.json()["people"][0]["title"]), ("miss", &json!("Sawyer")));
}

#[tokio::test]
async fn another_tenants_change_costs_no_kept_answer() {
    let api = Api::start();
    let (here, there) = (api.visitor("user", "kestrel").await, api.visitor("user", "meridian").await);
    let path = "/api/people?search=another%20tenant";
    here.get(path).await.good();
    there.change(there.own_id().await, json!({ "about": "Maps." })).await.good();
    assert_eq!(here.get(path).await.header("x-cache"), "hit");
}
