//! Probes: one question to a replica, answered in time or counted as no.
//!
//! Start reading at [`ask`]. Invariant: at most [`SNIPPET_BYTES_MAX`] bytes of any answer are kept.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use model::{Address, Span, UrlPath};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use super::{SHIM_SOCKET, connection};
use crate::local_socket;
use crate::system::{ProbeFailure, ProbeOutcome, ProbeTarget};

/// Bytes kept of an answer.
const SNIPPET_BYTES_MAX: usize = 512;
/// Characters of an answer in the one sentence about it.
const TELLING_CHARS_MAX: usize = 160;
/// What a command's answer may take beyond the command's own time.
const SHIM_ANSWER: Duration = Duration::from_secs(1);

/// Asks, and answers within `timeout`.
pub(super) async fn ask(target: ProbeTarget, timeout: Duration) -> ProbeOutcome {
    let late = || Err(failure(format!("no answer within {}", Span::from(timeout)), &[]));
    let (patience, question) = match target {
        ProbeTarget::Http { address, path } => (timeout, boxed(http(address, path))),
        ProbeTarget::Connect { address } => (timeout, boxed(async move { connect(&address).await.map(drop) })),
        ProbeTarget::Exchange { address, send, expect } => (timeout, boxed(exchange(address, send, expect))),
        ProbeTarget::Command { folder, words } => (timeout + SHIM_ANSWER, boxed(command(folder, words, timeout))),
    };
    tokio::time::timeout(patience, question).await.unwrap_or_else(|_| late())
}

type Question = std::pin::Pin<Box<dyn Future<Output = ProbeOutcome> + Send>>;

fn boxed(question: impl Future<Output = ProbeOutcome> + Send + 'static) -> Question {
    Box::pin(question)
}

fn failure(what: impl Into<String>, answer: &[u8]) -> ProbeFailure {
    let kept = &answer[..answer.len().min(SNIPPET_BYTES_MAX)];
    let text = String::from_utf8_lossy(kept);
    let snippet = text[..text.floor_char_boundary(SNIPPET_BYTES_MAX)].to_owned();
    ProbeFailure { what: what.into(), snippet }
}

/// A failure whose sentence holds what tells most of the answer, on one line and without what a terminal would obey.
fn telling_failure(what: &str, telling: &str, answer: &[u8]) -> ProbeFailure {
    let plain = telling.replace(char::is_control, " ");
    let words: Vec<&str> = plain.split_whitespace().collect();
    let told: String = words.join(" ").chars().take(TELLING_CHARS_MAX).collect();
    match told.is_empty() {
        true => failure(what, answer),
        false => failure(format!("{what}: {told}"), answer),
    }
}

/// The operating system's error in the words that people know.
fn refused(error: &io::Error) -> ProbeFailure {
    let what = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::NotFound => "no such socket".to_owned(),
        io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
        _ => error.to_string(),
    };
    failure(what, &[])
}

/// Both kinds of stream as one.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn connect(address: &Address) -> Result<Box<dyn Stream>, ProbeFailure> {
    let stream: io::Result<Box<dyn Stream>> = match address {
        Address::Tcp(address) => TcpStream::connect(address).await.map(|stream| Box::new(stream) as Box<dyn Stream>),
        Address::Unix(path) => UnixStream::connect(path).await.map(|stream| Box::new(stream) as Box<dyn Stream>),
    };
    stream.map_err(|error| refused(&error))
}

async fn http(address: Address, path: UrlPath) -> ProbeOutcome {
    let stream = connect(&address).await?;
    let host = match &address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(_) => "localhost".to_owned(),
    };
    let request = Request::get(path.as_str())
        .header(header::HOST, host)
        .header(header::USER_AGENT, "mainstay-probe")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failure(error.to_string(), &[]))?;
    let (mut sender, carrier) = hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|error| failure(not_http(&error), &[]))?;
    let asked = async {
        let answer = sender.send_request(request).await.map_err(|error| failure(not_http(&error), &[]))?;
        judge(answer).await
    };
    // The carrier moves the bytes; it ends no sooner than the answer is complete, or with an error that the
    // answer reports too.
    let carrier = async {
        drop(carrier.await);
        std::future::pending::<ProbeOutcome>().await
    };
    tokio::select! {
        outcome = asked => outcome,
        outcome = carrier => outcome,
    }
}

fn not_http(error: &hyper::Error) -> String {
    match error.is_incomplete_message() || error.is_closed() {
        true => "connection closed before an HTTP answer".to_owned(),
        false => format!("not an HTTP answer: {error}"),
    }
}

async fn judge(answer: Response<hyper::body::Incoming>) -> ProbeOutcome {
    let status = answer.status();
    if (StatusCode::OK.as_u16()..400).contains(&status.as_u16()) {
        return Ok(());
    }
    let mut beginning = Vec::new();
    let mut body = answer.into_body();
    while beginning.len() < SNIPPET_BYTES_MAX {
        match body.frame().await {
            Some(Ok(frame)) => beginning.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref())),
            Some(Err(_)) | None => break,
        }
    }
    Err(telling_failure(&format!("status {}", status.as_u16()), &String::from_utf8_lossy(&beginning), &beginning))
}

async fn exchange(address: Address, send: Vec<u8>, expect: Vec<u8>) -> ProbeOutcome {
    let mut stream = connect(&address).await?;
    stream.write_all(&send).await.map_err(|error| refused(&error))?;
    let mut answer = Vec::new();
    while answer.len() < expect.len() {
        let mut buffer = [0_u8; SNIPPET_BYTES_MAX];
        let count = stream.read(&mut buffer).await.map_err(|error| refused(&error))?;
        if count == 0 {
            return Err(failure("connection closed before the expected answer", &answer));
        }
        answer.extend_from_slice(&buffer[..count]);
        let common = answer.len().min(expect.len());
        if answer[..common] != expect[..common] {
            return Err(telling_failure("unexpected answer", &String::from_utf8_lossy(&answer), &answer));
        }
    }
    Ok(())
}

/// What a shim is asked: the `command` request of the shims' protocol.
#[derive(serde::Serialize)]
struct Ask {
    ask: &'static str,
    ticket: u64,
    words: Vec<String>,
    timeout_ms: u64,
}

/// What is looked for in a shim's messages: the `command_ended` report of the shims' protocol.
#[derive(serde::Deserialize)]
struct Tell {
    tell: String,
    code: Option<i32>,
    #[serde(default)]
    output: String,
}

async fn command(folder: PathBuf, words: Vec<String>, timeout: Duration) -> ProbeOutcome {
    let unreachable = |error: io::Error| failure(format!("the unit's shim cannot be asked: {error}"), &[]);
    let stream = local_socket::connect(&folder, SHIM_SOCKET).map_err(unreachable)?;
    stream.set_nonblocking(true).map_err(unreachable)?;
    let stream = UnixStream::from_std(stream).map_err(unreachable)?;
    let (reading, mut writing) = stream.into_split();
    let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let mut bytes = serde_json::to_vec(&Ask { ask: "command", ticket: 1, words, timeout_ms })
        .map_err(|error| failure(error.to_string(), &[]))?;
    bytes.push(b'\n');
    let asked = Instant::now();
    writing.write_all(&bytes).await.map_err(unreachable)?;
    let mut reading = BufReader::new(reading);
    loop {
        let Some(line) = connection::line(&mut reading).await else {
            return Err(failure("the unit's shim ended before the command did", &[]));
        };
        // Greetings and the like are passed over.
        let Ok(told) = serde_json::from_slice::<Tell>(&line) else { continue };
        if told.tell == "command_ended" {
            let what = match told.code {
                Some(0) => return Ok(()),
                Some(code) => format!("exit code {code}"),
                None if asked.elapsed() >= timeout => format!("killed after {}", Span::from(timeout)),
                None => "not run to its end".to_owned(),
            };
            let last_line = told.output.trim_end().lines().next_back().unwrap_or_default();
            return Err(telling_failure(&what, last_line, told.output.as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Answers one connection with these bytes after it has sent something, and says what the probe found.
    async fn check(target: impl FnOnce(Address) -> ProbeTarget, answer: &'static [u8], expected: &str) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0_u8; 1024];
            assert!(stream.read(&mut buffer).await.unwrap() > 0);
            stream.write_all(answer).await.unwrap();
        };
        let (outcome, ()) = tokio::join!(ask(target(address), PATIENCE), serve);
        let text = match outcome {
            Ok(()) => "ok".to_owned(),
            Err(failure) => format!("{} | {}", failure.what, failure.snippet),
        };
        assert_eq!(text, expected);
    }

    fn get(address: Address) -> ProbeTarget {
        ProbeTarget::Http { address, path: "/readyz".parse().unwrap() }
    }

    fn ping(address: Address) -> ProbeTarget {
        ProbeTarget::Exchange { address, send: b"PING\r\n".to_vec(), expect: b"+PONG".to_vec() }
    }

    #[tokio::test]
    async fn answers_are_judged() {
        check(get, b"HTTP/1.1 204 No Content\r\n\r\n", "ok").await;
        check(get, b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", "ok").await;
        check(get, b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy", "status 503: busy | busy").await;
        check(get, b"", "connection closed before an HTTP answer | ").await;
        check(ping, b"+PONG\r\n", "ok").await;
        check(
            ping,
            b"-NOAUTH Authentication required.\r\n",
            "unexpected answer: -NOAUTH Authentication required. | -NOAUTH Authentication required.\r\n",
        )
        .await;
        check(ping, b"+PO", "connection closed before the expected answer | +PO").await;
    }

    #[tokio::test]
    async fn nobody_there_and_nobody_answering_are_told_apart() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        let silent = ask(get(address.clone()), Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(silent.what, "no answer within 50ms");
        assert_eq!(ask(ProbeTarget::Connect { address: address.clone() }, PATIENCE).await, Ok(()));
        drop(listener);
        let refused = ask(ProbeTarget::Connect { address }, PATIENCE).await.unwrap_err();
        assert_eq!(refused.what, "connection refused");
        let gone = ask(ProbeTarget::Connect { address: Address::Unix("/no/such/socket".into()) }, PATIENCE).await;
        assert_eq!(gone.unwrap_err().what, "no such socket");
    }
}
