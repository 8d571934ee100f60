//! Connections and requests: HTTP/1.1 in, S3 out. Start reading at [`Server::accept`].
//!
//! `GET /-/ready` is answered without a signature: 200 while the server has settings to work by and believes its disk, else
//! 503. `GET /-/live` likewise, whatever it has been told: 503 says that only another process can serve. No bucket can have
//! such a name.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, S3Error};
use sys::tasks::Tasks;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::front::{self, Access, Front};
use crate::live::Live;
use crate::store::Store;
use crate::trouble::tell;

/// Connections that are open at once; further ones wait in the listener's queue.
const CONNECTIONS_MAX: usize = 1024;
/// How long the head of a request may take.
const HEAD_MAX: Duration = Duration::from_secs(30);
/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The longest body of XML: a deletion of 1000 keys of 1024 bytes, each written as `&#1234;` at worst.
const XML_BYTES_MAX: usize = 8 << 20;
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
        let front = Front::new(Arc::clone(&store), live.clone());
        let mut config = S3Config::default();
        config.xml_max_body_size = XML_BYTES_MAX;
        let mut builder = S3ServiceBuilder::new(front);
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_auth(Access::new(live.clone()));
        builder.set_access(Access::new(live.clone()));
        Self { service: builder.build(), store, live, tasks }
    }

    /// Accepts connections for as long as it is polled.
    pub(crate) async fn accept(self, listener: TcpListener) -> Infallible {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let place = Arc::clone(&places).acquire_owned().await;
            match (listener.accept().await, place) {
                (Ok((stream, _)), Ok(place)) => self.begin(stream, place),
                (Err(error), _) => {
                    tell("cannot accept a connection", &error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (Ok(_), Err(_)) => std::future::pending().await,
            }
        }
    }

    fn begin(&self, stream: TcpStream, place: OwnedSemaphorePermit) {
        let server = self.clone();
        self.tasks.spawn("objects", "connection", async move {
            let _place = place;
            server.serve(stream).await;
            Ok::<(), Infallible>(())
        });
    }

    async fn serve(self, stream: TcpStream) {
        // Answers are written whole; waiting for more to send only delays them.
        drop(stream.set_nodelay(true));
        let service = service_fn(|request| self.answer(request));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        // A client that breaks off is its own affair; what failed here was told where it failed.
        drop(connection.await);
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, HttpError> {
        match request.uri().path() {
            READY_PATH => return Ok(answer_if(self.is_live() && self.live.borrow().number > 0)),
            LIVE_PATH => return Ok(answer_if(self.is_live())),
            _ => {}
        }
        match front::admit(request) {
            Ok((request, notes)) => {
                let answer = self.service.call(request).await?;
                // The protocol layer knows that the body ended early, and not why.
                notes.take_refusal().map_or(Ok(answer), refused)
            }
            Err(error) => refused(error),
        }
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
