//! Connections and requests: HTTP/1.1 in, S3 out. Start reading at [`Server::accept`].
//!
//! `GET /-/ready` is answered without a signature: 200 while the server has settings to work by and believes its disk, else
//! 503. `GET /-/live` likewise, whatever it has been told: 503 says that only another process can serve. No bucket can have
//! such a name.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, S3Error, StdError};
use sys::tasks::Tasks;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::connection::{Patient, Unsent};
use crate::front::{self, Access, DOCUMENT_BYTES_MAX, Front, Memory, Turn};
use crate::live::Live;
use crate::places::{Guest, Places};
use crate::store::Store;
use crate::trouble::tell;

/// How long a connection may be idle, and how long the head of a request may take.
const HEAD_MAX: Duration = Duration::from_secs(30);
/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The pause after an accept that failed, usually for want of descriptors.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const READY_PATH: &str = "/-/ready";
const LIVE_PATH: &str = "/-/live";

/// What every connection shares.
#[derive(Clone)]
pub(crate) struct Server {
    service: S3Service,
    store: Arc<Store>,
    live: watch::Receiver<Arc<Live>>,
    tasks: Tasks,
}

impl Server {
    pub(crate) fn new(store: Arc<Store>, live: watch::Receiver<Arc<Live>>, tasks: Tasks) -> Self {
        let memory = Arc::new(Memory::new());
        let front = Front::new(Arc::clone(&store), live.clone(), Arc::clone(&memory));
        let access = Access::new(live.clone(), memory);
        let mut config = S3Config::default();
        config.xml_max_body_size = DOCUMENT_BYTES_MAX as usize;
        let mut builder = S3ServiceBuilder::new(front);
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_auth(access.clone());
        builder.set_access(access);
        Self { service: builder.build(), store, live, tasks }
    }

    /// Accepts connections for as long as it is polled.
    pub(crate) async fn accept(self, listener: TcpListener) -> Infallible {
        let places = Arc::new(Places::new());
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.begin(stream, places.greet()),
                Err(error) => {
                    tell("cannot accept a connection", &error);
                    // It may be that one is too many for the descriptors that there are.
                    places.displace();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn begin(&self, stream: TcpStream, guest: Guest) {
        let server = self.clone();
        self.tasks.spawn("objects", "connection", async move {
            let guest = Arc::new(guest);
            tokio::select! {
                () = server.serve(stream, &guest) => {}
                () = guest.shown_out() => {}
            }
            Ok::<(), Infallible>(())
        });
    }

    async fn serve(self, stream: TcpStream, guest: &Arc<Guest>) {
        let unsent = Unsent::default();
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(Arc::clone(guest));
            Box::pin(self.answer(request, &unsent))
        });
        let mut connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Patient::of_client(stream, unsent.clone())), service);
        // A client that breaks off is its own affair; what failed here was told where it failed.
        drop(poll_fn(|context| connection.poll_without_shutdown(context)).await);
        connection.into_parts().io.into_inner().linger().await;
    }

    async fn answer(&self, request: Request<Incoming>, unsent: &Unsent) -> Result<Response<Sending>, HttpError> {
        let (answer, turn) = match request.uri().path() {
            READY_PATH => (answer_if(self.is_live() && self.live.borrow().number > 0), None),
            LIVE_PATH => (answer_if(self.is_live()), None),
            _ => match front::admit(request) {
                Ok((request, notes)) => {
                    let answer = self.service.call(request).await?;
                    // The protocol layer knows that the body ended early, and not why.
                    (notes.take_refusal().map_or(Ok(answer), refused)?, notes.take_turn())
                }
                Err(error) => (refused(error)?, None),
            },
        };
        Ok(answer.map(|body| Sending { body, turn, unsent: unsent.clone() }))
    }

    fn is_live(&self) -> bool {
        self.store.check_disk().is_ok()
    }
}

fn answer_if(fine: bool) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    if !fine {
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    answer
}

fn refused(error: S3Error) -> Result<Response<Body>, HttpError> {
    error.to_http_response().map_err(|error| HttpError::new(Box::new(error)))
}

/// The body of an answer. What its request holds of memory is held until the body is sent.
struct Sending {
    body: Body,
    turn: Option<Turn>,
    unsent: Unsent,
}

impl hyper::body::Body for Sending {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.unsent.hold(turn);
        }
    }
}

#[cfg(test)]
mod tests;
