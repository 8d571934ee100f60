//! Services that are folders: which file is sent, how much of it, and what never is.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use edge::settings::Folder;
use proptest::test_runner::{Config, TestRunner};

use crate::bench::{Answer, Bench, Client, until};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Files of a service, removed at the end. Beside their root stands a file that is nobody's business.
pub(crate) struct Files {
    place: PathBuf,
}

impl Files {
    pub(crate) fn new(files: &[(&str, &[u8])]) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let place = std::env::temp_dir().join(format!("edge-site-{}-{number}", std::process::id()));
        fs::create_dir_all(place.join("root")).unwrap();
        fs::write(place.join("secret"), "secret").unwrap();
        let new = Self { place };
        files.iter().for_each(|(name, content)| new.write(name, content));
        new
    }

    /// What an edge is told of them.
    pub(crate) fn folder(&self, spa: bool) -> Folder {
        Folder { root: self.place.join("root"), spa }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.join("root").join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.place).unwrap();
    }
}

/// An edge that serves them.
struct Site {
    files: Files,
    bench: Bench,
}

impl Site {
    fn new(spa: bool, files: &[(&str, &[u8])]) -> Self {
        let (files, mut bench) = (Files::new(files), Bench::new(&[]));
        bench.apply(|settings| settings.folders = [("web".parse().unwrap(), files.folder(spa))].into());
        Self { files, bench }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        self.files.write(name, content);
    }

    fn connect(&self) -> Client {
        self.bench.connect()
    }

    fn get(&self, path: &str, fields: &str) -> Answer {
        get(&mut self.connect(), path, fields)
    }
}

/// Sends GET with more fields, each ended by CRLF.
fn get(client: &mut Client, path: &str, fields: &str) -> Answer {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: acme.test\r\n{fields}\r\n"));
    client.answer()
}

fn counted(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[test]
fn a_file_comes_with_everything_that_is_known_of_it() {
    let site = Site::new(false, &[("img/a.png", b"picture")]);
    let answer = site.get("/img/a.png", "X-Request-Id: r-1\r\n");
    let date = answer.field("date").unwrap().to_owned();
    let modified = answer.field("last-modified").unwrap().to_owned();
    assert!(date.ends_with(" GMT") && modified.ends_with(" GMT"));
    assert_eq!(
        answer.head,
        format!(
            "HTTP/1.1 200 OK\r\nDate: {date}\r\nAccept-Ranges: bytes\r\nETag: \"2cea274d0bedc39ec4ab6ba9e59ec889\"\r\n\
             Cache-Control: no-cache\r\nLast-Modified: {modified}\r\nContent-Type: image/png\r\nX-Request-Id: r-1\r\n\
             Content-Length: 7\r\n\r\n"
        )
    );
    assert_eq!(answer.text(), "picture");
}

#[test]
fn conditions_and_ranges_decide_what_is_sent() {
    let site = Site::new(false, &[("a.bin", b"0123456789"), ("empty", b"")]);
    let mut client = site.connect();
    let whole = get(&mut client, "/a.bin", "");
    let (tag, date) = (whole.field("etag").unwrap().to_owned(), whole.field("last-modified").unwrap().to_owned());
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (fields, status, range, body) in [
        (format!("If-None-Match: {tag}\r\n"), 304, None, ""),
        (format!("If-None-Match: W/{tag}\r\n"), 304, None, ""),
        (format!("If-None-Match: \"x\"\r\nIf-None-Match: {tag}\r\n"), 304, None, ""),
        ("If-None-Match: \"x\"\r\n".to_owned(), 200, None, "0123456789"),
        (format!("If-Modified-Since: {date}\r\n"), 304, None, ""),
        (format!("If-Modified-Since: {old}\r\n"), 200, None, "0123456789"),
        (format!("If-Match: {tag}\r\n"), 200, None, "0123456789"),
        ("If-Match: \"x\"\r\n".to_owned(), 412, None, ""),
        (format!("If-Unmodified-Since: {old}\r\n"), 412, None, ""),
        ("Range: bytes=2-4\r\n".to_owned(), 206, Some("bytes 2-4/10"), "234"),
        ("Range: bytes=-3\r\n".to_owned(), 206, Some("bytes 7-9/10"), "789"),
        ("Range: bytes=8-\r\n".to_owned(), 206, Some("bytes 8-9/10"), "89"),
        ("Range: bytes=10-\r\n".to_owned(), 416, Some("bytes */10"), ""),
        ("Range: bytes=0-1,4-5\r\n".to_owned(), 200, None, "0123456789"),
        ("Range: pages=1\r\n".to_owned(), 200, None, "0123456789"),
        (format!("Range: bytes=2-4\r\nIf-Range: {tag}\r\n"), 206, Some("bytes 2-4/10"), "234"),
        (format!("Range: bytes=2-4\r\nIf-Range: {date}\r\n"), 206, Some("bytes 2-4/10"), "234"),
        ("Range: bytes=2-4\r\nIf-Range: \"x\"\r\n".to_owned(), 200, None, "0123456789"),
        (format!("Range: bytes=2-4\r\nIf-None-Match: {tag}\r\n"), 304, None, ""),
    ] {
        let answer = get(&mut client, "/a.bin", &fields);
        assert_eq!((answer.status, answer.field("content-range"), answer.text()), (status, range, body), "{fields}");
        assert_eq!(answer.field("etag"), Some(tag.as_str()), "{fields}");
        assert_eq!(answer.field("content-type").is_some(), matches!(status, 200 | 206), "{fields}");
    }
    let empty = get(&mut client, "/empty", "");
    assert_eq!((empty.status, empty.field("content-length")), (200, Some("0")));
}

#[test]
fn head_says_what_get_would() {
    let site = Site::new(false, &[("a.html", b"page")]);
    let mut client = site.connect();
    let answer = get(&mut client, "/a.html", "X-Request-Id: r\r\n");
    client.send("HEAD /a.html HTTP/1.1\r\nHost: acme.test\r\nX-Request-Id: r\r\nRange: bytes=0-0\r\n\r\n");
    let without_date = |head: &str| head.lines().filter(|line| !line.starts_with("Date")).collect::<String>();
    assert_eq!(without_date(&client.head()), without_date(&answer.head));
    assert_eq!(get(&mut client, "/a.html", "").text(), "page", "no byte of a body came");
}

#[test]
fn ranges_put_together_are_the_file() {
    let site = Site::new(false, &[]);
    // One that is kept in memory, and one that is not.
    for size in [5_000, 700_000] {
        let content = counted(size);
        site.write("a.bin", &content);
        let mut client = site.connect();
        until(|| (get(&mut client, "/a.bin", "").body.len() == size).then_some(()));
        let cuts = proptest::collection::btree_set(1..size, 0..8);
        let mut runner = TestRunner::new(Config { cases: 32, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&cuts, |cuts| {
            let ends = cuts.iter().copied().chain([size]);
            let begins = [0].into_iter().chain(cuts.iter().copied());
            let mut together = Vec::new();
            for (begin, end) in begins.zip(ends) {
                let part = get(&mut site.connect(), "/a.bin", &format!("Range: bytes={begin}-{}\r\n", end - 1));
                proptest::prop_assert_eq!(part.status, 206);
                together.extend(part.body);
            }
            proptest::prop_assert!(together == content, "cut at {cuts:?}");
            Ok(())
        });
        outcome.unwrap();
    }
}

#[test]
fn nothing_is_sent_that_is_hidden_or_outside() {
    let site = Site::new(
        true,
        &[
            (".env", b"secret"),
            (".git/config", b"secret"),
            ("a/.x", b"secret"),
            ("index.html", b"page"),
            ("a/b.txt", b"b"),
        ],
    );
    site.write(".well-known/security.txt", "contact");
    symlink("../secret", site.path("up.txt")).unwrap();
    symlink(site.files.place.join("secret"), site.path("absolute.txt")).unwrap();
    symlink("..", site.path("parent")).unwrap();
    symlink("a/b.txt", site.path("inside.txt")).unwrap();
    let mut client = site.connect();
    let long = format!("/{}.txt", "a".repeat(3000));
    for (path, status) in [
        ("/.env", 404),
        ("/.git/config", 404),
        ("/%2egit/config", 404),
        ("/a/.x", 404),
        ("/.well-known/security.txt", 200),
        ("/up.txt", 404),
        ("/absolute.txt", 404),
        ("/parent/secret.txt", 404),
        ("/inside.txt", 200),
        ("/../secret", 400),
        ("/%2e%2e/secret", 400),
        ("/a/..%2f..%2fsecret.txt", 400),
        ("/%2e%2e%2fsecret.txt", 400),
        ("/%252e%252e/secret.txt", 404),
        ("/..\\secret", 400),
        ("/..%5csecret", 400),
        ("/a%00.txt", 400),
        ("/a/b.txt%00.html", 400),
        ("//a/b.txt", 200),
        ("/a//b.txt", 200),
        ("/a/b.txt/", 200),
        ("/a/b.txt.", 404),
        ("/a/b.txt/c.txt", 404),
        ("/A/b.txt", 404),
        (&long, 404),
    ] {
        let answer = get(&mut client, path, "");
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.text().contains("secret"), "{path}");
    }
}

#[test]
fn a_folder_answers_with_its_index_and_never_with_a_list() {
    let site = Site::new(false, &[("index.html", b"top"), ("docs/index.html", b"docs"), ("img/a.png", b"a")]);
    let mut client = site.connect();
    for (path, status, location, body) in [
        ("/", 200, None, Some("top")),
        ("/docs/", 200, None, Some("docs")),
        ("/docs", 308, Some("/docs/"), None),
        ("/docs?a=b", 308, Some("/docs/?a=b"), None),
        ("//docs", 308, Some("/docs/"), None),
        ("/img", 404, None, None),
        ("/img/", 404, None, None),
    ] {
        let answer = get(&mut client, path, "");
        assert_eq!((answer.status, answer.field("location")), (status, location), "{path}");
        assert!(body.is_none_or(|body| answer.text() == body), "{path}: {}", answer.text());
    }
}

#[test]
fn an_application_takes_over_the_pages_that_no_file_has() {
    let files: &[(&str, &[u8])] = &[("index.html", b"app"), ("assets/app-B1KpRk3n.js", b"code")];
    let site = Site::new(true, files);
    let browser = "Accept: text/html,*/*;q=0.8\r\n";
    for (path, fields, status, cached) in [
        ("/people/7", browser, 200, Some("no-cache")),
        ("/people/", browser, 200, Some("no-cache")),
        ("/assets", browser, 200, Some("no-cache")),
        ("/people", "Accept: application/json\r\n", 404, Some("no-store")),
        ("/missing.js", browser, 404, Some("no-store")),
        ("/assets/app-B1KpRk3n.js", "", 200, Some("public, max-age=31536000, immutable")),
    ] {
        let answer = site.get(path, fields);
        assert_eq!((answer.status, answer.field("cache-control")), (status, cached), "{path}");
    }
    assert_eq!(site.get("/people/7", browser).text(), "app");
    assert_eq!(Site::new(false, files).get("/people/7", browser).status, 404);
}

#[test]
fn other_methods_are_told_which_there_are() {
    let site = Site::new(true, &[("index.html", b"app")]);
    let mut client = site.connect();
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        client.send(format!("{method} / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 0\r\n\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    client.send("GET / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 5\r\n\r\nhello");
    let answer = client.answer();
    assert_eq!((answer.text(), answer.field("connection")), ("app", Some("close")), "nobody reads that body");
    assert!(client.is_ended());
}

#[test]
fn the_coding_that_stands_beside_a_file_is_sent_in_its_place() {
    let site = Site::new(
        false,
        &[
            ("app.js", b"plain".as_slice()),
            ("app.js.br", b"brotli"),
            ("app.js.gz", b"gzip"),
            ("photo.png", b"picture"),
            ("photo.png.gz", b"gzip"),
        ],
    );
    let mut client = site.connect();
    let mut tags = std::collections::BTreeSet::new();
    for (accept, coding, body) in [
        ("gzip, deflate, br, zstd", Some("br"), "brotli"),
        ("gzip, br;q=0.5", Some("gzip"), "gzip"),
        ("zstd", None, "plain"),
        ("identity", None, "plain"),
    ] {
        let answer = get(&mut client, "/app.js", &format!("Accept-Encoding: {accept}\r\n"));
        assert_eq!((answer.field("content-encoding"), answer.text()), (coding, body), "{accept}");
        assert_eq!(answer.field("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
        tags.insert(answer.field("etag").unwrap().to_owned());
    }
    assert_eq!(tags.len(), 3, "each coding has a tag of its own");
    let part = get(&mut client, "/app.js", "Accept-Encoding: br\r\nRange: bytes=0-2\r\n");
    assert_eq!((part.status, part.field("content-range"), part.text()), (206, Some("bytes 0-2/6"), "bro"));
    let picture = get(&mut client, "/photo.png", "Accept-Encoding: gzip\r\n");
    assert_eq!((picture.field("vary"), picture.text()), (None, "picture"));
}

#[test]
fn an_answer_is_of_one_state_of_the_file() {
    const SIZE: usize = 48 << 20;
    let site = Site::new(false, &[]);
    site.write("a.bin", vec![1; SIZE]);
    let mut client = site.connect();
    client.send("GET /a.bin HTTP/1.1\r\nHost: acme.test\r\n\r\n");
    client.head();
    site.write("new", vec![2; 10]);
    fs::rename(site.path("new"), site.path("a.bin")).unwrap();
    let mut body = vec![0; SIZE];
    client.reader.read_exact(&mut body).unwrap();
    assert!(body.iter().all(|byte| *byte == 1), "another file took its name, and the answer goes on with the old one");
    assert_eq!(get(&mut client, "/a.bin", "").body, [2; 10]);

    site.write("b.bin", vec![1; SIZE]);
    client.send("GET /b.bin HTTP/1.1\r\nHost: acme.test\r\n\r\n");
    client.head();
    site.write("b.bin", vec![2; SIZE]);
    body.clear();
    client.reader.read_to_end(&mut body).unwrap();
    assert!(body.len() < SIZE && body.iter().all(|byte| *byte == 1), "the file was written to, and the answer is cut");
}

#[test]
fn a_small_file_that_changes_is_seen_soon() {
    let site = Site::new(false, &[("a.txt", b"old")]);
    let mut client = site.connect();
    let old = get(&mut client, "/a.txt", "");
    site.write("a.txt", "new");
    let new = until(|| Some(get(&mut client, "/a.txt", "")).filter(|answer| answer.text() == "new"));
    assert_ne!(new.field("etag"), old.field("etag"));
    fs::remove_file(site.path("a.txt")).unwrap();
    until(|| (get(&mut client, "/a.txt", "").status == 404).then_some(()));
    site.write("a.txt", "old");
    let again = until(|| Some(get(&mut client, "/a.txt", "")).filter(|answer| answer.status == 200));
    assert_eq!(again.field("etag"), old.field("etag"), "the same content has the same tag");
}

#[test]
fn a_folder_that_is_missing_is_a_fault_and_not_an_absent_file() {
    let site = Site::new(false, &[("a.txt", b"a")]);
    let away = site.files.place.join("away");
    fs::rename(site.path(""), &away).unwrap();
    let answer = site.get("/a.txt", "Accept: application/json\r\n");
    assert_eq!((answer.status, answer.text().contains("file_unreadable")), (500, true));
    fs::rename(&away, site.path("")).unwrap();
    assert_eq!(site.get("/a.txt", "").text(), "a");
}
