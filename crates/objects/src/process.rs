//! The object server as a process: its store, its listener, and the node's word. Start reading at [`run`].

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::cause::chain;
use sys::messages::{self, Incoming, MessageError};
use sys::tasks::{self, Tasks};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::control::{self, ToNode, ToServer};
use crate::live::Live;
use crate::server::{ACCEPT_PAUSE, Server};
use crate::settings::Settings;
use crate::store::{OpenError, Store, StoreError};
use crate::trouble::tell;

/// Threads that speak HTTP.
const SPEAKING_THREADS: usize = 2;
/// Threads that work in the store, which blocks.
const STORE_THREADS_MAX: usize = 32;
/// How long a thread of the store waits for work before it ends, and gives its memory back.
const STORE_THREAD_IDLE: Duration = Duration::from_secs(10);
/// By this the store grows older, and its uploads with it, whatever clocks are set to.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What an object server is started with.
#[derive(Debug)]
pub struct Start {
    /// Where clients connect to.
    pub listener: TcpListener,
    /// The store's folder.
    pub folder: PathBuf,
    /// The folder of the socket that the node connects to.
    pub control_folder: PathBuf,
    /// The socket's name.
    pub control_name: String,
}

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Its store.
    #[error("cannot open the object store in {}", folder.display())]
    Store {
        /// Its folder.
        folder: PathBuf,
        /// Why not.
        source: OpenError,
    },
    /// The socket for the node.
    #[error("cannot listen at {}", at.display())]
    Control {
        /// Where.
        at: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The listener.
    #[error("cannot use the listener for clients")]
    Listener(#[source] io::Error),
    /// The runtime.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// The signal that ends it.
    #[error("cannot listen for signals")]
    Signal(#[source] io::Error),
}

/// Serves until SIGTERM ends it, or anything else ends the process: what was acknowledged is on disk at any moment. At
/// SIGTERM clients are cut off, and what the store had begun is finished.
pub fn run(start: Start) -> Result<(), ServerError> {
    let Start { listener, folder, control_folder, control_name } = start;
    let store = Store::open(&folder).map_err(|source| ServerError::Store { folder, source })?;
    let control = sys::local_socket::listen(&control_folder, &control_name)
        .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
        .map_err(|source| ServerError::Control { at: control_folder.join(&control_name), source })?;
    listener.set_nonblocking(true).map_err(ServerError::Listener)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(SPEAKING_THREADS)
        .max_blocking_threads(STORE_THREADS_MAX)
        .thread_keep_alive(STORE_THREAD_IDLE)
        .enable_all()
        .build()
        .map_err(ServerError::Runtime)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(ServerError::Listener)?;
        let control = UnixListener::from_std(control).map_err(ServerError::Listener)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(ServerError::Signal)?;
        tokio::select! {
            never = serve(Arc::new(store), listener, control) => match never {},
            _ = terminate.recv() => Ok(()),
        }
    })
}

async fn serve(store: Arc<Store>, listener: tokio::net::TcpListener, control: UnixListener) -> Infallible {
    let tasks = Tasks::default();
    let (live, seen) = watch::channel(Arc::new(Live::default()));
    let server = Server::new(Arc::clone(&store), seen, tasks.clone());
    tasks.spawn("objects", "sweep", sweep(Arc::clone(&store)));
    tasks.spawn("objects", "stale uploads", age(Arc::clone(&store)));
    let node = Node { store, live };
    tokio::select! {
        never = server.accept(listener) => never,
        never = node.listen(control) => never,
    }
}

/// Removes what killed processes left over, folder by folder, beside everything else.
async fn sweep(store: Arc<Store>) -> Result<(), Infallible> {
    for folder in 0..=u8::MAX {
        let store = Arc::clone(&store);
        if told("cannot sweep the store", tasks::blocking(move || store.sweep(folder)).await).is_none() {
            break;
        }
    }
    Ok(())
}

/// Counts the hours, and ends the uploads that are too old by then.
async fn age(store: Arc<Store>) -> Result<(), Infallible> {
    loop {
        tokio::time::sleep(HOUR).await;
        let of_store = Arc::clone(&store);
        told("cannot note that an hour has passed", tasks::blocking(move || of_store.pass_hour()).await);
        while abort_stale_uploads(&store).await > 0 {}
    }
}

async fn abort_stale_uploads(store: &Arc<Store>) -> usize {
    let store = Arc::clone(store);
    let aborted = tasks::blocking(move || store.abort_stale_uploads()).await;
    told("cannot abort stale uploads", aborted).unwrap_or(0)
}

/// What work of the store gave; its trouble is told.
fn told<T>(what: &str, done: Result<Result<T, StoreError>, tasks::Broken>) -> Option<T> {
    match done {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(error)) => tell(what, &error),
        Err(error) => tell(what, &error),
    }
    None
}

/// Listens to one node after the other: a new one takes the place of one that is gone.
struct Node {
    store: Arc<Store>,
    live: watch::Sender<Arc<Live>>,
}

impl Node {
    async fn listen(self, socket: UnixListener) -> Infallible {
        let mut present: Option<(UnixStream, Incoming)> = None;
        loop {
            tokio::select! {
                accepted = socket.accept() => match accepted {
                    Ok((stream, _)) => present = self.greet(stream).await,
                    Err(error) => {
                        tell("cannot accept the node's connection", &error);
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                said = hear(&mut present) => {
                    let answered = match said {
                        Ok(Some(said)) => self.answer(said, &mut present).await,
                        Ok(None) | Err(_) => false,
                    };
                    if !answered {
                        present = None;
                    }
                }
            }
        }
    }

    async fn greet(&self, mut stream: UnixStream) -> Option<(UnixStream, Incoming)> {
        let hello = ToNode::Hello { version: control::VERSION, settings: self.live.borrow().number };
        // One that is gone already is as good as none.
        messages::write(&mut stream, &hello).await.ok().map(|()| (stream, Incoming::default()))
    }

    /// Whether the node heard the answer.
    async fn answer(&self, said: ToServer, present: &mut Option<(UnixStream, Incoming)>) -> bool {
        let ToServer::Settings(settings) = said;
        let answer = self.take_over(*settings).await;
        match present {
            Some((stream, _)) => messages::write(stream, &answer).await.is_ok(),
            None => false,
        }
    }

    async fn take_over(&self, settings: Settings) -> ToNode {
        let number = settings.number;
        let store = Arc::clone(&self.store);
        let now = sys::clock::now().wall;
        let why = match tasks::blocking(move || Live::of(settings, &store, now)).await {
            Ok(Ok(live)) => {
                self.live.send_replace(Arc::new(live));
                return ToNode::Applied { settings: number };
            }
            Ok(Err(error)) => chain(&error),
            Err(broken) => chain(&broken),
        };
        ToNode::Refused { settings: number, why }
    }
}

async fn hear(present: &mut Option<(UnixStream, Incoming)>) -> Result<Option<ToServer>, MessageError> {
    match present {
        Some((stream, incoming)) => incoming.next(stream).await,
        None => std::future::pending().await,
    }
}
