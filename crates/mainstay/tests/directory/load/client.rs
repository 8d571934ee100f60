//! Requests over TLS by HTTP/1.1, on connections that are kept. Nothing is tried again here: what an answer is missing, its
//! user misses.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sys::tasks::Tasks;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::world::steady;

/// How long anybody waits for an answer, and for a connection.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection that nobody uses is kept: much less than the edge keeps it, so that none is used as it ends.
const UNUSED_MAX: Duration = Duration::from_secs(5);

/// Somebody who asks one company's host, in a session.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The host's name, without the port.
    pub(crate) host: String,
    pub(crate) cookie: String,
    /// The address that they ask from: what the edge gives one client, each has for themselves.
    pub(crate) from: Ipv4Addr,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Its media type and itself; none for a request without.
    pub(crate) body: Option<(&'static str, Bytes)>,
}

impl Question {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None }
    }
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// When its connection began to be opened.
    pub(crate) opened: Duration,
    /// The whole answer, or why there is none.
    pub(crate) answer: Result<Answer, String>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// All callers' connections to an edge.
pub(crate) struct Client {
    tasks: Tasks,
    tls: TlsConnector,
    edge: SocketAddr,
    /// Those that nobody uses, by host; the one that was used last at the end.
    unused: Mutex<BTreeMap<String, Vec<Connection>>>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    opened: Duration,
    used: Duration,
}

impl Client {
    /// Trusts this authority and nobody else.
    pub(crate) fn new(authority: &Path, port: u16, tasks: Tasks) -> Self {
        let mut trusted = RootCertStore::empty();
        trusted.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
        let edge = (Ipv4Addr::LOCALHOST, port).into();
        Self { tasks, tls: Arc::new(config).into(), edge, unused: Mutex::default() }
    }

    /// Asks once.
    pub(crate) async fn ask(&self, caller: &Caller, question: Question) -> Exchange {
        let kept = self.kept(&caller.host);
        let opened = kept.as_ref().map_or_else(steady, |connection| connection.opened);
        let answer = timeout(PATIENCE, self.answer(kept, caller, question)).await;
        Exchange { opened, answer: answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}"))) }
    }

    async fn answer(&self, kept: Option<Connection>, caller: &Caller, question: Question) -> Result<Answer, String> {
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect(caller).await?,
        };
        let request = self.request(caller, question);
        let (head, body) = connection.sender.send_request(request).await.map_err(|error| said(&error))?.into_parts();
        let body = body.collect().await.map_err(|error| said(&error))?.to_bytes();
        if connection.sender.ready().await.is_ok() {
            self.keep(&caller.host, connection);
        }
        Ok(Answer { status: head.status, body })
    }

    fn request(&self, caller: &Caller, question: Question) -> Request<Full<Bytes>> {
        let request = Request::builder()
            .method(question.method)
            .uri(question.path)
            .header("host", self.authority(caller))
            .header("accept", "application/json, */*")
            .header("cookie", &caller.cookie);
        match question.body {
            Some((media_type, body)) => request.header("content-type", media_type).body(Full::new(body)),
            None => request.body(Full::default()),
        }
        .unwrap()
    }

    /// Host and port, as a request names them.
    pub(crate) fn authority(&self, caller: &Caller) -> String {
        format!("{}:{}", caller.host, self.edge.port())
    }

    async fn connect(&self, caller: &Caller) -> Result<Connection, String> {
        let opened = steady();
        let stream = TokioIo::new(self.secured(caller).await?);
        let (sender, connection) = http1::handshake(stream).await.map_err(|error| said(&error))?;
        // What becomes of it is said to whoever waits for an answer.
        drop(self.tasks.spawn("load", "connection", connection));
        Ok(Connection { sender, opened, used: opened })
    }

    /// A connection to the edge that is secure.
    pub(crate) async fn secured(&self, caller: &Caller) -> Result<TlsStream<TcpStream>, String> {
        let stream = self.reached(caller.from).await.map_err(|error| format!("connecting: {error}"))?;
        let name = caller.host.clone().try_into().unwrap();
        self.tls.connect(name, stream).await.map_err(|error| format!("shaking hands: {error}"))
    }

    async fn reached(&self, from: Ipv4Addr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        socket.set_nodelay(true)?;
        socket.connect(self.edge).await
    }

    fn kept(&self, host: &str) -> Option<Connection> {
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        let of_host = unused.get_mut(host)?;
        let now = steady();
        of_host.retain(|it| it.sender.is_ready() && now.saturating_sub(it.used) < UNUSED_MAX);
        of_host.pop()
    }

    fn keep(&self, host: &str, connection: Connection) {
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        unused.entry(host.to_owned()).or_default().push(Connection { used: steady(), ..connection });
    }
}

/// An error and what caused it.
fn said(error: &(dyn Error + 'static)) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", said(cause)),
        None => error.to_string(),
    }
}
