//! Photos, from the upload to the worker.

use std::io::Cursor;
use std::path::PathBuf;

use axum::body::Bytes;
use axum::http::Method;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ExtendedColorType, GenericImageView, ImageEncoder, ImageFormat, RgbImage};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamReadReply;
use serde_json::{Value, json};

use crate::program::Api;
use crate::visitor::{Answer, Visitor};

/// A photo of one colour.
pub(crate) fn png(colour: [u8; 3]) -> Bytes {
    let mut bytes = Cursor::new(Vec::new());
    let image = RgbImage::from_pixel(640, 480, image::Rgb(colour));
    DynamicImage::from(image).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner().into()
}

/// A small photo with a colour profile of so many equal bytes, which a file has hardly any room for.
fn with_profile(bytes: usize) -> Bytes {
    let mut photo = Cursor::new(Vec::new());
    let mut encoder = PngEncoder::new(&mut photo);
    encoder.set_icc_profile(vec![0; bytes]).unwrap();
    encoder.write_image(&[0; 3], 1, 1, ExtendedColorType::Rgb8).unwrap();
    photo.into_inner().into()
}

async fn put(visitor: &Visitor, person: i64, photo: &Bytes) -> Answer {
    visitor.exchange(Method::PUT, &format!("/api/photos/{person}"), "image/png", photo.clone()).await
}

async fn photo_of(visitor: &Visitor, person: i64) -> Value {
    visitor.get(&format!("/api/people/{person}")).await.good()["photo"].clone()
}

/// Waits until the worker is done with a person's photo.
async fn finished(visitor: &Visitor, person: i64) -> Value {
    let path = format!("/api/people/{person}");
    visitor.get_until(&path, |answer| answer.good()["photo"]["thumbnail"] != "waiting").await;
    photo_of(visitor, person).await
}

fn folder_of(api: &Api, tenant: &str, person: i64, photo: &Value) -> PathBuf {
    api.ground.photos().join(format!("{tenant}/{person}/{}", photo["id"].as_str().unwrap()))
}

#[tokio::test]
async fn a_photo_comes_back_byte_for_byte_and_gets_a_small_copy() {
    let api = Api::start();
    let _worker = api.worker();
    let user = api.visitor("user", "poplar").await;
    let (own, photo) = (user.own_id().await, png([200, 30, 30]));
    put(&user, own, &photo).await.good();
    let id = photo_of(&user, own).await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/photos/{own}/{id}");
    let answer = user.get(&path).await;
    assert_eq!(answer.body, photo);
    assert_eq!(answer.header("content-type"), "image/png");
    assert_eq!(answer.header("cache-control"), "private, max-age=31536000, immutable");
    assert_eq!(user.with("if-none-match", answer.header("etag")).get(&path).await.status, 304);

    assert_eq!(finished(&user, own).await["thumbnail"], "ready");
    let small = user.get(&format!("{path}/thumbnail")).await;
    assert_eq!(small.header("content-type"), "image/jpeg");
    assert_eq!(image::load_from_memory(&small.body).unwrap().dimensions(), (192, 192));

    let elsewhere = api.visitor("admin", "onyx").await;
    assert_eq!(elsewhere.get(&path).await.status, 404);
    assert_eq!(api.stranger("poplar").get(&path).await.status, 401);
}

#[tokio::test]
async fn what_is_no_photo_is_refused() {
    let api = Api::start();
    let user = api.visitor("user", "poplar").await;
    let (own, boss) = (user.own_id().await, user.find("manager@").await);
    let script = Bytes::from_static(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>");
    assert_eq!(put(&user, own, &script).await.problem(), (415, "not-a-photo".to_owned()));
    assert_eq!(
        put(&user, own, &Bytes::from(vec![0; 5 * 1024 * 1024 + 1])).await.problem(),
        (413, "too-large".to_owned())
    );
    assert_eq!(put(&user, boss, &png([0; 3])).await.problem(), (403, "forbidden".to_owned()));
}

#[tokio::test]
async fn a_small_file_cannot_fill_the_memory() {
    let api = Api::start();
    let user = api.visitor("user", "poplar").await;
    let own = user.own_id().await;
    // Made of 400 MiB that are all the same; the service may have 256 MiB.
    put(&user, own, &with_profile(400 * 1024 * 1024)).await;
    assert!(api.process.memory_peak() < 200, "{} MiB", api.process.memory_peak());
}

#[tokio::test]
async fn photos_that_are_taken_at_once_are_counted() {
    let api = Api::start();
    let user = api.visitor("user", "poplar").await;
    let (own, boss) = (user.own_id().await, user.find("manager@").await);
    let mut open = Vec::new();
    for _ in 0..6 {
        open.push(user.begin_to_send(Method::PUT, &format!("/api/photos/{boss}"), 1000).await);
    }
    let (photo, deadline) = (png([4, 4, 4]), std::time::Instant::now() + crate::program::PATIENCE);
    let full = loop {
        // One may come while the photo below is taken, and find no place.
        open.push(user.begin_to_send(Method::PUT, &format!("/api/photos/{own}"), 1000).await);
        let answer = put(&user, own, &photo).await;
        if answer.status == 503 {
            break answer;
        }
        assert!(std::time::Instant::now() < deadline, "still {answer:?}");
    };
    assert_eq!(full.problem().1, "full");
    // Who is not logged in takes no place, nor does who may not change the photo, and nobody takes all.
    assert_eq!(put(&api.stranger("poplar"), own, &photo).await.status, 401);
    assert_eq!(put(&user, boss, &photo).await.status, 403);
    let manager = api.visitor("manager", "poplar").await;
    put(&manager, boss, &photo).await.good();
    // Who goes away gives theirs back.
    drop(open);
    while put(&user, own, &photo).await.status != 204 {
        assert!(std::time::Instant::now() < deadline, "the places are not given back");
        tokio::time::sleep(crate::stores::POLL).await;
    }
}

#[tokio::test]
async fn a_photo_that_was_given_up_before_it_was_stored_is_nobodys() {
    let api = Api::start();
    let user = api.visitor("user", "poplar").await;
    let own = user.own_id().await;
    let forget = "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
                  CREATE TRIGGER forgotten BEFORE INSERT ON unused_photos FOR EACH ROW EXECUTE FUNCTION forget()";
    api.ground.database("db_owner").await.batch_execute(forget).await.unwrap();
    assert_eq!(put(&user, own, &png([7; 3])).await.problem(), (409, "conflict".to_owned()));
    assert_eq!(photo_of(&user, own).await, Value::Null);
}

#[tokio::test]
async fn a_photo_that_is_replaced_or_removed_leaves_nothing_behind() {
    let api = Api::start();
    let _worker = api.worker();
    let admin = api.visitor("admin", "meridian").await;
    let user = admin.find("user@").await;
    put(&admin, user, &png([1, 2, 3])).await.good();
    let first = finished(&admin, user).await;
    let folder = folder_of(&api, "meridian", user, &first);
    assert!(folder.join("original").exists() && folder.join("thumbnail").exists());
    put(&admin, user, &png([3, 2, 1])).await.good();
    wait_until_gone(&folder).await;
    let second = finished(&admin, user).await;
    admin.delete(&format!("/api/people/{user}")).await.good();
    wait_until_gone(&folder_of(&api, "meridian", user, &second)).await;
}

async fn wait_until_gone(folder: &std::path::Path) {
    let deadline = std::time::Instant::now() + crate::program::PATIENCE;
    while folder.join("original").exists() || folder.join("thumbnail").exists() {
        assert!(std::time::Instant::now() < deadline, "{} is still there", folder.display());
        tokio::time::sleep(crate::stores::POLL).await;
    }
}

#[tokio::test]
async fn a_job_that_a_dead_worker_took_is_done_by_another() {
    let api = Api::start();
    let user = api.visitor("user", "birch").await;
    let own = user.own_id().await;
    put(&user, own, &png([9, 9, 9])).await.good();
    let folder = folder_of(&api, "birch", own, &photo_of(&user, own).await);
    put(&user, own, &png([8, 8, 8])).await.good();
    // The search of the database passes over photos that were given up less than an hour ago: only the job is left.
    let mut cache = api.ground.cache().await;
    for id in take_jobs(&mut cache).await {
        let mut claim = redis::cmd("XCLAIM");
        claim.arg("jobs").arg("workers").arg("dead").arg(0).arg(id).arg("IDLE").arg(120_000);
        claim.exec_async(&mut cache).await.unwrap();
    }
    assert!(folder.join("original").exists());
    let _worker = api.worker();
    wait_until_gone(&folder).await;
}

#[tokio::test]
async fn a_job_that_was_lost_is_found_in_the_database() {
    let api = Api::start();
    let user = api.visitor("manager", "fjord").await;
    let own = user.own_id().await;
    put(&user, own, &png([9, 9, 9])).await.good();
    let mut cache = api.ground.cache().await;
    for id in take_jobs(&mut cache).await {
        let _: usize = cache.xack("jobs", "workers", &[&id]).await.unwrap();
        let _: usize = cache.xdel("jobs", &[&id]).await.unwrap();
    }
    let _worker = api.worker();
    assert_eq!(finished(&user, own).await["thumbnail"], "ready");
}

#[tokio::test]
async fn a_job_that_fails_holds_up_no_other_and_is_in_the_stream_once() {
    let api = Api::start();
    let (user, manager) = (api.visitor("user", "ember").await, api.visitor("manager", "ember").await);
    let (first, second) = (user.own_id().await, manager.own_id().await);
    put(&user, first, &png([1, 1, 1])).await.good();
    put(&manager, second, &png([2, 2, 2])).await.good();
    // Neither there nor not there: what the store cannot tell is tried again for ever.
    let folder = api.ground.photos().join(format!("ember/{first}"));
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    let _worker = api.worker();
    assert_eq!(finished(&manager, second).await["thumbnail"], "ready");
    let mut cache = api.ground.cache().await;
    let deadline = std::time::Instant::now() + crate::program::PATIENCE;
    // The search, which comes first, has added no second one.
    while cache.xlen::<_, usize>("jobs").await.unwrap() != 1 {
        assert!(std::time::Instant::now() < deadline, "there is more in the stream than the job that fails");
        tokio::time::sleep(crate::stores::POLL).await;
    }
    assert_eq!(photo_of(&user, first).await["thumbnail"], "waiting");
}

#[tokio::test]
async fn a_worker_goes_on_when_redis_has_lost_everything() {
    let api = Api::start();
    let _worker = api.worker();
    let user = api.visitor("user", "ember").await;
    let own = user.own_id().await;
    put(&user, own, &png([1, 2, 3])).await.good();
    assert_eq!(finished(&user, own).await["thumbnail"], "ready");
    let _: () = api.ground.cache().await.del("jobs").await.unwrap();
    put(&user, own, &png([3, 2, 1])).await.good();
    assert_eq!(finished(&user, own).await["thumbnail"], "ready");
}

#[tokio::test]
async fn a_photo_that_ended_every_worker_is_told_once_and_for_all() {
    let api = Api::start();
    let user = api.visitor("user", "ember").await;
    let own = user.own_id().await;
    put(&user, own, &png([3, 3, 3])).await.good();
    let mut cache = api.ground.cache().await;
    for id in take_jobs(&mut cache).await {
        let mut claim = redis::cmd("XCLAIM");
        claim.arg("jobs").arg("workers").arg("dead").arg(0).arg(id).arg("IDLE").arg(120_000).arg("RETRYCOUNT").arg(5);
        claim.exec_async(&mut cache).await.unwrap();
    }
    let _worker = api.worker();
    assert_eq!(finished(&user, own).await["thumbnail"], "impossible");
}

/// Takes what waits in the stream, as a worker that does nothing with it.
async fn take_jobs(cache: &mut MultiplexedConnection) -> Vec<String> {
    let _: () = cache.xgroup_create_mkstream("jobs", "workers", "0").await.unwrap();
    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg("workers").arg("dead").arg("STREAMS").arg("jobs").arg(">");
    let taken: StreamReadReply = read.query_async(cache).await.unwrap();
    taken.keys.into_iter().flat_map(|key| key.ids).map(|entry| entry.id).collect()
}

#[tokio::test]
async fn a_photo_that_cannot_be_read_is_told_once_and_for_all() {
    let api = Api::start();
    let _worker = api.worker();
    let user = api.visitor("user", "quartz").await;
    let own = user.own_id().await;
    // Its head is in order, its end is missing.
    let whole = png([5, 5, 5]);
    put(&user, own, &whole.slice(..whole.len() / 2)).await.good();
    assert_eq!(finished(&user, own).await["thumbnail"], "impossible");
}

#[tokio::test]
async fn a_thumbnail_is_told_to_who_watches() {
    let api = Api::start();
    let _worker = api.worker();
    let user = api.visitor("user", "onyx").await;
    let own = user.own_id().await;
    put(&user, own, &png([7, 7, 7])).await.good();
    finished(&user, own).await;
    let mut watching = user.watch().await.unwrap();
    // The list was kept without the photo's small copy; the worker's change has to reach it, too.
    let path = "/api/people?search=user@onyx";
    let shown = user.get_until(path, |answer| answer.good()["people"][0]["photo"]["thumbnail"] == "ready").await;
    assert_eq!(shown.good()["total"], 1);
    put(&user, own, &png([8, 8, 8])).await.good();
    assert_eq!(watching.change().await, json!({ "kind": "changed", "person": own }));
    assert_eq!(watching.change().await, json!({ "kind": "changed", "person": own }), "the worker's");
}
