//! Somebody who asks the API.

use std::net::Ipv4Addr;
use std::time::Instant;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use futures_util::StreamExt;

use crate::program::PATIENCE;
use crate::stores::POLL;

/// The password of everybody who is seeded.
pub(crate) const PASSWORD: &str = "directory-demo";

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body of an answer that must be a good one.
    pub(crate) fn good(&self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Status and code of an answer that must be a problem.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        (self.status.as_u16(), self.json()["code"].as_str().unwrap().to_owned())
    }
}

/// Somebody at a tenant's host, with the headers that they send along.
#[derive(Clone)]
pub(crate) struct Visitor {
    port: u16,
    headers: Vec<(String, String)>,
}

impl Visitor {
    pub(crate) fn new(port: u16, tenant: &str) -> Self {
        Self { port, headers: vec![("host".to_owned(), format!("{tenant}.directory.localhost:8443"))] }
    }

    /// The same one, who also sends this header.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.retain(|(known, _)| known != name);
        headers.push((name.to_owned(), value.to_owned()));
        Self { port: self.port, headers }
    }

    /// The same one at another process of the API.
    pub(crate) fn at(&self, port: u16) -> Self {
        Self { port, headers: self.headers.clone() }
    }

    /// The session's token.
    pub(crate) fn token(&self) -> String {
        let (_, cookie) = self.headers.iter().find(|(name, _)| name == "cookie").unwrap();
        cookie.split_once('=').unwrap().1.to_owned()
    }

    pub(crate) async fn log_in(&self, email: &str, password: &str) -> Answer {
        self.send(Method::POST, "/api/session", json!({ "email": email, "password": password })).await
    }

    pub(crate) async fn logged_in(&self, email: &str) -> Self {
        let answer = self.log_in(email, PASSWORD).await;
        answer.good();
        self.with("cookie", answer.header("set-cookie").split(';').next().unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.exchange(Method::GET, path, "", Bytes::new()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.exchange(Method::DELETE, path, "", Bytes::new()).await
    }

    /// Sends JSON.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> Answer {
        self.exchange(method, path, "application/json", body.to_string().into()).await
    }

    pub(crate) async fn exchange(&self, method: Method, path: &str, media_type: &str, body: Bytes) -> Answer {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !media_type.is_empty() {
            request = request.header("content-type", media_type);
        }
        let response = sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        connection.abort();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// Begins to send a body of this length, and stops after the head.
    pub(crate) async fn begin_to_send(&self, method: Method, path: &str, length: usize) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap();
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("{method} {path} HTTP/1.1\r\n{headers}content-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    /// Asks again and again until the answer is as it should be.
    pub(crate) async fn get_until(&self, path: &str, fits: impl Fn(&Answer) -> bool) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path).await;
            if fits(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "still {answer:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// The number of the only person that a search finds.
    pub(crate) async fn find(&self, search: &str) -> i64 {
        let found = self.get(&format!("/api/people?search={search}")).await.good();
        assert_eq!(found["total"], 1, "{found}");
        found["people"][0]["id"].as_i64().unwrap()
    }

    /// One's own number.
    pub(crate) async fn own_id(&self) -> i64 {
        self.get("/api/session").await.good()["who"]["person"].as_i64().unwrap()
    }

    /// A person's present version.
    pub(crate) async fn version(&self, person: i64) -> i64 {
        self.get(&format!("/api/people/{person}")).await.good()["version"].as_i64().unwrap()
    }

    /// Changes a person, whatever their version is.
    pub(crate) async fn change(&self, person: i64, mut changes: Value) -> Answer {
        changes["version"] = self.version(person).await.into();
        self.send(Method::PATCH, &format!("/api/people/{person}"), changes).await
    }

    /// Opens a WebSocket.
    pub(crate) async fn watch(&self) -> Result<Watching, StatusCode> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap();
        let mut request = Request::builder()
            .uri("ws://localhost/api/live")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", tungstenite::handshake::client::generate_key());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match client_async(request.body(()).unwrap(), stream).await {
            Ok((socket, _)) => Ok(Watching(socket)),
            Err(tungstenite::Error::Http(response)) => Err(response.status()),
            Err(error) => panic!("{error}"),
        }
    }
}

/// An open WebSocket.
#[derive(Debug)]
pub(crate) struct Watching(WebSocketStream<TcpStream>);

impl Watching {
    /// The next change that is told, but for the one that only says that listening began.
    pub(crate) async fn change(&mut self) -> Value {
        loop {
            match self.message().await {
                Message::Text(text) if text.as_str() == r#"{"kind":"unknown"}"# => {}
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The code that the WebSocket is closed with.
    pub(crate) async fn close_code(&mut self) -> u16 {
        let closed = async {
            loop {
                if let Message::Close(frame) = self.message().await {
                    return frame.unwrap().code.into();
                }
            }
        };
        tokio::time::timeout(PATIENCE, closed).await.expect("it stays open")
    }

    /// Begins to send a frame of so many bytes, and stops after its head.
    pub(crate) async fn begin_frame(&mut self, length: u64) {
        // The last of a binary message, with a length of eight bytes and a mask of zeros.
        let mut head = vec![0x82, 0xff];
        head.extend(length.to_be_bytes());
        head.extend([0; 4]);
        self.0.get_mut().write_all(&head).await.unwrap();
    }

    /// Waits until the other side has ended it, by whatever means.
    pub(crate) async fn ended(&mut self) {
        while let Some(Ok(_)) = self.0.next().await {}
    }

    async fn message(&mut self) -> Message {
        tokio::time::timeout(PATIENCE, self.0.next()).await.unwrap().unwrap().unwrap()
    }
}
