//! The object store of a stack, asked as services ask it: by the variables that they receive, through a client that is
//! not ours.

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, MultipartUpload, ObjectStore, ObjectStoreExt, RetryConfig,
};
use serde_json::Value;

use crate::processes::{self, Process};
use crate::world::{World, pid_of, steady, tell, unit};

/// Two services on one store, and a store of another one's own.
const FILE: &str = "\
stack: stored
services:
  api: { run: bin/teller, uses: [photos] }
  worker: { run: bin/teller, uses: [photos] }
  scanner: { run: bin/teller, uses: [scans] }
resources:
  photos: { type: objects, buckets: [photos, thumbnails], versions: true }
  scans: { type: objects, buckets: [scans] }
";

/// A part of an upload: the smallest that S3 takes for any but the last.
const PART_BYTES: usize = 5 << 20;
/// How often a client tries again what the store could not answer. Its own pauses make that some ten seconds.
const TRIES_AGAIN_MAX: usize = 10;

/// A stack that is up, whose services write down what they are told.
struct Stored {
    world: World,
}

/// What a service is told about a store.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told(BTreeMap<String, String>);

impl Stored {
    fn up(name: &str) -> Self {
        let world = World::new(name, FILE);
        let told = world.folder.join("told");
        fs::create_dir(&told).unwrap();
        fs::set_permissions(&told, fs::Permissions::from_mode(0o777)).unwrap();
        let told = told.display();
        world.script(
            "teller",
            &format!(
                "#!/bin/sh\nunit=${{MAINSTAY_UNIT##*/}}\nenv | grep -E '^(PHOTOS|SCANS)_' > {told}/$unit.part\n\
                 mv {told}/$unit.part {told}/$unit\nexec sleep 1000000\n"
            ),
        );
        world.up();
        Self { world }
    }

    /// What a replica was told when it was started.
    fn told(&self, replica: &str) -> Told {
        let path = self.world.folder.join("told").join(replica);
        let (text, _) = self.world.wait_for("a service to say what it is told", || fs::read_to_string(&path).ok());
        let variables = text.lines().filter_map(|line| line.split_once('='));
        Told(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The store's own process.
    fn process(&self, resource: &str) -> Process {
        self.world.child(resource)
    }

    /// Starts the next node, which takes over what runs.
    fn node_again(&self) -> Value {
        self.world.wait_for("the node to be gone", || self.world.node().is_none().then_some(()));
        self.world.up()
    }
}

impl Told {
    fn of(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("{name} is not told: {:?}", self.0.keys()))
    }

    /// A client of `bucket` as somebody sets one up who knows only the variables.
    fn client(&self, prefix: &str, bucket: &str) -> AmazonS3 {
        let of = |suffix: &str| self.of(&format!("{prefix}_{suffix}"));
        let retry =
            RetryConfig { backoff: BackoffConfig::default(), max_retries: TRIES_AGAIN_MAX, ..RetryConfig::default() };
        AmazonS3Builder::new()
            .with_client_options(ClientOptions::new().with_allow_http(true))
            .with_endpoint(of("ENDPOINT"))
            .with_region(of("REGION"))
            .with_bucket_name(bucket)
            .with_access_key_id(of("ACCESS_KEY"))
            .with_secret_access_key(of("SECRET_KEY"))
            .with_retry(retry)
            .build()
            .unwrap()
    }

    fn photos(&self) -> AmazonS3 {
        self.client("PHOTOS", self.of("PHOTOS_BUCKET"))
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn put(store: &AmazonS3, key: &str, bytes: &[u8]) -> object_store::PutResult {
    run(store.put(&Path::from(key), bytes.to_vec().into())).unwrap()
}

fn get(store: &AmazonS3, key: &str) -> Vec<u8> {
    run(async { store.get(&Path::from(key)).await.unwrap().bytes().await.unwrap().to_vec() })
}

/// The store answers, and does not let in who asks.
#[track_caller]
fn is_refused(store: &AmazonS3, why: &str) {
    let error = run(store.get(&Path::from("kept"))).err().map(|error| format!("{error:?}")).unwrap_or_default();
    assert!(error.contains(why), "{error:?} does not say {why}");
}

#[test]
fn a_store_serves_those_who_use_it_and_keeps_what_it_was_given() {
    let stored = Stored::up("objects");
    let world = &stored.world;
    let status = world.status().unwrap();
    let photos = unit(&status, "photos").unwrap();
    assert_eq!((&photos["state"], &photos["kind"]), (&"ready".into(), &"objects".into()), "{photos:#}");
    let told = stored.told("api.1.1");
    assert_eq!(told.of("PHOTOS_ENDPOINT"), format!("http://{}", photos["address"].as_str().unwrap()));
    assert_eq!((told.of("PHOTOS_BUCKET"), told.of("PHOTOS_BUCKETS")), ("photos", "photos,thumbnails"));
    assert_eq!(told.0.len(), 6, "{:?}", told.0.keys());

    let (first, thumbnails) = (told.photos(), told.client("PHOTOS", "thumbnails"));
    let before = put(&first, "a/kept", b"first").version.unwrap();
    put(&first, "a/kept", b"second");
    put(&thumbnails, "a/kept", b"small");
    assert_eq!((get(&first, "a/kept"), get(&thumbnails, "a/kept")), (b"second".to_vec(), b"small".to_vec()));
    let earlier = GetOptions { version: Some(before), ..GetOptions::default() };
    let earlier = run(async { first.get_opts(&"a/kept".into(), earlier).await.unwrap().bytes().await.unwrap() });
    assert_eq!(&earlier[..], b"first", "the file asks for versions");

    assert_eq!(world.done(&["logs", "photos"]).code, Some(0));
    assert!(world.done(&["plan"]).out.contains("Nothing to do"));
    world.down();
    world.up();
    assert_eq!(stored.told("api.1.1"), told, "a service finds the store where it was, by the key that it had");
    assert_eq!(get(&told.photos(), "a/kept"), b"second");
    world.down();
}

#[test]
fn a_key_is_one_services_and_ends_with_its_use() {
    let stored = Stored::up("object-keys");
    let world = &stored.world;
    let (api, worker, scanner) = (stored.told("api.1.1"), stored.told("worker.1.1"), stored.told("scanner.1.1"));
    put(&api.photos(), "kept", b"by api");
    assert_eq!(get(&worker.photos(), "kept"), b"by api", "services that use one store share its objects");
    // Another's id with the own secret, the key of another store, and a bucket that there is not.
    let mixed = |told: &Told, name: &str, from: &str| {
        let mut told = told.clone();
        told.0.insert(name.to_owned(), from.to_owned());
        told
    };
    is_refused(&mixed(&worker, "PHOTOS_ACCESS_KEY", api.of("PHOTOS_ACCESS_KEY")).photos(), "SignatureDoesNotMatch");
    let foreign = mixed(&scanner, "SCANS_ENDPOINT", api.of("PHOTOS_ENDPOINT"));
    is_refused(&foreign.client("SCANS", "photos"), "InvalidAccessKeyId");
    is_refused(&api.client("PHOTOS", "scans"), "AccessDenied");

    let (store, status) = (stored.process("photos"), world.status().unwrap());
    let without = FILE.replace("worker: { run: bin/teller, uses: [photos] }", "worker: { run: bin/teller }");
    world.write(&without.replace("[photos, thumbnails]", "[photos, originals]"));
    let plan = world.done(&["plan"]).out;
    assert!(plan.contains("objects in thumbnails stay, out of reach until the file names it again"), "{plan}");
    world.up();
    world.wait_for("the key to be refused", || {
        let answer = run(worker.photos().get(&Path::from("kept")));
        answer.is_err_and(|error| format!("{error:?}").contains("InvalidAccessKeyId")).then_some(())
    });
    let again = stored.told("api.2.1");
    assert_eq!(again.of("PHOTOS_BUCKETS"), "photos,originals");
    put(&again.client("PHOTOS", "originals"), "kept", b"large");
    is_refused(&again.client("PHOTOS", "thumbnails"), "AccessDenied");
    assert_eq!(get(&api.photos(), "kept"), b"by api", "the key of a service that goes on using it stays");
    assert_eq!(stored.process("photos"), store, "the store was restarted");
    let scans = |status: &Value| pid_of(status, "scans");
    assert_eq!(scans(&world.status().unwrap()), scans(&status));
    world.down();
}

/// Kills what `victim` picks while objects are written, and holds the store to every one that it acknowledged.
#[track_caller]
fn killed_while_writing(name: &str, victim: impl Fn(&World) -> Process) {
    let stored = Stored::up(name);
    let (world, told) = (&stored.world, stored.told("api.1.1"));
    let (stop, old) = (AtomicBool::new(false), stored.process("photos"));
    let (written, took) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(&told.photos(), &stop));
        // However this ends, the writer does.
        let _stops = Stops(&stop);
        world.wait_for("the first objects", || (run(first_keys(&told.photos())) > 3).then_some(()));
        processes::kill(&victim(world));
        let (_, took) = world.replaced("photos", &old);
        put(&told.photos(), "after", b"the kill");
        stop.store(true, Ordering::Relaxed);
        (writer.join().unwrap(), took)
    });
    tell(format!("{name}: ready again"), took);
    println!("  {written} objects acknowledged");
    let store = told.photos();
    for number in 0..written {
        assert_eq!(get(&store, &format!("n/{number}")), content(number), "object {number}");
    }
    assert_eq!(unit(&world.status().unwrap(), "photos").unwrap()["restarts"], 1);
    world.down();
}

struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Some of the objects that are there.
async fn first_keys(store: &AmazonS3) -> usize {
    store.list_with_delimiter(Some(&Path::from("n"))).await.map_or(0, |listed| listed.objects.len())
}

/// Writes objects one after the other; how many of them, from the first on, were acknowledged.
fn write_until(store: &AmazonS3, stop: &AtomicBool) -> usize {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        put(store, &format!("n/{number}"), &content(number));
        number += 1;
    }
    number
}

/// Objects of different lengths, some longer than one block of the store.
fn content(number: usize) -> Vec<u8> {
    format!("object {number} ").into_bytes().repeat(number % 7 * 3000 + 1)
}

#[test]
fn a_killed_store_comes_back_with_all_that_it_acknowledged() {
    killed_while_writing("killed-store", |world| world.child("photos"));
}

#[test]
fn a_store_without_its_shim_comes_back_with_all_that_it_acknowledged() {
    killed_while_writing("shim-of-store", |world| world.shim("photos"));
}

#[test]
fn an_upload_goes_on_while_there_is_no_node() {
    let stored = Stored::up("upload");
    let (world, told, store) = (&stored.world, stored.told("api.1.1"), stored.process("photos"));
    let part = |byte: u8| vec![byte; PART_BYTES];
    let (client, begun) = (told.photos(), steady());
    let after = run(async {
        let mut upload = client.put_multipart(&Path::from("large")).await.unwrap();
        upload.put_part(part(1).into()).await.unwrap();
        processes::kill(&world.node().unwrap());
        upload.put_part(part(2).into()).await.unwrap();
        // Nothing else is to be done meanwhile.
        let status = stored.node_again();
        upload.put_part(b"the end".to_vec().into()).await.unwrap();
        upload.complete().await.unwrap();
        status
    });
    tell("upload over the death of a node", steady().saturating_sub(begun));
    assert_eq!(get(&client, "large"), [part(1), part(2), b"the end".to_vec()].concat());
    assert_eq!((stored.process("photos"), pid_of(&after, "photos")), (store.clone(), Some(store.pid)));

    // The node that took the store over tells it what changes.
    world.write(&FILE.replace("api: { run: bin/teller, uses: [photos] }", "api: { run: bin/teller }"));
    world.up();
    world.wait_for("the key to be refused", || {
        let answer = run(client.get(&Path::from("large")));
        answer.is_err_and(|error| format!("{error:?}").contains("InvalidAccessKeyId")).then_some(())
    });
    world.down();
}

#[test]
fn a_store_whose_objects_are_gone_is_not_begun_anew() {
    let stored = Stored::up("objects-gone");
    let (world, told) = (&stored.world, stored.told("api.1.1"));
    put(&told.photos(), "kept", b"for now");
    world.down();
    let data = world.state.join("resources/photos/data");
    fs::rename(&data, world.folder.join("aside")).unwrap();
    world.done(&["up", "--detach"]);
    let (why, _) = world.wait_for("the store to be refused", || {
        let status = world.status()?;
        let why = unit(&status, "photos")?.to_string();
        why.contains("put it back from a backup").then_some(why)
    });
    assert!(why.contains("held data since"), "{why}");
    // What was begun in its place is empty, and in nobody's way.
    fs::remove_dir_all(&data).unwrap();
    fs::rename(world.folder.join("aside"), &data).unwrap();
    world.up();
    assert_eq!(get(&told.photos(), "kept"), b"for now");
    world.down();
}
