//! Speaks to the node over the control socket. One connection per call; every wait is bounded, save that for
//! the next line of an answer that follows.

use std::future::Future;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use axum::http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::bodies::{
    AcceptedBody, DownCause, ErrorBody, ErrorKind, FileBody, LogLineBody, PlanBody, RunAcceptedBody, RunBody,
    RunStateBody, SecretBody, SecretImportBody, SecretValueBody, StatusBody,
};
use model::{Pid, SecretName, ServiceName, Span, UnitId};

/// How long connecting may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How often something is asked for that a node which broke off may have been about to answer.
const READ_TRIES_MAX: u32 = 4;
/// How long to wait before it is asked for again.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// How long an answer may take: more than the node allows itself ([`super::handlers::ANSWER_TIME_MAX`]).
const ANSWER_TIME_MAX: Duration = Duration::from_secs(70);
/// How long one may take for which files are looked through and copied ([`super::handlers::FILES_TIME_MAX`]).
const FILES_TIME_MAX: Duration = Duration::from_secs(610);
/// Largest answer that is taken in whole, and longest line of one that is not.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens.
    #[error("no node runs for this stack ({})", socket.display())]
    NoNode {
        /// Where nobody listens.
        socket: PathBuf,
    },
    /// The socket may not be used.
    #[error("the control socket {} cannot be used", socket.display())]
    Unreachable {
        /// Which socket.
        socket: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Whoever listens is neither root nor this user.
    #[error(
        "what listens on {} runs as uid {owner}, which is neither root nor this user: nothing was sent; remove it, or \
         set XDG_RUNTIME_DIR",
        socket.display()
    )]
    Foreign {
        /// On which socket.
        socket: PathBuf,
        /// As whom.
        owner: u32,
    },
    /// The node said no.
    #[error("{}", .0.message)]
    Refused(ErrorBody),
    /// The conversation broke off.
    #[error("the node hung up before it had answered")]
    BrokenOff(#[source] hyper::Error),
    /// The node took too long.
    #[error("the node did not answer within {} s", after.as_secs())]
    TimedOut {
        /// How long.
        after: Duration,
        /// Its process, where the kernel says who listens.
        node: Option<Pid>,
    },
    /// What came back is not what this version of the program expects.
    #[error("the node's answer cannot be read; is it of another version than this program?")]
    Unreadable(#[source] Option<serde_json::Error>),
    /// The answer is longer than any the node gives.
    #[error("the node's answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// What was to be sent does not make a request.
    #[error("this cannot be asked of the node")]
    Request(#[source] axum::http::Error),
}

/// A way to one node.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    socket: PathBuf,
}

/// What is sent.
struct Question {
    method: Method,
    path: String,
    body: Vec<u8>,
    /// How long the head of the answer may take.
    within: Duration,
}

/// The work of a connection; `None` once it has ended.
type Work = Option<Pin<Box<Connection<TokioIo<UnixStream>, Full<Bytes>>>>>;

/// A connection that was made.
struct Connected {
    sender: SendRequest<Full<Bytes>>,
    work: Work,
    /// The process that listens at its other end.
    node: Option<Pid>,
}

/// An answer whose head was read.
struct Answer {
    work: Work,
    response: Response<Incoming>,
    /// The process that gives it.
    node: Option<Pid>,
}

impl Client {
    /// A client of the node behind a control socket. Nothing is connected yet.
    pub(crate) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// How the stack is.
    pub(crate) async fn status(&self) -> Result<StatusBody, ClientError> {
        self.get("/v1/status").await
    }

    /// Whether a node runs that this caller may use. A node that has nothing to tell yet is one too.
    pub(crate) async fn is_served(&self) -> Result<bool, ClientError> {
        match self.status().await {
            Ok(_) => Ok(true),
            Err(ClientError::NoNode { .. }) => Ok(false),
            Err(ClientError::Refused(body)) if body.kind == ErrorKind::Ending => Ok(false),
            Err(ClientError::Refused(body)) if matches!(body.kind, ErrorKind::NotFound | ErrorKind::Busy) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// What applying a file would do.
    pub(crate) async fn plan(&self, file: &FileBody) -> Result<PlanBody, ClientError> {
        self.ask(Question::of(Method::POST, "/v1/plan", file)?.within(FILES_TIME_MAX)).await
    }

    /// Makes a file the wanted state.
    pub(crate) async fn apply(&self, file: &FileBody) -> Result<AcceptedBody, ClientError> {
        self.ask(Question::of(Method::POST, "/v1/apply", file)?.within(FILES_TIME_MAX)).await
    }

    /// Stops everything, then the node.
    pub(crate) async fn down(&self, because: Option<DownCause>) -> Result<AcceptedBody, ClientError> {
        let because: Vec<_> = because.into_iter().map(|cause| ("because", cause.as_str().to_owned())).collect();
        self.ask(Question::bare(Method::POST, &format!("/v1/down{}", query(&because)))).await
    }

    /// Restarts a service's replicas, those whose turn comes within a time.
    pub(crate) async fn restart(&self, service: &ServiceName, within: Span) -> Result<AcceptedBody, ClientError> {
        let within = query(&[("within", within.to_string())]);
        self.ask(Question::bare(Method::POST, &format!("/v1/services/{service}/restart{within}"))).await
    }

    /// Runs a command once.
    pub(crate) async fn run(&self, service: &ServiceName, run: &RunBody) -> Result<RunAcceptedBody, ClientError> {
        let path = format!("/v1/services/{service}/runs");
        self.ask(Question::of(Method::POST, &path, run)?.within(FILES_TIME_MAX)).await
    }

    /// How a run stands.
    pub(crate) async fn run_state(&self, unit: &UnitId) -> Result<RunStateBody, ClientError> {
        self.get(&format!("/v1/runs/{unit}")).await
    }

    /// Gives each line of a run's to `each`, until the run has ended or `each` has enough.
    pub(crate) async fn run_output(
        &self,
        unit: &UnitId,
        each: impl FnMut(LogLineBody) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        self.lines(&format!("/v1/runs/{unit}/output"), each).await
    }

    /// The secrets without their values.
    pub(crate) async fn secrets(&self) -> Result<Vec<SecretBody>, ClientError> {
        self.get("/v1/secrets").await
    }

    /// A secret's value.
    pub(crate) async fn secret(&self, name: &SecretName, version: Option<u32>) -> Result<SecretValueBody, ClientError> {
        let query = version.map(|version| format!("?version={version}")).unwrap_or_default();
        self.get(&format!("/v1/secrets/{name}{query}")).await
    }

    /// A new version of a secret.
    pub(crate) async fn set_secret(
        &self,
        name: &SecretName,
        value: &SecretValueBody,
    ) -> Result<AcceptedBody, ClientError> {
        self.send(Method::PUT, &format!("/v1/secrets/{name}"), value).await
    }

    /// Removes a secret.
    pub(crate) async fn remove_secret(&self, name: &SecretName) -> Result<AcceptedBody, ClientError> {
        self.ask(Question::bare(Method::DELETE, &format!("/v1/secrets/{name}"))).await
    }

    /// Sets the secrets of a `.env` file.
    pub(crate) async fn import_secrets(&self, import: &SecretImportBody) -> Result<Vec<SecretName>, ClientError> {
        self.send(Method::POST, "/v1/secrets", import).await
    }

    /// Asks for something that is read. A node that dies may still take a connection in its last moment: reading
    /// can be asked again, and then there is an answer or no node.
    pub(crate) async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, ClientError> {
        for _ in 1..READ_TRIES_MAX {
            match self.ask(Question::bare(Method::GET, path)).await {
                Err(ClientError::BrokenOff(_)) => tokio::time::sleep(READ_AGAIN_AFTER).await,
                other => return other,
            }
        }
        self.ask(Question::bare(Method::GET, path)).await
    }

    async fn send<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<A, ClientError> {
        self.ask(Question::of(method, path, body)?).await
    }

    async fn ask<A: DeserializeOwned>(&self, question: Question) -> Result<A, ClientError> {
        let Answer { mut work, response, node } = self.open(question).await?;
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
        let read = in_time(ANSWER_TIME_MAX, node, drive(&mut work, body)).await?;
        let bytes = read.map_err(body_error)?.to_bytes();
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Unreadable(Some(error)))
    }

    /// Gives each line of an answer to `each` as it comes, until the answer ends or `each` has enough.
    pub(crate) async fn lines<L: DeserializeOwned>(
        &self,
        path: &str,
        mut each: impl FnMut(L) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let Answer { mut work, response, .. } = self.open(Question::bare(Method::GET, path)).await?;
        let mut body = response.into_body();
        let mut rest = Vec::new();
        loop {
            let Some(frame) = drive(&mut work, body.frame()).await else { break };
            let Ok(data) = frame.map_err(ClientError::BrokenOff)?.into_data() else { continue };
            rest.extend_from_slice(&data);
            if take_lines(&mut rest, &mut each)?.is_break() {
                return Ok(());
            }
            if rest.len() > ANSWER_BYTES_MAX {
                return Err(ClientError::TooLong);
            }
        }
        match rest.is_empty() {
            true => Ok(()),
            false => Err(ClientError::Unreadable(None)),
        }
    }

    /// Sends a question and reads the head of the answer. An answer that says no becomes an error here.
    async fn open(&self, question: Question) -> Result<Answer, ClientError> {
        let Connected { mut sender, mut work, node } = self.connect().await?;
        let within = question.within;
        let sent = drive(&mut work, sender.send_request(question.request()?));
        let response = in_time(within, node, sent).await?.map_err(ClientError::BrokenOff)?;
        if response.status() == StatusCode::OK {
            return Ok(Answer { work, response, node });
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
        let bytes = drive(&mut work, body).await.map_err(body_error)?.to_bytes();
        match serde_json::from_slice(&bytes) {
            Ok(error) => Err(ClientError::Refused(error)),
            Err(error) => Err(ClientError::Unreadable(Some(error))),
        }
    }

    async fn connect(&self) -> Result<Connected, ClientError> {
        let connecting = async {
            let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.connect_error(error))?;
            let node = self.judge(&stream)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(ClientError::BrokenOff)?;
            Ok(Connected { sender, work: Some(Box::pin(connection)), node })
        };
        in_time(CONNECT_TIME_MAX, None, connecting).await?
    }

    /// Refuses to tell anything to somebody else who listens where the node would: below /tmp, others may
    /// have been there first. Gives the process that listens.
    fn judge(&self, stream: &UnixStream) -> Result<Option<Pid>, ClientError> {
        let listens = stream.peer_cred().map_err(|error| self.connect_error(error))?;
        let owner = listens.uid();
        let own = rustix::process::geteuid().as_raw();
        match own == 0 || owner == 0 || owner == own {
            true => Ok(listens.pid().and_then(|pid| u32::try_from(pid).ok()).map(Pid)),
            false => Err(ClientError::Foreign { socket: self.socket.clone(), owner }),
        }
    }

    fn connect_error(&self, source: std::io::Error) -> ClientError {
        use std::io::ErrorKind;
        let socket = self.socket.clone();
        match source.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => ClientError::NoNode { socket },
            _ => ClientError::Unreachable { socket, source },
        }
    }
}

impl Question {
    fn bare(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), body: Vec::new(), within: ANSWER_TIME_MAX }
    }

    fn of(method: Method, path: &str, body: &impl Serialize) -> Result<Self, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Unreadable(Some(error)))?;
        Ok(Self { body, ..Self::bare(method, path) })
    }

    fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    fn request(self) -> Result<Request<Full<Bytes>>, ClientError> {
        Request::builder()
            .method(self.method)
            .uri(self.path)
            .header(header::HOST, "mainstay")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(self.body)))
            .map_err(ClientError::Request)
    }
}

/// A query's text, escaped.
pub(crate) fn query(parts: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (index, (name, value)) in parts.iter().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        for byte in value.bytes() {
            match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                true => text.push(char::from(byte)),
                false => text.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    text
}

/// What comes within a time of a node.
async fn in_time<T>(after: Duration, node: Option<Pid>, wanted: impl Future<Output = T>) -> Result<T, ClientError> {
    tokio::time::timeout(after, wanted).await.map_err(|_| ClientError::TimedOut { after, node })
}

/// Waits for `wanted` while the connection does its work beside it. What is already read stays readable
/// after the connection has ended.
async fn drive<T>(work: &mut Work, wanted: impl Future<Output = T>) -> T {
    let mut wanted = std::pin::pin!(wanted);
    std::future::poll_fn(|context| {
        // The connection's own end shows in what is waited for.
        if work.as_mut().is_some_and(|work| work.as_mut().poll(context).is_ready()) {
            *work = None;
        }
        wanted.as_mut().poll(context)
    })
    .await
}

fn body_error(error: Box<dyn std::error::Error + Send + Sync>) -> ClientError {
    match error.downcast::<hyper::Error>() {
        Ok(error) => ClientError::BrokenOff(*error),
        Err(_) => ClientError::TooLong,
    }
}

fn take_lines<L: DeserializeOwned>(
    rest: &mut Vec<u8>,
    each: &mut impl FnMut(L) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ClientError> {
    let mut from = 0;
    while let Some(length) = rest[from..].iter().position(|byte| *byte == b'\n') {
        let line =
            serde_json::from_slice(&rest[from..from + length]).map_err(|error| ClientError::Unreadable(Some(error)))?;
        from += length + 1;
        if each(line).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    rest.drain(..from);
    Ok(ControlFlow::Continue(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that stays silent can be ended only by somebody who knows which process it is.
    #[tokio::test]
    async fn a_connection_knows_the_process_at_its_other_end() {
        let socket = std::env::temp_dir().join(format!("mainstay-client-{}.sock", std::process::id()));
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let connected = Client::new(&socket).connect().await.unwrap();
        assert_eq!(connected.node, Some(Pid(std::process::id())));
        drop(listener);
        std::fs::remove_file(&socket).unwrap();
    }
}
