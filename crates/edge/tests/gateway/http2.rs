//! HTTP/2 as a client of another making sees it: the `h2` crate's.

use std::future::Future;
use std::io::{Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use edge::control::ToEdge;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, StatusCode};
use rustls::version;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::bench::{Authority, Bench, PATIENCE, POLL, echo, fixed, nowhere, service, until};
use crate::bodies::mirror;
use crate::failures::breaking;
use crate::folder::Files;

/// An edge before these endpoints that is known as `acme.test`, and its authority.
fn secured(endpoints: &[std::net::SocketAddr]) -> (Bench, Authority) {
    let authority = Authority::new();
    let mut bench = Bench::new(endpoints);
    bench.certify(&authority, &[&["acme.test"]]);
    (bench, authority)
}

/// Runs a client. What takes too long has failed.
fn run<T>(client: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, client).await.unwrap() })
}

/// A client's connection.
async fn connect(bench: &Bench, authority: &Authority) -> SendRequest<Bytes> {
    let (requests, connection) = handshake(TcpStream::connect(bench.secure).await.unwrap(), authority).await;
    tokio::spawn(async move { drop(connection.await) });
    requests.ready().await.unwrap()
}

/// A client's connection that moves only while it is awaited.
async fn handshake(
    stream: TcpStream,
    authority: &Authority,
) -> (SendRequest<Bytes>, h2::client::Connection<TlsStream<TcpStream>>) {
    let config = authority.client(&[&version::TLS13], &["h2"]);
    let stream = TlsConnector::from(config).connect("acme.test".try_into().unwrap(), stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut bounds = h2::client::Builder::new();
    bounds.initial_window_size(1 << 20).initial_connection_window_size(16 << 20);
    bounds.handshake(stream).await.unwrap()
}

fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("https://acme.test{path}"))
}

/// Sends a request whose body is yet to come.
fn open(requests: &mut SendRequest<Bytes>, request: http::request::Builder) -> (ResponseFuture, SendStream<Bytes>) {
    requests.send_request(request.body(()).unwrap(), false).unwrap()
}

/// An answer that is read to its end.
struct Answer {
    status: StatusCode,
    head: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.head.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Sends a request without a body and reads the answer.
async fn ask(requests: &mut SendRequest<Bytes>, request: http::request::Builder) -> Answer {
    let (response, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
    answer(response).await.unwrap()
}

async fn answer(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut stream) = response.await?.into_parts();
    let body = read(&mut stream).await?;
    let trailers = stream.trailers().await?;
    Ok(Answer { status: head.status, head: head.headers, body, trailers })
}

async fn read(stream: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len()).unwrap();
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Sends a body as fast as it is taken.
async fn send(stream: &mut SendStream<Bytes>, body: &[u8], last: bool) {
    let mut rest = body;
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await.unwrap().unwrap();
        let (piece, after) = rest.split_at(room.min(rest.len()));
        stream.send_data(Bytes::copy_from_slice(piece), false).unwrap();
        rest = after;
    }
    if last {
        stream.send_data(Bytes::new(), true).unwrap();
    }
}

#[test]
fn a_request_arrives_as_one_of_http_1_does() {
    let (bench, authority) = secured(&[echo()]);
    run(async {
        let mut requests = connect(&bench, &authority).await;
        let asked = request(Method::GET, "/a?b=c")
            .header("x-request-id", "r-1")
            .header("cookie", "a=1")
            .header("x-forwarded-for", "203.0.113.9")
            .header("te", "trailers")
            .header("cookie", "b=2")
            .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let answer = ask(&mut requests, asked).await;
        assert_eq!((answer.status, answer.field("x-request-id")), (StatusCode::OK, Some("r-1")));
        assert_eq!(
            answer.text(),
            "GET /a?b=c HTTP/1.1\r\nHost: acme.test\r\ncookie: a=1; b=2\r\nX-Forwarded-For: 127.0.0.1\r\n\
             X-Forwarded-Proto: https\r\nX-Forwarded-Host: acme.test\r\n\
             Forwarded: for=127.0.0.1;host=\"acme.test\";proto=https\r\nX-Request-Id: r-1\r\n\
             traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nX-Tenant: acme\r\n\r\n"
        );
    });
}

#[test]
fn a_folder_answers_and_answers_are_compressed_as_over_http_1() {
    let (mut bench, authority) = secured(&[]);
    let page = "page ".repeat(100_000);
    let files = Files::new(&[("a.html", page.as_bytes()), ("docs/index.html", b"docs")]);
    bench.apply(|settings| settings.folders = [("web".parse().unwrap(), files.folder(false))].into());
    run(async {
        let mut requests = connect(&bench, &authority).await;
        let coded = ask(&mut requests, request(Method::GET, "/a.html").header("accept-encoding", "gzip, br")).await;
        assert_eq!((coded.field("content-encoding"), coded.field("content-length")), (Some("gzip"), None));
        let mut decoded = String::new();
        flate2::read::GzDecoder::new(coded.body.as_slice()).read_to_string(&mut decoded).unwrap();
        assert!(decoded == page, "{} bytes came back", decoded.len());
        let plain = ask(&mut requests, request(Method::GET, "/a.html")).await;
        assert!(plain.text() == page && plain.field("content-length") == Some("500000"));
        let part = ask(&mut requests, request(Method::GET, "/a.html").header("range", "bytes=5-8")).await;
        assert_eq!((part.status, part.text()), (StatusCode::PARTIAL_CONTENT, "page"));
        let tag = plain.field("etag").unwrap();
        let known = ask(&mut requests, request(Method::GET, "/a.html").header("if-none-match", tag)).await;
        assert_eq!((known.status, known.text()), (StatusCode::NOT_MODIFIED, ""));
        let head = ask(&mut requests, request(Method::HEAD, "/a.html")).await;
        assert_eq!((head.field("content-length"), head.text()), (Some("500000"), ""));
        let slash = ask(&mut requests, request(Method::GET, "/docs")).await;
        assert_eq!(slash.field("location"), Some("/docs/"));
        let missing = ask(&mut requests, request(Method::GET, "/none")).await;
        assert_eq!((missing.status, missing.text().contains("no_file")), (StatusCode::NOT_FOUND, true));
    });
}

#[test]
fn bodies_come_back_as_they_were_sent() {
    let (bench, authority) = secured(&[service(mirror)]);
    run(async {
        let mut requests = connect(&bench, &authority).await;
        for size in [0_usize, 1, 16_384, 70_000, 3_000_000] {
            let body: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let (response, mut stream) =
                open(&mut requests, request(Method::POST, "/").header("content-length", size.to_string()));
            let (answer, ()) = tokio::join!(answer(response), send(&mut stream, &body, true));
            let answer = answer.unwrap();
            assert!(answer.body == body, "{size} bytes came back as {}", answer.body.len());
            assert_eq!(answer.field("transfer-encoding"), None);
        }
    });
}

#[test]
fn trailers_pass_both_ways_and_a_body_without_length_goes_in_chunks() {
    let chunked = service(|mut peer| {
        let mut said = peer.request().unwrap();
        while !said.ends_with("\r\n0\r\nx-sum: 7\r\n\r\n") {
            assert_ne!(std::io::BufRead::read_line(&mut peer.reader, &mut said).unwrap(), 0, "{said}");
        }
        assert!(said.contains("Transfer-Encoding: chunked\r\n"), "{said}");
        peer.send("HTTP/1.1 200 OK\r\nConnection: x-hop\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
        peer.send("0\r\ngrpc-status: 0\r\nX-Hop: 1\r\n\r\n");
    });
    let (bench, authority) = secured(&[chunked]);
    run(async {
        let mut requests = connect(&bench, &authority).await;
        let (response, mut stream) = open(&mut requests, request(Method::POST, "/"));
        send(&mut stream, b"hello\r\n", false).await;
        stream.send_trailers(HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())])).unwrap();
        let answer = answer(response).await.unwrap();
        let trailers = answer.trailers.as_ref().unwrap();
        let trailer = |name| trailers.get(name).map(|value| value.as_bytes());
        assert_eq!((answer.text(), trailer("grpc-status"), trailer("x-hop")), ("ok", Some(&b"0"[..]), None));
    });
}

#[test]
fn answers_of_every_shape_are_whole() {
    for (said, method, status, body, length) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Method::GET, 200, "hello", Some("5")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::HEAD, 200, "", Some("5")),
        ("HTTP/1.1 204 No Content\r\n\r\n", Method::GET, 204, "", None),
        ("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 7\r\n\r\n", Method::GET, 304, "", Some("7")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Method::GET, 200, "", Some("0")),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            Method::GET,
            200,
            "ok",
            Some("2"),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x-own\r\nX-Own: 1\r\nKeep-Alive: 5\r\n\r\n\
             2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            Method::GET,
            200,
            "abc",
            None,
        ),
    ] {
        let (bench, authority) = secured(&[fixed(said)]);
        let answer = run(async {
            let mut requests = connect(&bench, &authority).await;
            ask(&mut requests, request(method, "/")).await
        });
        assert_eq!((answer.status.as_u16(), answer.text(), answer.field("content-length")), (status, body, length));
        for name in ["connection", "keep-alive", "transfer-encoding", "x-own"] {
            assert_eq!(answer.field(name), None, "{name} in the answer to {said:?}");
        }
    }
}

#[test]
fn interim_responses_are_passed_on() {
    let hinting = fixed("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    let (bench, authority) = secured(&[hinting]);
    run(async {
        let mut requests = connect(&bench, &authority).await;
        let (mut response, _) = requests.send_request(request(Method::GET, "/").body(()).unwrap(), true).unwrap();
        let hint = std::future::poll_fn(|context| response.poll_informational(context)).await.unwrap().unwrap();
        let link = hint.headers().get("link").map(|value| value.as_bytes());
        assert_eq!((hint.status().as_u16(), link), (103, Some(&b"</a.css>"[..])));
        assert_eq!(answer(response).await.unwrap().status, 204);
    });
}

#[test]
fn an_answer_that_ends_with_its_connection_is_whole() {
    let closing = service(|mut peer| {
        peer.request();
        peer.send("HTTP/1.0 200 OK\r\n\r\nall of it");
    });
    let (bench, authority) = secured(&[closing]);
    run(async {
        let mut requests = connect(&bench, &authority).await;
        assert_eq!(ask(&mut requests, request(Method::GET, "/")).await.text(), "all of it");
    });
}

#[test]
fn an_answer_that_breaks_off_is_reset_and_never_passed_off_as_whole() {
    for breaking in breaking() {
        let (bench, authority) = secured(&[breaking]);
        run(async {
            let mut requests = connect(&bench, &authority).await;
            let (response, _) = requests.send_request(request(Method::GET, "/").body(()).unwrap(), true).unwrap();
            let error = answer(response).await.err().unwrap();
            assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR), "{breaking}");
        });
    }
}

#[test]
fn what_is_refused_is_answered_and_the_connection_goes_on() {
    let (mut bench, authority) = secured(&[echo()]);
    bench.apply(|settings| settings.routes[0].body_max = Some(model::ByteSize::bytes(10)));
    run(async {
        let mut requests = connect(&bench, &authority).await;
        let get = || request(Method::GET, "/");
        for (asked, status, code) in [
            (get().header("host", "other.test"), 400, "host_mismatch"),
            (Request::builder().method(Method::CONNECT).uri("acme.test:443"), 501, "connect_method"),
            (get().uri("https://other.test/"), 421, "misdirected_host"),
            (get().uri("https://acme.test/a/../b"), 400, "ambiguous_path"),
            (get().uri("https://u@acme.test/"), 400, "bad_host"),
            (get().header("x-long", "y".repeat(17_000)), 431, "field_value_too_long"),
            (request(Method::POST, "/").header("content-length", "11"), 413, "body_too_large"),
        ] {
            let with_body = asked.method_ref() == Some(&Method::POST);
            let asked = asked.header("accept", "application/json").body(()).unwrap();
            let (response, _stream) = requests.send_request(asked, !with_body).unwrap();
            let answer = answer(response).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.text().contains(code)), (status, true), "{}", answer.text());
        }
        assert_eq!(ask(&mut requests, get()).await.status, 200);
    });
}

#[test]
fn a_body_that_turns_out_too_large_is_refused_when_it_is_there() {
    let patient = service(|mut peer| {
        peer.request();
        std::thread::park();
    });
    let (mut bench, authority) = secured(&[patient]);
    bench.apply(|settings| settings.routes[0].body_max = Some(model::ByteSize::bytes(10)));
    run(async {
        let mut requests = connect(&bench, &authority).await;
        let (response, mut stream) = open(&mut requests, request(Method::POST, "/"));
        send(&mut stream, &[b'x'; 11], false).await;
        assert_eq!(answer(response).await.unwrap().status, 413);
    });
}

#[test]
fn bodies_that_nobody_takes_hold_up_only_their_own_streams() {
    let reluctant = service(|mut peer| {
        while let Some(head) = peer.request() {
            if head.starts_with("POST") {
                std::thread::park();
            }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let (bench, authority) = secured(&[reluctant]);
    run(async {
        let mut requests = connect(&bench, &authority).await;
        let mut held = Vec::new();
        for _ in 0..4 {
            let (response, mut stream) = open(&mut requests, request(Method::POST, "/"));
            // As much as the connection and every buffer behind it take.
            loop {
                stream.reserve_capacity(64 << 10);
                let room = std::future::poll_fn(|context| stream.poll_capacity(context));
                match tokio::time::timeout(std::time::Duration::from_millis(300), room).await {
                    Ok(room) => stream.send_data(vec![0; room.unwrap().unwrap()].into(), false).unwrap(),
                    Err(_) => break,
                }
            }
            stream.reserve_capacity(0);
            held.push((response, stream));
        }
        for _ in 0..10 {
            assert_eq!(ask(&mut requests, request(Method::GET, "/")).await.text(), "ok");
        }
    });
}

#[test]
fn a_client_that_takes_no_data_fills_no_memory_and_holds_up_nobody() {
    let (filled, fills) = std::sync::mpsc::channel();
    let endless = service(move |mut peer| {
        // So long nothing is taken once every buffer on the way is full.
        peer.reader.get_ref().set_write_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
        while let Some(head) = peer.request() {
            if !head.contains("/endless") {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                continue;
            }
            peer.send("HTTP/1.1 200 OK\r\n\r\n");
            let taken = (0..10_000).take_while(|_| peer.reader.get_mut().write_all(&[0; 65_536]).is_ok());
            filled.send(taken.count()).unwrap();
            std::thread::park();
        }
    });
    let (bench, authority) = secured(&[endless]);
    run(async {
        let mut requests = connect(&bench, &authority).await;
        let (response, _) = requests.send_request(request(Method::GET, "/endless").body(()).unwrap(), true).unwrap();
        // The client's window is a mebibyte, and it takes nothing off it.
        let unread = response.await.unwrap();
        let taken = tokio::task::spawn_blocking(move || fills.recv_timeout(PATIENCE).unwrap()).await.unwrap();
        assert!(taken < 256, "{taken} times 64 KiB went nowhere");
        assert_eq!(ask(&mut requests, request(Method::GET, "/")).await.text(), "ok");
        drop(unread);
    });
}

/// Fails when a client's many requests over one connection are not counted together, or are counted for ever.
#[test]
fn no_client_has_all_that_there_is_of_requests() {
    let (asked, asks) = std::sync::mpsc::channel();
    let (answered, answers) = std::sync::mpsc::channel::<()>();
    let answers = Arc::new(std::sync::Mutex::new(answers));
    let slow = service(move |mut peer| {
        while peer.request().is_some() {
            // Only the first is waited for.
            let _heard = asked.send(()).is_ok();
            answers.lock().unwrap().recv().unwrap();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let (mut bench, authority) = secured(&[slow]);
    bench.apply(|settings| settings.requests.per_client = 1);
    run(async {
        let (mut one, mut other) = (connect(&bench, &authority).await, connect(&bench, &authority).await);
        let (first, _) = one.send_request(request(Method::GET, "/").body(()).unwrap(), true).unwrap();
        tokio::task::spawn_blocking(move || asks.recv_timeout(PATIENCE).unwrap()).await.unwrap();
        for requests in [&mut one, &mut other] {
            let refused = ask(requests, request(Method::GET, "/")).await;
            assert_eq!((refused.status, refused.field("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("1")));
            assert!(refused.text().contains("too_many_requests"), "{}", refused.text());
        }
        answered.send(()).unwrap();
        assert_eq!(answer(first).await.unwrap().text(), "ok");
        answered.send(()).unwrap();
        assert_eq!(ask(&mut other, request(Method::GET, "/")).await.text(), "ok");
    });
}

#[test]
fn a_replica_that_is_gone_costs_no_request() {
    let (bench, authority) = secured(&[nowhere(), echo()]);
    run(async {
        let mut requests = connect(&bench, &authority).await;
        for round in 0..30 {
            assert_eq!(ask(&mut requests, request(Method::GET, "/")).await.status, 200, "{round}");
        }
    });
}

#[test]
fn an_edge_that_drains_says_so_and_finishes_what_is_under_way() {
    let (asked, asks) = std::sync::mpsc::channel();
    let (answered, answers) = std::sync::mpsc::channel::<()>();
    let answers = Arc::new(std::sync::Mutex::new(answers));
    let slow = service(move |mut peer| {
        peer.request();
        asked.send(()).unwrap();
        answers.lock().unwrap().recv().unwrap();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    });
    let (mut bench, authority) = secured(&[slow]);
    run(async {
        let mut requests = connect(&bench, &authority).await;
        let (response, _) = requests.send_request(request(Method::GET, "/").body(()).unwrap(), true).unwrap();
        tokio::task::spawn_blocking(move || asks.recv_timeout(PATIENCE).unwrap()).await.unwrap();
        bench.tell(&ToEdge::Drain { within: model::Span::secs(60) });
        // GOAWAY arrives while the request is under way.
        while std::future::poll_fn(|context| requests.poll_ready(context)).await.is_ok() {
            tokio::time::sleep(POLL).await;
        }
        answered.send(()).unwrap();
        assert_eq!(answer(response).await.unwrap().text(), "late");
    });
    until(|| bench.running.is_finished().then_some(()));
}

/// Longer than the edge waits for a client that has nothing to come.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(3500);

#[test]
fn an_edge_that_drains_waits_until_a_slow_client_has_its_answers() {
    // As much as the edge takes off a service at once; all of them are more than the systems between take.
    const BODY: usize = 32 << 10;
    const REQUESTS: usize = 96;
    let answering = service(|mut peer| {
        while peer.request().is_some() {
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n"));
            peer.send(vec![b'x'; BODY]);
        }
    });
    let (mut bench, authority) = secured(&[answering]);
    run(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let (mut requests, mut connection) = handshake(socket.connect(bench.secure).await.unwrap(), &authority).await;
        let ask = |_| requests.send_request(request(Method::GET, "/").body(()).unwrap(), true).unwrap().0;
        let mut responses: Vec<_> = (0..REQUESTS).map(ask).collect();
        let first = tokio::select! {
            response = responses.remove(0) => response.unwrap(),
            ended = &mut connection => panic!("{ended:?}"),
        };
        // Once the requests are counted, the edge has all of the answers; its client takes nothing from here on.
        bench.counted(u64::try_from(REQUESTS).unwrap());
        bench.tell(&ToEdge::Drain { within: model::Span::secs(60) });
        let paused = std::time::Instant::now();
        until(|| (paused.elapsed() > PAUSE).then_some(()));
        let reading = async {
            let mut bytes = read(&mut first.into_body()).await.unwrap().len();
            for response in responses {
                bytes += answer(response).await.unwrap().body.len();
            }
            bytes
        };
        let (bytes, ended) = tokio::join!(reading, connection);
        assert_eq!((bytes, ended.is_ok()), (BODY * REQUESTS, true));
    });
    until(|| bench.running.is_finished().then_some(()));
}

/// Fails when a stream is held for a client that takes nothing of its answer.
#[test]
fn an_answer_that_its_client_does_not_take_is_cut() {
    const BODY: usize = 8 << 20;
    let (mut bench, authority) = secured(&[service(|mut peer| {
        peer.request();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n"));
        peer.send(vec![b'x'; BODY]);
    })]);
    bench.apply(|settings| {
        settings.times.slow_grace = model::Span::millis(300);
        settings.times.stall = model::Span::millis(300);
    });
    run(async {
        let mut requests = connect(&bench, &authority).await;
        let (response, _) = requests.send_request(request(Method::GET, "/").body(()).unwrap(), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        // Whatever comes, no room is made for more.
        let error = loop {
            if let Err(error) = body.data().await.unwrap() {
                break error;
            }
        };
        assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    });
    assert_eq!(bench.counted(1).gone, 1);
}

/// Fails when a stream is held for a client that does not send the body that it promised.
#[test]
fn a_body_that_does_not_come_is_its_clients_fault() {
    let (mut bench, authority) = secured(&[service(|mut peer| {
        peer.request();
        std::thread::park();
    })]);
    bench.apply(|settings| settings.times.slow_grace = model::Span::millis(300));
    run(async {
        let mut requests = connect(&bench, &authority).await;
        let (response, _body) = open(&mut requests, request(Method::POST, "/"));
        assert_eq!(answer(response).await.unwrap().status, StatusCode::REQUEST_TIMEOUT);
    });
    let counts = bench.counted(1);
    assert_eq!((counts.client_errors, counts.failures), (1, 0));
}
