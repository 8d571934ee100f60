//! A server on the wire, beside clients that take nothing, send too much, or only sit there.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::Method;
use model::Timestamp;
use object_store::ObjectStoreExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::signer::Signer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::settings::{Bucket, Key, Secret, Settings};

static FOLDERS: AtomicU64 = AtomicU64::new(0);

/// How long a test waits for what must come.
const COMES_WITHIN: Duration = Duration::from_secs(60);
const LARGE_BYTES: usize = 4 << 20;
const LIVE_REQUEST: &str = "GET /-/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// A server that serves one bucket to two keys.
struct Served {
    folder: PathBuf,
    address: std::net::SocketAddr,
    accepting: tokio::task::JoinHandle<Infallible>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.accepting.abort();
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

impl Served {
    async fn start() -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("mainstay-serving-{}-{number}", std::process::id()));
        let store = Arc::new(Store::open(&folder).unwrap());
        let live = Live::of(settings(), &store, Timestamp::from_millis(0)).unwrap();
        let (_, live) = watch::channel(Arc::new(live));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = Server::new(store, live, Tasks::default()).accept(listener);
        #[expect(clippy::disallowed_methods, reason = "a test has no owner of tasks")]
        let accepting = tokio::spawn(accepting);
        Self { folder, address, accepting }
    }

    fn client(&self, key: &str) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_allow_http(true)
            .with_endpoint(format!("http://{}", self.address))
            .with_region("us-east-1")
            .with_bucket_name("photos")
            .with_access_key_id(key)
            .with_secret_access_key("secret")
            .build()
            .unwrap()
    }

    async fn put(&self, key: &str, bytes: usize) {
        self.client("api").put(&key.into(), vec![7; bytes].into()).await.unwrap();
    }

    /// A connection with a signed request for an object.
    async fn ask(&self, by: &str, key: &str) -> TcpStream {
        let url = self.client(by).signed_url(Method::GET, &key.into(), Duration::from_secs(600)).await.unwrap();
        let target = format!("{}?{}", url.path(), url.query().unwrap());
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address)).await
    }

    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

fn settings() -> Settings {
    let key = |id: &str| Key {
        id: id.to_owned(),
        secret: Secret::new("secret".to_owned()),
        buckets: vec!["photos".to_owned()],
    };
    Settings {
        number: 1,
        region: "us-east-1".to_owned(),
        buckets: vec![Bucket { name: "photos".to_owned(), versioning: false }],
        keys: vec![key("api"), key("worker")],
    }
}

/// The beginning of an answer.
async fn begins(stream: &mut TcpStream) -> String {
    let mut beginning = [0; 12];
    tokio::time::timeout(COMES_WITHIN, stream.read_exact(&mut beginning)).await.unwrap().unwrap();
    String::from_utf8_lossy(&beginning).into_owned()
}

/// Everything that the server sends until it ends the connection.
async fn all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    tokio::time::timeout(COMES_WITHIN, stream.read_to_end(&mut text)).await.unwrap().unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_probe_is_answered_however_many_sit_there_and_whom_a_key_vouches_for_stays() {
    sys::process::raise_descriptor_limit();
    let served = Served::start().await;
    served.put("small", 1).await;
    let mut client = served.ask("api", "small").await;
    let mut strangers = Vec::new();
    for _ in 0..1030 {
        strangers.push(served.send("GET").await);
    }
    assert_eq!(begins(&mut served.send(LIVE_REQUEST).await).await, "HTTP/1.1 200");
    assert_eq!(begins(&mut client).await, "HTTP/1.1 200");
    client.write_all(LIVE_REQUEST.as_bytes()).await.unwrap();
    assert!(all(&mut client).await.contains("HTTP/1.1 200"), "the strangers had it go");
}

#[tokio::test]
async fn answers_that_a_key_does_not_take_are_bounded_and_keep_no_other_key_waiting() {
    let served = Served::start().await;
    served.put("large", LARGE_BYTES).await;
    let mut unread = Vec::new();
    for _ in 0..32 {
        let mut client = served.ask("api", "large").await;
        assert_eq!(begins(&mut client).await, "HTTP/1.1 200");
        unread.push(client);
    }
    let mut waits = served.ask("api", "large").await;
    assert_eq!(begins(&mut served.ask("worker", "large").await).await, "HTTP/1.1 200");
    assert_eq!(waits.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    // One that is taken to its end makes room, also where the connection goes on.
    let mut taken = unread.pop().unwrap();
    let mut left = LARGE_BYTES;
    let mut buffer = vec![0; LARGE_BYTES];
    while left > 0 {
        left = left.saturating_sub(taken.read(&mut buffer).await.unwrap());
    }
    assert_eq!(begins(&mut waits).await, "HTTP/1.1 200");
}

#[tokio::test]
async fn who_is_refused_reads_why_also_while_it_sends() {
    let served = Served::start().await;
    let head = format!("PUT /photos/a HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE_BYTES}\r\n\r\n");
    for _ in 0..10 {
        let mut client = served.send(&head).await;
        client.write_all(&vec![7; LARGE_BYTES]).await.unwrap();
        let answer = all(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("must be signed by a key"), "{answer}");
    }
}

#[tokio::test]
async fn an_object_whose_content_is_gone_is_refused_not_cut_off() {
    let served = Served::start().await;
    served.put("gone", 10).await;
    for folder in std::fs::read_dir(Path::join(&served.folder, "data")).unwrap() {
        for content in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            std::fs::remove_file(content.unwrap().path()).unwrap();
        }
    }
    assert_eq!(begins(&mut served.ask("api", "gone").await).await, "HTTP/1.1 500");
}
